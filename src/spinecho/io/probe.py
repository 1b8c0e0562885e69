"""The process that opens an untrusted HDF5 file first: it may hang, crash or run out of memory without harm.

`python -m spinecho.io.probe` reads one path a line from its input and answers in lines: `.` for each sign of progress,
then a JSON object, `{"largest": bytes}` or `{"found": ..., "do": ...}`. It imports numpy and h5py, never torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError
from spinecho.io.limits import check_expansion, human

MEMORY = 1536 * 2**20
"""Bytes that reading one block may take on top of the empty worker (RLIMIT_AS)."""
CPU_SECONDS = 3.0
"""Processor time that one step may take; a loop in libhdf5 burns it, a slow disk or network does not."""
_BLOCK = 4 * 2**20
_UNPACK_RATE = 20 * 2**20


def main() -> None:
    """Answer until the input ends."""
    _limit_memory()
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"largest": probe(Path(json.loads(line)), _progress)}
        except DataError as error:
            answer = dict(zip(("found", "do"), error.marked, strict=True))
        except MemoryError:
            fault = f"one of its parts cannot be read within {human(MEMORY)}"
            answer = {"found": fault, "do": "it is damaged; if you trust it, rewrite it with h5repack"}
        except Exception as error:  # the reader meets the same error, and says it in its own words
            answer = {"largest": 0, "note": str(error)}
        _arm(0)
        _say(json.dumps(answer))


def probe(path: Path, progress: Callable[[float], None] = lambda seconds: None) -> int:
    """Walk through all that a reader could touch.

    Plain blocks of numbers are only measured: reading them is copying. What libhdf5 has to follow (chunk indices,
    variable-length data, attributes) is followed or read. Errors of single parts are left to the reader.

    Parameters
    ----------
    path
        An HDF5 file, or a .mat file of MATLAB up to v7.
    progress
        Called before each step with the processor time the step may take, s.

    Returns
    -------
    Bytes of the largest dataset.

    Raises
    ------
    DataError
        Where the file declares absurd sizes or points to other files.
    MemoryError
        Where a part cannot be read within the limit.
    """
    import h5py

    progress(CPU_SECONDS)
    on_disk, largest = path.stat().st_size, 0
    if path.suffix.lower() == ".mat" and not h5py.is_hdf5(path):
        progress(CPU_SECONDS + 2 * on_disk / _UNPACK_RATE)
        return _load_mat(path)
    objects: list[Any] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda _name, item: (progress(CPU_SECONDS), objects.append(item))[-1])
        for item in [file, *objects]:
            progress(CPU_SECONDS)
            _read_attributes(item)
            if isinstance(item, h5py.Dataset):
                largest = max(largest, _measure(item, on_disk))
                for block, seconds in _steps(item):
                    progress(seconds)
                    with _left_to_the_reader():
                        block()
    return largest


def _load_mat(path: Path) -> int:
    """Read it as the reader will: scipy's reader crashes over an element of unknown type."""
    from scipy.io import loadmat

    with contextlib.suppress(MemoryError):  # sizes are the reader's to judge
        loadmat(path)
    return 0


def _measure(dataset: Any, on_disk: int) -> int:
    if dataset.shape is None:
        return 0
    n_bytes = math.prod(dataset.shape) * dataset.dtype.itemsize
    check_expansion(n_bytes, on_disk, f"dataset {dataset.name} {dataset.shape} {_brief(dataset.dtype)}")
    check_fields(dataset.dtype, f"dataset {dataset.name}")
    if dataset.is_virtual or dataset.external:
        do = "copy the data into one file with h5repack, if you trust it"
        raise DataError(f"dataset {dataset.name} points to other files", do=do)
    return n_bytes


def _steps(dataset: Any) -> Iterator[tuple[Callable[[], Any], float]]:
    """The reads that follow all of a dataset's structure, each with the processor time it may take."""
    if not dataset.shape or not math.prod(dataset.shape):
        if dataset.shape == ():
            yield (lambda: dataset[()]), CPU_SECONDS
    elif dataset.dtype.hasobject or dataset.dtype.names:
        row_bytes = max(1, dataset.id.get_storage_size() // dataset.shape[0])
        n_rows = max(1, min(_BLOCK // row_bytes, 256))
        for start in range(0, dataset.shape[0], n_rows):
            yield (lambda s=start: dataset[s : s + n_rows]), CPU_SECONDS
    elif dataset.chunks:
        unpacked = math.prod(dataset.chunks) * dataset.dtype.itemsize
        yield (lambda: dataset.id.chunk_iter(lambda _chunk: None)), CPU_SECONDS + dataset.id.get_storage_size() / 1e9
        yield (lambda: _first(dataset)), CPU_SECONDS + unpacked / _UNPACK_RATE
    else:
        yield (lambda: _first(dataset)), CPU_SECONDS


def _first(dataset: Any) -> Any:
    return dataset[tuple(slice(0, 1) for _ in dataset.shape)]


def check_fields(dtype: Any, what: str) -> None:
    """Refuse a compound type whose fields overlap or stick out: converting its values writes behind the memory's end.

    A damaged description of a float makes h5py take a wider one for it, at the narrow one's place.

    Raises
    ------
    DataError
        Names `what`.
    """
    fields = sorted(((f[1], f[0]) for f in (dtype.fields or {}).values()), key=lambda field: field[0])
    ends = [offset for offset, _ in fields[1:]] + [dtype.itemsize] * bool(fields)
    for (offset, kind), end in zip(fields, ends, strict=True):
        if offset + kind.itemsize > end:
            raise DataError(f"the datatype of {what} is damaged", do="copy the file from the scanner again")
        check_fields(kind.base, what)


def _read_attributes(item: Any) -> None:
    for name in _names(item):
        with _left_to_the_reader():
            check_fields(item.attrs.get_id(name).dtype, f"attribute {name}")
            item.attrs[name]


def _names(item: Any) -> list[str]:
    with _left_to_the_reader():
        return list(item.attrs)
    return []


@contextlib.contextmanager
def _left_to_the_reader() -> Iterator[None]:
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # libhdf5 reports a failed malloc as an error like any other.
        if "allocate" in str(error) or "allocation" in str(error):
            raise MemoryError(str(error)) from error


def _brief(dtype: Any) -> str:
    return "compound" if dtype.names else str(dtype)


def _progress(seconds: float) -> None:
    _arm(seconds)
    _say(".")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _arm(seconds: float) -> None:
    """Let the kernel end this process (SIGPROF) after so much processor time; 0: never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    import h5py  # noqa: F401 (its own memory does not count)

    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    soft = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
