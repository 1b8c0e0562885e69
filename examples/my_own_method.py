"""Each voxel moves to its neighbours' mean as far as noise explains it; a method of one's own, outside spinecho.

python examples/my_own_method.py [FOLDER]

What to give: a folder for a small package made of this file. After `pip install FOLDER` it is listed, run, evaluated
and checked (`pytest --spinecho-method my_own_method`) like ours.
How long: seconds.

Source: Lee 1980, doi:10.1109/TPAMI.1980.4766994 (local statistics). Towards the mean m of the 3 x 3 about a voxel x:

    m + max(0, v - s^2) / v (x - m),    v: the variance there, s: the noise.

How we differ: slices by themselves; complex values with the variance of their magnitude about m.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor

from spinecho.tasks.denoise.base import Denoise
from spinecho.tasks.denoise.parts.noise import Noise

# Each field of `Config` becomes a setting in Python and an option of the command, and its docstring the help.


@dataclass(frozen=True)
class Config:
    strength: float = 1.0
    """factor on the noise that is expected; over 1 smooths more"""


# `forward` is the whole method. What it is given and gives back is said by the base class of its task.


class Method(Denoise):
    config: Config

    def forward(self, values: Shaped[Tensor, "n z y x"], noise: Noise) -> Shaped[Tensor, "n z y x"]:
        mean = _mean(values)
        variance = _mean((values - mean).abs().square())
        expected = (self.config.strength * noise.sigma) ** 2
        share = (variance - expected).clamp_min(0) / variance.clamp_min(torch.finfo(variance.dtype).tiny)
        return mean + share * (values - mean)


def _mean(values: Tensor) -> Tensor:
    """Over 3 x 3 voxels of each slice; the picture goes on at its other side."""
    return sum(values.roll((i, j), (-2, -1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9  # type: ignore[return-value]


# The entry point gives the method its task and its name. Any build system will do; nothing is registered elsewhere.

PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "my-own-method"
version = "1.0"
[project.entry-points."spinecho.methods"]
"denoise/lee" = "my_own_method"
[tool.hatch.build.targets.wheel]
include = ["my_own_method.py"]
"""

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "my-own-method")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (folder / "my_own_method.py").write_text(Path(sys.argv[0]).read_text(encoding="utf-8"), encoding="utf-8")
    print(f"now: pip install {folder} && spinecho denoise IN.nii.gz -o OUT.nii.gz --method lee")
