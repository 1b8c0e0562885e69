"""Turn the checkpoint of voxelmorph's first training (an early form of the loop) into the package's weights.

    python tools/release_voxelmorph.py runs/voxelmorph/last.pt

What the network adds to the pulls counts half, and the pulls go further than in training: chosen on validation heads
(the card says how). Halving averages the weights of the trained and the untrained network, which differ in their last
layer (Wortsman et al. 2022, doi:10.1109/CVPR52688.2022.00780). Weights that `spinecho train register/voxelmorph` wrote
need `release_weights.py` alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from release_weights import release

from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.tasks.register.methods.voxelmorph import Config

CARD: dict[str, Any] = {
    "summary": "affine, then a small trained network that predicts the flow between two heads, in seconds",
    "anatomy": "heads",
    "extent_mm": [100.0, 320.0],
    "contrast_agreement": 0.9,
}
SHARE = 0.5
"""Of what the trained last layer adds"""
STEP = (-2.0, -0.7)
"""Of the pulls at 4 and at 8 mm, voxels of the velocity"""


def converted(checkpoint: Path, folder: Path) -> Path:
    """The averaged weights of a checkpoint as `spinecho train` would have written them."""
    held = torch.load(checkpoint, weights_only=True, map_location="cpu")
    facts = {"loop": "an early form", "steps": int(held["step"]), "seconds": round(float(held["elapsed"]))}
    metadata = {"method": "voxelmorph", "config": asdict(Config()), "card": {}, "trained": facts}
    path = folder / "voxelmorph.safetensors"
    tensors = {name: tensor.contiguous() for name, tensor in held["ema"].items()}
    tensors |= {name: SHARE * tensors[name] for name in ("leave.weight", "leave.bias")}
    save_state(path, {**tensors, "step": torch.tensor(STEP)}, metadata)
    return path


def main() -> int:
    """Read the argument, write the file, say what it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="last.pt")
    given = parser.parse_args()
    try:
        with TemporaryDirectory() as folder:
            path = release(converted(given.checkpoint, Path(folder)), CARD, "voxelmorph")
    except (DataError, OSError, KeyError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
