"""Shapes checked at run time, one thread, one seed, which tests are slow, and the folder with the real data."""

from __future__ import annotations

import gc
from pathlib import Path

import typecheck

typecheck.install()

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("house", deadline=None)  # how busy a machine is says nothing of an equation
settings.load_profile("house")

SLOW = {line for line in (Path(__file__).parent / "slow.txt").read_text().splitlines() if not line.startswith("#")}
"""Tests that carry the marker `slow` because of what they take here, not of what they are."""
_DEFAULT_SHARED = Path(__file__).parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shared", type=Path, default=_DEFAULT_SHARED, help="folder that holds data/ with the real scans")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    gc.freeze()  # torch's objects and ten thousand tests stay until the end: no collection need walk over them


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device is usable here (torch.cuda.is_available() is False)")


@pytest.fixture(autouse=True)
def _alike() -> None:
    # tensors this small cost several times as much in two, and far more beside other load; a command may set others
    torch.set_num_threads(1)
    torch.manual_seed(0)  # what a test draws must not hang on the tests before it


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder with the real data; tests that ask for it are skipped where it is absent."""
    folder = request.config.getoption("--shared") / "data"
    if not folder.is_dir():
        pytest.skip(f"real data absent: {folder} (give it with --shared PATH)")
    return folder


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(20261121)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    n = sum("real data absent" in str(r.longrepr) for r in skipped)
    if n:
        terminalreporter.write_line(f"{n} tests on the real data were skipped: the folder is absent (--shared PATH)")
