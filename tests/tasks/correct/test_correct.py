"""Corrections with closed forms: a smooth field that is known, the ringing of a disc whose k-space was cut off."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import spinecho
from spinecho.cli.image_work import worked
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.methods.pretrained import built
from spinecho.methods.registry import task_named
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.correct.methods.unring import slice_axis

GEOMETRY = Geometry.from_frame((3.0, -2.0, 7.0), np.eye(3), (3.0, 3.0, 6.0), (14, 48, 42))


def axes(*sizes: int) -> tuple[torch.Tensor, ...]:
    return torch.meshgrid(*[torch.linspace(-1, 1, n) for n in sizes], indexing="ij")


def head(mirrored: bool = False) -> tuple[Image, torch.Tensor, torch.Tensor]:
    """An ellipsoid of two tissues under a smooth field; the image, the field, and where the object is."""
    z, y, x = axes(14, 48, 42)
    inside = (x / 0.8).square() + (y / 0.9).square() + (z / 1.2).square() < 1
    core = (x / 0.5).square() + (y / 0.5).square() + (z / 0.7).square() < 1
    field = torch.exp(0.4 * x + 0.25 * y - 0.15 * x * y + 0.1 * z)
    noise = 1 + 0.01 * torch.randn(inside.shape, generator=torch.Generator().manual_seed(0))
    values = 400 * inside * (1 - 0.4 * core.float()) * field * noise
    return Image(values=values[None], geometries=(GEOMETRY,)), field, inside


@pytest.fixture(scope="module")
def corrected() -> Image:
    return spinecho.correct(head()[0])


def quick(image: Image) -> Image:
    """A coarser field in less time."""
    return spinecho.correct(image, levels=1, iterations=10, resolution_mm=8.0)


def off(made: Image, field: torch.Tensor, inside: torch.Tensor) -> float:
    """The largest deviation of a field from that sought, both 1 on average, in the 98 % of the object nearest to it."""
    ratio = (made.extras["field"][0] / field)[inside].log()
    return float((ratio - ratio.mean()).abs().quantile(0.98))


def test_a_known_field_is_found_to_a_few_percent(corrected):
    image, field, inside = head()
    assert off(corrected, field, inside) < 0.05
    assert float(field[inside].log().std()) > 0.17, "there was something to find"
    torch.testing.assert_close(corrected.values * corrected.extras["field"], image.values, rtol=1e-5, atol=1e-3)


def test_brightness_stays_and_the_history_says_the_range(corrected):
    _, _, inside = head()
    found = corrected.extras["field"][0][inside].log().mean()
    assert float(found) == pytest.approx(0, abs=1e-3)
    (step,) = corrected.header.history
    assert step.startswith("bias field of N4 (") and "0.67 to 1.39" in step and step.endswith("inside Otsu's threshold")


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_change_nothing(factor):
    image = head()[0]
    made = quick(replace(image, values=image.values * factor))
    torch.testing.assert_close(made.values / factor, quick(image).values, rtol=1e-4, atol=1e-2)


def test_a_mirrored_image_has_the_mirrored_field():
    image = head()[0]
    turned = replace(image, values=image.values.flip(-1), geometries=(GEOMETRY.flipped(2),))
    field = quick(turned).extras["field"].flip(-1)
    torch.testing.assert_close(field, quick(image).extras["field"], rtol=0.03, atol=0)


@pytest.mark.parametrize("n", [45, 46, 47])
def test_the_field_lies_where_it_was_estimated_and_storage_does_not_move_it(n):
    """Sizes that the coarser grid does not divide: the spline's domain is that of the fit, and begins at one corner."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 48)] * 3, indexing="ij")
    inside = ((x.square() + y.square() + z.square()) < 0.7)[..., :n]
    known = torch.exp(0.5 * x)[..., :n]
    one = Image(values=torch.where(inside, 100 * known, 0.0)[None], geometries=(Geometry((48, 48, n), np.eye(4)),))
    settings = {"levels": 2, "iterations": 20, "resolution_mm": 4.0}
    field = spinecho.correct(one, "n4", **settings).extras["field"]
    off = (field / known)[0][inside]
    assert float((off / off.mean()).log().square().mean().sqrt()) < 0.0118
    backwards = replace(one, values=one.values.flip(-1), geometries=(one.geometry.flipped(2),))
    again = spinecho.correct(backwards, "n4", **settings).extras["field"].flip(-1)
    torch.testing.assert_close(again, field, rtol=1e-4, atol=0)


def test_a_given_mask_decides_wherever_its_grid_lies():
    image, field, inside = head()
    shifted = GEOMETRY.cropped((0, 4, 0), (14, 44, 42))
    mask = Image(values=inside[None, :, 4:].to(torch.uint8), geometries=(shifted,))
    made = spinecho.correct(image, mask=mask, levels=2)
    assert off(made, field, inside) < 0.05 and made.header.history[-1].endswith("inside the mask given")
    away = Geometry.from_frame((900, 0, 0), np.eye(3), (2, 2, 2), (14, 44, 42))
    with pytest.raises(DataError, match="the mask is empty where the image is -> give one"):
        spinecho.correct(image, mask=replace(mask, geometries=(away,)))


def test_a_single_slice_and_complex_values():
    image, field, inside = head()
    plane = GEOMETRY.cropped((7, 0, 0), (1, 48, 42))
    phase = torch.polar(torch.ones(48, 42), axes(48, 42)[0])
    values = image.values[:, 7:8] * phase
    made = spinecho.correct(Image(values=values, geometries=(plane,)))
    assert made.values.is_complex() and off(made, field[7:8], inside[7:8]) < 0.06
    torch.testing.assert_close(made.values.angle()[..., inside[7]], values.angle()[..., inside[7]])


def test_frames_one_by_one_with_progress():
    image = head()[0]
    plane = GEOMETRY.cropped((7, 0, 0), (1, 48, 42))
    series = Image(
        values=torch.stack([image.values[:, 5:6], image.values[:, 8:9], torch.zeros(1, 1, 48, 42)]),
        geometries=(plane,),
        axes=("time",),
    )
    told = []
    made = spinecho.correct(series, levels=2, tell=lambda done, total: told.append((done, total)))
    alone = spinecho.correct(Image(values=series.values[1], geometries=(plane,)), levels=2)
    assert told == [(1, 3), (2, 3), (3, 3)] and made.axes == ("time",)
    torch.testing.assert_close(made.values[1], alone.values)
    assert not made.values[2].any() and made.header.history[-1] == "a volume of zeros was left as it is"


def disc(n: int = 96, kept: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """A disc of n^2 pixels, cut off in k-space to kept^2; that image, and the disc as pixels of that size see it."""
    y, x = axes(4 * n, 4 * n)
    fine = ((x / 0.61).square() + (y / 0.57).square() < 1).float()
    k = fft(fine.to(torch.complex64), dims=(-2, -1))
    low, high = 2 * n - kept // 2, 2 * n + kept // 2
    ringing = ifft(k[low:high, low:high], dims=(-2, -1)).abs() * kept / (4 * n)
    averaged = torch.nn.functional.avg_pool2d(fine[None], 4 * n // kept)[0]
    return ringing, averaged


def rippled(values: torch.Tensor) -> float:
    """How uneven the disc is away from its edge, where it should be flat."""
    y, x = axes(*values.shape)
    return float(values[(x.square() + y.square()) < 0.42**2].std())


@pytest.mark.parametrize("along", [0, 1, 2])
def test_the_ringing_of_a_truncated_disc_falls_in_any_orientation_of_the_planes(along):
    ringing, _ = disc()
    volume = torch.stack([ringing, 2 * ringing, ringing]).movedim(0, 2 - along)
    voxels = [1.0, 1.0, 1.0]
    voxels[along] = 4.0
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), voxels, tuple(volume.shape))
    made = spinecho.correct(Image(values=volume[None], geometries=(geometry,)), "unring")
    planes = made.values[0].movedim(2 - along, 0)
    assert rippled(planes[0]) < 0.4 * rippled(ringing)
    torch.testing.assert_close(planes[1], 2 * planes[0], rtol=1e-4, atol=1e-4)
    plane = " and ".join("xyz"[i] for i in range(3) if i != along)
    assert made.header.history[-1].startswith(f"Gibbs ringing taken out in the planes of {plane} (dipy")
    assert abs(float(planes[0].mean() / ringing.mean()) - 1) < 0.01


def test_complex_values_lose_their_ringing_part_by_part():
    ringing = disc()[0][None, None]
    geometry = Geometry((1, 48, 48), np.eye(4))
    real = spinecho.correct(Image(values=ringing, geometries=(geometry,)), "unring").values
    turned = torch.complex(ringing, -0.5 * ringing)
    made = spinecho.correct(Image(values=turned, geometries=(geometry,)), "unring").values
    apart = (made - torch.complex(real, -0.5 * real)).abs()[0, 0]
    assert float(apart[disc()[1] > 0.5].quantile(0.95)) < 1e-3, "where all is flat, two shifts may be equally good"
    for part, was in ((made.real, ringing), (made.imag, 0.5 * ringing)):
        assert rippled(part[0, 0]) < 0.4 * rippled(was[0, 0])
    assert bool(made.imag[0, 0, 24, 24] < 0), "signs stay"


@pytest.mark.parametrize(
    ("shape", "voxel", "axis"),
    [
        ((12, 40, 40), (1, 1, 4), 2),
        ((40, 12, 40), (1, 4, 1), 1),
        ((40, 40, 12), (4, 1, 1), 0),
        ((40, 40, 40), (1, 1, 1), 2),
        ((40, 40, 40), (1.1, 1, 1), 2),
        ((40, 1, 40), (1, 1, 1), 1),
    ],
)
def test_the_axis_of_the_slices_is_that_of_the_thickest_voxels(shape, voxel, axis):
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), voxel, shape)
    assert slice_axis(Image(values=torch.zeros(1, *shape), geometries=(geometry,))) == axis


def test_bad_input_is_told(monkeypatch):
    image = head()[0]
    with pytest.raises(DataError, match="NaN or infinite values -> repair or mask them first"):
        spinecho.correct(replace(image, values=image.values.masked_fill(image.values == 0, torch.nan)))
    with pytest.raises(DataError, match="there is no correct method 'magic'"):
        spinecho.correct(image, "magic")
    tiny = Image(values=torch.rand(1, 1, 6, 6), geometries=(Geometry((1, 6, 6), np.eye(4)),))
    with pytest.raises(DataError, match="unring cannot take this image: its planes have 6 pixels along an axis"):
        spinecho.correct(tiny, "unring")
    with pytest.raises(DataError, match="a field needs 50 -> give a larger mask"):
        spinecho.correct(tiny)
    for method, package in (("n4", "SimpleITK"), ("unring", "dipy.denoise.gibbs")):
        monkeypatch.setitem(sys.modules, package, None)
        extra = "n4" if method == "n4" else "dipy"
        with pytest.raises(DataError, match=rf"{extra} needs the package .*pip install 'spinecho\[{extra}\]'"):
            built("correct", method, {})(image)


def test_one_voxel_thick_along_any_axis():
    image = head()[0]
    for axis in range(3):
        shape = [14, 48, 42]
        shape[axis] = 1
        start = [0, 0, 0]
        start[axis] = [14, 48, 42][axis] // 2
        values = image.values.narrow(1 + axis, start[axis], 1)
        thin = Image(values=values, geometries=(GEOMETRY.cropped(start, tuple(shape)),))
        for method, settings in (("n4", {"levels": 1, "iterations": 10}), ("unring", {})):
            assert spinecho.correct(thin, method, **settings).values.isfinite().all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_of_slices_that_a_person_names_is_that_of_the_file(axis):
    """Also for a plane one voxel thick along x, y or z, through the command's own way."""
    ringing = disc()[0]
    values = ringing.unsqueeze(axis)[None]
    geometry = Geometry(tuple(values.shape[1:]), np.eye(4))
    plane = Image(values=values, geometries=(geometry,))
    task = task_named("correct")
    for name in ("auto", "xyz"[2 - axis]):
        made = worked(task, plane, task.Inputs(), "unring", {"slices": name})
        assert rippled(made.values[0].squeeze(axis)) < 0.4 * rippled(ringing)
        across = "xyz"[2 - axis]
        plane_axes = " and ".join(c for c in "xyz" if c != across)
        assert f"in the planes of {plane_axes} " in made.header.history[-1]
        assert made.geometry.matches(geometry)


@pytest.mark.parametrize("method", ["n4", "unring"])
def test_what_was_read_stays_and_axes_and_grid_are_kept(method):
    image = head()[0]
    before = image.values.clone()
    settings = {"levels": 1, "iterations": 5, "resolution_mm": 8.0} if method == "n4" else {}
    made = spinecho.correct(image, method, **settings)
    assert torch.equal(image.values, before) and made.geometry.matches(GEOMETRY) and made.axes == image.axes
    assert made.header.history and set(made.extras) == ({"field"} if method == "n4" else set())


def test_a_flat_object_keeps_its_brightness_and_has_a_flat_field():
    image, _, inside = head()
    even = replace(image, values=300.0 * inside[None])
    made = quick(even)
    assert float((made.extras["field"][0][inside].log()).abs().max()) < 0.02
    torch.testing.assert_close(made.values[0][inside], even.values[0][inside], rtol=0.02, atol=0)


def test_unringing_leaves_a_constant_and_is_linear_in_brightness():
    flat = Image(values=torch.full((1, 3, 24, 20), 5.0), geometries=(Geometry((3, 24, 20), np.eye(4)),))
    torch.testing.assert_close(spinecho.correct(flat, "unring").values, flat.values, rtol=1e-5, atol=1e-5)
    ringing = Image(values=disc()[0][None, None], geometries=(Geometry((1, 48, 48), np.eye(4)),))
    one = spinecho.correct(ringing, "unring").values
    for scale in (1e-6, 1e6, -1.0):
        other = spinecho.correct(replace(ringing, values=scale * ringing.values), "unring").values
        if scale > 0:
            torch.testing.assert_close(other / scale, one, rtol=1e-3, atol=1e-4)
        assert rippled(other[0, 0] / scale) < 0.4 * rippled(ringing.values[0, 0])
