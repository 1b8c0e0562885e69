"""From tissue labels (or tissue probabilities) to an image of any contrast, on any grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.ops.fourier import ifft
from spinecho.sim.contrast import Sequence
from spinecho.sim.tissue import BRAIN_LABELS, TISSUE_OF_LABEL, TISSUES


@dataclass(frozen=True)
class Contrast:
    """The brightness of each label: by a signal equation (`of_sequence`) or drawn at random (`sample_contrast`).

    Parameters
    ----------
    values
        Label to signal, 0 or more.
    name
        How it came about, for the history.
    """

    values: Mapping[int, float]
    name: str

    def render(self, labels: Int[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
        """The image: each voxel gets its label's value (labels without one are an error)."""
        known = torch.tensor(sorted(self.values), device=labels.device)
        table = torch.tensor([self.values[int(i)] for i in known], device=labels.device)
        at = torch.searchsorted(known, labels.to(known.dtype).contiguous()).clamp_max(len(known) - 1)
        if not torch.equal(known[at], labels.to(known.dtype)):
            strange = sorted(set(torch.unique(labels).tolist()) - set(self.values))
            raise DataError(f"labels {strange[:10]} have no tissue", do="map them to FreeSurfer's ids or to 0")
        return table[at]


def tissue_signals(sequence: Sequence, field_t: float = 3.0) -> dict[str, float]:
    """Magnitude of each tissue's signal, the brightest brain tissue or fluid being 1."""
    sequence = sequence.with_nulled(TISSUES["csf"].t1_at(field_t))
    rows = [(t.pd, t.t1_at(field_t), t.t2_ms, t.t2s_ms) for t in TISSUES.values()]
    pd, t1, t2, t2s = torch.tensor(rows, dtype=torch.float64).T
    signal = sequence.signal(pd, t1, t2, t2s).abs()
    signal_of = dict(zip(TISSUES, signal.tolist(), strict=True))
    brightest = max(signal_of[name] for name in ("white matter", "grey matter", "csf"))
    return {name: value / brightest for name, value in signal_of.items()}


def of_sequence(sequence: Sequence, field_t: float = 3.0) -> Contrast:
    """The contrast that a sequence gives at a field strength."""
    signals = tissue_signals(sequence, field_t)
    timing = f"TE {sequence.te_ms:g} ms, TR {sequence.tr_ms:g} ms"
    return Contrast({i: signals[t] for i, t in TISSUE_OF_LABEL.items()}, f"{sequence.kind}, {timing}, {field_t:g} T")


def sample_contrast(generator: torch.Generator) -> Contrast:
    """Every tissue's brightness drawn from [0, 1], air 0: what makes a network independent of contrast.

    Source: Billot et al. 2023, SynthSeg, doi:10.1016/j.media.2023.102789; left and right share one value here.
    """
    drawn = dict(zip(TISSUES, torch.rand(len(TISSUES), generator=generator).tolist(), strict=True))
    drawn["air"] = 0.0
    return Contrast({i: drawn[t] for i, t in TISSUE_OF_LABEL.items()}, "random contrast")


def mix(probabilities: Mapping[str, Tensor], sequence: Sequence, field_t: float = 3.0) -> Tensor:
    """The image of tissue probabilities, sum_t p_t S_t, for volumes on one grid, named as in `tissue.TISSUES`."""
    signals = tissue_signals(sequence, field_t)
    if unknown := set(probabilities) - set(signals):
        raise DataError(f"there is no tissue {', '.join(sorted(unknown))}", do=f"known are {', '.join(signals)}")
    return torch.stack([p * signals[name] for name, p in probabilities.items()]).sum(0)


def relaxation_maps(labels: Int[Tensor, "*grid"], field_t: float = 3.0) -> dict[str, Tensor]:
    """Maps `pd`, `t1_ms`, `t2_ms`, `t2s_ms` of a label map at a field strength."""
    columns = {
        "pd": lambda t: t.pd,
        "t1_ms": lambda t: t.t1_at(field_t),
        "t2_ms": lambda t: t.t2_ms,
        "t2s_ms": lambda t: t.t2s_ms,
    }
    return {
        name: Contrast({i: get(TISSUES[t]) for i, t in TISSUE_OF_LABEL.items()}, name).render(labels)
        for name, get in columns.items()
    }


def at_isocentre(labels: Int[Tensor, "z y x"], geometry: Geometry) -> Geometry:
    """The label map's grid moved so that the brain's centre lies at the scanner's isocentre, LPS (0, 0, 0)."""
    brain = torch.isin(labels, torch.tensor(sorted(BRAIN_LABELS), device=labels.device, dtype=labels.dtype))
    if not brain.any():
        raise DataError("the label map has no brain", do="give FreeSurfer's label ids")
    centre = torch.nonzero(brain).double().mean(0).flip(0).tolist()
    affine = np.array(geometry.affine)
    affine[:3, 3] -= geometry.to_world(centre)
    return replace(geometry, affine=affine)


def resample_labels(labels: Int[Tensor, "z y x"], geometry: Geometry, onto: Geometry) -> Int[Tensor, "z2 y2 x2"]:
    """Labels on another grid, oblique or finer: of the eight neighbours the label with the largest trilinear weight.

    Edges stay sharp at any resolution and do not follow the coarse voxels' corners. Outside is 0.
    """
    planes = [_labels_at(labels, geometry, onto, z) for z in range(onto.shape[0])]
    return torch.stack(planes)


def _labels_at(labels: Tensor, geometry: Geometry, onto: Geometry, z: int) -> Tensor:
    """One plane of `resample_labels`."""
    y, x = np.meshgrid(np.arange(onto.shape[1]), np.arange(onto.shape[2]), indexing="ij")
    points = geometry.to_voxel(onto.to_world(np.stack([x, y, np.full_like(x, z)], -1)))
    at = torch.from_numpy(points).to(labels.device).flip(-1).flatten(0, 1)
    low = at.floor()
    part, low = (at - low).float(), low.long()
    size = torch.tensor(labels.shape, device=labels.device)
    steps = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], device=labels.device)
    index = low[:, None] + steps
    a, b, c = index.clamp_min(0).minimum(size - 1).unbind(-1)
    corners = labels[a, b, c] * ((index >= 0) & (index < size)).all(-1)
    winners = corners[:, 0].clone()
    # Only where neighbours differ is there something to decide.
    mixed = torch.nonzero((corners != corners[:, :1]).any(-1)).flatten()
    vote, part = corners[mixed], part[mixed, None]
    weight = torch.where(steps.bool(), part, 1 - part).prod(-1)
    score = ((vote[:, :, None] == vote[:, None, :]) * weight[:, None, :]).sum(-1)
    winners[mixed] = vote.gather(1, score.argmax(1, keepdim=True))[:, 0]
    return winners.view(onto.shape[1:])


def texture(shape: tuple[int, int, int], generator: torch.Generator, strength: float) -> Float[Tensor, "z y x"]:
    """A factor about 1 that makes tissue uneven: noise of spectrum 1/|k|^1.5 with standard deviation `strength`."""
    white = torch.randn(shape, dtype=torch.complex64, generator=generator)
    axes = torch.meshgrid(*(torch.arange(n) - n // 2 for n in shape), indexing="ij")
    k = torch.stack(axes).float().square().sum(0).sqrt()
    field = ifft(white * k.clamp_min(1.0).pow(-1.5) * (k > 0)).real
    return 1 + strength * field / field.std()
