"""The public function: grids, units, series, what is told, what is refused."""

from __future__ import annotations

import pytest
import torch
from fine_heads import head, image, lost, oblique, psnr, smooth

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.tasks.superres import run
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.limits import outside
from spinecho.tasks.superres.methods import bspline
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of

METHODS = ("bspline", "zero_filled")
LOW = (6, 20, 18)
GRID = oblique(LOW, (1.0, 1.0, 4.0))


def thick() -> Image:
    return image(head(LOW), GRID)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["kspace", "blur", "slices"])
def test_the_result_degraded_again_is_the_input(method, kind):
    low = thick()
    made = spinecho.superres(low, method, factor=(2, 1.5, 3), degradation=kind)
    lost_ = (Degradation(kind),) * 3
    if kind == "slices":
        width = spinecho.superres(low, method, factor=(1, 1, 3), degradation=kind, thickness_mm=4.0)
        again = along(width.values, maps_of((lost_[0], None, None), LOW, width.values.shape[-3:]))
    else:
        again = along(made.values, maps_of(lost_, LOW, made.values.shape[-3:]))
    torch.testing.assert_close(again, low.values, rtol=0, atol=1e-4)
    assert "degraded again it is the input" in made.header.history


def test_without_agreement_it_is_plain_interpolation_and_says_nothing_of_it():
    low = thick()
    made = spinecho.superres(low, "bspline", factor=2, agree=False)
    from spinecho.tasks.superres.parts.spline import enlarged

    torch.testing.assert_close(made.values, enlarged(low.values, (12, 40, 36)))
    assert not any("again" in step for step in made.header.history)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-6, 1e6, -1.0])
def test_units_change_nothing(method, factor):
    one = spinecho.superres(thick(), method)
    other = spinecho.superres(image(head(LOW) * factor, GRID), method)
    torch.testing.assert_close(other.values / factor, one.values, rtol=1e-4, atol=1e-5)


def test_a_finer_image_is_nearer_to_the_truth_than_neighbours_are():
    truth = smooth((24, 30, 28))
    low, target = lost(truth, (12, 15, 14), Degradation("kspace"))
    made = spinecho.superres(image(low[0], target.geometry), "bspline", factor=2)
    nearest = low.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert psnr(made.values, truth) > psnr(nearest, truth) + 15


def test_frames_are_made_one_by_one():
    frames = torch.stack([head(LOW), 100 * head(LOW, 9.0)])[:, None]
    made = spinecho.superres(image(frames, GRID), "bspline")
    assert made.values.shape == (2, 1, 24, 20, 18) and made.axes == ("time",)
    for i in range(2):
        alone = spinecho.superres(image(frames[i, 0], GRID), "bspline", thickness_mm=_thickness(made))
        torch.testing.assert_close(made.values[i], alone.values, rtol=1e-4, atol=1e-4)


def _thickness(made: Image) -> float | None:
    """What was assumed for the series, from its history; None: nothing was found."""
    (line,) = [s for s in made.header.history if s.startswith("slices ")]
    return float(line.split(" mm thick")[0].split()[-1])


def test_one_slice_stays_one_slice():
    made = spinecho.superres(image(head((1, 20, 18))), "bspline")
    assert made.values.shape == (1, 1, 40, 36) and made.geometry.voxel_mm == pytest.approx((0.5, 0.5, 1))


def test_slices_that_are_apart_become_a_volume():
    grids = tuple(GRID.cropped((i, 0, 0), (1, 20, 18)) for i in (2, 0, 1))
    values = head(LOW)[[2, 0, 1]][:, None, None]
    stacked = Image(values=values, geometries=grids, axes=("slice",))
    made = spinecho.superres(stacked, "bspline", thickness_mm=4.0)
    whole = spinecho.superres(image(head(LOW)[:3], GRID.cropped((0, 0, 0), (3, 20, 18))), "bspline", thickness_mm=4.0)
    torch.testing.assert_close(made.values, whole.values)
    assert made.axes == () and made.geometry.shape == (12, 20, 18)


def test_whole_numbers_and_complex_images_become_real_ones():
    whole = image((200 * head(LOW)).to(torch.uint8), GRID)
    assert spinecho.superres(whole, "bspline").values.dtype == torch.float32
    turned = image(head(LOW) * torch.polar(torch.ones(()), torch.tensor(0.7)), GRID)
    made = spinecho.superres(turned, "bspline")
    torch.testing.assert_close(made.values, spinecho.superres(thick(), "bspline").values, rtol=1e-4, atol=1e-4)
    assert "magnitude of the complex image" in made.header.history


def test_masks_go_along_by_the_nearest_voxel():
    mask = head(LOW)[None] > 0
    low = Image(values=head(LOW)[None], geometries=(GRID,), extras={"mask": mask})
    made = spinecho.superres(low, "bspline", factor=(1, 2, 3))
    assert torch.equal(made.extras["mask"], mask.repeat_interleave(3, 1).repeat_interleave(2, 2))


def test_a_coarser_axis_is_averaged_first_and_told():
    low = thick()
    made = spinecho.superres(low, "bspline", spacing_mm=2.0)
    assert made.values.shape == (1, 12, 10, 9)
    assert "averaged from 18 x 20 x 6 to 9 x 10 x 6 voxels where the new grid is coarser" in made.header.history
    means = low.values.reshape(1, 6, 10, 2, 9, 2).mean((3, 5))
    again = along(made.values, maps_of((_lost_along_z(made), None, None), (6, 10, 9), (12, 10, 9)))
    torch.testing.assert_close(again, means, rtol=0, atol=1e-4)


def _lost_along_z(made: Image) -> Degradation:
    (line,) = [s for s in made.header.history if s.startswith("detail taken to be lost")]
    return (
        Degradation("kspace") if "k-space" in line else Degradation("slices", float(line.split("box, ")[1].split()[0]))
    )


def test_the_same_grid_changes_nothing():
    made = spinecho.superres(thick(), "bspline", factor=1)
    torch.testing.assert_close(made.values, thick().values)
    assert made.geometry.shape == LOW


def test_nothing_becomes_nothing():
    assert not spinecho.superres(image(torch.zeros(LOW), GRID), "bspline").values.any()


def test_the_header_is_that_of_the_new_grid():
    header = Header(slice_thickness_mm=4.0, kept={"descrip": "a head", "grid.slice_start": "0"}, te_ms=(90.0,))
    low = Image(values=head(LOW)[None], geometries=(GRID,), header=header)
    made = spinecho.superres(low, "bspline")
    assert made.header.slice_thickness_mm == pytest.approx(1.0) and made.header.te_ms == (90.0,)
    assert dict(made.header.kept) == {"descrip": "a head"}
    told = made.header.history[0]
    assert told.startswith("super-resolved by bspline, 1 x 1 x 4 mm to 1 x 1 x 1 mm, 18 x 20 x 24 voxels")
    assert "no detail was invented" in made.header.history and made.header.warnings == ()


class Inventive(Superres):
    """Adds a tenth, and says so."""

    invents = "everything"

    def forward(self, values: torch.Tensor, target: Target) -> Made:
        return Made(1.1 * bspline.Method(bspline.Config())(values, target).values, ("in no time",))


def test_what_is_invented_is_warned_of_and_the_card_is_kept_to(monkeypatch):
    method = Inventive(bspline.Config())
    method.weights, method.card = "mine", {"factor": [1.5, 3], "spacing_mm": [0.5, 2], "degradations": ["kspace"]}
    monkeypatch.setattr(run, "built", lambda *_: method)
    made = spinecho.superres(thick(), "mine")
    assert "in no time" in made.header.history
    assert made.header.warnings == (
        "outside the card of mine: factor 4 (card: 1.5 to 3)",
        "outside the card of mine: voxels of 4 mm (card: 0.5 to 2 mm)",
        "outside the card of mine: degradation slices (card: kspace)",
        "everything",
    )
    inside = spinecho.superres(image(head((10, 20, 18))), "mine")
    assert inside.header.warnings == ("everything",)


def test_other_contrast_is_not_made_to_agree(monkeypatch):
    method = Inventive(bspline.Config())
    monkeypatch.setattr(Inventive, "keeps_contrast", False)
    monkeypatch.setattr(run, "built", lambda *_: method)
    made = spinecho.superres(thick(), "mine")
    assert float(made.values.max()) > 1.05 * float(spinecho.superres(thick(), "mine").values.max()) / 1.1
    assert any("its contrast is another one" in step for step in made.header.history)


def test_an_empty_card_allows_everything():
    target = Target(GRID, (24, 20, 18), (Degradation("slices"), None, None))
    assert outside({}, target) == []


def test_bad_input_is_told():
    broken = thick()
    broken.values[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="NaN or infinite"):
        spinecho.superres(broken)
    with pytest.raises(DataError, match="there is no superres method 'magic'"):
        spinecho.superres(thick(), "magic")
    with pytest.raises(DataError, match="degradation='rust' is not known"):
        spinecho.superres(thick(), degradation="rust")
    with pytest.raises(DataError, match="voxels wide"):
        spinecho.superres(thick(), thickness_mm=40.0)
    with pytest.raises(DataError, match="bspline has no setting nonsense"):
        spinecho.superres(thick(), "bspline", nonsense=1)
    with pytest.raises(DataError, match="self cannot take this image: it makes thick slices thin"):
        spinecho.superres(thick(), "self", factor=2)


def test_what_needs_too_much_memory_is_refused_before_it_is_begun(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(run, "check_memory", lambda n, what: asked.append(n))
    spinecho.superres(image(head((4, 6, 5))), "bspline", factor=2)
    assert asked[0] >= 4 * 8 * 12 * 10
