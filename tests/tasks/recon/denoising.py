"""Small denoisers and unrolled networks with random weights, as files, for tests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from spinecho.core.method import Method
from spinecho.core.state import save_state
from spinecho.tasks.denoise.methods import unet
from spinecho.tasks.recon.methods import hqs_net

SMALL = {"channels": (6, 8), "blocks": (1, 1)}


def shaken(method: Method, strength: float = 0.3, seed: int = 0) -> Method:
    """With random weights, none of them zero."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for w in method.state_dict().values():
            if w.ndim == 4:
                w.copy_(strength * torch.randn(w.shape, generator=rng) / w[0].numel() ** 0.5)
    return method


def denoiser_file(folder: Path, seed: int = 0) -> str:
    """Weights of denoise/unet."""
    return saved(shaken(unet.Method(unet.Config(**SMALL)), seed=seed), "denoise", "unet", folder)


def unrolled_file(folder: Path, **settings: int) -> str:
    """Weights of recon/hqs_net."""
    config = hqs_net.Config(n_steps=3, early=1, cg_iters=3, start_iters=4, **SMALL, **settings)
    return saved(shaken(hqs_net.Method(config)), "recon", "hqs_net", folder)


def saved(method: Method, task: str, name: str, folder: Path) -> str:
    """A weights file."""
    path = folder / f"{name}.safetensors"
    metadata = {"task": task, "method": name, "config": asdict(method.config), "card": {}, "trained": {}}
    save_state(path, method.state_dict(), metadata)
    return str(path)
