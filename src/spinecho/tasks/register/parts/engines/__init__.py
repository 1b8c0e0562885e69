"""Scripts that a Python of their own runs, with the program of others in it."""
