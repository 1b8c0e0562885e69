"""Reconstruction: raw samples in, images out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.kspace import KSpace
    from spinecho.core.task import Limit
    from spinecho.tasks.recon.base import Recon

WHAT = "reconstruction"
DEFAULT = "auto"


def base() -> type[Recon]:
    """KSpace -> Image."""
    from spinecho.tasks.recon.base import Recon

    return Recon


def limits() -> Mapping[str, Limit]:
    """Coils, acceleration, matrix, noise, masks, trajectories, calibration lines."""
    from spinecho.tasks.recon.limits import LIMITS

    return LIMITS


def outside(card: Mapping[str, Any], kspace: KSpace) -> list[str]:
    """Each way in which a prepared scan lies outside the card."""
    from spinecho.tasks.recon import limits

    return limits.outside(card, kspace)


def scenes() -> dict[str, tuple[KSpace]]:
    """Lines left out in several ways, partial Fourier, a series, spokes."""
    from spinecho.calib.prepare import prepare
    from spinecho.sim.scan import Scan, simulate_phantom

    ways = {
        "regular": {"sampling": "equispaced:2:14"},
        "random": {"sampling": "random:2.5:10:1"},
        "partial": {"sampling": "partial:0.7"},
        "series": {"sampling": "kt-random:2.5:8:1", "n_frames": 4},
        "spokes": {"sampling": "radial:24"},
    }
    same = {"matrix": (1, 40, 32), "n_coils": 4, "snr": 50.0, "fineness": 1}
    return {name: (prepare(simulate_phantom(Scan(**same, **way)).kspace)[0],) for name, way in ways.items()}


def lesson() -> KSpace:
    """A disc, scanned by three coils with a third of the lines."""
    import torch

    from spinecho.sim.draws import Draws, acquire_random, fine_shape
    from spinecho.tasks.recon.examples.draw import ready

    rng, shape = torch.Generator().manual_seed(0), (40, 36)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in fine_shape(shape)), indexing="ij")
    disc = (x.square() + y.square() < 0.6).float() * (0.6 + 0.4 * torch.sin(8 * x + 3 * y))
    draws = Draws(coils=(3,), masks=("random",), accel=(2.0, 3.0), snr=(40.0, 40.0))
    return ready(acquire_random(disc, shape, rng, draws))


def same(one: Image, other: Image) -> float:
    """Of the complex values, relative to the largest."""
    return float((one.values - other.values).abs().max() / other.values.abs().max())
