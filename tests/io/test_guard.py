"""Bombs, loops and crashes inside HDF5 files end in a DataError, soon, and cost good files next to nothing."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from spinecho.core.errors import DataError
from spinecho.io import guard
from spinecho.io.guard import Worker, is_hdf5, one_error, vet
from spinecho.io.limits import check_expansion, check_memory, free_memory, human
from spinecho.io.read import find_format, read


def ragged(path, n=64):
    """A file with variable-length data, as MRD has."""
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("rows", (n,), h5py.vlen_dtype(np.float32))
        for i in range(n):
            rows[i] = np.arange(100 + i, dtype=np.float32)
    return path


def looped(path):
    """Objects of size 0 in the global heap make libhdf5 walk on the spot for ever."""
    content = bytearray(ragged(path).read_bytes())
    heap = content.index(b"GCOL")
    end = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    content[heap + 16 : end] = bytes(end - heap - 16)
    path.write_bytes(content)
    return path


def test_a_loop_in_libhdf5_is_ended(tmp_path):
    begin = time.perf_counter()
    with pytest.raises(DataError, match=r"looped.h5.*goes round in circles.*copy it"):
        read(looped(tmp_path / "looped.h5"))
    assert time.perf_counter() - begin < 30  # 3 s of processor time, on a machine that may be busy
    assert vet(ragged(tmp_path / "good.h5")) == 64 * 8  # the next worker is at work


def test_1_kB_that_declares_1_TB(tmp_path):
    path = tmp_path / "sparse.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", shape=(200, 10, 400, 400, 500), dtype="c8", chunks=(1, 1, 40, 40, 50))
    assert path.stat().st_size < 2000
    with pytest.raises(DataError, match=r"kspace.*would expand to 1\.28 TB, the file has 1\.\d+ kB"):
        read(path)


def test_gzip_that_becomes_400_times_its_size(tmp_path):
    path = tmp_path / "zeros.h5"
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("kspace", (448, 2**20), "u1", chunks=(1, 2**20), compression="gzip")
        packed = zlib.compress(bytes(2**20), 9)
        for i in range(448):
            rows.id.write_direct_chunk((i, 0), packed)
    assert path.stat().st_size < 500_000
    with pytest.raises(DataError, match=r"would expand to 470 MB"):
        read(path)


def test_variable_lengths_over_the_memory_limit(tmp_path):
    path = ragged(tmp_path / "long.h5")
    content = path.read_bytes()
    with h5py.File(path) as file:
        start = file["rows"].id.get_offset()
    length = (2**31).to_bytes(4, "little")
    path.write_bytes(content[:start] + length + content[start + 4 :])
    with pytest.raises(DataError):
        read(path)


def test_other_peoples_files_are_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(800))
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("kspace", (10, 10), "f8", external=[(str(tmp_path / "secret"), 0, 800)])
    with pytest.raises(DataError, match="points to other files"):
        read(tmp_path / "external.h5")


@contextmanager
def crash_at_work(worker):
    """The next file that the worker is given makes it crash; one that crashed before would be replaced in silence."""
    start = worker.start

    def start_then_crash():
        start()
        os.kill(worker._process.pid, signal.SIGSEGV)

    worker.start = start_then_crash
    try:
        yield
    finally:
        worker.start = start


def test_a_stopped_worker_is_replaced(tmp_path):
    worker = Worker(silence_s=60)
    path = ragged(tmp_path / "good.h5")
    try:
        assert worker.probe(path) == 64 * 8
        first, worker.silence_s = worker._process.pid, 0.5
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(DataError, match="no progress for 0"):
            worker.probe(path)
        worker.silence_s = 60
        assert worker.probe(path) == 64 * 8
        assert worker._process.pid != first
        with crash_at_work(worker), pytest.raises(DataError, match="crashes"):
            worker.probe(path)
        assert worker.probe(path) == 64 * 8
        worker._process.terminate()
        worker._process.wait()
        assert worker.probe(path) == 64 * 8, "one that ended by itself is replaced in silence"
    finally:
        worker.stop()


def test_threads_share_the_worker(tmp_path):
    paths = [ragged(tmp_path / f"{i}.h5", n=10 + i) for i in range(8)]
    sizes = {}
    threads = [threading.Thread(target=lambda p=p: sizes.update({p: vet(p)})) for p in paths]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [sizes[p] for p in paths] == [8 * (10 + i) for i in range(8)]


def test_the_worker_has_no_torch(tmp_path):
    vet(ragged(tmp_path / "good.h5"))
    maps = Path(f"/proc/{guard.WORKER._process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "libtorch" not in maps.read_text()


def test_a_good_file_is_vetted_once_and_quickly(tmp_path):
    """The least of three, so that a busy machine's pauses do not count."""
    vet(ragged(tmp_path / "warm.h5"))
    first, again = [], []
    for i in range(3):
        path = tmp_path / f"plain{i}.h5"
        with h5py.File(path, "w") as file:
            file["kspace"] = np.ones((50, 2**20), np.float32)
        begin = time.perf_counter()
        assert vet(path) == 50 * 2**22
        first.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        for _ in range(100):
            vet(path)
        again.append(time.perf_counter() - begin)
    assert min(first) < 0.3 and min(again) < 0.1


def test_signature_behind_a_user_block(tmp_path):
    with h5py.File(tmp_path / "block.mat", "w", userblock_size=1024) as file:
        file["x"] = np.ones(3)
    assert is_hdf5(tmp_path / "block.mat")
    (tmp_path / "text").write_bytes(b"x" * 5000)
    assert not is_hdf5(tmp_path / "text")
    assert vet(tmp_path / "text") == 0


def test_readers_raise_one_type(tmp_path):
    for error in (KeyError("kspace"), ValueError("x\ny"), OSError("gone"), RecursionError(), MemoryError()):
        with pytest.raises(DataError, match=r"^.*scan\.h5: .* -> ") as caught, one_error(tmp_path / "scan.h5"):
            raise error
        assert caught.value.__cause__ is error
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="inner: found"), one_error(tmp_path / "outer"):
        raise DataError("found", file="inner")
    with pytest.raises(KeyboardInterrupt), one_error(tmp_path / "outer"):
        raise KeyboardInterrupt


def test_limits():
    check_expansion(2**27, 1, "small enough for any file")
    with pytest.raises(DataError, match="volume would expand to"):
        check_expansion(2**27 + 1, 2**19, "volume")
    check_expansion(2**30, 2**24, "64-fold")
    assert free_memory() > 2**20
    with pytest.raises(DataError, match=r"needs 1\.13e\+03 TB of memory"):
        check_memory(2**50, "volume")
    assert human(1_280_000_000_000) == "1.28 TB"
    assert human(999) == "999 bytes"


def test_find_format_vets(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(guard.WORKER, "probe", lambda path: asked.append(path) or 1)
    path = shutil.copy(ragged(tmp_path / "a.h5"), tmp_path / "b.h5")
    find_format(path)
    assert asked == [path]


def test_a_damaged_float_that_h5py_would_write_behind_its_field(tmp_path):
    path = tmp_path / "header.h5"
    with h5py.File(path, "w") as file:
        file["head"] = np.zeros(4, [("position", "<f4", 3), ("read_dir", "<f4", 3)])
    content = bytearray(path.read_bytes())
    float32 = bytes([0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127])
    content[content.index(float32) + len(float32) - 1] = 0x2A  # the exponent's bias
    path.write_bytes(content)
    with pytest.raises(DataError, match="the datatype of dataset /head is damaged"):
        vet(path)


def test_a_damaged_mat_file_ends_only_the_worker(tmp_path: Path):
    path = tmp_path / "scan.mat"
    savemat(path, {"a": np.ones((4, 6), np.complex64)})
    content = bytearray(path.read_bytes())
    content[176] ^= 0x08  # an element of unknown type: scipy's reader crashes
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read(path)
