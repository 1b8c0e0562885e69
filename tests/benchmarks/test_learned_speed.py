"""The speed benchmark of learned methods: turns, medians, ratios, and the clock on our parts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.learned_side import Watched, scan
from benchmarks.learned_speed import COLUMNS, PEER, Side, _version, in_turns, medians, rows, verdict
from benchmarks.worker import converse, measured

from spinecho.methods import registry
from spinecho.tasks.recon import run as reconstruct

ROOT = Path(__file__).parents[2]


class Fake(Side):
    """Answers from a list."""

    def __init__(self, seconds: list[float], log: list[str], name: str) -> None:
        self.seconds, self.log, self.name = iter(seconds), log, name

    def ask(self, case: Path) -> dict:
        self.log.append(self.name)
        value = next(self.seconds)
        return (
            {"error": "broken"} if value < 0 else {"wall_s": value, "cpu_s": 2 * value, "weights": 1000, "shape": [1]}
        )


@pytest.fixture
def case(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal((2, 64, 48)) + 1j * rng.standard_normal((2, 64, 48))).astype(np.complex64)
    mask = np.zeros((64, 48), bool)
    mask[::2] = mask[24:40] = True
    samples *= mask / (1 + np.hypot(*np.meshgrid(np.arange(64) - 32, np.arange(48) - 24, indexing="ij")))
    np.savez(tmp_path / "case.npz", samples=samples.astype(np.complex64), mask=mask, n_centre=16)
    return tmp_path / "case.npz"


def test_sides_take_turns_and_the_first_round_only_warms_up():
    log: list[str] = []
    sides = {"a": Fake([9, 1, 3, 2], log, "a"), "b": Fake([9, 4, 4, 5], log, "b")}
    found = in_turns(sides, Path("x"), 3)
    assert log == ["a", "b"] * 4
    assert found["a"] == {"wall_s": 2, "cpu_s": 4, "weights": 1000, "fastest_s": 1}
    assert found["b"]["wall_s"] == 4


def test_a_side_that_fails_is_told_and_not_asked_again():
    log: list[str] = []
    found = in_turns({"a": Fake([1, 1, 1], log, "a"), "b": Fake([-1], log, "b")}, Path("x"), 2)
    assert found["b"] == {"error": "broken"} and log == ["a", "b", "a", "a"]
    assert medians([{"wall_s": 1.0}, {"error": "late"}]) == {"error": "late"}
    assert "b failed: broken" in verdict(found) and len(rows(found)) == 1


def test_ratios_are_the_peers_time_over_ours():
    ours = {"wall_s": 0.1, "fastest_s": 0.05, "cpu_s": 0.2, "weights": 2e6, "maps_s": 0.01}
    peer = {"wall_s": 1.5, "fastest_s": 1.0, "cpu_s": 3.0, "weights": 3e7}
    found = {PEER: peer, "hqs_net": ours, "varnet_fast": ours, "checked": ours | {"wall_s": 7.5}}
    lines = rows(found)
    assert all(len(line) == len(COLUMNS) for line in lines)
    assert lines[0][:8] == [PEER, "30.00 M", "1.500", "-", "1.000", "-", "3.000", "-"]
    assert lines[1][:9] == ["hqs_net", "2.00 M", "0.100", "15.0", "0.050", "20.0", "0.200", "15.0", "0.010"]
    text = verdict(found)
    assert "`hqs_net`: 6 times less wall time than the peer's; it takes 15.0 times less (20.0 by the fastest" in text
    assert "`checked`: under 8 s; it takes 7.5 s" in text
    assert "`varnet_fast`: under 0.1 s or 0.2 CPU s; it takes 0.100 s" in text


def test_our_side_goes_through_recon_and_its_parts_add_up(case, monkeypatch):
    module = registry.load("recon", "l1_wavelet")
    monkeypatch.setattr(module, "estimate_csm", module.estimate_csm)
    monkeypatch.setattr(reconstruct, "build", reconstruct.build)
    watched = Watched("l1_wavelet(n_iters=2)", untrained=True)
    told = watched.run(scan(str(case)))
    assert told["maps_s"] > 0 and told["start_s"] == 0
    assert told["maps_s"] + told["start_s"] + told["cascades_s"] + told["rest_s"] == pytest.approx(told["wall_s"])
    monkeypatch.setattr(reconstruct, "recon", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="no longer takes its method"):
        watched.run(scan(str(case)))


def test_a_case_is_read_as_lines_or_points(case):
    kspace = scan(str(case))
    assert kspace.mask is not None and kspace.mask.shape == (1, 1, 64, 1)
    with np.load(case) as f:
        content = dict(f)
    content["mask"][0, 0] = not content["mask"][0, 0]
    np.savez(case, **content)
    points = scan(str(case))
    assert points.mask is not None and points.mask.shape == (1, 1, 64, 48)


def test_workers_answer_errors_and_go_on(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 0}\n{"n": 2}\n'))
    converse(lambda job: {"value": 4 / job["n"]})
    first, second = capsys.readouterr().out.splitlines()
    assert "ZeroDivisionError" in json.loads(first)["error"] and json.loads(second) == {"value": 2.0}
    result, wall, cpu = measured(lambda: sum(range(200_000)))
    assert result == 19999900000 and wall > 0 and cpu > 0


@pytest.mark.peer
def test_fastmris_network_runs_without_its_dependencies(case):
    python = ROOT / ".venv-peers/bin/python"
    version = [python, "-c", "from importlib.metadata import version as v; v('fastmri')"]
    if not python.exists() or subprocess.run(version, capture_output=True, check=False).returncode:
        pytest.skip("fastmri is not installed (make peers)")
    with Side(str(python), "fastmri_side.py", {"threads": 1}, {}) as side:
        told = side.ask(case)
    assert told.get("shape") == [48, 64] and 29e6 < told["weights"] < 31e6 and told["wall_s"] > 0


def test_without_the_peers_no_version_is_known(tmp_path):
    assert _version(tmp_path / "python") == "not installed"
