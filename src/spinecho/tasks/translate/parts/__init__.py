"""What several methods of translation are made of."""
