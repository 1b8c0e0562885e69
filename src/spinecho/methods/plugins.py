"""Methods in other packages: entry points of the group `spinecho.methods`, "task/name" = "package.module"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from spinecho.core.errors import DataError

GROUP = "spinecho.methods"


@dataclass(frozen=True)
class Plugin:
    """A method in another package.

    Parameters
    ----------
    task, name
        What it is called by.
    module
        The module with its `Config` and `Method`.
    file
        That module's source.
    package
        The installed package that offers it; empty: it was named by hand.
    """

    task: str
    name: str
    module: str
    file: Path
    package: str = ""

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.task}/{self.name} of {self.package or self.module}"

    @property
    def weights(self) -> Path | None:
        """Trained weights that lie beside the module under its name; None without any."""
        beside = self.file.with_suffix(".safetensors")
        return beside if beside.is_file() else None


_BY_HAND: list[Plugin] = []


def add(plugin: Plugin) -> None:
    """Offer a method that no entry point names yet, in this process."""
    _BY_HAND.append(plugin)


def offered() -> tuple[tuple[Plugin, ...], tuple[str, ...]]:
    """The methods that packages offer, sorted, and a sentence for each that cannot be used."""
    usable, told = _installed()
    return (*usable, *_BY_HAND), told


@cache
def _installed() -> tuple[tuple[Plugin, ...], tuple[str, ...]]:
    usable: list[Plugin] = []
    told: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        package = point.dist.name if point.dist is not None else ""
        task, _, name = point.name.partition("/")
        if not (task.isidentifier() and name.isidentifier()):
            told.append(f"{point.name} of {package}: its entry point shall be called task/name")
            continue
        try:
            usable.append(Plugin(task, name, point.value, source_of(point.value), package))
        except DataError as error:
            told.append(f"{point.name} of {package}: {error.found}")
    return tuple(usable), tuple(told)


def source_of(module: str) -> Path:
    """The file of a module, which is not imported for it (the packages around it are).

    Raises
    ------
    DataError
        If there is no such module, or no file of Python behind it.
    """
    try:
        spec = find_spec(module)
    except Exception as error:  # whatever the packages around it do when they are imported
        raise DataError(f"the module {module} cannot be found ({error})", do="install its package again") from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise DataError(f"there is no module {module} with a source file", do="check the entry point's value")
    return Path(spec.origin)


def sources(plugin: Plugin) -> list[Path]:
    """All that may decide what it does: its weights and its file, or where that lies in a package, all files there."""
    folder = plugin.file.parent
    code = sorted(folder.rglob("*.py")) if (folder / "__init__.py").is_file() else [plugin.file]
    return [*code, *([plugin.weights] if plugin.weights else [])]
