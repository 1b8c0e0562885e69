"""What several methods of super-resolution are made of."""
