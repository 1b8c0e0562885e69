"""Learned methods with trained weights: found by name or path, checked, loaded once a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.method import Method
from spinecho.core.state import load_state
from spinecho.core.state_header import header_of, metadata_of, read_metadata
from spinecho.methods import registry
from spinecho.methods.card import check_card

ANY = "*"
"""In `Method.leans_on`: all weights of that task."""
_ENTRIES = {"method", "config", "card", "trained"}
"""What the metadata of weights hold: name of the method, all fields of its Config, limits, and how they were made."""
_LATER = {"task"}
"""What older files lack: there the method's name alone says which task it is of."""


def built(task: str, method: str, settings: Mapping[str, Any], device: torch.device | str = "cpu") -> Method:
    """The method with its settings; a learned one with its trained weights, on the device.

    Parameters
    ----------
    method
        Name of a method of that task, or of its weights in the package.
    settings
        Fields of its `Config`; a learned method takes `weights` besides, the path of a file (by default those in the
        package), and only lets `Method.tunable` differ from what the weights were trained with.

    Raises
    ------
    DataError
        For an unknown name or setting; it lists the known ones. For a learned method without weights.
    """
    offer = registry.offer(task, method)
    module = registry.load(task, offer.method)
    fields = module.Config.__dataclass_fields__
    allowed = {*fields, "weights"} if offer.learned else {*fields}
    if unknown := set(settings) - allowed:
        known = ", ".join(fields) or "none"
        raise DataError(f"{method} has no setting {', '.join(sorted(unknown))}", do=f"it has {known}")
    _check_choices(method, module.Config, settings)
    if not offer.learned:
        return module.Method(module.Config(**settings))
    file = settings.get("weights") or offer.trained()
    check_owner(task, offer.method, file)
    return load_learned(task, file, {k: v for k, v in settings.items() if k != "weights"}, device)


def check_owner(task: str, method: str, file: str | Path) -> None:
    """Refuse weights of another method (DataError)."""
    if (trained := method_of(task, file)) != method:
        do = f"use the method {trained}, or other weights"
        raise DataError(f"they are weights of the method {trained}, {method} was asked for", do=do, file=file)


def refusal(task: str, method: str, *inputs: Any) -> str | None:
    """Why a method cannot take these inputs, or cannot be run at all, as one sentence; None if it can."""
    offer = registry.offer(task, method)
    if not offer.is_ready:
        return offer.missing
    return registry.load(task, offer.method).Method.refusal(*inputs)


def _check_choices(method: str, config: type, settings: Mapping[str, Any]) -> None:
    """Of settings that are one of several words, and of numbers that are words."""
    for name, hint in get_type_hints(config).items():
        if hint in (int, float) and isinstance(settings.get(name), str):
            raise DataError(f"the {name} of {method} is {settings[name]!r}", do="give a number")
        number, counts = settings.get(name), name.startswith("n_") or name.endswith("_iters")
        if counts and isinstance(number, int) and number < 0:
            raise DataError(f"the {name} of {method} is {number}", do="give 0 or more")
        if hint is bool and isinstance(settings.get(name), str):
            raise DataError(f"the {name} of {method} is {settings[name]!r}", do="give True or False")
        if name in settings and get_origin(hint) is Literal and settings[name] not in get_args(hint):
            known = ", ".join(str(word) for word in get_args(hint))
            raise DataError(f"{method} has no {name} {settings[name]!r}", do=f"known are {known}")


def load_learned(
    task: str,
    name_or_path: str | Path,
    settings: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> Method:
    """A learned method with its trained weights, ready to run; loaded once a process: never train or move it.

    Parameters
    ----------
    name_or_path
        Name of the task's weights in the package (`varnet_fast`), or a .safetensors file.
    settings
        Fields of the method's `Config`; those outside `Method.tunable` must be what the weights were trained with.

    Raises
    ------
    DataError
        If there are no such weights, their file is damaged, they do not fit the method, or a setting cannot be set.
    """
    path = weights_file(task, name_or_path)
    status = path.stat()
    chosen = tuple(sorted((name, _tuples(value)) for name, value in (settings or {}).items()))
    return _ready(task, path.resolve(), (status.st_mtime_ns, status.st_size), chosen, torch.device(device))


def open_learned(task: str, path: str | Path, settings: Mapping[str, Any] | None = None) -> Method:
    """A learned method with weights from a file, as a module of the caller's own, to be trained further or moved.

    Raises
    ------
    DataError
        As `load_learned`.
    """
    path = weights_file(task, path)
    tensors, metadata = load_state(path)
    trained = _config(task, metadata, path)
    method = registry.load(task, metadata["method"]).Method
    config = _with_settings(trained, method.tunable, settings or {}, path.stem)
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):  # the first, random weights disturb nobody
        try:
            runner = method(config)
        except (TypeError, ValueError, LookupError, RuntimeError) as error:
            raise _no_network(error, path) from None
        _fill(runner, tensors, path)
    runner.card, runner.weights = metadata["card"], path.stem
    return runner.eval()


def weights_file(task: str, name_or_path: str | Path) -> Path:
    """The file behind a name or a path.

    Raises
    ------
    DataError
        If there is none; it lists the names.
    """
    names = registry.weights_names(task)
    if str(name_or_path) in names:
        return registry.WEIGHTS / task / f"{name_or_path}.safetensors"
    path = Path(name_or_path)
    if path.is_file():
        return path
    do = f"give a .safetensors file; in the package are {', '.join(names) or 'none'}"
    raise DataError("there are no such weights", do=do, file=path)


def method_of(task: str, path: str | Path) -> str:
    """Name of the method whose weights a file holds."""
    return _checked(task, read_metadata(weights_file(task, path)), path)["method"]


def trained_config(task: str, path: str | Path) -> Any:
    """The `Config` that weights were trained with."""
    return _config(task, read_metadata(weights_file(task, path)), path)


def identity(task: str, path: str | Path) -> str:
    """sha256 that stands in a weights file: what must be the same for results to be the same."""
    path = weights_file(task, path)
    return metadata_of(header_of(path), path)[1]


def weights_used(task: str, method: str, settings: Mapping[str, Any]) -> list[Path]:
    """The weights files on which the result of a method depends: its own or the file given in their place, those that
    it leans on, those given by another setting.

    A method that takes any of its task (`auto`) says so by `Method.leans_on`.
    """
    own = [(task, method)] if method in registry.weights_names(task) else []
    leans_on = registry.load(task, method).Method.leans_on if method in registry.names(task) else ()
    file = settings.get("weights")
    files = {weights_file(task, file): None} if file else {}
    files |= {
        weights_file(t, name): None
        for t, wanted in (leans_on if file else (*own, *leans_on))
        for name in registry.weights_names(t)
        if wanted in (name, ANY)
    }
    given = [
        Path(v)
        for k, v in settings.items()
        if k != "weights" and str(v).endswith(".safetensors") and Path(str(v)).is_file()
    ]
    return [*files, *given]


@lru_cache(maxsize=8)
def _ready(task: str, path: Path, version: tuple[int, int], chosen: tuple[Any, ...], device: torch.device) -> Method:
    """`version` is the file's time and size: changed weights are loaded anew."""
    runner = open_learned(task, path, dict(chosen))
    with torch.inference_mode(False):
        return runner.requires_grad_(False).to(device)


def _with_settings(trained: Any, tunable: tuple[str, ...], settings: Mapping[str, Any], label: str) -> Any:
    known = [f.name for f in fields(trained)]
    settable = ", ".join(tunable) or "none"
    if unknown := sorted(set(settings) - set(known)):
        raise DataError(f"{label} has no setting {', '.join(unknown)}", do=f"it has {', '.join(known)}")
    if fixed := sorted(n for n, v in settings.items() if n not in tunable and v != getattr(trained, n)):
        trained_values = ", ".join(f"{n}={getattr(trained, n)!r}" for n in fixed)
        do = f"leave it out, or train your own weights; what can be set is {settable}"
        raise DataError(f"{label} was trained with {trained_values}, which cannot be changed afterwards", do=do)
    return replace(trained, **settings)


def _checked(task: str, metadata: Mapping[str, Any], path: str | Path) -> Mapping[str, Any]:
    if set(metadata) - _LATER != _ENTRIES:
        entries = ", ".join(sorted(metadata)) or "nothing"
        raise DataError(
            f"its metadata hold {entries}; weights hold {', '.join(sorted(_ENTRIES))}",
            do="give weights, not a checkpoint of another kind",
            file=path,
        )
    name = str(metadata["method"])
    owners = [metadata["task"]] if "task" in metadata else [t for t, n in registry.learned() if n == name]
    if (task, name) not in registry.learned() or task not in owners:
        if owners:
            problem = f"they are weights of {owners[0]}/{name}, but weights are needed for {task}"
            raise DataError(problem, do=f"use spinecho {owners[0]}, or other weights", file=path)
        learned = ", ".join(n for t, n in registry.learned() if t == task) or "none"
        do = f"learned methods here are {learned}; newer weights need a newer spinecho"
        raise DataError(f"they are weights of the method {name!r}, which is not a learned method", do=do, file=path)
    if not isinstance(metadata["card"], dict) or not isinstance(metadata["config"], dict):
        raise DataError("its card or config is no dictionary", do="write it with save_state", file=path)
    try:
        check_card(metadata["card"], registry.task_named(task).limits())
    except DataError as error:
        raise error.within(path) from None
    return metadata


def _config(task: str, metadata: Mapping[str, Any], path: str | Path) -> Any:
    """The Config in the metadata: every field that shapes the network, and no unknown one; lists become tuples.

    What may be changed at use (`tunable`) may be missing in older weights, and has its default.
    """
    name, stored = _checked(task, metadata, path)["method"], metadata["config"]
    module = registry.load(task, name)
    kind, known = module.Config, {f.name for f in fields(module.Config)}
    unknown, absent = sorted(set(stored) - known), sorted(known - set(stored) - set(module.Method.tunable))
    if unknown or absent:
        told = [
            f"{what} are {', '.join(names)}" for what, names in (("unknown", unknown), ("missing", absent)) if names
        ]
        do = "use the version of spinecho that made them, or train them again"
        raise DataError(f"its settings do not fit {name}: {'; '.join(told)}", do=do, file=path)
    try:
        return kind(**{key: _tuples(value) for key, value in stored.items()})
    except (TypeError, ValueError) as error:
        raise _no_network(error, path) from None


def _no_network(error: Exception, path: str | Path) -> DataError:
    told = str(error).partition("\n")[0]
    do = "use the version of spinecho that made them, or train them again"
    return DataError(f"no network can be built from its settings: {told}", do=do, file=path)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def without_judges(method: type[Method] | Method, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are used once training is over."""
    return {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] not in method.judges}


def _fill(runner: Method, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Put the weights in; every name, shape and kind of number must be right, and every value finite.

    Judges (`Method.judges`) of which the file knows nothing stay as they are.
    """
    wanted = runner.state_dict()
    if len(without_judges(runner, tensors)) == len(tensors):
        wanted = without_judges(runner, wanted)
    do = "they belong to another version of the method: train them again, or use that version"
    for words, names in (("misses", wanted.keys() - tensors.keys()), ("has unknown", tensors.keys() - wanted.keys())):
        if names:
            listed = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise DataError(f"it {words} weights: {listed}", do=do, file=path)
    for name, tensor in sorted(tensors.items()):
        have, want = (tuple(tensor.shape), tensor.dtype), (tuple(wanted[name].shape), wanted[name].dtype)
        if have != want:
            raise DataError(
                f"{name} has shape {have[0]} ({have[1]}), wanted is {want[0]} ({want[1]})", do=do, file=path
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DataError(f"{name} has values that are not numbers", do="train again; this run diverged", file=path)
    runner.load_state_dict(tensors, strict=False)  # names are checked above
