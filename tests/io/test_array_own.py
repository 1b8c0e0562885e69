"""spinecho's own .h5 gives back exactly what was written, and notices damage."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.formats import arrays
from spinecho.io.options import ReadOptions, WriteOptions

HEADER = Header(
    source="scan.dat",
    vendor="A",
    field_t=2.89,
    te_ms=(3.1, 5.2),
    patient={"name": "Müller^Ä", "sex": "F"},
    flags=("simulated",),
    history=("read", "averaged"),
)


def oblique(n: int, shape: tuple[int, int, int]) -> tuple[Geometry, ...]:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    return tuple(Geometry.from_frame([1.5, -2, 4.0 * i], turn, (1.1, 0.9, 4), shape) for i in range(n))


def noise(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.complex(torch.randn(shape, generator=rng), torch.randn(shape, generator=rng))


def kspace(rng: torch.Generator) -> KSpace:
    return KSpace(
        samples=noise(rng, 3, 2, 4, 1, 6, 8),
        mask=torch.rand((1, 2, 1, 1, 6, 1), generator=rng) < 0.7,
        encoding=Encoding(matrix=(1, 6, 8), recon_matrix=(1, 6, 6), fov_mm=(4, 200, 260), acceleration=(1.0, 2.0)),
        geometries=oblique(3, (1, 6, 8)),
        calib=noise(rng, 3, 1, 4, 1, 4, 8),
        noise_cov=torch.eye(4, dtype=torch.complex64),
        axes=("slice", "time"),
        header=HEADER,
        target=torch.rand((3, 2, 1, 1, 6, 6), generator=rng),
    )


def assert_same(a: KSpace | Image, b: KSpace | Image) -> None:
    for f in fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, torch.Tensor):
            assert y.dtype == x.dtype and torch.equal(x, y), f.name
        elif f.name == "geometries":
            assert len(x) == len(y)
            assert all(np.array_equal(g.affine, h.affine) and g.shape == h.shape for g, h in zip(x, y, strict=True))
            assert [g.oriented for g in x] == [h.oriented for h in y]
        elif f.name == "extras":
            assert set(x) == set(y) and all(torch.equal(x[k], y[k]) for k in x)
        else:
            assert x == y, f.name


def test_kspace_comes_back_exactly(tmp_path: Path, rng: torch.Generator) -> None:
    scan = kspace(rng)
    arrays.write(scan, tmp_path / "s.h5", WriteOptions())
    again = arrays.read(tmp_path / "s.h5", ReadOptions())
    assert_same(scan, again)
    assert arrays.slice_count(tmp_path / "s.h5", ReadOptions()) == 3
    assert_same(scan.narrow("slice", 1, 3), arrays.read(tmp_path / "s.h5", ReadOptions(slices=(1, 3))))
    with pytest.raises(DataError, match="axes does not apply"):
        arrays.read(tmp_path / "s.h5", ReadOptions(axes="coil k1 k0"))
    with pytest.raises(DataError, match="the file has 3"):
        arrays.read(tmp_path / "s.h5", ReadOptions(slices=(1, 9)))


def test_trajectories_come_back_exactly(tmp_path: Path, rng: torch.Generator) -> None:
    scan = replace(kspace(rng), mask=None, calib=None, traj=torch.randn((1, 1, 1, 6, 8, 3), generator=rng))
    scan = replace(scan, encoding=replace(scan.encoding, trajectory="radial"))
    arrays.write(scan, tmp_path / "s.h5", WriteOptions())
    assert_same(scan, arrays.read(tmp_path / "s.h5", ReadOptions()))


@pytest.mark.parametrize("oriented", [True, False])
def test_images_come_back_exactly(tmp_path: Path, rng: torch.Generator, oriented: bool) -> None:
    geometries = tuple(replace(g, oriented=oriented) for g in oblique(3, (1, 6, 8)))
    extras = {"csm": noise(rng, 3, 1, 4, 1, 6, 8), "gfactor": torch.rand((3, 1, 1, 6, 8), generator=rng)}
    image = Image(
        values=noise(rng, 3, 1, 1, 6, 8), geometries=geometries, axes=("slice",), header=HEADER, extras=extras
    )
    arrays.write(image, tmp_path / "i.h5", WriteOptions(keep_complex=True))
    assert_same(image, arrays.read(tmp_path / "i.h5", ReadOptions()))
    arrays.write(image, tmp_path / "m.h5", WriteOptions())
    assert_same(image.magnitude(), arrays.read(tmp_path / "m.h5", ReadOptions()))


def test_a_flipped_byte_is_noticed(tmp_path: Path, rng: torch.Generator) -> None:
    path = tmp_path / "s.h5"
    arrays.write(kspace(rng), path, WriteOptions())
    content, read = path.read_bytes(), 0
    for place in range(2000, len(content), 997):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            again = arrays.read(path, ReadOptions())
        except DataError:
            continue
        assert_same(kspace(torch.Generator().manual_seed(20261121)), again)
        read += 1
    assert read < len(content) / 997 / 2
