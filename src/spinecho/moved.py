"""Modules that have moved: importing one by its old name gives the new one, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "spinecho.methods.reconstruct": "spinecho.tasks.recon.run",
    "spinecho.methods.align": "spinecho.tasks.register.run",
    "spinecho.methods.change": "spinecho.tasks.register.change",
    "spinecho.methods.groupwise": "spinecho.tasks.register.cohort.groupwise",
    "spinecho.methods.uncertainty": "spinecho.tasks.register.uncertainty",
    "spinecho.methods.stream": "spinecho.tasks.recon.stream",
    "spinecho.evaluate.report": "spinecho.tasks.recon.judge.report",
    "spinecho.evaluate.register_report": "spinecho.tasks.register.judge.report",
    "spinecho.evaluate.overlap": "spinecho.metrics.overlap",
    "spinecho.evaluate.surface": "spinecho.metrics.surface",
    "spinecho.evaluate.folding": "spinecho.metrics.folding",
    "spinecho.evaluate.warp_error": "spinecho.metrics.warp_error",
    "spinecho.evaluate.similarity": "spinecho.metrics.similarity",
}
"""Old name -> new name, of the modules that the documentation named."""


class Moved(MetaPathFinder, Loader):
    """Asked last, so that it costs nothing where a module is found in its place."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of an old name only."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module in its new place."""
        new = MOVED[spec.name]
        told = f"{spec.name} has moved to {new}; the old name will go with version 0.3"
        warnings.warn(told, DeprecationWarning, stacklevel=2)  # the import machinery is not counted
        module = import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already; its own spec comes back."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state
