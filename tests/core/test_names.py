"""Files of one name are told apart by as many of their folders as that takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spinecho.core.names import told_apart


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["/s/a/1.dcm", "/s/b/2.dcm"], ["1.dcm", "2.dcm"]),
        (["/s/a/0.dcm", "/s/b/0.dcm"], ["a/0.dcm", "b/0.dcm"]),
        (["/s/a/x/0.dcm", "/s/b/x/0.dcm", "/s/b/x/1.dcm"], ["a/x/0.dcm", "b/x/0.dcm", "1.dcm"]),
        (["0.dcm", "x/0.dcm"], ["0.dcm", "x/0.dcm"]),
        (["/s/0.dcm", "/s/0.dcm"], ["0.dcm", "0.dcm"]),
        (["/s/a/0.dcm", "/s/a/0.dcm", "/s/b/0.dcm"], ["a/0.dcm", "a/0.dcm", "b/0.dcm"]),
        (["/s/a.nii"], ["a.nii"]),
        ([], []),
    ],
)
def test_names(paths: list[str], said: list[str]) -> None:
    assert told_apart([Path(p) for p in paths]) == said
