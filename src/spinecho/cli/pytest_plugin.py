"""`pytest --spinecho-method package.module`: the contract checks of a method in another package, as tests."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.getgroup("spinecho").addoption(
        "--spinecho-method",
        action="append",
        default=[],
        metavar="PACKAGE.MODULE",
        help="check that a method keeps to what every method of spinecho keeps to (may be given several times)",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """One test for each method and check."""
    for module in config.getoption("--spinecho-method") or []:
        items.extend(_items(session, module))


def _items(session: pytest.Session, module: str) -> list[pytest.Item]:
    from spinecho.core.errors import DataError
    from spinecho.methods import contract, registry

    try:
        plugin = registry.named_by_hand(import_module(module))
        checks = contract.checks(plugin.task, plugin.name)
    except (DataError, ImportError) as error:
        raise pytest.UsageError(f"--spinecho-method {module}: {error}") from error
    label = f"{plugin.task}/{plugin.name}"
    return [
        Check.from_parent(session, name=f"{label}[{name}]", check=check, method=(plugin.task, plugin.name))
        for name, check in checks.items()
    ]


class Check(pytest.Item):
    """One check of one method."""

    def __init__(self, *, check: Callable[[str, str], None], method: tuple[str, str], **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.check, self.method = check, method

    def runtest(self) -> None:
        """Make it; skipped where a program that the method needs is not installed."""
        from spinecho.methods.contract import NotHere

        try:
            self.check(*self.method)
        except NotHere as error:
            pytest.skip(str(error))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The sentence of a broken promise; anything else with where it happened."""
        if isinstance(excinfo.value, AssertionError):
            return f"{self.check.__doc__}\n{excinfo.value}"
        return str(excinfo.getrepr(style="short"))

    def reportinfo(self) -> tuple[Path, None, str]:
        """What it is called."""
        return self.path, None, self.name
