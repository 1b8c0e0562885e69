"""One step is what it should be: schedule, average, accumulation, clipping, the same samples however they are drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.examples.validation import Validation, held_out
from spinecho.tasks.recon.examples.validation import told as validation_told
from spinecho.train.buckets import grouped
from spinecho.train.draw import generator
from spinecho.train.ema import Average
from spinecho.train.gradient import compile_networks, wrapped
from spinecho.train.journal import read
from spinecho.train.loop import train
from spinecho.train.prefetch import batches
from spinecho.train.schedule import ema_decay, rate
from spinecho.train.settings import Settings
from spinecho.train.team import Team


@given(st.integers(1, 500), st.floats(0, 0.5), st.floats(0, 0.5))
@settings(max_examples=60, deadline=None)
def test_rate_rises_holds_and_falls(n, warmup, decay):
    s = Settings(steps=n, warmup=warmup, decay=decay, rate=0.01)
    rates = [rate(step, s) for step in range(1, n + 1)]
    assert all(0 < r <= 0.01 for r in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    hold = range(math.ceil(warmup * n) + 1, n - math.ceil(decay * n))
    assert all(rates[step - 1] == 0.01 for step in hold)


def test_average_is_its_formula():
    model = torch.nn.Linear(3, 2)
    average, expected = Average(model), {k: p.detach().clone() for k, p in model.named_parameters()}
    for step in range(1, 40):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(1.0)
        d = ema_decay(step, Settings(ema=0.9))
        assert d == min(0.9, (1 + step) / (10 + step))
        average.update(model, d)
        for name, p in model.named_parameters():
            expected[name] = d * expected[name] + (1 - d) * p.detach()
    for name, value in average.values.items():
        torch.testing.assert_close(value, expected[name])
    own = model.weight.detach().clone()
    with average.within(model):
        torch.testing.assert_close(model.weight.detach(), expected["weight"])
    assert torch.equal(model.weight, own)


def gradient_of(run, step: int = 1) -> tuple[float, list[torch.Tensor]]:
    take, draw = wrapped(run.method, run.settings, Team()), toy.draw()
    places = range(run.settings.batch)
    loss = take(step, list(grouped(places, [draw(step, i) for i in places])))
    return loss, [p.grad.clone() for p in run.method.parameters()]


def test_accumulated_gradient_is_that_of_the_mean_loss(tmp_path):
    run = toy.run(tmp_path, batch=4)
    loss, found = gradient_of(run)
    run.method.zero_grad()
    draw = toy.draw()
    mean = torch.stack([run.method.loss(draw(1, i)) for i in range(4)]).mean()
    mean.backward()
    assert loss == pytest.approx(mean.item(), rel=1e-6)
    for grad, p in zip(found, run.method.parameters(), strict=True):
        torch.testing.assert_close(grad, torch.zeros_like(p) if p.grad is None else p.grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_steps_follow_adam_with_clipping(momentum, tmp_path):
    run = toy.run(tmp_path, steps=3, clip=0.5, weight_decay=0.1, momentum=momentum)
    twin = toy.run(tmp_path / "twin", steps=3, clip=0.5, weight_decay=0.1)
    norms = [step.grad_norm for step in train(run, toy.draw())]
    optimiser = torch.optim.AdamW(twin.method.parameters(), betas=(momentum, 0.999), weight_decay=0.1)
    for step in range(1, 4):
        optimiser.param_groups[0]["lr"] = rate(step, twin.settings)
        optimiser.zero_grad()
        gradient_of(twin, step)
        norm = torch.nn.utils.clip_grad_norm_(twin.method.parameters(), 0.5)
        assert float(norm) == norms[step - 1]
        optimiser.step()
    for a, b in zip(run.method.parameters(), twin.method.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_same_scans_with_any_number_of_workers():
    found = [
        [[g.example.samples for g in groups] for groups in batches(toy.draw(), range(3, 6), (0, 2), workers)]
        for workers in (0, 1, 2)
    ]
    for other in found[1:]:
        assert all(torch.equal(a, b) for x, y in zip(found[0], other, strict=True) for a, b in zip(x, y, strict=True))


def test_scans_depend_on_seed_part_step_and_index_alone():
    places = [(0, "train", 1, 0), (1, "train", 1, 0), (0, "validate", 1, 0), (0, "train", 2, 0), (0, "train", 1, 1)]
    first = [float(torch.rand(1, generator=generator(*place))) for place in places]
    assert len(set(first)) == len(places)
    torch.manual_seed(5)
    again = toy.draw(0)(1, 0)
    torch.manual_seed(6)
    assert torch.equal(again.samples, toy.draw(0)(1, 0).samples)


def test_a_worker_hands_on_what_it_is_refused():
    def refuse(step, index):
        raise DataError("it is broken", do="mend it", file="brain.h5")

    for workers in (0, 1):
        with pytest.raises(DataError, match=r"brain\.h5: it is broken -> mend it"):
            list(batches(refuse, range(1, 3), (0,), workers))


def test_a_scan_without_truth_is_refused():
    with pytest.raises(DataError, match="without a truth"):
        ready(replace(toy.draw()(1, 0), target=None))


def test_the_target_keeps_the_scale_of_the_samples():
    kspace = toy.Phantoms().scan(generator(0))
    small = replace(kspace, samples=kspace.samples * 1e-8, target=kspace.target * 1e-8, noise_cov=None)
    big = replace(kspace, noise_cov=None)
    torch.testing.assert_close(ready(small).target, ready(big).target)
    assert float(ready(small).samples.abs().max()) == pytest.approx(1)


class Unstable(toy.Method):
    """Its loss is not finite for a while."""

    calls = 0
    bad = range(0)

    def loss(self, kspace):
        type(self).calls += 1
        return super().loss(kspace) * (float("nan") if self.calls in self.bad else 1)


@pytest.mark.parametrize(("bad", "ends"), [(range(3, 5), False), (range(3, 200), True)])
def test_steps_without_a_finite_gradient_are_left_out_and_end_a_run(tmp_path, bad, ends):
    run = toy.run(tmp_path, steps=40, batch=1)
    Unstable.calls, Unstable.bad = 0, bad
    torch.manual_seed(0)
    object.__setattr__(run, "method", Unstable(toy.Config()))
    if ends:
        with pytest.raises(DataError, match="21 steps up to step 23 had no finite gradient"):
            list(train(run, toy.draw()))
    else:
        assert len(list(train(run, toy.draw()))) == 40
    assert all(torch.isfinite(p).all() for p in run.method.parameters())


def test_validation_scores_the_average_and_leaves_pictures(tmp_path):
    run = toy.run(tmp_path, steps=4, validate_every=2, validation_examples=2)
    validation = held_out(toy.Phantoms(), run.settings, torch.device("cpu"), Team())
    assert isinstance(validation, Validation)
    found = [step.scores for step in train(run, toy.draw(), validation)]
    assert [bool(s) for s in found] == [False, True, False, True]
    assert set(found[1]) == {
        f"{z}{m}" for z in ("", "zero_filled_") for m in ("psnr_inside", "ssim_inside", "psnr", "ssim", "nmse")
    }
    assert validation_told(found[1]).startswith("psnr inside ") and "zero-filled" in validation_told(found[1])
    assert [line["step"] for line in read(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3, 4]
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert names == ["step_000000.png", "step_000002.png", "step_000004.png"]
    assert (tmp_path / "pictures" / names[0]).read_bytes().startswith(b"\x89PNG")
    assert run.method.training
    assert held_out(toy.Phantoms(), replace(run.settings, validate_every=0), torch.device("cpu"), Team()) is None


def test_half_precision_stays_near_and_checkpointing_must_exist(tmp_path):
    whole, half = (gradient_of(toy.run(tmp_path, precision=p))[0] for p in ("float32", "bfloat16"))
    assert half == pytest.approx(whole, rel=0.02) and half != whole
    with pytest.raises(DataError, match="no activation checkpointing"):
        gradient_of(toy.run(tmp_path, checkpointing=True))


def test_checkpointing_changes_no_gradient():
    from spinecho.nets.unet import UNet

    torch.manual_seed(0)
    network = UNet(2, 2, (4, 4), (1, 1))
    torch.nn.init.normal_(network.leave.weight)
    x = torch.randn(1, 2, 16, 16)
    found = []
    for network.checkpointing in (False, True):
        network.zero_grad()
        entered = []
        hook = network.enter.register_forward_hook(lambda *_, entered=entered: entered.append(1))
        network(x).square().sum().backward()
        hook.remove()
        found.append([p.grad.clone() for p in network.parameters()])
        assert len(entered) == 1 + network.checkpointing  # again in the backward pass
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch's own compiler uses it
def test_only_networks_are_compiled():
    from spinecho.nets.unet import UNet

    class Physics(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.inner = UNet(2, 2, (4, 4), (1, 1)), torch.nn.ModuleList([UNet(2, 2, (4, 4), (1, 1))])

    module = Physics()
    before = list(module.state_dict())
    assert compile_networks(module) == 2
    assert list(module.state_dict()) == before


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"rate": 0.0}, "rate is 0"),
        ({"warmup": 0.7, "decay": 0.5}, "sum is at most 1"),
        ({"ema": 1.0}, "ema is 1"),
        ({"momentum": 1.0}, "momentum is 1"),
        ({"momentum": -0.1}, "momentum is -0.1"),
        ({"clip": -1.0}, "below 0"),
    ],
)
def test_wrong_settings_are_told(wrong, told):
    with pytest.raises(DataError, match=told):
        Settings(**wrong)
