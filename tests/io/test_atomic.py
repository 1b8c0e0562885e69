"""Nothing half-written ever has the real name: failure, full disk (a file-size limit) and kill -9."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place, replacing, replacing_folder


def _names(folder: Path) -> list[str]:
    return sorted(f.name for f in folder.iterdir())


def test_success_replaces_and_keeps_suffix_and_mode(tmp_path):
    target = tmp_path / "brain.nii.gz"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path and temporary.name.endswith("brain.nii.gz")
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert _names(tmp_path) == ["brain.nii.gz"]


def test_any_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.npy"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old" and _names(tmp_path) == ["a.npy"]


def test_links_stay_links(tmp_path):
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("real.bin")
    with replacing(tmp_path / "link.bin") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "link.bin").is_symlink() and (tmp_path / "real.bin").read_bytes() == b"new"


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(DataError, match=r"folder .*absent does not exist -> create it: mkdir -p .*absent"):
        check_place(tmp_path / "absent" / "a.npy")
    with pytest.raises(DataError, match="it is a folder"), replacing(tmp_path):
        pass
    with pytest.raises(DataError, match="no regular file"):
        check_place(Path("/dev/null"))
    with pytest.raises(DataError, match="name is too long"), replacing(tmp_path / ("n" * 300 + ".npy")) as temporary:
        temporary.write_bytes(b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_permissions_are_respected(tmp_path):
    target = tmp_path / "a.npy"
    target.write_bytes(b"old")
    target.chmod(0o444)
    with pytest.raises(DataError, match="write-protected"):
        check_place(target)
    tmp_path.chmod(0o555)
    with pytest.raises(DataError, match="no permission"):
        check_place(tmp_path / "b.npy")


def test_a_folder_is_swapped_whole(tmp_path):
    target = tmp_path / "series"
    for generation in ("1", "2"):
        with replacing_folder(target, lambda f: f.suffix == ".dcm") as temporary:
            (temporary / f"IM{generation}.dcm").write_text(generation)
    assert _names(target) == ["IM2.dcm"] and _names(tmp_path) == ["series"]
    with pytest.raises(KeyboardInterrupt), replacing_folder(target, lambda f: True) as temporary:
        (temporary / "half.dcm").write_text("half")
        raise KeyboardInterrupt
    assert _names(target) == ["IM2.dcm"] and _names(tmp_path) == ["series"]


def test_a_folder_with_other_files_is_never_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    refused = pytest.raises(DataError, match=r"holds 'notes\.txt', which spinecho did not write")
    with refused, replacing_folder(tmp_path, lambda f: f.suffix == ".dcm"):
        pytest.fail("the body must not run")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_without_the_atomic_exchange_the_folder_is_still_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("spinecho.io.atomic._exchange", lambda a, b: False)
    test_a_folder_is_swapped_whole(tmp_path)


_LIMITED = """
import resource, sys
import numpy as np
from spinecho.core.errors import DataError
from spinecho.io.atomic import replacing
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with replacing(sys.argv[1]) as temporary:
        if sys.argv[1].endswith(".h5"):
            import h5py
            with h5py.File(temporary, "w") as f:
                f["a"] = np.ones(1_000_000)
        else:
            temporary.write_bytes(bytes(1_000_000))
except DataError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("name", ["a.npy", "a.h5"])
def test_full_disk_leaves_the_last_good_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"last good")
    done = subprocess.run([sys.executable, "-c", _LIMITED, tmp_path / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "larger than the system allows" in done.stdout
    assert (tmp_path / name).read_bytes() == b"last good" and _names(tmp_path) == [name]


_SLOW = """
import sys, time
from spinecho.io.atomic import replacing
with replacing(sys.argv[1]) as temporary, temporary.open("wb") as f:
    while True:
        f.write(bytes(10_000)); f.flush(); time.sleep(0.001)
"""


def test_kill_while_writing_leaves_the_last_good_file(tmp_path):
    target = tmp_path / "a.npy"
    target.write_bytes(b"last good")
    process = subprocess.Popen([sys.executable, "-c", _SLOW, target])
    while not any(f.stat().st_size > 20_000 for f in tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert target.read_bytes() == b"last good"


_FULL_DISK = """
import resource, sys
import torch
from pathlib import Path
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.write import write
import numpy as np
image = Image(values=torch.rand(1, 4, 64, 64), geometries=(Geometry((4, 64, 64), np.eye(4)),))
names = ["a.nii", "a.nii.gz", "a.png", "dicom", "a.mrd", "a.h5", "a.npy", "a.cfl"]
for name in names:
    write(image, name)
before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
for name in names:
    try:
        write(image, name)
        print(name, "was written")
    except DataError as error:
        print(name, "refused" if "larger than" in str(error) or "disk is full" in str(error) else error)
after = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
print("same" if after == before else sorted(map(str, set(after) ^ set(before))) or "changed")
"""


def test_every_image_writer_survives_a_full_disk(tmp_path):
    done = subprocess.run([sys.executable, "-c", _FULL_DISK], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "same" and all(line.endswith(" refused") for line in lines[:-1]), done.stdout
