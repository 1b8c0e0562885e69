"""What several reconstruction methods are made of."""
