"""What several registration methods are made of."""
