"""One file for each method of generation."""
