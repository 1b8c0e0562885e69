"""`python -m spinecho` is the command `spinecho`."""

from __future__ import annotations

import sys

from spinecho.cli import main

if __name__ == "__main__":
    sys.exit(main())
