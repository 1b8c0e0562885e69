"""Commands of generation."""
