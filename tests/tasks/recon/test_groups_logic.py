"""What is taken apart, joined, counted and told when entries of a batch differ; with methods that only stand in."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho import DataError, KSpace
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.ops.fourier import fft
from spinecho.tasks.recon import stream
from spinecho.tasks.recon.apart import in_groups, select
from spinecho.tasks.recon.guard import CONTRADICTION, compared, entry
from spinecho.tasks.recon.stream import SlicePlan

N, SIDE = 5, 24


def scan(axes: tuple[str, ...] = ("slice",), n: int = N, kept: dict[int, int] | None = None) -> KSpace:
    """Full entries whose sample at k = 0 is their number and 1; `kept` says how many lines around it some have."""
    batch = (1,) * (len(axes) - 1) + (n,)
    images = torch.zeros(n, 2, 1, SIDE, SIDE, dtype=torch.complex64)
    images[:, :, 0, SIDE // 2, SIDE // 2] = torch.arange(1.0, n + 1)[:, None]
    mask = torch.ones(n, 1, 1, SIDE, 1, dtype=torch.bool)
    for i, lines in (kept or {}).items():
        mask[i] = ((torch.arange(SIDE) - SIDE // 2).abs() <= lines // 2)[:, None]
    several = n if axes[-1] == "slice" else 1
    return KSpace(
        samples=(fft(images) * mask).reshape(*batch, 2, 1, SIDE, SIDE),
        mask=mask.reshape(*batch, 1, 1, SIDE, 1),
        encoding=Encoding.cartesian((1, SIDE, SIDE)),
        geometries=tuple(Geometry.unknown((1, SIDE, SIDE)).cropped((i, 0, 0), (1, SIDE, SIDE)) for i in range(several)),
        axes=axes,
    )


class Method:
    """Shows how many entries it was given together, and what extras it was told to make."""

    def __init__(self, **extras: dict[str, float]) -> None:
        self.extras, self.seen = extras, list[int]()

    def run(self, kspace: KSpace) -> Image:
        self.seen.append(kspace.samples[..., 0, 0, 0, 0].numel())
        largest = kspace.samples.abs().amax((-4, -3, -2, -1), keepdim=True)
        values = largest.expand(*kspace.samples.shape[:-4], 1, 1, SIDE, SIDE)
        extras = self.extras.get(self.choice(kspace) or "", {})
        return kspace.image(values, **{name: torch.full_like(values, v) for name, v in extras.items()})

    @staticmethod
    def choice(kspace: KSpace) -> str | None:
        """full, part, or None for the shortest scans."""
        assert kspace.mask is not None
        counts = set(kspace.mask.flatten(0, -5).sum((-4, -3, -2, -1)).tolist())
        return None if counts & {3} else "full" if counts == {SIDE} else "part" if counts == {17} else "mixed"


def sizes(kspace: KSpace) -> torch.Tensor:
    return kspace.samples.abs().amax((-4, -3, -2, -1)).flatten()


def test_alike_entries_are_taken_together_once():
    method = Method()
    image, seen = in_groups(scan(), method.run, method.choice)
    assert method.seen == [N] and seen.samples.shape[0] == N
    assert torch.equal(image.values.flatten(1)[:, 0], sizes(scan()))


@pytest.mark.parametrize("odd", [(0,), (2,), (1, 4)])
def test_entries_with_another_answer_go_apart_and_come_back_in_their_places(odd):
    kspace, method = scan(kept=dict.fromkeys(odd, 17)), Method()
    image, seen = in_groups(kspace, method.run, method.choice)
    assert max(method.seen) == N - len(odd) and seen.samples.shape[0] == N - len(odd)
    assert torch.equal(image.values.flatten(1)[:, 0], sizes(kspace))
    told = " ".join(image.header.history)
    assert all(re.search(rf"slices? [\d, ]*{i + 1}\b", told) for i in odd), told


def test_an_extra_that_a_group_lacks_is_nothing_there_and_no_amplification():
    kspace = scan(kept={3: 17})
    method = Method(full={"csm_like": 2.0, "gfactor": 3.0}, part={"other": 5.0})
    image, _ = in_groups(kspace, method.run, method.choice)
    first = {name: t.flatten(1)[:, 0].tolist() for name, t in image.extras.items()}
    assert first["csm_like"] == [2, 2, 2, 0, 2]
    assert first["gfactor"] == [3, 3, 3, 1, 3]
    assert first["other"] == [0, 0, 0, 5, 0]


def test_where_no_entry_can_be_taken_the_method_itself_says_why():
    kspace = scan(kept={0: 3, 1: 17, 2: 3, 3: 3, 4: 3})

    def run(part: KSpace) -> Image:
        raise DataError("it is too short", do="scan longer")

    with pytest.raises(DataError, match="too short"):
        in_groups(kspace, run, lambda part: None)


@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=N, unique=True))
@settings(max_examples=15, deadline=None)
def test_selected_entries_are_those_in_that_order(entries):
    kspace = scan(kept={1: 17})
    part = select(kspace, "slice", entries)
    if len(entries) == N:
        assert part is kspace  # all of them is the scan itself
        return
    assert torch.equal(part.samples, kspace.samples[entries]) and part.mask is not None
    assert torch.equal(part.mask, kspace.mask[entries])  # type: ignore[index]
    assert part.geometries == tuple(kspace.geometries[i] for i in entries)


def test_a_mask_shared_by_all_stays_shared():
    kspace = replace(scan(), mask=torch.ones(1, 1, 1, SIDE, 1, dtype=torch.bool))
    part = select(kspace, "slice", [1, 3])
    assert part.mask is not None and part.mask.shape[0] == 1 and part.samples.shape[0] == 2


@given(st.lists(st.tuples(st.sampled_from(["slice", "time", "contrast"]), st.integers(1, 9)), max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_entries_are_named_by_the_axes_that_have_several_counted_from_one(sizes, data):
    axes, shape = tuple(a for a, _ in sizes), tuple(n for _, n in sizes)
    place = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    told = entry(axes, shape, place)
    found = re.findall(r"(\w+) (\d+) of (\d+)", told)
    wanted = [(a, str(i + 1), str(n)) for a, n, i in zip(axes, shape, place, strict=True) if n > 1]
    assert found == wanted and told.endswith(": ") == bool(wanted)


def explained(shares: list[float], sigma: float) -> tuple[Image, KSpace]:
    """Entries whose image is too small by these shares, of samples with maps that are known."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(shares), 1, 1, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    csm = torch.full((len(shares), 1, 2, 1, SIDE, SIDE), 0.5**0.5, dtype=torch.complex64)
    kspace = scan(n=len(shares))
    cov = sigma**2 * torch.eye(2, dtype=torch.complex64)
    kspace = replace(kspace, samples=fft(csm[:, 0] * x), noise_cov=cov)
    factor = 1 - torch.tensor(shares).reshape(-1, 1, 1, 1, 1)
    return kspace.image(factor * x, csm=csm), kspace


@given(st.lists(st.floats(0, 0.99).filter(lambda v: abs(v - 0.4) > 1e-3), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_an_image_too_small_by_a_share_leaves_that_share_of_each_entrys_norm(shares):
    image, kspace = explained(shares, 1e-6)
    judged, verdict = compared(image, kspace)
    np.testing.assert_allclose(verdict.relative, shares, atol=2e-4)
    assert verdict.unexplained.tolist() == [s > 0.4 for s in shares]
    assert len(verdict.sentences(image.axes)) == sum(s > 0.4 for s in shares)
    missing = image.values * (torch.tensor(shares) / (1 - torch.tensor(shares))).reshape(-1, 1, 1, 1, 1)
    torch.testing.assert_close(judged.extras["residual"], -missing, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("share", "sigma", "far"), [(0.04, 1e-6, False), (0.06, 1e-6, True), (0.06, 1.0, False)])
def test_a_contradiction_is_far_above_the_noise_and_above_five_percent(share, sigma, far):
    image, kspace = explained([share, share], sigma)
    _, verdict = compared(image, kspace)
    assert verdict.contradiction is not None
    assert verdict.contradiction.startswith(CONTRADICTION) == far and bool(verdict.contradiction) == far


def test_noise_as_large_as_the_image_explains_anything():
    image, kspace = explained([0.9, 0.1], 1.0)
    _, verdict = compared(image, kspace)
    assert not verdict.unexplained.any() and verdict.contradiction == ""


def test_a_bad_entry_does_not_make_the_others_a_contradiction():
    image, kspace = explained([0.01, 0.9, 0.01], 1e-6)
    _, verdict = compared(image, kspace)
    assert verdict.unexplained.tolist() == [False, True, False] and verdict.contradiction == ""


def test_images_without_maps_and_magnitudes_are_not_compared():
    image, kspace = explained([0.9], 1e-6)
    for other in (replace(image, extras={}), replace(image, values=image.values.abs())):
        judged, verdict = compared(other, kspace)
        assert judged is other and verdict.contradiction is None and not verdict.unexplained.any()


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("slice 2 of 3: dark", "slice 10 of 20: dark"),
        ("slices 1, 3: dark; like slice 2", "slices 9, 11: dark; like slice 10"),
        ("the centre is far off", "slices 9 to 11 of 20: the centre is far off"),
    ],
)
def test_warnings_of_a_step_count_in_the_whole_scan(told, wanted):
    """The step holds slices 9 to 11 of 20, counted from 1."""
    kspace = scan(n=3)
    image = replace(kspace.image(torch.zeros(3, 1, 1, SIDE, SIDE)), header=Header().warned(told).noted("done"))
    placed = stream._placed(image, kspace, 12, SlicePlan(4, 24, 3, 0))
    assert placed.header.warnings == (wanted,) and placed.header.history[-1] == "done"


def test_warnings_that_the_file_came_with_stay_as_they_are():
    kspace = replace(scan(n=1), header=Header().warned("odd file"))
    image = replace(kspace.image(torch.zeros(1, 1, 1, SIDE, SIDE)), header=kspace.header.warned("a doubt"))
    placed = stream._placed(image, kspace, 7, SlicePlan(0, 9, 1, 0))
    assert placed.header.warnings == ("odd file", "slice 8 of 9: a doubt")
