"""fastMRI's VarNet as published (12 cascades of 18 channels, maps by an 8-channel network), with random weights.

Runs in the peers' environment with `fastmri` installed without its dependencies: what its package imports on the way to
the model, for files and training, is replaced by empty stand-ins.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from benchmarks.worker import converse, measured


def inputs(path: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(1, coil, k0, k1, 2) and its mask: fastMRI's lines run along the last axis, ours along the first."""
    with np.load(path) as f:
        samples, mask, n_centre = f["samples"], f["mask"], int(f["n_centre"])
    kspace = torch.view_as_real(torch.from_numpy(samples).mT.contiguous())[None]
    one_dimensional = (mask == mask[:, :1]).all()
    lines = torch.from_numpy(mask[:, :1] if one_dimensional else mask).mT.contiguous()
    return kspace, lines[None, None, ..., None], n_centre


def varnet() -> torch.nn.Module:
    """The network in its published size."""
    stand_ins = {name: MagicMock() for name in ("h5py", "pandas", "requests", "yaml")}
    with patch.dict(sys.modules, stand_ins), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastmri.models.varnet import VarNet
    torch.manual_seed(0)
    return VarNet(num_cascades=12, sens_chans=8, sens_pools=4, chans=18, pools=4).eval()


def main() -> None:
    """Answer {"case": PATH} with seconds, until the input ends."""
    setting = json.loads(sys.argv[1])
    torch.set_num_threads(setting["threads"])
    network = varnet()
    n_weights = sum(p.numel() for p in network.parameters())

    def answer(job: dict[str, Any]) -> dict[str, Any]:
        given = inputs(job["case"])
        with torch.inference_mode():
            image, wall, cpu = measured(lambda: network(*given))
        return {"wall_s": wall, "cpu_s": cpu, "weights": n_weights, "shape": list(image.shape[-2:])}

    converse(answer)


if __name__ == "__main__":
    main()
