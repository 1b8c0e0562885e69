"""Make the sample scans that ship in the package.

pip install nilearn --no-deps        (or: pip install spinecho[samples])
python tools/make_samples.py [--data FOLDER] [--out src/spinecho/samples] [--low-field patient2.npz]

Three are simulated from the ICBM 152 template that nilearn carries, which is itself there on a coarser grid; one is a
real slice of a low-field scanner.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import map_coordinates

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.options import ReadOptions
from spinecho.sim.scan import Scan, measure

SCANS = {
    "cartesian_r4": Scan(
        matrix=(1, 180, 180), fov_mm=(4, 216, 216), sampling="equispaced:4:24:1", n_coils=8, snr=35, seed=1
    ),
    "kt_series": Scan(
        matrix=(1, 100, 112), fov_mm=(4, 200, 224), sampling="kt-random:4:6:2", n_coils=5, n_frames=8, snr=30, seed=2
    ),
    "radial": Scan(matrix=(1, 144, 144), fov_mm=(4, 216, 216), sampling="radial:34", n_coils=5, snr=35, seed=3),
}
CENTRE_MM = (0.0, 18.0, 18.0)
"""LPS point of the template at the middle of each slice."""


HEAD_MM, HEAD_SHAPE, HEAD_CENTRE_MM = 2.5, (68, 80, 64), (0.0, 17.0, 5.0)
"""Grid of the template's brain as a volume"""

LOW_FIELD_KEY, LOW_FIELD_SLICE, LOW_FIELD_MM = "fse_kspace", 1, (2.0, 2.0, 10.0)
LOW_FIELD_AXES = ((0, -1, 0), (-1, 0, 0), (0, 0, -1))
"""LPS directions of k0, k1 and the slice normal: as the 3 T pictures of the same patients lie, read as radiologists
show them"""


def low_field(path: Path) -> KSpace:
    """One T2-weighted slice at 0.055 T of one coil, with the orientation that its file does not record."""
    options = ReadOptions(key=LOW_FIELD_KEY, axes="k0 k1 slice", voxel_mm=LOW_FIELD_MM)
    scan = spinecho.read(path, options)
    assert isinstance(scan, KSpace)
    scan = scan.narrow("slice", LOW_FIELD_SLICE, LOW_FIELD_SLICE + 1)
    shape = scan.geometries[0].shape
    geometry = Geometry.from_frame((0, 0, 0), np.array(LOW_FIELD_AXES, float).T, LOW_FIELD_MM, shape)
    history = ("0.055 T, fast spin echo, one patient; orientation and pixel size assumed",)
    header = replace(scan.header, source="", field_t=0.055, slice_thickness_mm=10.0, flags=(), history=history)
    return replace(scan, geometries=(geometry,), header=header)


def template(folder: Path, name: str) -> Image:
    """One of the template's volumes (t1, gm, wm), scaled to [0, 1]."""
    image = spinecho.read(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
    assert isinstance(image, Image)
    return image


def sample(image: Image, onto: Geometry) -> torch.Tensor:
    """The volume on another grid by cubic splines, (1, z, y, x)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in onto.shape), indexing="ij"), -1)
    points = image.geometry.to_voxel(onto.to_world(index[..., ::-1]))[..., ::-1]
    values = image.values.real.numpy().reshape(image.geometry.shape).astype(np.float64) / 255
    return torch.from_numpy(map_coordinates(values, np.moveaxis(points, -1, 0), order=3)).float().clamp(0, 1)[None]


def head(t1: Image) -> Image:
    """The template's brain on a coarser grid, as bytes."""
    onto = Geometry.from_frame(HEAD_CENTRE_MM, np.eye(3), (HEAD_MM,) * 3, HEAD_SHAPE)
    return Image(values=(255 * sample(t1, onto)).round().to(torch.uint8), geometries=(onto,))


def grid(scan: Scan, tilt_deg: float = 8.0) -> Geometry:
    """A slightly tilted axial slice, twice as fine as the matrix."""
    shape = (1, 2 * scan.matrix[1], 2 * scan.matrix[2])
    cos, sin = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    directions = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return Geometry.from_frame(
        CENTRE_MM, directions, [f / n for f, n in zip(scan.fov_mm, shape, strict=True)][::-1], shape
    )


def bolus(t1: torch.Tensor, gm: torch.Tensor, wm: torch.Tensor, n_frames: int) -> torch.Tensor:
    """Frames of a tracer's passage: grey matter darkens more and earlier than white matter."""
    time = torch.linspace(0, 1, n_frames)
    grey, white = (s * torch.exp(-0.5 * ((time - m) / 0.15) ** 2) for s, m in ((0.45, 0.4), (0.25, 0.55)))
    return torch.stack([t1 * (1 - g * gm - w * wm) for g, w in zip(grey, white, strict=True)])


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    nilearn = find_spec("nilearn")
    where = Path(next(iter(nilearn.submodule_search_locations))) if nilearn else Path()
    parser.add_argument("--data", type=Path, default=where / "datasets" / "data")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "src" / "spinecho" / "samples")
    parser.add_argument("--low-field", type=Path, help="the real patient; without it that sample stays as it is")
    args = parser.parse_args()
    if args.low_field is not None:
        spinecho.write(low_field(args.low_field), args.out / "low_field.mrd.h5")
    volumes = {name: template(args.data, name) for name in ("t1", "gm", "wm")}
    spinecho.write(head(volumes["t1"]), args.out / "head_t1.nii.gz")
    for name, scan in SCANS.items():
        onto = grid(scan)
        t1, gm, wm = (sample(v, onto) for v in volumes.values())
        magnitude = bolus(t1, gm, wm, scan.n_frames) if scan.n_frames > 1 else t1
        rng = torch.Generator().manual_seed(scan.seed)
        simulated = measure(magnitude, onto, scan, rng, note="ICBM 152 template 2009a, T1")
        spinecho.write(simulated.kspace, args.out / f"{name}.mrd.h5")


if __name__ == "__main__":
    main()
