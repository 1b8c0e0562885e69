"""The list of slow tests: each one is there, and they are left out of `make test`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import SLOW

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("test", sorted(SLOW))
def test_each_is_there(test):
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name.partition('[')[0]}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_none_runs_where_slow_ones_are_left_out(request):
    if "not slow" not in request.config.option.markexpr:
        pytest.skip("all were asked for")
    assert not [item.nodeid for item in request.session.items if item.nodeid in SLOW]
