"""Commands, one file each: the first line of its docstring is its summary, `run(arguments)` returns the exit code."""
