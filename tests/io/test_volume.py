"""Between images and files: where batch axes go, what becomes magnitude, which part is taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.volume import UNKNOWN_ORIENTATION, only_slices, to_image, volumes

SHAPE = (2, 3, 4)


def _image(axes: tuple[str, ...], sizes: tuple[int, ...], channels: int = 1, dtype=torch.float64, **header) -> Image:
    values = torch.randn(*sizes, channels, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(3))
    return Image(values=values, geometries=(Geometry(SHAPE, np.eye(4)),), axes=axes, header=Header(**header))


def test_repetitions_and_frames_are_one_axis_repetition_slowest():
    image = _image(("time", "contrast", "repetition"), (2, 3, 4))
    parts = volumes(image)
    assert [p.label for p in parts] == ["contrast-1", "contrast-2", "contrast-3"]
    assert parts[1].values.shape == (8, 1, *SHAPE) and parts[1].values.dtype == np.float32
    np.testing.assert_array_equal(parts[1].values[2 * 3 + 1], image.values[1, 1, 3].float().numpy())


def test_each_contrast_keeps_its_own_timings():
    parts = volumes(_image(("contrast",), (2,), te_ms=(3.0, 9.0), tr_ms=(500.0,)))
    assert [p.header.te_ms for p in parts] == [(3.0,), (9.0,)] and parts[1].header.tr_ms == (500.0,)
    assert volumes(_image((), (), te_ms=(3.0, 9.0)))[0].header.te_ms == (3.0, 9.0)


def test_averages_are_averaged_before_the_magnitude():
    """Noise of opposite sign cancels; magnitudes would add up."""
    image = _image(("average",), (2,), dtype=torch.complex64)
    image.values[1] = -image.values[0]
    assert volumes(image)[0].values.max() < 1e-6


def test_magnitude_complex_and_sign():
    coils = _image((), (), channels=5, dtype=torch.complex64)
    np.testing.assert_allclose(volumes(coils)[0].values[0, 0], coils.values.abs().square().sum(0).sqrt(), rtol=1e-5)
    kept = volumes(coils, keep_complex=True)[0].values
    assert kept.dtype == np.complex64 and kept.shape == (1, 5, *SHAPE)
    phase = _image((), ())
    assert volumes(phase)[0].values.min() < 0, "real values keep their sign"


@pytest.mark.parametrize("name", ["map", "coil", "whatever"])
def test_an_axis_without_a_place_is_named(name):
    with pytest.raises(DataError, match=f"no axis for {name}"):
        volumes(_image((name,), (2,)))


def test_there_and_back():
    image = _image(("time",), (3,), dtype=torch.float32)
    back = to_image(volumes(image)[0])
    assert back.axes == ("time",) and torch.equal(back.values, image.values)
    single = to_image(volumes(_image((), ()))[0])
    assert single.axes == () and single.values.shape == (1, *SHAPE)


def test_unknown_orientation_is_flagged_once():
    image = Image(values=torch.zeros(1, *SHAPE), geometries=(Geometry.unknown(SHAPE),))
    once = to_image(volumes(image)[0])
    assert to_image(volumes(once)[0]).header.flags == (UNKNOWN_ORIENTATION,)


def test_part_of_the_slices():
    image = _image((), ())
    assert only_slices(image, None) is image
    part = only_slices(image, (1, 2))
    assert torch.equal(part.values, image.values[:, 1:]) and part.geometry.affine[2, 3] == 1.0
    for wrong in ((0, 3), (1, 1), (-1, 1)):
        with pytest.raises(DataError, match="there are 2 slices"):
            only_slices(image, wrong)
