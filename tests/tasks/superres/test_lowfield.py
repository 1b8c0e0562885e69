"""lowfield: its draws, what it keeps of an image, what it refuses, and the whole way from training to a file."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from fine_heads import head, shaken
from test_superres_training import labels, stack, tissues

from spinecho.cli import main
from spinecho.core.geometry import Geometry
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.superres.base import Target
from spinecho.tasks.superres.examples import low_field, rendered
from spinecho.tasks.superres.methods import lowfield
from spinecho.tasks.superres.parts.degrade import Degradation
from spinecho.tasks.superres.parts.spline import enlarged

KSPACE = Degradation("kspace")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def supply(*sources, seed=0):
    return low_field.Drawn(sources or (tissues(), stack(4, 120)), 32, 4, seed)


def small() -> lowfield.Method:
    torch.manual_seed(0)
    method = lowfield.Method(lowfield.Config(channels=(4, 6), blocks=(1, 1)))
    shaken(method)
    return method


def target(shape=(3, 20, 24), new=(3, 40, 48), voxel=(2.0, 2.0, 6.0)) -> Target:
    lost = [None if a == b else KSPACE for a, b in zip(shape, new, strict=True)]
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), voxel, shape)
    return Target(geometry, new, (lost[0], lost[1], lost[2]))


def test_a_number_gives_the_same_slices_and_another_number_others():
    one, again, other = supply()(1, 0), supply()(1, 0), supply()(2, 0)
    assert torch.equal(one.interpolated, again.interpolated) and torch.equal(one.high, again.high)
    assert not torch.equal(one.high, other.high) and not torch.equal(one.high, supply(seed=1)(1, 0).high)


@pytest.mark.parametrize("sources", [(tissues(),), (stack(4, 120),), (stack(3, 30),)], ids=["maps", "images", "small"])
def test_slices_are_finite_and_of_one_shape(sources):
    for step in range(5):
        lesson = supply(*sources)(step, 0)
        assert lesson.interpolated.shape == lesson.high.shape == (4, 1, 32, 32) and lesson.conditions.shape[:2] == (
            4,
            3,
        )
        assert bool(torch.isfinite(lesson.interpolated).all()) and float(lesson.high.max()) < 6
        assert not lesson.conditions[:, 0].any(), "the thickness of slices stays"


def test_what_is_measured_is_the_slice_with_noise():
    """The mean of many measurements of a smooth slice is that slice, but for Rician bias and lost detail."""
    slice_ = 1 + 0.3 * torch.sin(torch.linspace(0, 3, 48))[:, None] * torch.cos(torch.linspace(0, 3, 48))
    seen = torch.stack([low_field.measured(slice_, rng(seed))[0] for seed in range(40)])
    middle = (slice(8, -8),) * 2
    assert float((seen.mean(0) - slice_)[middle].abs().max()) < 0.06
    spread = (seen - slice_)[(slice(None), *middle)].std((1, 2))
    assert float(spread.max()) > 3 * float(spread.min())


def test_lesions_lie_in_white_matter():
    names = list(TISSUES)
    slab = torch.full((4, 40, 40), names.index("white matter"), dtype=torch.uint8)
    slab[:, :20] = names.index("grey matter")
    for seed in range(5):
        made = rendered.with_lesions(slab, rng(seed))
        is_lesion = made == names.index("lesion")
        assert bool(is_lesion.any()) and not bool(is_lesion[:, :20].any())
        assert torch.equal(made[~is_lesion], slab[~is_lesion])
    air = torch.zeros(2, 8, 8, dtype=torch.uint8)
    assert torch.equal(rendered.with_lesions(air, rng()), air)


def test_the_brightness_of_both_sides_agrees():
    """Where a head fills the patch, neither side is much brighter: a network need not guess a scale."""
    ratios = []
    for step in range(20):
        lesson = supply(tissues())(step, 0)
        for seen, high in zip(lesson.interpolated, lesson.high, strict=True):
            if float((high > 0.2).float().mean()) > 0.6:
                ratios.append(float(seen.mean() / high.mean()))
    assert len(ratios) > 5 and 0.6 < float(np.median(ratios)) < 1.5


def test_untrained_it_is_the_spline_without_negative_values():
    values = head((3, 20, 24))[None] - 0.1
    made = lowfield.Method(lowfield.Config(channels=(4, 6), blocks=(1, 1)))(values, target()).values
    assert torch.allclose(made, enlarged(values, (3, 40, 48)).clamp_min(0))


def test_the_loss_is_its_definition():
    """Half the log of the mean square of each slice, half that of its differences; a constant error has none."""
    method, lesson = small(), supply()(1, 0)
    error = (method.estimate(lesson) - lesson.high).detach()[:, 0].double()
    steps = 0.5 * (error.diff(dim=1).square().mean((1, 2)) + error.diff(dim=2).square().mean((1, 2)))
    expected = 0.5 * sum((s + 2e-3**2).log().mean() for s in (error.square().mean((1, 2)), steps))
    assert float(method.loss(lesson).detach()) == pytest.approx(float(expected), rel=1e-4)
    shifted = replace(lesson, high=method.estimate(lesson).detach() + 0.1)
    assert float(method.loss(shifted).detach()) == pytest.approx(0.5 * (np.log(0.01) + np.log(4e-6)), rel=1e-2)


def test_no_unit_matters():
    values, method = head((3, 20, 24))[None], small()
    one, other = method(values, target()).values, method(1e-3 * values, target()).values
    assert torch.allclose(one, 1e3 * other, rtol=1e-4, atol=1e-5)


def test_each_slice_is_lifted_alone(monkeypatch):
    values, method = head((5, 20, 24))[None], small()
    wanted = target((5, 20, 24), (5, 40, 48))
    whole = method(values, wanted).values
    monkeypatch.setattr(lowfield, "_MOST_PIXELS", 40 * 48)
    assert torch.allclose(whole, method(values, wanted).values, atol=1e-6)
    changed = values.clone()
    changed[:, 2] = 0
    made = method(changed, wanted).values
    assert torch.equal(made[:, [0, 1, 3, 4]], method(values, wanted).values[:, [0, 1, 3, 4]])


@pytest.mark.parametrize("across", [0, 1, 2])
def test_slices_may_lie_across_any_axis(across):
    method, values = small(), head((3, 20, 24))[None]
    plain = method(values, target()).values
    order = [1, 2]
    order.insert(across, 0)
    place = lambda numbers: tuple(numbers[i] for i in order)  # noqa: E731
    voxel = place((6.0, 2.0, 2.0))
    turned = target(place((3, 20, 24)), place((3, 40, 48)), (voxel[2], voxel[1], voxel[0]))
    made = method(values.permute(0, *(1 + i for i in order)), turned).values
    assert lowfield.slices_across(turned.geometry) == across
    assert torch.allclose(made, plain.permute(0, *(1 + i for i in order)), atol=1e-6)


@pytest.mark.parametrize(
    ("voxel", "made"),
    [
        ((2.0, 2.0, 6.0), (1, 1, 6)),
        ((0.9, 1.6, 5.0), (0.9, 1, 5)),
        ((5.0, 1.6, 1.6), (5, 1, 1)),
        ((1.5,) * 3, (1, 1, 1.5)),
    ],
)
def test_pixels_of_one_mm_and_slices_as_thick_as_they_are(voxel, made):
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), voxel, (4, 30, 30))
    assert lowfield.Method.spacing_mm(geometry) == pytest.approx(made)


def test_other_pixels_are_refused():
    values = head((3, 20, 24))[None]
    assert lowfield.Method.refusal(values, target()) is None
    refused = lowfield.Method.refusal(values, target(new=(3, 20, 24)))
    assert refused == "it makes pixels of 1 mm, not of 2 x 2 mm"
    unknown = replace(target(new=(3, 20, 24)).geometry, oriented=False)
    assert lowfield.Method.refusal(values, replace(target(new=(3, 20, 24)), geometry=unknown)) is None


def test_from_training_to_a_lifted_file(tmp_path, capsys):
    """Label maps and images beside each other; the file is told in full that it is guessed."""
    folder = tmp_path / "people"
    folder.mkdir()
    for i in range(3):
        nib.save(nib.Nifti1Image(np.roll(labels(), i, 2).T, np.diag([-1, 1, 1, 1.0])), folder / f"map{i}.nii.gz")
        nib.save(nib.Nifti1Image(head((40, 44, 48), 4 + i).numpy().T, np.eye(4)), folder / f"person{i}.nii.gz")
    out = tmp_path / "run"
    small = "--patch 32 --patches 2 --channels 4 6 --blocks 1 1 --batch 1 --steps 2 --threads 1"
    command = ["train", "superres/lowfield", "--data", str(folder), "--out", str(out), *small.split()]
    assert main([*command, "--validate-every", "2", "--validation-examples", "2"]) == 0
    assert "psnr" in capsys.readouterr().out
    given, made = tmp_path / "low.nii.gz", tmp_path / "made.nii.gz"
    nib.save(nib.Nifti1Image(100 * head((4, 40, 44)).numpy().T, np.diag([-1.6, 1.6, 6, 1])), given)
    weights = out / "weights.safetensors"
    assert main(["superres", str(given), "-o", str(made), "--weights", str(weights)]) == 0
    lifted = nib.load(made)
    assert lifted.shape == (70, 64, 4) and lifted.header.get_zooms() == pytest.approx((1, 1, 6), rel=0.02)
    assert "it guesses where it sharpens" in "".join(capsys.readouterr())
    assert 30 < float(np.percentile(lifted.get_fdata(), 99)) < 200
