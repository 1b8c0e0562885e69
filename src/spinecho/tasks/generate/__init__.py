"""Generation: seeds -> pictures that nobody has."""
