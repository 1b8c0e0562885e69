"""Every method of every task works on a device that is not the processor: watched everywhere, compared on a GPU."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
import torch
from elsewhere import THERE, Elsewhere, Mixed, is_there, moved

from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.methods.pretrained import built
from spinecho.ops import nufft

OFFERED = [(task, offer.name) for task in registry.tasks() for offer in registry.offers(task) if offer.is_ready]
offered = pytest.mark.parametrize(("task", "name"), OFFERED, ids=lambda v: v)
learned = pytest.mark.parametrize(("task", "name"), registry.learned(), ids=lambda v: v)
MISSING = ("needs the package", "cannot be run:")
ITERATIVE, DIRECT = 1e-3, 1e-5
"""Largest relative difference between two devices: rounding adds up over iterations"""


@cache
def scenes(task: str) -> dict[str, tuple[Any, ...]]:
    return registry.task_named(task).scenes()


@cache
def taken(task: str, name: str) -> list[tuple[Any, ...]]:
    """The scenes that a method takes; of registration, which takes seconds, the first; of auto, which hands them on to
    others of these methods, one for each of those."""
    method = built(task, name, {})
    all_taken = [inputs for inputs in scenes(task).values() if method.refusal(*inputs) is None]
    if name == "auto" and hasattr(method, "choice"):
        return list({method.choice(*inputs): inputs for inputs in all_taken}.values())
    return all_taken[:1] if task == "register" else all_taken


def run(task: str, name: str, device: torch.device | str) -> list[Any]:
    """What a method makes of its scenes on a device; skipped where its program is not installed."""
    method = moved(deepcopy(built(task, name, {}))) if device == THERE else built(task, name, {}, device)
    try:
        with torch.inference_mode():
            return [method(*(i.to(device) for i in inputs)) for inputs in taken(task, name)]
    except DataError as error:
        if any(words in str(error) for words in MISSING):
            pytest.skip(str(error))
        raise


def tolerance(task: str, name: str) -> float:
    """Methods with iterations, networks and registrations may differ more."""
    offer = registry.offer(task, name)
    config = registry.load(task, offer.method).Config
    repeats = any("iter" in f.name for f in fields(config))
    return ITERATIVE if repeats or offer.learned or task == "register" or name == "auto" else DIRECT


@offered
def test_no_tensor_is_left_on_the_processor(task, name, monkeypatch):
    monkeypatch.setattr(nufft, "engine_device", lambda device: torch.device("cpu"))  # as without cufinufft
    taken(task, name)
    with Elsewhere():
        run(task, name, THERE)


@learned
def test_no_tensor_of_a_loss_is_left_on_the_processor(task, name, monkeypatch):
    monkeypatch.setattr(nufft, "engine_device", lambda device: torch.device("cpu"))
    module = registry.load(task, name)
    method, lesson = module.Method(module.Config()), registry.task_named(task).lesson()
    with Elsewhere():
        loss = moved(method).loss(lesson.to(THERE))
        assert is_there(loss)


@pytest.mark.gpu
@offered
def test_the_same_on_the_gpu(task, name):
    same = registry.task_named(task).same
    for on_cpu, on_gpu in zip(run(task, name, "cpu"), run(task, name, "cuda"), strict=True):
        assert same(on_gpu.to("cpu"), on_cpu) < tolerance(task, name)


@pytest.mark.gpu
@learned
def test_the_same_loss_and_gradient_on_the_gpu(task, name):
    module, lesson = registry.load(task, name), registry.task_named(task).lesson()
    told = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        method = module.Method(module.Config()).to(device)
        torch.manual_seed(0)
        loss = method.loss(lesson.to(device))
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])
        told.append((loss.detach().cpu(), gradient.cpu()))
    torch.testing.assert_close(told[0][0], told[1][0], rtol=ITERATIVE, atol=0)
    assert (told[0][1] - told[1][1]).norm() < 10 * ITERATIVE * told[0][1].norm()


def test_direct_methods_are_held_to_more():
    assert {n for t, n in OFFERED if tolerance(t, n) == DIRECT} >= {"zero_filled", "grappa", "wavelet"}
    assert {n for t, n in OFFERED if tolerance(t, n) == ITERATIVE} >= {"cg_sense", "varnet", "hybrid"}


FAULTS = {
    "here and there": lambda x: x + torch.ones(3),
    "numpy looks": lambda x: x.numpy(),
    "random numbers": lambda x: torch.randn(3, generator=torch.Generator(), device=x.device),
    "a table": lambda x: torch.stack([x, torch.arange(3.0)]),
}
FINE = {
    "made there": lambda x: x + torch.ones(3, device=x.device),
    "a number": lambda x: x * torch.tensor(2.0),
    "brought back": lambda x: x.cpu() + torch.ones(3),
    "new_ones": lambda x: x + x.new_ones(3),
    "moved": lambda x: x + torch.ones(3).to(x.device) + torch.ones(3).to(x),
    "an index": lambda x: x[torch.arange(2)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_watch_sees(fault):
    with Elsewhere(), pytest.raises(Mixed):
        FAULTS[fault](torch.arange(3.0).to(THERE))


@pytest.mark.parametrize("fine", FINE)
def test_the_watch_lets_pass(fine):
    with Elsewhere():
        FINE[fine](torch.arange(3.0).to(THERE))
