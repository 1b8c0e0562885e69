"""What stands where a file should be: nothing (then: what is near), a broken link, or a pointer in place of the data.

Git LFS and git-annex keep large files out of a repository. A clone that has not fetched them holds, under the file's
name, a text of some 130 bytes (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md), a link into
`.git/annex/objects`, or a text that names a key there (https://git-annex.branchable.com/internals/pointer_file/).
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from spinecho.core.errors import DataError

LONGEST_POINTER = 32768
_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX = "/annex/objects/"
_MOST_NAMES, _MOST_NEAR = 5000, 4


def check_present(path: Path) -> None:
    """Refuse a path where nothing lies, and a pointer to data that were not fetched; folders pass.

    Raises
    ------
    DataError
        Says what is near, or how the data are fetched.
    """
    if path.is_symlink() and not path.exists():
        target = path.readlink().as_posix()
        if _ANNEX in f"/{target}":
            raise _unfetched_annex(path)
        raise DataError(f"it is a link to {target}, which does not exist", do="copy the file itself here", file=path)
    if not path.exists():
        raise DataError("there is no such file", do=near(path), file=path)
    if path.is_file() and path.stat().st_size <= LONGEST_POINTER:
        with path.open("rb") as file:
            check_head(path, file.read(4096))


def check_head(path: Path, head: bytes) -> None:
    """Refuse a file whose first bytes are those of a pointer.

    Raises
    ------
    DataError
        Names the command that fetches the data.
    """
    if head.startswith(_LFS):
        text = head.decode("utf-8", "replace")
        size = next((int(w[5:]) for w in text.splitlines() if w[:5] == "size " and w[5:].isdecimal()), 0)
        content = f"data of {size / 1e6:.3g} MB" if size else "data"
        problem = f"it is a pointer of Git LFS ({len(head)} bytes of text), not the {content} themselves"
        raise DataError(problem, do=f"fetch them: git lfs pull --include '{path.name}'", file=path)
    if head.startswith(_ANNEX.encode()):
        raise _unfetched_annex(path)


def near(path: Path) -> str:
    """What to do about a name where nothing lies: check it, with the names in its folder that are like it."""
    folder = path.parent
    if not folder.is_dir():
        return f"check the path: there is no folder {folder}"
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in islice(entries, _MOST_NAMES) if not e.name.startswith("."))
    except OSError:
        return "check the path"
    wanted = path.name.rstrip(".").lower()
    stem = wanted.partition(".")[0]
    same = [n for n in names if n.lower().startswith(wanted) or n.lower().partition(".")[0] == stem]
    lowered = {n.lower(): n for n in names}
    alike = [lowered[n] for n in get_close_matches(wanted, list(lowered), _MOST_NEAR, 0.7)]
    neighbours = list(dict.fromkeys([*same, *alike]))[:_MOST_NEAR]
    return f"check the path: near it lie {', '.join(neighbours)}" if neighbours else "check the path"


def _unfetched_annex(path: Path) -> DataError:
    problem = "its content is in git-annex and was not fetched: this is a pointer to it"
    return DataError(problem, do=f"fetch it: git annex get '{path.name}'", file=path)


def is_hidden(file: Path, folder: Path) -> bool:
    """Whether a name on the way from the folder to the file begins with a point, as those of a desktop's own files."""
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
