"""What learned denoising is trained on: the drawers by their statistics, thin and complex stacks, held-out sets."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from noisy_heads import head
from scipy import stats

from spinecho.core.errors import DataError
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.denoise import examples
from spinecho.tasks.denoise.examples import drawn, slabs, validation
from spinecho.tasks.denoise.examples.drawn import Drawn
from spinecho.tasks.denoise.examples.slabs import Slabs
from spinecho.tasks.denoise.methods import unet, unet25d
from spinecho.tasks.denoise.parts.patches import Patches
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team

CPU = torch.device("cpu")
STACK = (head((8, 72, 64))[0].numpy() * 0.8).astype(np.float16)
PLACES = (np.arange(8 * 48 * 48).reshape(8, 48, 48) // 384 % len(TISSUES)).astype(np.uint8)
SLABS = unet25d.Method(unet25d.Config(channels=(4,), blocks=(1,), neighbours=1))
PLAIN = unet.Method(unet.Config(channels=(4,), blocks=(1,)))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def context(method, said: list[str] | None = None, **settings) -> Context:
    say = (lambda text: None) if said is None else said.append
    options = Settings(seed=1, **settings)
    return Context(
        method=method,
        task="denoise",
        name="x",
        settings=options,
        device=CPU,
        team=Team(),
        on_broken="stop",
        say=say,
    )


def test_levels_are_even_in_their_logarithm():
    level = torch.cat([Drawn((STACK,), 16, 100, seed=0)(1, i).level for i in range(4)]).log().numpy()
    low, high = (math.log(x) for x in drawn._LEVELS)
    assert stats.kstest(level, stats.uniform(low, high - low).cdf).pvalue > 0.01


def test_patches_are_of_three_kinds_in_their_shares():
    patches = Drawn((STACK,), 16, 600, seed=1)(1, 0)
    is_real = ~patches.noisy.imag.flatten(1).any(1)
    is_magnitude = is_real & (patches.noisy.real.flatten(1).min(1).values >= 0)
    assert float(is_real.float().mean()) == pytest.approx(0.4, abs=0.07)
    assert float(is_magnitude.float().mean()) == pytest.approx(0.25, abs=0.12)
    assert not patches.clean[is_real].imag.any() and float(patches.clean[is_real].real.min()) >= 0


def test_complex_noise_is_white_and_the_same_in_both_parts():
    patches = Drawn((STACK,), 32, 64, seed=2)(1, 0)
    is_complex = patches.noisy.imag.flatten(1).any(1)
    noise = ((patches.noisy - patches.clean) / patches.level[:, None, None])[is_complex]
    assert float(noise.real.std()) == pytest.approx(1, rel=0.02) and float(noise.imag.std()) == pytest.approx(
        1, rel=0.02
    )
    neighbours = (noise[..., 1:] * noise[..., :-1].conj()).mean().abs() / 2
    assert float(neighbours) < 0.02 and float((noise.real * noise.imag).mean().abs()) < 0.02


@pytest.mark.parametrize("kind", [Drawn, lambda s, *rest: Slabs(s, 1, *rest)])
def test_seed_part_step_and_index_all_count(kind):
    draw = kind((STACK,), 16, 4, 1)
    base = draw(1, 0).noisy
    assert torch.equal(kind((STACK.copy(),), 16, 4, 1)(1, 0).noisy, base)
    others = [draw(2, 0), draw(1, 1), replace(draw, seed=2)(1, 0), replace(draw, part="validate")(1, 0)]
    assert not any(torch.equal(other.noisy, base) for other in others)


@pytest.mark.parametrize("shape", [(1, 40, 36), (3, 20, 64), (2, 16, 16), (1, 200, 180)])
@pytest.mark.parametrize("dtype", [np.float16, np.complex64])
def test_stacks_of_any_shape_give_patches_of_one(shape, dtype):
    stack = np.abs(np.random.default_rng(0).normal(size=shape)).clip(0, 1).astype(dtype)
    for draw in (Drawn((stack,), 24, 3, seed=0), Slabs((stack,), 2, 24, 3, seed=0)):
        patches = draw(1, 0)
        assert patches.noisy.shape == (3, 24, 24) and torch.isfinite(torch.view_as_real(patches.noisy)).all()
        assert torch.isfinite(torch.view_as_real(patches.clean)).all() and patches.clean.any()


def test_dark_places_are_looked_past():
    stack = np.zeros((2, 96, 96), np.float16)
    stack[:, 60:, 60:] = 1
    lit = [float(drawn._piece(stack, 40, seeded(i)).abs().mean()) for i in range(60)]
    assert np.mean(np.array(lit) > 0.04) > 0.8


def test_pieces_are_turned_and_mirrored_and_nothing_else():
    piece = torch.arange(16.0).reshape(1, 4, 4).to(torch.complex64).expand(200, 4, 4) / 16
    turned = drawn._turned(piece, seeded()).real
    bright = turned.flatten(1).max(1).values
    assert 0.4 < float(bright.min()) < 0.6 and 1.3 < float(bright.max()) < 1.5
    corners = {int(c) for c in (turned / bright[:, None, None])[:, 0, 0].mul(15).round().unique()}
    assert {0, 3} <= corners, "as it was, mirrored; turned ones keep the first corner"


def test_shading_and_phase_are_smooth():
    field = drawn.shading(200, 32, seeded())
    assert float((field.diff(dim=-1).abs() / field[..., 1:]).max()) < 0.15
    assert 0.3 < float((field.std((1, 2)) < 1e-6).float().mean()) < 0.8 and float(field.min()) > 0
    torch.testing.assert_close(field[:, 16, 16], torch.ones(200), rtol=0.1, atol=0.1)
    phase = drawn._phase(20, 32, seeded())
    assert phase.shape == (20, 32, 32) and float(phase.std((1, 2)).min()) > 0


def test_large_stacks_are_drawn_from_by_the_root_of_their_size():
    stacks = (np.ones((1, 20, 20), np.float16), np.full((9, 20, 20), 0.5, np.float16))
    weights = Slabs(stacks, 1, 16, 1, seed=0)._weights
    assert float(weights[1] / weights[0]) == pytest.approx(3)
    mixed = Slabs((STACK, PLACES, PLACES), 1, 16, 1, seed=0)._weights
    assert float(mixed[1:].sum() / mixed.sum()) == pytest.approx(0.4)
    alone = Slabs((PLACES,), 1, 16, 1, seed=0)._weights
    assert float(alone.sum()) == pytest.approx(8**0.5)


def test_slices_at_the_ends_are_their_own_neighbours():
    stack = np.ones((1, 24, 24), np.float16)
    patches = replace(Slabs((stack,), 2, 24, 20, seed=0), fixed=1e-6)(1, 0)
    assert patches.slab is not None
    torch.testing.assert_close(patches.slab[:, 0], patches.slab[:, 4], rtol=1e-3, atol=1e-3)


def test_some_slabs_are_of_one_slice_alone_noise_and_all():
    patches = Slabs((STACK,), 1, 16, 300, seed=3)(1, 0)
    assert patches.slab is not None
    alone = (patches.slab[:, 0] == patches.slab[:, 1]).flatten(1).all(1)
    assert float(alone.float().mean()) == pytest.approx(0.1, abs=0.05)


def test_gaussian_slabs_have_both_signs_and_told_levels_are_a_little_off():
    dark = np.zeros((4, 32, 32), np.float16)
    dark[:, 16, 16] = 1
    patches = Slabs((dark,), 1, 32, 200, seed=0)(1, 0)
    assert patches.slab is not None and patches.is_rician is not None
    signs = patches.slab.flatten(1).min(1).values < 0
    assert torch.equal(signs, ~patches.is_rician)
    noise = patches.slab[patches.is_rician][:, 1].square().flatten(1).median(1).values / (2 * math.log(2))
    off = (noise.sqrt() / patches.level[patches.is_rician]).log()
    assert float(off.std()) == pytest.approx(0.05, abs=0.02) and abs(float(off.mean())) < 0.02


@pytest.mark.parametrize("factor", [1e-3, 1e-1])
def test_brightness_of_images_is_divided_out(factor):
    stack = STACK.astype(np.float32)
    one, other = (replace(Slabs((s,), 1, 24, 6, seed=2), fixed=0.05)(1, 0) for s in (stack, stack * factor))
    assert one.slab is not None and other.slab is not None
    torch.testing.assert_close(other.slab, one.slab, rtol=1e-2, atol=1e-3)
    assert slabs._bright(np.zeros((2, 4, 4), np.float32)) == pytest.approx(1.0)


def test_rendered_air_is_dark_and_every_slab_has_a_contrast_of_its_own():
    air = list(TISSUES).index("air")
    places = torch.full((3, 24, 24), air, dtype=torch.uint8)
    places[:, 8:16, 8:16] = (air + 1) % len(TISSUES)
    one, other = (slabs._rendered(places, seeded(s)) for s in (0, 1))
    assert not one[:, :7].any() and float(one[:, 9:15, 9:15].min()) > 0
    assert float(one.mean()) != pytest.approx(float(other.mean()), rel=1e-3) and float(one.max()) < 1.3


class Halves(torch.nn.Module):
    """Says that what is noise is the noise times a share."""

    def __init__(self, share: float, takes_slabs: bool, truth: dict[float, Patches]) -> None:
        super().__init__()
        self.share, self.takes_slabs, self.truth = share, takes_slabs, truth

    def estimate(self, patches, level=None):
        assert not self.training
        noisy = patches.noisy.real if self.takes_slabs else patches
        clean = next(p.clean for p in self.truth.values() if p is patches or (level is not None and p.noisy is patches))
        clean = clean.real if self.takes_slabs else clean
        return clean + self.share * (noisy - clean)


@pytest.mark.parametrize(
    ("method", "draw"), [(SLABS, Slabs((STACK,), 1, 32, 8, 0)), (PLAIN, Drawn((STACK,), 32, 8, 0))]
)
def test_held_out_psnr_is_that_of_the_noise_that_is_left(method, draw, tmp_path):
    held_out = validation.held_out(draw, context(method, validate_every=1, validation_examples=2))
    assert held_out is not None
    halves = Halves(0.1, method.takes_slabs, dict(held_out.sets)).train()
    scores = held_out.scores(halves)
    assert halves.training and list(scores) == [f"psnr_{level:g}" for level in validation.LEVELS]
    for level in validation.LEVELS:
        assert scores[f"psnr_{level:g}"] == pytest.approx(
            -20 * math.log10(0.1 * level), abs=2.0 if method.takes_slabs else 0.2
        )
    held_out.picture(halves, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert validation.told(scores).count(" dB at noise ") == len(validation.LEVELS)


def test_held_out_sets_are_the_same_each_time_and_none_where_not_wanted():
    draw = Slabs((STACK,), 1, 16, 2, 0, "validate")
    one, two = (validation.held_out(draw, context(SLABS, validate_every=1, validation_examples=1)) for _ in range(2))
    assert one is not None and two is not None
    assert all(torch.equal(one.sets[k].noisy, two.sets[k].noisy) for k in validation.LEVELS)
    assert validation.held_out(draw, context(SLABS, validate_every=0)) is None


@pytest.mark.parametrize(
    ("method", "draw"), [(SLABS, Slabs((STACK,), 1, 16, 4, 0)), (PLAIN, Drawn((STACK,), 16, 4, 0))]
)
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_score_what_one_scores(method, draw, size):
    """Of two examples each of two processes has one, and of three processes one has none."""
    held: dict[int, list] = {}

    class Recorded(Team):
        def gather(self, items: list) -> list:
            held[self.rank] = items
            if len(held) < size:
                raise InterruptedError("the others have not told yet")
            return [part[i] for i in range(2) for part in held.values() if i < len(part)]

    def scores(team: Team) -> dict[str, float]:
        asked = replace(context(method, validate_every=1, validation_examples=2), team=team)
        held_out = validation.held_out(draw, asked)
        assert held_out is not None
        return held_out.scores(Halves(0.1, method.takes_slabs, dict(held_out.sets)).train())

    alone = scores(Team())
    for rank in range(1, size):
        with pytest.raises(InterruptedError):
            scores(Recorded(rank, size))
    assert scores(Recorded(0, size)) == pytest.approx(alone, rel=1e-6)


def test_complex_patches_have_noise_of_their_own():
    draw = Drawn((STACK,), 16, 4, 0)
    one = validation.held_out(draw, context(PLAIN, validate_every=1, validation_examples=2))
    assert one is not None
    noise = (one.sets[0.1].noisy - one.sets[0.1].clean) / 0.1
    assert not torch.allclose(noise[:4], noise[4:])
    second = replace(context(PLAIN, validate_every=1, validation_examples=2), team=Team(1, 2))
    other = validation.held_out(draw, second)
    assert other is not None and torch.equal(other.sets[0.1].noisy, one.sets[0.1].noisy[4:])


@pytest.fixture
def people(tmp_path) -> Path:
    for i in range(12):
        np.save(tmp_path / f"person{i:02d}.npy", STACK[: 2 + i % 4].astype(np.float32))
    return tmp_path


@pytest.mark.parametrize(("method", "kind"), [(PLAIN, Drawn), (SLABS, Slabs)])
def test_people_are_held_out_and_each_method_gets_its_patches(people, method, kind):
    said: list[str] = []
    supply = examples.gather([people], examples.Options(patch=16, patches=3), context(method, said, validate_every=1))
    assert isinstance(supply.train, kind) and supply.train.number == 3 and supply.train.seed == 1
    assert 8 <= len(supply.train.stacks) < 12
    assert supply.facts == {"patch": 16, "patches": 3} and any("to train" in text for text in said)
    assert any("to validate" in text for text in said) and not any("too few" in text for text in said)


def test_few_people_are_told_and_bad_options_refused(people):
    said: list[str] = []
    examples.gather([people / "person00.npy"], examples.Options(patch=16), context(PLAIN, said, validate_every=1))
    assert any("too few people" in text for text in said)
    for options in (examples.Options(patch=15), examples.Options(patches=0)):
        with pytest.raises(DataError, match="at least 16 pixels and 1 patch"):
            examples.gather([people], options, context(PLAIN))


def label_map(folder: Path, label: int, name: str = "label_maps/labels_01.nii.gz") -> Path:
    file = folder / name
    folder = file.parent
    folder.mkdir(exist_ok=True)
    labels = np.zeros((40, 40, 40), np.int16)
    labels[4:36, 4:36, 4:36] = label
    nib.save(nib.Nifti1Image(labels, np.eye(4)), file)
    return folder


@pytest.mark.parametrize("name", ["label_maps/labels_01.nii.gz", "mine/anybody.nii.gz"])
def test_label_maps_teach_slabs_along_each_axis_and_are_left_out_elsewhere(tmp_path, name):
    folder = label_map(tmp_path, 2, name)
    supply = examples.gather([folder], examples.Options(patch=16, patches=2), context(SLABS))
    assert isinstance(supply.train, Slabs) and [s.dtype for s in supply.train.stacks] == [np.uint8] * 3
    said: list[str] = []
    with pytest.raises(DataError, match="nothing to train on"):
        examples.gather([folder], examples.Options(patch=16), context(PLAIN, said))
    assert any("holds labels, and this method learns from images" in text for text in said)


def test_labels_without_a_tissue_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"labels \[12345\] have no tissue"):
        examples.gather([label_map(tmp_path, 12345)], examples.Options(patch=16), context(SLABS))
