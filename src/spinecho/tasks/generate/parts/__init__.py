"""What several methods of generation are made of."""
