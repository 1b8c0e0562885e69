"""Write beside, sync, rename: a kill or a full disk never leaves half a file under the real name."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spinecho.core.errors import DataError

_SAID = {
    errno.ENOSPC: ("the disk is full (or a size limit is reached)", "make room, or write to another disk"),
    errno.EDQUOT: ("your disk quota is used up", "make room, or write to another disk"),
    errno.EFBIG: ("the file would be larger than the system allows", "raise the limit (ulimit -f), or write less"),
    errno.EACCES: ("there is no permission to write here", "choose another place, or change its permissions"),
    errno.EPERM: ("there is no permission to write here", "choose another place, or change its permissions"),
    errno.EROFS: ("this file system is read-only", "choose another place"),
    errno.ENOENT: ("the folder does not exist", "create it with mkdir -p"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "choose a shorter one"),
}
# HDF5, pydicom and numpy hide what the system said in the text of their own exceptions.
_ERRNO = re.compile(r"errno = (\d+)|\[Errno (\d+)\]")
_SHORT = re.compile(r"\d+ requested and \d+ written")


def check_place(path: Path) -> Path:
    """Refuse a place that cannot be written, before the work that fills it is done.

    Returns
    -------
    The real target: symbolic links are followed, so that the link stays and its file is replaced.

    Raises
    ------
    DataError
        If the folder is absent or not writable, or the file is write-protected or no regular file.
    """
    with _told(path):
        target = Path(os.path.realpath(path))
        folder = target.parent
        if not folder.is_dir():
            raise DataError(f"the folder {folder} does not exist", do=f"create it: mkdir -p {folder}", file=path)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise DataError(f"there is no permission to write in {folder}", do="choose another place", file=path)
        if target.exists() and not os.access(target, os.W_OK):
            raise DataError(
                "it exists and is write-protected", do="choose another name, or make it writable", file=path
            )
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise DataError("it exists and is no regular file", do="choose another name", file=path)
    return target


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside the target, with the same suffix; it takes the target's name on success only.

    The body writes (and closes) the temporary file. After it, file and folder are synced to the disk and the file is
    renamed. On any failure the temporary file is removed and the old target, if any, stays as it was.

    Raises
    ------
    DataError
        For whatever the operating system refuses: full disk, permissions, a folder that does not exist.
    """
    target = check_place(Path(path))
    if target.is_dir():
        raise DataError("it is a folder, but a file is needed", do="add a file name", file=path)
    temporary = _beside(target)
    try:
        with _told(path):
            yield temporary
            if target.exists():
                shutil.copymode(target, temporary)
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path, may_replace: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a temporary folder beside the target; on success it is exchanged with it in one step.

    Parameters
    ----------
    path
        The folder wanted.
    may_replace
        Asked for each file of a folder that exists already: whether it is an earlier result, which may go. A folder
        with anything else in it is never touched.

    Raises
    ------
    DataError
        As `replacing`, and for a folder that holds other files.
    """
    target = check_place(Path(path))
    if target.exists():
        if not target.is_dir():
            raise DataError("it is a file, but a folder is needed", do="choose another name", file=path)
        check_replaceable(target, may_replace)
    temporary = _beside(target)
    try:
        with _told(path):
            temporary.mkdir()
            yield temporary
            for file in temporary.iterdir():
                _sync(file)
            _sync(temporary)
            _swap(temporary, target)
            _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(folder: Path, may_replace: Callable[[Path], bool]) -> None:
    """Refuse to replace a folder that holds anything but earlier results.

    Raises
    ------
    DataError
        Names the first other file.
    """
    foreign = next((f for f in sorted(folder.iterdir()) if not (f.is_file() and may_replace(f))), None)
    if foreign is not None:
        fault = f"the folder holds {foreign.name!r}, which spinecho did not write"
        raise DataError(fault, do="choose an empty or new folder", file=folder)


def _beside(target: Path) -> Path:
    """A hidden sibling's name that keeps the suffix (and stays under 255 bytes)."""
    name = os.fsencode(target.name)[-160:].decode(errors="ignore")
    return target.parent / f".partial-{os.getpid()}-{secrets.token_hex(4)}-{name}"


def _sync(path: Path) -> None:
    """Flush a file or a folder to the disk; some file systems cannot sync folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _swap(new: Path, target: Path) -> None:
    """Give `new` the target's name; an old target gets the name of `new` (the caller removes it)."""
    if not target.exists():
        new.rename(target)
    elif not _exchange(new, target):
        # Without the atomic exchange the old folder waits under a name of its own until the new one is in place.
        old = _beside(target)
        target.rename(old)
        try:
            new.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two names atomically (Linux renameat2 with RENAME_EXCHANGE); False where it does not exist."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    at_cwd, exchange = -100, 2
    return renameat2 is not None and renameat2(at_cwd, os.fsencode(a), at_cwd, os.fsencode(b), exchange) == 0


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """Turn what the system refuses into a DataError, whatever the library made of it."""
    try:
        yield
    except DataError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        text = str(error)
        if match := _ERRNO.search(text):
            code = int(match[1] or match[2])
        elif _SHORT.search(text):
            code = errno.ENOSPC
        elif isinstance(error, OSError):
            code = error.errno or 0
        else:
            raise
        first_line = text.partition("\n")[0]
        fault, do = _SAID.get(code, (f"it cannot be written: {first_line}", "choose another place"))
        raise DataError(fault, do=do, file=path) from error
