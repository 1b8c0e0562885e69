"""Generation: seeds -> pictures of heads that do not exist."""
