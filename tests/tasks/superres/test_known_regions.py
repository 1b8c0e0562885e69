"""What is known of a head before any detail: regions become a T1's brightness, to which the image is fitted."""

from __future__ import annotations

import pytest
import torch
from fine_heads import head, image
from torch import Tensor

from spinecho.io.read import read_image
from spinecho.methods.pretrained import built
from spinecho.sim.anatomy import of_sequence
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.splits import split
from spinecho.sim.tissue import BRAIN_LABELS, TISSUES
from spinecho.tasks.segment.run import segment
from spinecho.tasks.superres.examples import rendered
from spinecho.tasks.superres.methods import to_t1
from spinecho.tasks.superres.parts.known import brightness, channels, of_regions
from spinecho.tasks.superres.parts.lesson import Known
from spinecho.tasks.superres.parts.regressed import regressed
from spinecho.tasks.superres.run import superres

SIDE = 40


def stripes() -> tuple[Tensor, Tensor]:
    """An image of three tissues in turn, and which is where."""
    x = torch.arange(SIDE)[None, None, :].expand(SIDE, SIDE, SIDE)
    tissue = (x // 4) % 3
    return torch.tensor([0.6, 1.0, 1.4])[tissue], tissue


def test_a_curve_of_the_image_is_found_again():
    """Also one that is no line: the middle brightness becomes the brightest."""
    values, tissue = stripes()
    wanted = torch.tensor([0.3, 1.0, 0.2])[tissue]
    made = regressed(values, wanted, torch.ones_like(values), 3.0)
    inner = (slice(8, -8),) * 3
    assert float((made - wanted)[inner].abs().mean()) < 0.07
    assert float((wanted.mean() - wanted)[inner].abs().mean()) > 0.3


def test_detail_is_the_images_own():
    """What is wanted may be coarse: edges come from the image."""
    values, tissue = stripes()
    sharp = torch.tensor([1.0, 0.6, 0.2])[tissue]
    coarse = torch.nn.functional.avg_pool3d(sharp[None, None], 5, 1, 2, count_include_pad=False)[0, 0]
    made = regressed(values, coarse, torch.ones_like(values), 3.0)
    inner = (slice(8, -8),) * 3
    assert float((made - sharp)[inner].square().mean()) < 0.7 * float((coarse - sharp)[inner].square().mean())


def test_nothing_is_known_far_from_any_weight():
    values, _ = stripes()
    weight = torch.zeros_like(values)
    assert not regressed(values, values, weight, 2.0).any()
    weight[:, :, :10] = 1
    made = regressed(values, values, weight, 2.0)
    assert not made[:, :, 20:].any() and float(made[:, :, :10].min()) > 0.3
    assert bool(torch.isfinite(made).all())


def test_a_flat_image_takes_the_mean_of_what_is_wanted():
    made = regressed(torch.ones(20, 20, 20), torch.full((20, 20, 20), 0.7), torch.ones(20, 20, 20), 2.0)
    torch.testing.assert_close(made, torch.full_like(made, 0.7), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_channels_know_no_units(scale):
    values, tissue = stripes()
    wanted = torch.tensor([1.0, 0.6, 0.2])[tissue]
    share = (torch.arange(SIDE) > 10).float().expand_as(values)
    one, known = channels(values, wanted, share)
    other, also = channels(scale * values, wanted, share)
    torch.testing.assert_close(other, one)
    torch.testing.assert_close(also, known, rtol=1e-4, atol=1e-4)
    assert float((one * share).sum() / share.sum()) == pytest.approx(1, rel=1e-4)


def test_channels_of_a_block_without_brain_are_finite():
    nothing = torch.zeros(12, 12, 12)
    for values in (nothing, nothing + 3):
        one, known = channels(values, nothing, nothing)
        assert bool(torch.isfinite(one).all()) and not known.any()


def test_white_matter_is_brightest_and_fluid_darkest():
    level = dict(zip(TISSUES, brightness().tolist(), strict=True))
    assert level["white matter"] == 1 and level["csf"] < 0.3 < level["grey matter"] < level["thalamus"] < 1


@pytest.mark.parametrize("contrast", ["t2", "flair"])
def test_regions_of_a_head_in_another_contrast_are_a_t1(contrast, shared_data):
    """On a head that `regions` was not trained on, rendered in another contrast."""
    labels = read_image(shared_data / "label_maps" / "labels_17.nii.gz").volume()
    whole = labels.values[0].to(torch.int32)
    shown = of_sequence(SEQUENCES[contrast]).render(whole)
    scan = type(labels)(values=shown[None], geometries=labels.geometries)
    wanted, share = of_regions(scan)
    truth = of_sequence(SEQUENCES["t1"]).render(whole)
    brain = torch.isin(whole, torch.tensor(sorted(BRAIN_LABELS), dtype=torch.int32))
    assert float(share[brain].mean()) > 0.95 and float(share[~brain].mean()) < 0.15
    assert set(share.unique().tolist()) == {0, 1} and not wanted[share == 0].any()

    def alike(x: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([x[brain], truth[brain]]))[0, 1])

    _, known = channels(shown, wanted, share)
    assert alike(known[1]) > alike(known[0]) > alike(wanted) > 0.6 > 0 > alike(shown)


def test_labels_lie_on_the_images_own_grid(shared_data):
    """Those that `spinecho segment` writes without sides; what was masked is not known."""
    ours = read_image(shared_data / "ixi_2mm" / "t1" / f"{split('ixi_2mm', 'test')[0]}.nii.gz").volume()
    ours = type(ours)(values=ours.values.float(), geometries=ours.geometries)
    labels = built("segment", "regions", {}).labelled(ours)
    assert torch.equal(labels.int(), segment(ours, sides=False).values.int())
    masked = ours.values * (torch.arange(ours.values.shape[-1]) > 40)
    wanted, share = of_regions(type(ours)(values=masked, geometries=ours.geometries))
    assert not share[..., :41].any() and share.any() and not wanted[..., :41].any()


def test_where_there_is_no_brain_nothing_is_known_and_that_is_said():
    noise = image(torch.rand(32, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert not any(x.any() for x in of_regions(noise))
    told = superres(noise, "to_t1").header.warnings
    assert any("`regions` finds no brain in the image" in line for line in told)


def balls() -> Tensor:
    """A ball of white matter in grey matter, in fluid, in air, as places in `TISSUES`."""
    names = list(TISSUES)
    radius = head((64, 64, 64)).new_tensor(0) + sum(
        axis.square() for axis in torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 3, indexing="ij")
    )
    tissues = torch.zeros(64, 64, 64, dtype=torch.int64)
    for limit, name in ((0.9, "csf"), (0.7, "grey matter"), (0.4, "white matter")):
        tissues[radius < limit] = names.index(name)
    return tissues


def test_what_is_found_in_training_errs_a_little(rng):
    tissues = balls()
    truth = brightness()[tissues]
    errors: list[float] = []
    for _ in range(6):
        wanted, share = rendered._as_found(tissues, rng)
        assert wanted.shape == share.shape == tissues.shape
        assert float(share.min()) >= 0 and float(share.max()) <= 1
        assert float((share - (tissues > 0).float()).abs().mean()) < 0.1
        errors.append(float((wanted - truth).abs().mean()))
    assert min(errors) > 0.005 and max(errors) < 0.2 and len(set(errors)) == 6


def test_lesions_are_not_known_beforehand(rng, monkeypatch):
    """They lie in white matter, are dark in the truth, and count as white matter in what is known."""
    monkeypatch.setattr(rendered, "_MISTAKEN", 0.0)
    names = list(TISSUES)
    tissues = balls()
    spotted = rendered.with_lesions(tissues, rng)
    spots = spotted == names.index("lesion")
    assert bool(spots.any()) and bool((tissues[spots] == names.index("white matter")).all())
    state = rng.get_state()
    one = rendered._as_found(spotted, rng)
    rng.set_state(state)
    torch.testing.assert_close(one, rendered._as_found(tissues, rng))
    nothing = torch.zeros(8, 8, 8, dtype=torch.int64)
    assert torch.equal(rendered.with_lesions(nothing, rng), nothing)


def test_blocks_carry_what_is_known():
    drawn = rendered.Drawn((balls().to(torch.uint8).numpy(),), 24, 2, 0)
    one, again, other = drawn(0, 0), drawn(0, 0), drawn(1, 0)
    assert isinstance(one, Known) and one.known.shape == (2, 4, 24, 24, 24)
    assert torch.equal(one.known, again.known) and not torch.equal(one.known, other.known)
    both = Known.joined([one, other])
    assert isinstance(both, Known) and both.known.shape[0] == 4
    assert isinstance(one.to(torch.device("cpu")), Known)


@pytest.mark.slow
def test_grey_matter_is_about_as_bright_as_scans_show_it(shared_data):
    """By the curve behind the network, on heads that train."""
    shown: list[float] = []
    for name in split("ixi_2mm", "train")[:6]:
        scan = read_image(shared_data / "ixi_2mm" / "t1" / f"{name}.nii.gz").volume()
        values, labels = scan.values[0].float(), segment(scan, sides=False).values[0]
        shown.append(float(values[labels == 3].median() / values[labels == 2].median()))
    level = dict(zip(TISSUES, brightness().tolist(), strict=True))
    assert min(shown) > 0.7 and max(shown) < 0.76
    assert abs(level["grey matter"] ** to_t1._CURVE - min(shown)) < 0.1 < min(shown) - level["grey matter"]
