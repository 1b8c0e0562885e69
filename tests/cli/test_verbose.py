"""`--verbose` shows on standard error what the library says to the log; without it nothing of that is seen."""

from __future__ import annotations

import numpy as np
import pytest

from spinecho.cli import main


@pytest.fixture
def scan(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "scan.npy", (rng.standard_normal((2, 32, 32)) + 1).astype(np.complex64))
    command = ["recon", tmp_path / "scan.npy", "--axes", "coil k1 k0", "--method", "zero_filled"]
    return [*map(str, command), "-o", str(tmp_path / "out.npy")]


def test_what_is_done_stands_beside_the_output(scan, capsys):
    assert main(scan) == 0
    plain = capsys.readouterr()
    assert main([*scan, "--verbose"]) == 0
    verbose = capsys.readouterr()
    assert "spinecho." not in plain.err and verbose.out.count("\n") == plain.out.count("\n")
    assert "spinecho.recon: " in verbose.err and "method='zero_filled'" in verbose.err
    assert main(scan) == 0
    assert "spinecho." not in capsys.readouterr().err


def test_it_may_stand_anywhere_and_is_in_the_overview(scan, capsys):
    assert main(["--verbose", *scan]) == 0
    assert "spinecho.write: " in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "spinecho COMMAND --verbose" in capsys.readouterr().out
