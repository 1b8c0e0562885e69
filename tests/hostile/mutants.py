"""Damaged copies of good files: seeds for every format, and what time, cables and malice do to bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.read import format_module, format_names
from spinecho.io.write import write


def small_scan() -> KSpace:
    """Two slices, three coils, 16 x 24, every third line missing."""
    rng = torch.Generator().manual_seed(1)
    mask = torch.ones(1, 1, 1, 16, 1, dtype=torch.bool)
    mask[..., ::3, :] = False
    samples = torch.randn(2, 3, 1, 16, 24, dtype=torch.complex64, generator=rng) * mask
    fov = (5.0, 160.0, 240.0)
    encoding = Encoding(matrix=(1, 16, 24), recon_matrix=(1, 16, 24), fov_mm=fov, recon_fov_mm=fov)
    geometries = tuple(Geometry.from_frame((3, 4, 6.0 * i), np.eye(3), (10, 10, 5), (1, 16, 24)) for i in range(2))
    header = Header(patient={"name": "Test"}, te_ms=(10.0,), protocol="seed", slice_thickness_mm=5.0)
    return KSpace(samples=samples, mask=mask, encoding=encoding, geometries=geometries, axes=("slice",), header=header)


def small_image() -> Image:
    """The magnitude of the scan's samples as an oriented image of two slices."""
    scan = small_scan()
    return scan.image(scan.samples.abs().square().sum(-4, keepdim=True).sqrt())


def seed(name: str, folder: Path, shared: Path | None = None) -> Path:
    """A good file (or folder) of the format; what `read` takes.

    Raises
    ------
    FileNotFoundError
        If the format has no writer, no recipe in SEEDS, and no file in the shared data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if name in SEEDS:
        return SEEDS[name](folder, shared)
    module = format_module(name)
    kinds = getattr(module, "WRITES", ())
    path = folder / f"seed{next(s for s in module.SUFFIXES if s)}"
    if "kspace" in kinds:
        write(small_scan(), path)
    elif "image" in kinds:
        write(small_image(), path)
    else:
        raise FileNotFoundError(f"tests/hostile/mutants.py: SEEDS needs a recipe for {name}")
    return path


def _fastmri(folder: Path, shared: Path | None) -> Path:
    import h5py

    rng = np.random.default_rng(0)
    kspace = (rng.standard_normal((2, 3, 32, 16)) + 1j * rng.standard_normal((2, 3, 32, 16))).astype(np.complex64)
    with h5py.File(folder / "seed.h5", "w") as file:
        file["kspace"] = kspace
        file["reconstruction_rss"] = np.abs(kspace[:, 0, 8:24]).astype(np.float32)
        file["ismrmrd_header"] = _HEADER
        file.attrs["acquisition"] = "AXT2"
    return folder / "seed.h5"


_HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions><H1resonanceFrequency_Hz>127729200
</H1resonanceFrequency_Hz></experimentalConditions><encoding><encodedSpace><matrixSize><x>32</x><y>16</y><z>1</z>
</matrixSize><fieldOfView_mm><x>440</x><y>220</y><z>7.5</z></fieldOfView_mm></encodedSpace><reconSpace><matrixSize>
<x>16</x><y>16</y><z>1</z></matrixSize><fieldOfView_mm><x>220</x><y>220</y><z>5</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>15</maximum><center>8</center>
</kspace_encoding_step_1></encodingLimits><trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


def _twix(folder: Path, shared: Path | None) -> Path:
    if shared is None:
        raise FileNotFoundError("real data absent")
    return Path(shutil.copy(shared / "kspace" / "siemens_gre.dat", folder / "seed.dat"))


def _arrays(folder: Path, shared: Path | None) -> Path:
    np.save(folder / "seed.npy", small_scan().samples.numpy()[:, :, 0])
    return folder / "seed.npy"


def _npz(folder: Path, shared: Path | None) -> Path:
    np.savez_compressed(folder / "seed.npz", kspace=small_scan().samples.numpy()[:, :, 0])
    return folder / "seed.npz"


def _mat(folder: Path, shared: Path | None) -> Path:
    from scipy.io import savemat

    savemat(folder / "seed.mat", {"kspace": small_scan().samples.numpy()[:, :, 0]}, do_compression=True)
    return folder / "seed.mat"


def _plain_hdf5(folder: Path, shared: Path | None) -> Path:
    import h5py

    with h5py.File(folder / "seed.h5", "w") as file:
        file.create_dataset("kspace", data=small_scan().samples.numpy()[:, :, 0], compression="gzip")
    return folder / "seed.h5"


def _own(name: str, item: Callable[[], KSpace | Image]) -> Callable[[Path, Path | None], Path]:
    def make(folder: Path, shared: Path | None) -> Path:
        write(item(), folder / name)
        return folder / name

    return make


def _mrd(folder: Path, shared: Path | None) -> Path:
    """As a scanner's converter writes it: without the checksum that our own files carry."""
    import ismrmrd

    rng = np.random.default_rng(0)
    file = ismrmrd.Dataset(str(folder / "seed.h5"), "dataset", create_if_needed=True)
    file.write_xml_header(_HEADER.encode())
    for s in range(2):
        for k1 in range(16):
            samples = rng.standard_normal((3, 32)) + 1j * rng.standard_normal((3, 32))
            readout = ismrmrd.Acquisition.from_array(samples.astype(np.complex64))
            readout.idx.kspace_encode_step_1, readout.idx.slice, readout.center_sample = k1, s, 16
            readout.read_dir[0], readout.phase_dir[1], readout.slice_dir[2] = 1.0, 1.0, 1.0
            readout.position[2] = 5.0 * s
            file.append_acquisition(readout)
    file.close()
    return folder / "seed.h5"


def _dicom(folder: Path, shared: Path | None) -> Path:
    write(small_image(), folder / "seed_dicom")
    return folder / "seed_dicom"


def _old_dicom(folder: Path, shared: Path | None) -> Path:
    """As it was written before the preamble: the first attribute stands at the start."""
    import pydicom

    write(small_image(), folder / "seed_dicom")
    bare, path = pydicom.Dataset(), folder / "seed.ima"
    bare.update(dict(pydicom.dcmread(folder / "seed_dicom" / "IM_00001.dcm").items()))
    pydicom.dcmwrite(path, bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return path


SEEDS: dict[str, Callable[[Path, Path | None], Path]] = {
    "arrays": _arrays,
    "arrays.npz": _npz,
    "arrays.mat": _mat,
    "arrays.h5": _plain_hdf5,
    "arrays.own": _own("seed.h5", small_scan),
    "mrd.own": _own("seed.mrd", small_scan),
    "mrd.image": _own("seed.mrd", small_image),
    "dicom": _dicom,
    "dicom.old": _old_dicom,
    "fastmri": _fastmri,
    "mrd": _mrd,
    "twix": _twix,
}
"""Recipes for formats that spinecho does not write, or whose plainest file is another than its writer's; behind a dot,
further kinds of file that the same reader takes."""


def readers() -> list[str]:
    """Formats that read, and further kinds of file from SEEDS."""
    formats = [name for name in format_names() if hasattr(format_module(name), "read")]
    return sorted([*formats, *(name for name in SEEDS if name.partition(".")[2] and name.partition(".")[0] in formats)])


def mutants(source: Path, folder: Path, n: int, rng: np.random.Generator) -> Iterator[Path]:
    """Damaged copies of a file, or of a folder or pair of files with one of them damaged."""
    for i in range(n):
        target = folder / str(i)
        shutil.rmtree(target, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, target)
            files, path = sorted(p for p in target.rglob("*") if p.is_file()), target
        else:
            target.mkdir(parents=True)
            siblings = source.parent.glob(f"{source.name.partition('.')[0]}.*")
            files = [Path(shutil.copy(p, target)) for p in sorted(siblings) if p.is_file()]
            path = target / source.name
        victim = files[int(rng.integers(len(files)))]
        victim.write_bytes(damaged(victim.read_bytes(), rng))
        yield path
        shutil.rmtree(target)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One of: bytes changed anywhere or near the start, cut short, a stretch zeroed, a stretch doubled."""
    values = np.frombuffer(content, np.uint8).copy()
    n = len(values)
    kind = rng.choice(["anywhere", "start", "cut", "zeros", "doubled"], p=[0.4, 0.4, 0.1, 0.05, 0.05])
    if kind == "cut":
        return content[: int(rng.integers(n))]
    if kind in ("zeros", "doubled"):
        start, length = int(rng.integers(n)), int(rng.integers(1, max(2, min(n, 4096))))
        if kind == "doubled":
            return content[:start] + content[start : start + length] + content[start:]
        values[start : start + length] = 0
        return values.tobytes()
    places = rng.integers(0, n if kind == "anywhere" else min(n, 4096), int(rng.integers(1, 17)))
    values[places] = rng.integers(0, 256, len(places))
    return values.tobytes()
