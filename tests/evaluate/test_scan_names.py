"""Where scans to evaluate come from: what they are called."""

from __future__ import annotations

import numpy as np

from spinecho.io.options import ReadOptions
from spinecho.tasks.recon.judge.sources import sources


def test_scans_of_one_name_are_told_apart(tmp_path):
    """Rows are kept by the scan's name: two subjects' kspace.npy must not become one."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "kspace.npy", np.ones((8, 8), np.complex64))
    np.save(tmp_path / "other.npy", np.ones((8, 8), np.complex64))
    paths = [str(tmp_path / p) for p in ("a/kspace.npy", "b/kspace.npy", "other.npy")]
    assert [s.name for s in sources(paths, ReadOptions())] == ["a/kspace.npy", "b/kspace.npy", "other.npy"]
