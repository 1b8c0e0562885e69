"""What every method of every task keeps to: its file, its settings, its inputs, its weights, its training."""

from __future__ import annotations

import dataclasses
import re
from functools import cache
from inspect import signature
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.method import Method
from spinecho.core.state import load_state, save_state
from spinecho.methods import registry
from spinecho.methods.card import check_card
from spinecho.methods.pretrained import built, open_learned

EVERY = [(task, name) for task in registry.tasks() for name in registry.names(task)]
OFFERED = [(task, offer.name) for task in registry.tasks() for offer in registry.offers(task) if offer.is_ready]
LEARNED = registry.learned()
MISSING = ("needs the package", "cannot be run:")
every = pytest.mark.parametrize(("task", "name"), EVERY, ids=lambda v: v)
offered = pytest.mark.parametrize(("task", "name"), OFFERED, ids=lambda v: v)
learned = pytest.mark.parametrize(("task", "name"), LEARNED, ids=lambda v: v)


@cache
def scenes(task: str) -> dict[str, tuple[Any, ...]]:
    return registry.task_named(task).scenes()


@cache
def runner(task: str, name: str) -> Method:
    return built(task, name, {})


@cache
def result(task: str, name: str) -> tuple[str, Any]:
    """The first scene that a method takes, and what it makes of it; skipped where its program is not installed."""
    refusals = {}
    for scene, inputs in scenes(task).items():
        if refusals.setdefault(scene, runner(task, name).refusal(*inputs)) is None:
            try:
                with torch.inference_mode():
                    return scene, runner(task, name)(*inputs)
            except DataError as error:
                if any(words in str(error) for words in MISSING):
                    pytest.skip(str(error))
                raise
    raise AssertionError(f"it takes none of the scenes: {refusals}")


@pytest.mark.parametrize("task", registry.tasks())
def test_a_task_says_what_it_is(task):
    module = registry.task_named(task)
    assert module.WHAT and module.DEFAULT in registry.names(task) and issubclass(module.base(), Method)
    assert (module.__doc__ or "").partition("\n")[0].endswith(".") and scenes(task)
    check_card({}, module.limits())
    assert signature(getattr(spinecho, task)).parameters["method"].default == module.DEFAULT


@every
def test_a_file_has_its_parts(task, name):
    module = registry.load(task, name)
    base = registry.task_named(task).base()
    assert module.Method.__mro__[1] is base, "abstract or final: methods never subclass each other"
    assert dataclasses.is_dataclass(module.Config) and module.Config.__dataclass_params__.frozen
    assert re.search(r"Sources?: ", module.__doc__) and registry.summary(task, name).endswith(".")
    text = (registry.TASKS / task / "methods" / f"{name}.py").read_text()
    for field in dataclasses.fields(module.Config):
        assert re.search(rf'\n    {field.name}: .*\n    """\S', text), f"{field.name} has no docstring"
    assert module.Method.learned == registry.is_learned(task, name)
    assert set(module.Method.tunable) <= {f.name for f in dataclasses.fields(module.Config)}
    method = module.Method(module.Config())
    assert method.config == module.Config() and bool(list(method.parameters())) == module.Method.learned


@offered
def test_unknown_settings_and_words_are_refused(task, name):
    with pytest.raises(DataError, match="has no setting nonsense"):
        built(task, name, {"nonsense": 1})
    config = registry.load(task, registry.offer(task, name).method).Config
    for field, hint in get_type_hints(config).items():
        if get_origin(hint) is Literal:
            with pytest.raises(DataError, match=f"has no {field} 'nonsense' -> known are {get_args(hint)[0]}"):
                built(task, name, {field: "nonsense"})


@offered
def test_what_it_refuses_it_says_in_a_sentence(task, name):
    for inputs in scenes(task).values():
        reason = runner(task, name).refusal(*inputs)
        assert reason is None or (len(reason.split()) > 4 and not reason.endswith("."))


@offered
def test_the_same_again_is_the_same_and_inputs_stay(task, name):
    scene, first = result(task, name)
    inputs = scenes(task)[scene]
    tensors = [t for i in inputs for t in ([i] if isinstance(i, torch.Tensor) else vars(i).values())]
    tensors = [t for t in tensors if isinstance(t, torch.Tensor)]
    before = [t.clone() for t in tensors]
    torch.manual_seed(123)
    with torch.inference_mode():
        again = runner(task, name)(*inputs)
    assert registry.task_named(task).same(first, again) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


@learned
def test_without_weights_it_says_how_they_are_trained(task, name):
    if registry.offer(task, name).weights is None:
        with pytest.raises(DataError, match=rf"no trained weights.*spinecho train {task}/{name}"):
            built(task, name, {})


@learned
def test_weights_go_out_and_come_back(task, name, tmp_path):
    method = fresh(task, name)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.01 * torch.randn_like(p))
    path = tmp_path / "weights.safetensors"
    config = dataclasses.asdict(method.config)
    save_state(
        path,
        method.state_dict(),
        metadata := {"task": task, "method": name, "config": config, "card": {}, "trained": {}},
    )
    again = open_learned(task, path)
    assert all(torch.equal(again.state_dict()[k], v) for k, v in method.state_dict().items())
    assert again.config == method.config
    other = next(t for t in registry.tasks() if t != task)
    with pytest.raises(DataError, match=f"weights of {task}/{name}"):
        open_learned(other, path)
    save_state(path, load_state(path)[0], {k: v for k, v in metadata.items() if k != "task"})
    owners = {t for t, n in LEARNED if n == name}
    assert open_learned(task, path).config == method.config, "files from before tasks had folders"
    if owners == {task}:
        with pytest.raises(DataError, match=f"weights of {task}/{name}"):
            open_learned(other, path)


@learned
def test_steps_of_training_lower_the_loss(task, name):
    method, lesson = fresh(task, name), registry.task_named(task).lesson()
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        torch.manual_seed(0)
        optimiser.zero_grad()
        loss = method.loss(lesson)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert loss.shape == () and loss.dtype == torch.float32
    assert min(losses[1:]) < losses[0], losses


def fresh(task: str, name: str) -> Method:
    """With its first, random weights."""
    module = registry.load(task, name)
    torch.manual_seed(0)
    return module.Method(module.Config())
