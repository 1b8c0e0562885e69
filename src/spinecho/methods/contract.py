"""What every method keeps to, ours or another package's: checks that raise AssertionError with what is broken.

`tests/contracts/test_every_method.py` makes them of ours, `pytest --spinecho-method package.module` of anybody's.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from spinecho.core.errors import DataError
from spinecho.core.method import Method
from spinecho.core.state import load_state, save_state
from spinecho.methods import registry
from spinecho.methods.pretrained import built, open_learned

_MISSING = ("needs the package", "cannot be run:")


class NotHere(Exception):
    """A check that cannot be made, since a program that the method needs is not installed."""


def fresh(task: str, name: str) -> Method:
    """A method with its defaults; a learned one with its first, random weights."""
    module = registry.load(task, name)
    torch.manual_seed(0)
    return module.Method(module.Config())


def parts(task: str, name: str) -> None:
    """Its file has a source, a frozen Config whose fields are explained, and a final Method of the task's base."""
    module, base = registry.load(task, name), registry.task_named(task).base()
    text = inspect.getsource(module)
    assert module.Method.__mro__[1] is base, f"Method shall be a subclass of {base.__name__} itself, of nothing between"
    assert dataclasses.is_dataclass(module.Config), "Config is no dataclass"
    kept: Any = getattr(module.Config, "__dataclass_params__", None)
    assert kept.frozen, "Config is not frozen"
    assert re.search(r"Sources?: ", module.__doc__ or ""), "the docstring names no source: write 'Source: ...'"
    assert registry.summary(task, name).endswith("."), "the docstring's first line is no sentence"
    for field in dataclasses.fields(module.Config):
        assert re.search(rf'\n    {field.name}: .*\n    """\S', text), f"{field.name} of Config has no docstring"
    assert module.Method.learned == registry.is_learned(task, name), (
        "learned must stand in the class as `learned = True`"
    )
    fields = {f.name for f in dataclasses.fields(module.Config)}
    assert set(module.Method.tunable) <= fields, "tunable names what is no field of Config"
    method = fresh(task, name)
    assert method.config == type(method.config)(), "config is not what it was given"
    assert bool(list(method.parameters())) == module.Method.learned, "a learned method has weights, any other has none"


def words(task: str, name: str) -> None:
    """Unknown settings, and unknown words for settings that are one of several, are refused by name."""
    _refused("has no setting nonsense", task, name, {"nonsense": 1})
    config = registry.load(task, registry.offer(task, name).method).Config
    for field, hint in get_type_hints(config).items():
        if get_origin(hint) is Literal:
            told = f"has no {field} 'nonsense' -> known are {get_args(hint)[0]}"
            _refused(told, task, name, {field: "nonsense"})


def _refused(wanted: str, task: str, name: str, settings: Mapping[str, Any]) -> None:
    try:
        built(task, name, settings)
    except DataError as error:
        assert wanted in str(error), f"{settings} is refused by {str(error)!r}"
    else:
        raise AssertionError(f"{settings} is not refused")


def refusals(task: str, name: str) -> None:
    """What it cannot take it says in a sentence."""
    for scene, inputs in scenes(task).items():
        reason = runner(task, name).refusal(*inputs)
        is_sentence = reason is None or (len(reason.split()) > 4 and not reason.endswith("."))
        assert is_sentence, f"of the scene {scene} it says {reason!r}: a sentence without a full stop is wanted"


def repeats(task: str, name: str) -> None:
    """The same input again gives the same, whatever the global random numbers, and inputs stay as they were."""
    scene, first = result(task, name)
    inputs = scenes(task)[scene]
    held = [t for i in inputs for t in ([i] if isinstance(i, torch.Tensor) else vars(i).values())]
    tensors = [t for t in held if isinstance(t, torch.Tensor)]
    before = [t.clone() for t in tensors]
    torch.manual_seed(123)
    with torch.inference_mode():
        again = runner(task, name)(*inputs)
    off = registry.task_named(task).same(first, again)
    assert off == 0, f"the same input twice gives results that differ by {off:.2g}"
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True)), "an input was changed"


def weights(task: str, name: str) -> None:
    """Its weights go into a file and come back; another task refuses them."""
    method = fresh(task, name)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.01 * torch.randn_like(p))
    config = dataclasses.asdict(method.config)
    told = {"task": task, "method": name, "config": config, "card": {}, "trained": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_state(path, method.state_dict(), told)
        again = open_learned(task, path)
        for key, value in method.state_dict().items():
            assert torch.equal(again.state_dict()[key], value), f"{key} comes back changed"
        assert again.config == method.config, "its Config comes back changed"
        other = next(t for t in registry.tasks() if t != task)
        _other_task(f"weights of {task}/{name}", other, path)
        save_state(path, load_state(path)[0], {k: v for k, v in told.items() if k != "task"})
        owners = {t for t, n in registry.learned() if n == name}
        assert open_learned(task, path).config == method.config, "files from before tasks had folders"
        if owners == {task}:
            _other_task(f"weights of {task}/{name}", other, path)


def _other_task(wanted: str, other: str, path: Path) -> None:
    try:
        open_learned(other, path)
    except DataError as error:
        assert wanted in str(error), f"{other} refuses its weights by {str(error)!r}"
    else:
        raise AssertionError(f"{other} takes its weights")


def training(task: str, name: str) -> None:
    """A few steps lower its loss, which is one number in float32."""
    method, lesson = fresh(task, name), registry.task_named(task).lesson()
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    losses: list[float] = []
    for _ in range(6):
        torch.manual_seed(0)
        optimiser.zero_grad()
        loss = method.loss(lesson)
        assert loss.shape == () and loss.dtype == torch.float32, f"the loss is {tuple(loss.shape)}, {loss.dtype}"
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert min(losses[1:]) < losses[0], f"steps do not lower the loss: {losses}"


def checks(task: str, name: str) -> dict[str, Callable[[str, str], None]]:
    """Those that hold for this method, by their names."""
    is_learned, is_ready = registry.is_learned(task, name), registry.offer(task, name).is_ready
    chosen: list[Callable[[str, str], None]] = [parts]
    chosen += [words] * is_ready + [refusals, repeats] + [weights, training] * is_learned
    return {check.__name__: check for check in chosen}


@cache
def scenes(task: str) -> dict[str, tuple[Any, ...]]:
    """Tiny inputs of the task."""
    return registry.task_named(task).scenes()


@cache
def runner(task: str, name: str) -> Method:
    """The method with its trained weights, or where it has none yet, with random ones."""
    return built(task, name, {}) if registry.offer(task, name).is_ready else fresh(task, name).eval()


@cache
def result(task: str, name: str) -> tuple[str, Any]:
    """The first scene that a method takes, and what it makes of it.

    Raises
    ------
    NotHere
        Where its program is not installed.
    """
    reasons: dict[str, str | None] = {}
    for scene, inputs in scenes(task).items():
        if reasons.setdefault(scene, runner(task, name).refusal(*inputs)) is None:
            try:
                with torch.inference_mode():
                    return scene, runner(task, name)(*inputs)
            except DataError as error:
                if any(part in str(error) for part in _MISSING):
                    raise NotHere(str(error)) from error
                raise
    raise AssertionError(f"it takes none of the scenes: {reasons}")
