"""What each format reads and writes, from the text of its file: no format, and no torch, is imported for it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spinecho.core.errors import DataError

_FOLDER = Path(__file__).parent / "formats"


@dataclass(frozen=True)
class Format:
    """A file of the folder: its name, what it is, its suffixes, whether it reads, and what it writes."""

    name: str
    summary: str
    suffixes: tuple[str, ...]
    reads: bool
    writes: tuple[str, ...]


def known_formats() -> list[Format]:
    """All formats, sorted by name."""
    return [_described(p) for p in sorted(_FOLDER.glob("*.py")) if not p.stem.startswith("_")]


def check_suffix(path: Path, kind: str) -> None:
    """Refuse an output whose name no writer of `image` or `kspace` takes.

    Raises
    ------
    DataError
        Lists the names that would work.
    """
    known = [s for f in known_formats() if kind in f.writes for s in f.suffixes if s]
    if not any(path.name.lower().endswith(s) for s in known):
        problem = f"no writer for {kind} files called {ending_of(path.name)!r}"
        raise DataError(problem, do=f"known are {' '.join(dict.fromkeys(known))}", file=path)


def ending_of(name: str) -> str:
    """What a file's name ends in, `.nii.gz` whole; the name itself where it has no suffix."""
    endings = sorted({s for f in known_formats() for s in f.suffixes if s.startswith(".")}, key=len, reverse=True)
    return next((s for s in endings if name.lower().endswith(s)), Path(name).suffix or name)


def labelled(path: Path, label: str) -> Path:
    """`brain.nii.gz` becomes `brain_LABEL.nii.gz`, the folder `brain_dicom` `brain_LABEL_dicom`; "" changes nothing."""
    if not label:
        return path
    endings = sorted({s for f in known_formats() for s in f.suffixes if s}, key=len, reverse=True)
    ending = next((s for s in endings if path.name.lower().endswith(s)), path.suffix)
    stem, ending = path.name[: len(path.name) - len(ending)], path.name[len(path.name) - len(ending) :]
    between = "" if ending.startswith(".") else "_"
    return path.with_name(f"{stem.rstrip('_')}_{label}{between}{ending}".lstrip("_"))


@cache
def _described(path: Path) -> Format:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("SUFFIXES", "WRITES")
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    imported = {a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    return Format(
        path.stem, summary, constants.get("SUFFIXES", ()), "read" in defined | imported, constants.get("WRITES", ())
    )
