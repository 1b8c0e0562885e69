"""The anatomy that training draws scans of, a part of it, for measurements of the drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spinecho.core.image import Image
from spinecho.io.read import read
from spinecho.sim.drawn.store import Volume
from spinecho.sim.splits import part

_LABELS = ("label_maps/labels_01.nii.gz", "label_maps/labels_02.nii.gz")
_IMAGES = {
    "anatomy_hd/lesjak_p01_s1_T1W.nii.gz": (0,),
    "anatomy_hd/lesjak_p03_s2_T2W.nii.gz": (0,),
    "anatomy_hd/lesjak_p04_s1_FLAIR.nii.gz": (0,),
    "anatomy_hd/MR_Gd.nii.gz": (0, 1, 2),
}
_STACKS = ("anatomy_hd/skyra_t2_tse_30.npz", "anatomy_hd/knees_axial_21.npz")


def training_volumes(shared: Path) -> list[Volume]:
    """Two label maps, three stacks and a volume of heads, knees, chests, real complex hearts: each kind alike often.

    Where the folder is absent, as on a lent machine: made-up ones, which take as long to draw from.
    """
    folder = shared / "data"
    if not folder.is_dir():
        print(f"{folder} is absent: volumes are made up")
        return _made_up()
    assert all(part(folder / name) == "train" for name in (*_LABELS, *_IMAGES, *_STACKS))
    volumes = [Volume(_values(folder / name).astype(np.uint16), "labels", weight=1.5) for name in _LABELS]
    volumes += [
        Volume(_values(folder / name), "pictures", _axes(folder / name, axes)) for name, axes in _IMAGES.items()
    ]
    volumes += [Volume(np.load(folder / name)["images"], "pictures", (0,)) for name in _STACKS]
    volumes.append(Volume(np.load(folder / "chest/slices_100.npz")["images"][:80], "pictures", (0,)))
    hearts = sorted((folder / "complex").glob("*.npz"))
    volumes += [Volume(np.load(path)["images"], "complex", (0,), 2 / len(hearts)) for path in hearts]
    return volumes


def _made_up() -> list[Volume]:
    """Shells of tissue, and their brightness, 256 pixels along each axis."""
    axis = np.linspace(-1, 1, 256, dtype=np.float32)
    radius = np.sqrt(axis[:, None, None] ** 2 + (axis[:, None] / 0.8) ** 2 + (axis / 0.7) ** 2)
    labels = np.select([radius < 0.2, radius < 0.6, radius < 0.7, radius < 0.85], [4, 2, 515, 507], 0)
    return [Volume(labels.astype(np.uint16), "labels"), Volume(labels.astype(np.float32), "pictures")]


def _values(path: Path) -> np.ndarray:
    image = read(path)
    assert isinstance(image, Image)
    return image.volume().magnitude().values[0].numpy()


def _axes(path: Path, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axis across which slices are thick, where there is one."""
    from spinecho.train.stacks import flat_axes

    image = read(path)
    assert isinstance(image, Image)
    geometry = image.volume().geometry
    return axes if len(axes) == 3 else flat_axes(geometry.voxel_mm[::-1], geometry.shape)
