"""Make docs/gallery.md and docs/gallery/*.webp (needs ../shared; about 10 minutes on 2 idle cores).

python -m benchmarks.gallery [--shared ../shared] [--out docs] [--only recon_random denoise ...]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gallery import after, scans
from benchmarks.gallery.sheet import Entry, Row, markdown, write

MADE_BY = "make gallery"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw all rows, or those named; the page keeps what earlier runs said of the others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--only", nargs="*", default=None)
    given = parser.parse_args(argv)
    names = [*scans.ROWS, *after.ROWS]
    if strange := set(given.only or ()) - set(names):
        parser.error(f"there is no row {', '.join(sorted(strange))}; known are {', '.join(names)}")
    wanted = names if given.only is None else [n for n in names if n in given.only]
    folder = given.out / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for row in made(wanted, given.shared / "data"):
        write(folder / f"{row.name}.webp", row)
        (folder / f"{row.name}.json").write_text(json.dumps(row.entry().plain(), indent=1) + "\n", encoding="utf-8")
        print(f"wrote {folder / row.name}.webp", flush=True)
    kept = [folder / f"{name}.json" for name in names]
    entries = [Entry(**json.loads(path.read_text(encoding="utf-8"))) for path in kept if path.is_file()]
    (given.out / "gallery.md").write_text(markdown(entries, MADE_BY), encoding="utf-8")


def made(names: Sequence[str], folder: Path) -> Iterator[Row]:
    """The rows, one after another."""
    for name in names:
        yield (scans.ROWS.get(name) or after.ROWS[name])(folder)


if __name__ == "__main__":
    main()
