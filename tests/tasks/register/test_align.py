"""From two images to the transform: what happens when a method runs out of memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from heads import head

from spinecho.core.errors import DataError
from spinecho.tasks.register import run as align
from spinecho.tasks.register.base import Register
from spinecho.tasks.register.methods import affine, hybrid, voxelmorph


class _Hungry(Register):
    """Fails as told, with a method's settings."""

    def __init__(self, config: Any, error: Exception, method: Any = Register) -> None:
        super().__init__(config)
        self.error, self.method = error, method

    def coarser(self, factor: int) -> dict[str, Any]:
        return self.method.coarser(self, factor)

    def stages(self, fixed: Any, moving: Any) -> Any:
        raise self.error


TORCH = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
)


@pytest.mark.parametrize("error", [MemoryError(), TORCH, RuntimeError("CUDA out of memory. Tried to allocate")])
@pytest.mark.parametrize(
    ("config", "do"),
    [
        ((hybrid, {}), "voxels=375000"),
        ((hybrid, {"voxels": 2000}), "voxels=1000"),
        ((affine, {}), "finest_mm=4.8"),
        ((voxelmorph, {}), "coarser grid"),
    ],
)
def test_out_of_memory_names_the_setting_that_needs_less(error, config, do, monkeypatch):
    module, settings = config
    monkeypatch.setattr(align, "build", lambda *_: _Hungry(module.Config(**settings), error, module.Method))
    with pytest.raises(DataError, match="there is not enough memory for this") as told:
        align.run(head(), head(), "this")
    assert do in told.value.do
    assert "slices" not in told.value.do


def test_other_failures_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(align, "build", lambda *_: _Hungry(SimpleNamespace(), RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        align.run(head(), head(), "this")
