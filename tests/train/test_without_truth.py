"""`--loss ssdu` on files of undersampled samples: what is read, drawn, validated, refused; the one loop trains."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import small
import torch
import toy

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.core.state_header import read_metadata
from spinecho.io.write import write
from spinecho.methods.pretrained import open_learned
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples import Options, gather
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.without_truth import LeftOut, WithoutTruth, unpredicted
from spinecho.tasks.recon.methods import cascade, l1_wavelet, modl, varnet
from spinecho.tasks.recon.parts.division import Divided
from spinecho.tasks.recon.parts.left_out import leave_out
from spinecho.tasks.recon.parts.losses import How
from spinecho.tasks.recon.parts.losses.equivariant import Turned
from spinecho.tasks.recon.slices import settled
from spinecho.train.journal import read as read_journal
from spinecho.train.supply import Supply
from spinecho.train.team import Team

TINY = {"channels": (4, 6), "blocks": (1, 1)}
CASCADE = ["--n-cascades", "1", "--n-convs", "2", "--channels", "4", "--cg-iters", "2"]


@cache
def scan(sampling: str, seed: int = 0) -> KSpace:
    made = simulate_phantom(Scan(matrix=(1, 56, 40), n_coils=4, sampling=sampling, fineness=1, snr=40.0, seed=seed))
    return replace(made.kspace, target=None)


def raw(path: Path, sampling: str = "random:2.5:10:1", seed: int = 0) -> Path:
    write(scan(sampling, seed), path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Undersampled scans: MRD, an array, cfl."""
    place = tmp_path / "mine"
    place.mkdir()
    raw(place / "a.mrd.h5")
    np.save(place / "b.npy", scan("random:2.5:10:2", 1).samples[:, 0].numpy())
    raw(place / "c.cfl", "equispaced:3:10", 2)
    return place


def few_lines() -> KSpace:
    """Twelve calibration lines and one more."""
    full = scan("full")
    lines = torch.zeros(56, dtype=torch.bool)
    lines[22:34] = lines[5] = True
    mask = lines.reshape(1, 1, 56, 1)
    return replace(full, mask=mask, samples=full.samples * mask)


def supply(path: Path, method=None, settings: dict | None = None, **options) -> tuple[Supply, list[str]]:
    told: list[str] = []
    chosen = {"validate_every": 0, "validation_examples": 2, "batch": 1, **(settings or {})}
    context = toy.context(told.append, method=method or modl.Method(modl.Config(n_unrolls=1, **TINY)), **chosen)
    return gather([path], Options(**{"loss": "ssdu", "axes": "coil k1 k0", **options}), context), told


def test_undersampled_scans_of_any_format_become_divided_examples(folder):
    made, told = supply(folder)
    assert told[0] == f"{folder}: 3 undersampled raw scans to train"
    assert "these scans learn too: of a single one, see the method zero_shot" in told
    masks = set()
    for step in range(1, 9):
        example = made.train(step, 0)
        assert isinstance(example, Divided) and example.kspace.target is None and example.weighted
        again = made.train(step, 0)
        assert torch.equal(example.left, again.left) and torch.equal(example.kspace.samples, again.kspace.samples)
        assert example.kspace.mask is not None
        masks.add(example.kspace.mask.numpy().tobytes())
    assert len(masks) == 3, "each file is drawn, with the mask that it was measured with"
    assert not torch.equal(made.train(1, 0).left, made.train(1, 1).left)
    other, _ = supply(folder, settings={"seed": 1})
    assert any(not torch.equal(made.train(s, 0).left, other.train(s, 0).left) for s in range(1, 5))


def test_options_reach_the_examples(folder):
    made, _ = supply(folder, loss="equivariant", loss_masks=2, loss_plain=True, equivariance=0.3, loss_share=0.2)
    example = made.train(1, 0)
    assert isinstance(example, Turned) and example.strength == 0.3
    assert len(example.divided.left) == 2 and not example.divided.weighted
    assert made.facts["loss"] == "equivariant" and made.facts["loss_share"] == 0.2 and "frames" not in made.facts


def test_the_command_trains_and_goes_on(folder, tmp_path, capsys):
    out, given = tmp_path / "run", ["train", "recon/cascade", "--data", str(folder), "--loss", "ssdu"]
    given += ["--axes", "coil k1 k0", *CASCADE, *small.QUICK, "--out", str(out)]
    assert main([*given, "--steps", "3"]) == 0
    shown = capsys.readouterr().out
    assert "no truth is looked at" in shown and "% of their signal not predicted (l1_wavelet" in shown
    assert main([*given, "--steps", "4"]) == 0
    assert "goes on after step 3" in capsys.readouterr().out
    lines = read_journal(out / "metrics.jsonl")
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 4] and 0 < lines[0]["unpredicted"] < 2
    assert (out / "pictures" / "step_000002.png").stat().st_size > 500
    assert read_metadata(out / "weights.safetensors")["trained"]["facts"]["loss"] == "ssdu"
    assert open_learned("recon", out / "weights.safetensors").config.n_convs == 2
    assert main([*given, "--steps", "5", "--loss-share", "0.3"]) == 2
    assert "the run there has the facts" in capsys.readouterr().err


def test_a_bundle_carries_undersampled_scans(folder, tmp_path, capsys):
    given = ["train", "recon/cascade", "--data", str(folder), "--loss", "ssdu", "--axes", "coil k1 k0", *CASCADE]
    assert main([*given, *small.QUICK, "--bundle", str(tmp_path / "b")]) == 0
    capsys.readouterr()
    packed, _ = supply(tmp_path / "b" / "pack")
    own, _ = supply(folder)
    for step in range(1, 4):
        one, two = packed.train(step, 0), own.train(step, 0)
        torch.testing.assert_close(one.kspace.samples, two.kspace.samples)
        assert torch.equal(one.left, two.left)


def test_training_lowers_what_is_not_predicted(folder):
    """Twenty steps on three scans; the network begins as plain SENSE."""
    torch.manual_seed(0)
    method = modl.Method(modl.Config(n_unrolls=2, **TINY))
    made, _ = supply(folder, method, {"validate_every": 1})
    assert made.held_out is not None and made.rule is not None
    before = made.held_out.scores(method)
    optimiser = torch.optim.Adam(method.parameters(), 3e-3)
    for step in range(1, 21):
        optimiser.zero_grad()
        made.rule(method, made.train(step, 0)).backward()
        optimiser.step()
    after = made.held_out.scores(method)
    assert after["unpredicted"] < 0.97 * before["unpredicted"]
    assert after["l1_wavelet_unpredicted"] == before["l1_wavelet_unpredicted"]


def test_full_scans_and_images_are_undersampled_first(tmp_path):
    place = tmp_path / "full"
    place.mkdir()
    raw(place / "a.mrd.h5", "full")
    raw(place / "b.mrd.h5", "full", 1)
    made, told = supply(place)
    assert told[0] == f"{place}: 2 raw scans to train" and any(
        "full scans and images are undersampled" in t for t in told
    )
    example = made.train(1, 0)
    assert example.kspace.target is None and 0.1 < float(example.kspace.mask.float().mean()) < 0.7
    small.images(tmp_path / "pictures")
    drawn, _ = supply(tmp_path / "pictures", axes=None)
    assert isinstance(drawn.train(1, 0), Divided)


def test_one_scan_alone(tmp_path):
    made, told = supply(raw(tmp_path / "a.mrd.h5"))
    assert any("zero_shot" in t for t in told) and isinstance(made.train(1, 0), Divided)


def test_slices_of_a_file_are_examples_of_their_own(tmp_path):
    one, two = scan("random:2.5:10:1"), scan("random:2.5:10:2", 1)
    lower = one.geometries[0]
    assert one.mask is not None and two.mask is not None
    both = replace(
        one,
        samples=torch.stack([one.samples, two.samples]),
        mask=torch.stack([one.mask, two.mask]),
        axes=("slice",),
        geometries=(lower, replace(lower, affine=lower.affine + 5 * np.eye(4)[:, [2]] @ np.eye(4)[[3]])),
    )
    write(both, tmp_path / "two.mrd.h5")
    made, _ = supply(tmp_path / "two.mrd.h5")
    examples = [made.train(1, i) for i in range(6)]
    assert all(e.kspace.axes == () for e in examples)
    assert len({e.kspace.mask.numpy().tobytes() for e in examples}) == 2
    joined = Divided.joined(examples)
    assert joined.kspace.axes == ("example",) and joined.left.shape[:2] == (1, 6)


@pytest.mark.parametrize(
    ("sampling", "why"),
    [
        ("radial:24", "lie along a trajectory"),
        ("equispaced:3:0", "no calibration lines"),
        ("", "1 lines outside its calibration block"),
    ],
)
def test_what_is_of_no_use_is_refused_by_name(tmp_path, sampling, why):
    path = tmp_path / "a.mrd.h5"
    write(scan(sampling) if sampling else few_lines(), path)
    with pytest.raises(DataError, match=why) as refused:
        supply(path)
    assert "a.mrd.h5" in str(refused.value)


def test_undersampled_scans_do_not_train_with_a_truth(tmp_path):
    with pytest.raises(DataError, match="needs a full scan"):
        supply(raw(tmp_path / "a.mrd.h5"), loss="supervised")


def test_methods_and_options_that_do_not_go_together(tmp_path, folder):
    e2e = varnet.Method(varnet.Config(form="e2e", n_cascades=1, map_channels=(4, 6), **TINY))
    for method, options, why in (
        (e2e, {}, "makes no complex image"),
        (toy.Method(toy.Config()), {}, "nothing of its complex images"),
        (None, {"acquire": ("radial:0.5", "cartesian")}, "scans on a grid"),
        (None, {"teacher": "varnet"}, "both given"),
        (None, {"loss": "magic"}, "there is no loss 'magic'"),
        (None, {"loss_share": 1.5}, "loss_share"),
    ):
        with pytest.raises(DataError, match=why):
            supply(folder, method, **options)


def test_what_is_computed_again_would_drop_other_features(folder):
    with pytest.raises(DataError, match="would drop other features") as refused:
        supply(folder, None, {"checkpointing": True}, loss="dropout")
    assert "--checkpointing" in refused.value.typed()


def test_unlucky_draws_go_on_and_hopeless_ones_end():
    class Scans:
        def __init__(self, good: int) -> None:
            self.good, self.asked = good, 0

        def scan(self, rng: torch.Generator) -> KSpace:
            self.asked += 1
            kspace = scan("random:2.5:10:1") if self.asked > self.good else few_lines()
            return replace(kspace, target=torch.ones(1, 1, 56, 40))

    lucky = Scans(3)
    assert isinstance(WithoutTruth(Seeded(lucky, 0), 0, "ssdu", How())(1, 0), Divided) and lucky.asked == 4
    with pytest.raises(DataError, match="none of 20 scans in a row can be taken"):
        WithoutTruth(Seeded(Scans(100), 0), 0, "ssdu", How())(1, 0)


def test_what_is_not_predicted_by_its_closed_forms():
    kspace = settled(scan("random:2.5:10:1"))
    folds = leave_out(kspace)

    class Zero(l1_wavelet.Method):
        def forward(self, kspace: KSpace):
            image = super().forward(kspace)
            return replace(image, values=0 * image.values)

    nothing, wavelet = Zero(l1_wavelet.Config()), l1_wavelet.Method(l1_wavelet.Config())
    assert unpredicted(nothing, kspace, folds) == pytest.approx(1, rel=1e-5)
    assert unpredicted(wavelet, kspace, folds) < 0.9
    scores = LeftOut([kspace, kspace], torch.device("cpu"), Team()).scores(nothing)
    assert scores["unpredicted"] == pytest.approx(1, rel=1e-5)
    assert scores["l1_wavelet_unpredicted"] == pytest.approx(unpredicted(wavelet, kspace, folds))


def test_scans_of_which_nothing_can_be_left_out_judge_nothing():
    usual, few = settled(scan("random:2.5:10:1")), settled(few_lines())
    assert leave_out(usual) and not leave_out(few)
    wavelet = l1_wavelet.Method(l1_wavelet.Config())
    groups = ([usual], [usual, few], [few])
    alone, both, none = (LeftOut(s, torch.device("cpu"), Team()).scores(wavelet)["unpredicted"] for s in groups)
    assert both == pytest.approx(alone) and math.isnan(none)


def test_no_validation_where_none_is_wanted(folder):
    assert supply(folder)[0].held_out is None


def test_methods_of_one_coil_learn_too(tmp_path):
    made = simulate_phantom(Scan(matrix=(1, 56, 40), n_coils=1, sampling="random:2.5:10:1", fineness=1)).kspace
    write(replace(made, target=None), tmp_path / "one.mrd.h5")
    method = cascade.Method(cascade.Config(n_cascades=1, n_convs=2, channels=4, consistency="hard"))
    supplied, _ = supply(tmp_path / "one.mrd.h5", method)
    assert supplied.rule is not None
    supplied.rule(method, supplied.train(1, 0)).backward()
