"""The peers as they are run: engine file and parameters. One thread each, one process for each pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENGINES = ROOT / "src" / "spinecho" / "tasks" / "register" / "parts" / "engines"
WORK = ENGINES / "work.py"
PYTHON = ROOT / ".venv-register" / "bin" / "python"


FINE_MM = 1.5
"""Voxels smaller than that are taken for 1 mm"""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way of registering.

    Parameters
    ----------
    engine
        File with `register(job, stage)`.
    parameters
        What it is told.
    at_1_mm
        The same for 1 mm where they count voxels; empty: no difference.
    after
        Names of the peers whose matrix of the same pair it starts from, where contrasts are alike and where not;
        empty: none. What that took counts for both.
    """

    engine: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    at_1_mm: dict[str, Any] = field(default_factory=dict)
    after: dict[bool, str] = field(default_factory=dict)

    def told(self, voxel_mm: float) -> dict[str, Any]:
        """The parameters for images of such voxels."""
        return dict(self.at_1_mm if self.at_1_mm and voxel_mm < FINE_MM else self.parameters)


CROSS = ("ants_mi", "greedy_nmi")
"""By mutual information, for pairs whose contrasts differ; run there beside the others."""

_GREEDY = {
    "linear_start": "-ia-image-centers",
    "linear_iterations": "100x100x40",
    "iterations": "100x100x40",
    "smooth": "1.732vox 0.7071vox",  # its defaults
}

PEERS = {
    "greedy": Peer(
        engine=ENGINES / "greedy.py", parameters={**_GREEDY, "linear_metric": "NCC 2x2x2", "metric": "WNCC 2x2x2"}
    ),
    "greedy_nmi": Peer(engine=ENGINES / "greedy.py", parameters={**_GREEDY, "linear_metric": "NMI", "metric": "NMI"}),
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
        at_1_mm={"arguments": {"grid_sp": 6, "disp_hw": 4, "selected_niter": 80, "grid_sp_adam": 2}},  # its defaults
        after={True: "greedy", False: "greedy_nmi"},
    ),
    "elastix": Peer(engine=ENGINES / "elastix.py", parameters={"overrides": {}}),
    "dipy": Peer(engine=HERE / "dipy_syn.py", parameters={"radius": 4, "sigma": 2.0, "iterations": [100, 100, 25]}),
    "ants": Peer(
        engine=ENGINES / "ants.py",
        parameters={
            "metric": "CC",
            "detail": 2,
            "iterations": "100x70x50x30",
            "step": 0.2,  # antspyx's own here; 0.1 gave .656 instead of .685 on a validation pair
            "shrink": "8x4x2x1",
            "smooth": "3x2x1x0",
        },
    ),
    "ants_mi": Peer(
        engine=ENGINES / "ants.py",
        parameters={
            "metric": "MI",
            "detail": 32,
            "iterations": "100x70x50x30",
            "step": 0.2,
            "shrink": "8x4x2x1",
            "smooth": "3x2x1x0",
        },
    ),
}
"""In the order in which they run on a pair."""
