"""The peers as they are run: engine file and parameters. One thread each, one process for each pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENGINES = ROOT / "src" / "spinecho" / "methods" / "engines"
WORK = ENGINES / "work.py"
PYTHON = ROOT / ".venv-register" / "bin" / "python"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way of registering.

    Parameters
    ----------
    engine
        File with `register(job, stage)`.
    parameters
        What it is told.
    after
        Name of the peer whose matrix of the same pair it starts from; empty: none. Its seconds are then added.
    """

    engine: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    after: str = ""


PEERS = {
    "greedy": Peer(
        engine=ENGINES / "greedy.py",
        parameters={
            "linear_start": "-ia-image-centers",
            "linear_metric": "NCC 2x2x2",
            "linear_iterations": "100x100x40",
            "metric": "WNCC 2x2x2",
            "iterations": "100x100x40",
            "smooth": "1.732vox 0.7071vox",  # its defaults
        },
    ),
    "convexadam": Peer(
        engine=HERE / "convexadam.py",
        parameters={
            "arguments": {
                "grid_sp": 4,
                "disp_hw": 4,
                "selected_niter": 80,
                "grid_sp_adam": 1,
                "lambda_weight": 0.6,
            }
        },
        after="greedy",
    ),
    "elastix": Peer(engine=ENGINES / "elastix.py", parameters={"overrides": {}}),
    "dipy": Peer(engine=HERE / "dipy_syn.py", parameters={"radius": 4, "sigma": 2.0, "iterations": [100, 100, 25]}),
    "ants": Peer(
        engine=ENGINES / "ants.py",
        parameters={
            "metric": "CC",
            "detail": 2,
            "iterations": "100x70x50x30",
            "step": 0.1,
            "shrink": "8x4x2x1",
            "smooth": "3x2x1x0",
        },
    ),
}
"""In the order in which they run on a pair."""
