"""Learning on the spot: what is learned from, when it stops, and that it is never worse by its own check."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import drawn
import pytest
import torch

from spinecho import recon
from spinecho.calib.csm import estimate_csm
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.core.state import save_state
from spinecho.methods.pretrained import built, open_learned, weights_used
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge import case
from spinecho.tasks.recon.methods import hqs_net, modl, varnet, zero_shot
from spinecho.tasks.recon.methods._candidates import Candidates
from spinecho.tasks.recon.methods._trained_further import Mean
from spinecho.tasks.recon.parts.division import centred, divide, outer_of
from spinecho.tasks.recon.parts.left_out import fold_without
from spinecho.tasks.recon.run import refusal

LESSONS = {"budget_min": 0.0, "steps": 4, "every": 2, "masks": 2, "patience": 9}
QUICK = {**LESSONS, "alone": True}
NETWORKS = {
    "hqs_net": (hqs_net, {"n_steps": 2, "early": 1, "start_iters": 3}),
    "varnet": (varnet, {"n_cascades": 1, "start_iters": 3}),
    "modl": (modl, {"n_unrolls": 1}),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    """Small networks with weights that are no use yet, and a card."""
    folder, files = tmp_path_factory.mktemp("weights"), {}
    for name, (module, settings) in NETWORKS.items():
        torch.manual_seed(0)
        method = module.Method(module.Config(**settings, **drawn.SIZES))
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in method.parameters():
                if p.ndim == 4:
                    p.copy_(0.1 * torch.randn(p.shape, generator=rng) / p[0].numel() ** 0.5)
        card = {"matrix": [96, 320]} if name == "varnet" else {}
        facts = {"task": "recon", "method": name, "config": asdict(method.config), "card": card, "trained": {}}
        files[name] = folder / f"{name}_tiny.safetensors"
        save_state(files[name], method.state_dict(), facts)
    return files


def scan(n_coils: int = 4, sampling: str = "random:2:10:1", seed: int = 0, **settings) -> KSpace:
    how = {"matrix": (1, 64, 40), "snr": 50.0, "fineness": 1, **settings}
    return simulate_phantom(Scan(n_coils=n_coils, sampling=sampling, seed=seed, **how)).kspace


def told(image) -> str:
    return next(step for step in image.header.history if step.startswith("zero_shot"))


@pytest.mark.parametrize("name", ["hqs_net", "varnet"])
def test_it_learns_and_the_same_steps_give_the_same_image(weights, name):
    kspace, start = scan(), str(weights[name])
    assert int(outer_of(kspace).sum()) >= 16
    image = recon(kspace, "zero_shot", start=start, rate=3e-3, **QUICK)
    assert " steps from " in told(image) and "all steps done" in told(image), told(image)
    before = recon(kspace, name, weights=start)
    assert not torch.equal(image.values, before.values)
    if name == "varnet":  # the cheaper one
        again = recon(kspace, "zero_shot", start=start, rate=3e-3, **QUICK)
        assert torch.equal(image.values, again.values) and told(image) == told(again)
        other = recon(kspace, "zero_shot", start=start, rate=3e-3, seed=1, **QUICK)
        assert not torch.equal(image.values, other.values)


@pytest.mark.parametrize("rate", [30.0, 1e-12])
def test_it_falls_back_where_no_step_predicts_better(weights, rate, monkeypatch):
    """Steps that ruin the weights; steps that change too little to count are no gain either."""
    missed = zero_shot.Learning.missed
    monkeypatch.setattr(zero_shot.Learning, "missed", lambda self: round(missed(self), 6))
    kspace, start = scan(), str(weights["hqs_net"])
    image = recon(kspace, "zero_shot", start=start, rate=rate, **QUICK)
    assert "steps predicted held-out lines better" in told(image) and "the image is that of" in told(image)
    assert torch.equal(image.values, recon(kspace, "hqs_net", weights=start).values)


def test_it_stops_when_nothing_is_gained_any_more(weights):
    few = {**QUICK, "steps": 50, "every": 1, "patience": 3}
    image = recon(scan(), "zero_shot", start=str(weights["hqs_net"]), rate=30.0, **few)
    assert "none of 3 steps" in told(image)


def test_a_budget_ends_it_after_the_step_that_fills_it(weights):
    image = recon(scan(), "zero_shot", start=str(weights["hqs_net"]), **{**QUICK, "budget_min": 1e-9})
    assert " 1 step" in told(image) or " 1 of 1 steps" in told(image) or "none of 1 steps" in told(image)


def test_too_few_lines_are_no_lesson(weights):
    kspace, start = scan(sampling="equispaced:3:24"), str(weights["hqs_net"])
    image = recon(kspace, "zero_shot", start=start, **QUICK)
    assert "too few to learn from (16)" in told(image)
    assert torch.equal(image.values, recon(kspace, "hqs_net", weights=start).values)


def apart(image, other) -> float:
    """How far, relative to the other's size."""
    size = torch.linalg.vector_norm(other.values)
    return float(torch.linalg.vector_norm(image.values - other.values) / size)


@pytest.mark.parametrize("lesson", ["none", "useless"])
def test_without_a_lesson_the_image_is_that_of_checked(weights, lesson):
    start, rate = str(weights["hqs_net"]), 30.0
    kspace = scan(sampling="equispaced:3:24") if lesson == "none" else scan()
    image = recon(kspace, "zero_shot", start=start, rate=rate, **LESSONS)
    assert "the image is that of checked" in told(image)
    assert apart(image, recon(kspace, "checked", hqs_net=start)) < 1e-3


@pytest.mark.parametrize("name", ["hqs_net", "varnet"])
def test_the_mean_moves_towards_the_trained_network_as_far_as_held_out_lines_say(weights, name):
    """It predicts them no worse than without the network; varnet's card does not take this scan."""
    kspace = prepared(scan())
    start, csm = str(weights[name]), estimate_csm(kspace)
    mean = Mean.of(kspace, csm, start, exact=True)
    network = open_learned("recon", start)
    kept = divide(kspace, 0.2, 1, torch.Generator().manual_seed(0))
    fold = fold_without(kspace, kept.left[0])
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(0.5)
        x, share = mean.moved(network, fold)
        assert 0 <= share <= 1 and torch.isfinite(x).all()
        seen = Candidates(fold.kspace, csm, mean.tools.hurried(kspace))
        ends = mean._ends(seen, network)  # pyright: ignore[reportPrivateUsage]

        def missed(at: float) -> float:
            return float(fold.errors(torch.lerp(*ends, at), csm).abs().square().sum())

        assert missed(share) <= 1.0001 * min(missed(at / 20) for at in range(21))
        assert not torch.equal(*ends)
        same, _ = mean.moved(open_learned("recon", start), fold)
    if name == "hqs_net":  # nothing new was learned
        torch.testing.assert_close(same, mean.image(), rtol=0, atol=1e-4 * float(same.abs().max()))


def test_it_says_how_far_the_mean_moved(weights):
    image = recon(scan(), "zero_shot", start=str(weights["hqs_net"]), rate=3e-3, **LESSONS)
    assert re.search(r"; the mean of checked moved by \d+ % towards the one with this network$", told(image))


def learning(weights, kspace: KSpace) -> zero_shot.Learning:
    """As the method makes it."""
    network, csm = open_learned("recon", weights["hqs_net"]).requires_grad_(True), estimate_csm(kspace)
    rng, config = torch.Generator().manual_seed(0), zero_shot.Config(**QUICK, exact=True)
    kept = divide(kspace, config.held_out, 1, rng)
    rest = kept.seen(0)
    lessons = divide(rest, config.share, config.masks, rng)
    views = [zero_shot.View.of(network, lessons.seen(i), csm) for i in range(config.masks)]
    look = zero_shot.View.of(network, rest, csm)
    return zero_shot.Learning(network, config, csm, lessons, views, kept, look)


def prepared(kspace: KSpace) -> KSpace:
    from spinecho.calib.prepare import prepare

    return centred(replace(prepare(kspace)[0], target=None))


def test_three_parts_are_disjoint_and_cover_the_scan(weights):
    kspace = prepared(scan())
    made = learning(weights, kspace)
    assert kspace.mask is not None
    held = made.kept.left[0] & kspace.mask
    for i in range(2):
        seen, compared = made.views[i].kspace.mask, made.lessons.left[i] & kspace.mask
        assert seen is not None and held.any() and compared.any()
        assert not (held & compared).any() and not (held & seen).any() and not (seen & compared).any()
        assert torch.equal(held | compared | seen, kspace.mask)
        assert not made.views[i].kspace.samples[(held | compared).expand(kspace.samples.shape)].any()


def test_nothing_is_learned_from_held_out_lines(weights):
    kspace = prepared(scan())
    first = learning(weights, kspace)
    other = replace(kspace, samples=kspace.samples * torch.where(first.kept.left[0], -2.0, 1.0))
    second = learning(weights, other)
    assert first.before != second.before
    for one in (first, second):
        optimiser = torch.optim.SGD(one.parameters, 1e-3)
        for _ in range(2):
            one.advance(optimiser)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters, second.parameters, strict=True))


def test_the_best_weights_are_kept(weights, monkeypatch):
    made = learning(weights, prepared(scan()))
    made.config = replace(made.config, rate=1e-3, average=0.0, every=1, steps=5)
    errors, seen = iter([0.9, 0.5, 0.7, 0.6, 0.8]), []
    made.before = made.least = 1.0

    def missed() -> float:
        seen.append([p.detach().clone() for p in made.parameters])
        return next(errors)

    monkeypatch.setattr(made, "missed", missed)
    made.follow(zero_shot.Clock(float("inf"), zero_shot.Parts(lambda done, total: None, 1)))
    assert made.best_step == 2 and made.least == 0.5
    assert all(torch.equal(a, b) for a, b in zip(made.parameters, seen[1], strict=True))
    assert "after 2 of 5 steps" in made.told("all steps done")


def test_the_average_is_that_of_the_last_steps(weights):
    made = learning(weights, prepared(scan()))
    made.config = replace(made.config, average=0.5)
    optimiser, after = torch.optim.SGD(made.parameters, 1e-2), []
    for _ in range(3):
        made.advance(optimiser)
        after.append(made.parameters[0].detach().clone())
    expected = 0.5 * (0.5 * after[0] + 0.5 * after[1]) + 0.5 * after[2]
    torch.testing.assert_close(made.mean[0], expected)


def test_it_tells_how_far_it_is(weights):
    heard = []
    recon(scan(), "zero_shot", tell=lambda *at: heard.append(at), start=str(weights["hqs_net"]), **QUICK)
    assert heard[-1] == (100, 100) and len(set(heard)) >= 4 and heard == sorted(heard)
    said = len(heard)
    recon(scan(), "zero_filled", tell=lambda *at: heard.append(at))
    assert len(heard) == said


def test_slices_learn_for_themselves(weights):
    one, two = (replace(scan(seed=s), target=None, noise_cov=None) for s in (0, 1))
    assert one.mask is not None
    moved = one.geometries[0].affine.copy()
    moved[:3, 3] += 10 * one.geometries[0].directions[:, 2]
    both = replace(
        one,
        samples=torch.stack([one.samples, two.samples]),
        axes=("slice",),
        geometries=(one.geometries[0], replace(one.geometries[0], affine=moved)),
    )
    start = {"start": str(weights["hqs_net"]), **QUICK}
    heard: list[tuple[int, int]] = []
    image = recon(both, "zero_shot", tell=lambda *at: heard.append(at), **start)
    assert heard == sorted(heard) and heard[-1] == (200, 200), "one bar for both, which never goes back"
    assert image.values.shape[0] == 2 and image.extras["csm"].shape[0] == 2
    apart = [recon(k, "zero_shot", **start).values for k in (one, two)]
    for i in range(2):
        error = torch.linalg.vector_norm(image.values[i] - apart[i]) / torch.linalg.vector_norm(apart[i])
        assert float(error) < 0.02
    assert any(step.startswith("slice 2: zero_shot") for step in image.header.history)


def test_a_volume_is_learned_from_slice_by_slice(weights):
    kspace = scan(sampling="equispaced:2:14", matrix=(3, 64, 40), fov_mm=(30.0, 240.0, 240.0))
    heard: list[tuple[int, int]] = []
    settings = {"start": str(weights["varnet"]), **QUICK, "steps": 1}
    image = recon(kspace, "zero_shot", tell=lambda *at: heard.append(at), **settings)
    assert heard == sorted(heard) and heard[-1] == (300, 300)
    assert image.values.shape[-3:] == (3, 64, 40)
    steps = [step for step in image.header.history if "zero_shot" in step]
    assert [step[:12] for step in steps] == ["partition 1:", "partition 2:", "partition 3:"]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_changes_nothing(weights, scale):
    kspace = replace(scan(), noise_cov=None, target=None)
    start = {"start": str(weights["hqs_net"]), "exact": True, **QUICK}
    one, other = (recon(replace(kspace, samples=kspace.samples * s), "zero_shot", **start).values for s in (1.0, scale))
    torch.testing.assert_close(other / scale, one, rtol=0, atol=1e-3 * float(one.abs().max()))


def test_one_coil_has_no_maps_to_learn(weights):
    assert "zero_shot" in told(recon(scan(1, "random:2:10:1"), "zero_shot", start=str(weights["hqs_net"]), **QUICK))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"sampling": "radial:24"}, "along a trajectory"),
        ({"sampling": "kt-random:2.5:8:1", "n_frames": 4}, "4 of the axis time"),
        ({"sampling": "equispaced:3:0"}, "no calibration lines"),
    ],
)
def test_what_it_cannot_take_it_says(settings, why):
    assert why in (refusal("zero_shot", scan(**settings)) or "")


def test_weights_of_another_method_and_settings_out_of_range(weights):
    with pytest.raises(DataError, match="weights of another method"):
        recon(scan(), "zero_shot", start=str(weights["modl"]), **QUICK)
    with pytest.raises(DataError, match="no such weights"):
        recon(scan(), "zero_shot", start="nonsense")
    for wrong in ({"steps": 0}, {"share": 1.0}, {"budget_min": -1.0}, {"rate": 0.0}, {"average": 1.0}):
        with pytest.raises(DataError):
            built("recon", "zero_shot", wrong)


def test_a_scan_outside_the_card_of_its_weights_is_warned_of(weights):
    image = recon(scan(), "zero_shot", start=str(weights["varnet"]), **QUICK)
    assert any("outside the card of" in w and "matrix 64 x 40" in w for w in image.header.warnings)
    assert not recon(scan(), "zero_shot", start=str(weights["hqs_net"]), **QUICK).header.warnings


def test_all_weights_that_its_image_depends_on_are_named():
    """By them kept results are known to be old: the mean of checked takes more than the network that learns."""
    used = {(path.parent.name, path.stem) for path in weights_used("recon", "zero_shot", {})}
    assert {("recon", "hqs_net"), ("recon", "varnet"), ("denoise", "unet")} <= used


def test_who_asks_for_all_methods_does_not_wait_for_it(monkeypatch):
    monkeypatch.setattr(case.registry, "names", lambda task: ["zero_filled", "zero_shot"])
    monkeypatch.setattr(case.registry, "weights_names", lambda task: [])
    complete = list(case.run_all(scan(), "a"))[-1]
    assert [result.method for result in complete.results] == ["zero_filled"]
    assert "learns for minutes" in complete.refused["zero_shot"]
