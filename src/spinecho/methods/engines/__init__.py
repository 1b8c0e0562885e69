"""Classical registration programs, each run by `work.py` in a process (and an interpreter) of its own."""
