"""A device that is not there: tensors on it live on the processor, and what a GPU would refuse is refused.

Within `Elsewhere()` a tensor is marked when it is moved or made there (`device=THERE`, `x.to(THERE)`, anything computed
of marked ones). Tensors made without a word about the device are the processor's; where the two meet, where numpy looks
at a marked one, or where the processor's random numbers shall fill one, CUDA would stop, and `Mixed` is raised.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

THERE = torch.device("cpu", 0)
"""Not equal to torch.device("cpu"), which is what tensors of the processor say"""
_MAY_MIX = {"__getitem__", "__setitem__", "copy_", "to", "type_as", "set_", "index_put_", "__set__"}
_MAY_MIX |= {"_has_compatible_shallow_copy_type"}  # asked by Module.to
_LOOKS = {"numpy", "__array__", "from_numpy"}


_WHERE, _HELD = Tensor.device.__get__, Tensor.data.__set__  # type: ignore[attr-defined]


class Mixed(Exception):
    """Two devices in one operation."""


class Elsewhere(TorchFunctionMode):
    """Within it, tensors are marked and watched."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        there = [t for t in tensors if is_there(t)]
        if func == _WHERE:
            return THERE if there else torch.device("cpu")
        if there and name in _LOOKS:
            raise Mixed(f"{name} of a tensor that is elsewhere")
        if there and name not in _MAY_MIX and any(t.dim() > 0 and not is_there(t) for t in tensors):
            raise Mixed(f"{name} of tensors here and elsewhere: {[(tuple(t.shape), is_there(t)) for t in tensors]}")
        wanted = _device(func, name, args, kwargs)
        lands = bool(there) if wanted is None else wanted == THERE
        if name in ("cpu", "tolist", "item"):
            lands = False
        if lands and isinstance(kwargs.get("generator"), torch.Generator):
            raise Mixed(f"{name} elsewhere with random numbers of the processor")
        result = func(*args, **kwargs)
        if name in ("to", "cpu", "contiguous") and result is args[0] and lands != is_there(result):
            result = result.clone() if not isinstance(result, torch.nn.Parameter) else result.detach().clone()
        if func == _HELD:  # Module.to
            args[0]._is_there = is_there(args[1])
        elif name not in ("copy_", "__setitem__"):
            for tensor in tree_leaves(result):
                if isinstance(tensor, Tensor):
                    tensor._is_there = lands  # type: ignore[attr-defined]
        return result


def is_there(tensor: Tensor) -> bool:
    """Whether a tensor is marked."""
    return getattr(tensor, "_is_there", False)


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module with its parameters and buffers marked."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor._is_there = True  # type: ignore[attr-defined]
    return module


def _device(func: Any, name: str, args: tuple, kwargs: dict) -> torch.device | None:
    """Where the result is said to lie; None: nothing is said."""
    said = kwargs.get("device")
    if said is None and name == "to":
        said = next((a for a in args[1:] if _is_device(a)), None)
        if said is None and len(args) > 1 and isinstance(args[1], Tensor):
            return THERE if is_there(args[1]) else torch.device("cpu")
    if said is None:
        return None
    return torch.device(said)


def _is_device(value: Any) -> bool:
    return isinstance(value, torch.device) or (isinstance(value, str) and value in ("cpu", "cpu:0"))
