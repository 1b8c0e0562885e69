"""`make check-files`: 300 damaged files for each reader, and a table of what came of them."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from mutants import mutants, readers, seed
from reader_process import Reader

_SHARED = Path(__file__).parents[3] / "shared" / "data"


def main(n: int = 300, names: tuple[str, ...] = ()) -> int:
    """Print the table; 1 if any file did harm."""
    reader, bad = Reader(), 0
    print(f"{'reader':<12}{'read':>6}{'refused':>9}{'harm':>6}{'slowest':>10}{'memory':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names or readers():
            try:
                source = seed(name, Path(folder) / "seeds" / name, _SHARED if _SHARED.is_dir() else None)
            except FileNotFoundError as absent:
                print(f"{name:<12}skipped: {absent}")
                continue
            counts, slowest, memory = Counter[str](), 0.0, 0
            rng = np.random.default_rng(20261121)
            for i, path in enumerate(mutants(source, Path(folder) / name, n, rng)):
                answer = reader.ask(path)
                counts[answer.outcome if answer.is_fine else "harm"] += 1
                slowest, memory = max(slowest, answer.seconds), max(memory, answer.peak_bytes)
                if not answer.is_fine:
                    print(f"  {name} {i}: {answer}")
            bad += counts["harm"]
            row = f"{counts['read']:>6}{counts['DataError']:>9}{counts['harm']:>6}"
            print(f"{name:<12}{row}{slowest:>8.1f} s{memory / 1e6:>6.0f} MB", flush=True)
    reader.stop()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, tuple(sys.argv[2:])))
