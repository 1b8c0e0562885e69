"""Small prepared scans with their truth, and networks with weights as if trained, for tests of learned methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from spinecho.core.kspace import KSpace
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.sim.draws_radial import acquire_radial
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.methods import modl, unet, varnet

SIZES = {"channels": (6, 8), "blocks": (1, 1)}
BUILD = {
    "varnet": lambda: varnet.Method(varnet.Config(n_cascades=2, start_iters=6, **SIZES)),
    "e2e": lambda: varnet.Method(varnet.Config(form="e2e", n_cascades=2, map_channels=(4, 6), **SIZES)),
    "unet": lambda: unet.Method(unet.Config(**SIZES)),
    "modl": lambda: modl.Method(modl.Config(n_unrolls=2, **SIZES)),
}


def disc(shape: tuple[int, int], width: float = 0.8) -> torch.Tensor:
    """A bright shell around a grey core, `width` of the field of view along x."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    r = ((y / 0.8).square() + (x / width).square()).sqrt()
    return (r < 1) * (0.4 + 0.6 * (r > 0.7))


def drawn(
    n_coils: int = 4, shape: tuple[int, int] = (40, 36), kind: str = "random", seed: int = 0, width: float = 0.8
) -> KSpace:
    """A Cartesian scan whose noise and centre are known."""
    draws = Draws(coils=(n_coils,), masks=(kind,), accel=(2.2, 2.8), snr=(20, 40), odd=0.0)
    rng = torch.Generator().manual_seed(seed)
    while True:
        kspace = acquire_random(disc(fine_shape(shape), width), shape, rng, draws)
        if kspace.noise_cov is not None:
            centre = (0, shape[0] // 2, shape[1] // 2)
            return ready(replace(kspace, encoding=replace(kspace.encoding, centre=centre)))


def drawn_spokes(n_coils: int = 4, side: int = 40, n_spokes: int = 20, seed: int = 0) -> KSpace:
    """A radial scan."""
    draws = Draws(coils=(n_coils,), snr=(20, 40), spokes=(n_spokes, n_spokes))
    rng = torch.Generator().manual_seed(seed)
    return ready(acquire_radial(disc(fine_shape((side, side))), side, rng, draws))


def slices(*scans: KSpace) -> KSpace:
    """Scans of one matrix as slices of one, with the noise of the first."""
    first = scans[0]
    moved = []
    for i in range(len(scans)):
        affine = first.geometries[0].affine.copy()
        affine[:3, 3] += 10 * i * np.array([0.0, 0.0, 1.0])
        moved.append(replace(first.geometries[0], affine=affine))
    return replace(
        first,
        samples=torch.stack([k.samples for k in scans]),
        mask=None if first.mask is None else torch.stack([k.mask for k in scans if k.mask is not None]),
        traj=None if first.traj is None else torch.stack([k.traj for k in scans if k.traj is not None]),
        target=torch.stack([k.target for k in scans if k.target is not None]),
        geometries=tuple(moved),
        axes=("slice",),
    )


def trained(name: str, strength: float = 0.3, seed: int = 0) -> Recon:
    """A small network of the kind, none of whose weights is zero."""
    torch.manual_seed(seed)
    method = BUILD[name]()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in method.parameters():
            if p.ndim == 4:
                p.copy_(strength * torch.randn(p.shape, generator=rng) / p[0].numel() ** 0.5)
    return method


def nrmse(a: torch.Tensor, b: torch.Tensor) -> float:
    """Relative distance."""
    return float((a - b).detach().norm() / b.detach().norm())
