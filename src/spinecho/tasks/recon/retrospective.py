"""Undersample a full scan after the fact, and keep the picture of all its samples as the truth."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.sim.mask_spec import MaskSpec, parse
from spinecho.tasks.recon.run import recon

FLAG = "retrospectively undersampled"


def undersample(kspace: KSpace, spec: str | MaskSpec) -> KSpace:
    """The scan with a part of its samples, and the picture of all of them as its target.

    Parameters
    ----------
    kspace
        Cartesian and fully sampled: all lines of one contiguous block of (k2, k1).
    spec
        `KIND:R:CENTRE:SEED` (see `sim.mask_spec`). All slices get the same mask.

    Returns
    -------
    The scan with mask and samples cut, target = root sum of squares of the full scan on the image's grid, and the
    flag `retrospectively undersampled`. Calibration lines that were scanned apart are dropped: the mask's centre
    is what a real scan would have.

    Raises
    ------
    DataError
        If the scan lies along a trajectory, is undersampled already, or the spec is not understood.
    """
    drawn = parse(spec) if isinstance(spec, str) else spec
    if kspace.mask is None:
        problem = f"{setting('simulate_mask')} needs Cartesian samples, these lie along a trajectory"
        raise DataError(problem, do="leave it out")
    check_full(kspace.mask, kspace.encoding.matrix)
    if drawn.kind in ("kt", "kt-random") and "time" not in kspace.axes:
        do = "use random, equispaced, gaussian or poisson"
        raise DataError("a k-t mask needs a series of frames, the scan has none", do=do)
    n_frames = kspace.samples.shape[kspace.axes.index("time")] if "time" in kspace.axes else 1
    return masked(kspace, _fitted(drawn.draw(kspace.encoding.matrix, n_frames), kspace), str(drawn))


def masked(kspace: KSpace, mask: Bool[Tensor, "*#batch 1 #k2 #k1 #k0"], told: str) -> KSpace:
    """A full scan with the samples of a mask, its target the picture of all its samples; `told` names the mask."""
    assert kspace.mask is not None
    mask = mask.to(kspace.mask.device) & kspace.mask
    header = kspace.header.flagged(FLAG).noted(f"undersampled after the fact with the mask {told}")
    return replace(
        kspace,
        samples=kspace.samples * mask,
        mask=mask,
        calib=None,
        header=header,
        target=recon(kspace, "zero_filled").values.abs(),
    )


def check_full(mask: Bool[Tensor, "*batch 1 k2 k1 k0"], matrix: tuple[int, int, int], do: str = "") -> None:
    """Refuse a mask that is not one contiguous block of (k2, k1) lines (DataError); `do` says what else may be done."""
    lines = mask.expand(*mask.shape[:-3], *matrix).any(-1).flatten(0, -3).any(0)
    k2, k1 = (torch.nonzero(lines.any(dim)).flatten() for dim in (1, 0))
    block = lines[int(k2[0]) : int(k2[-1]) + 1, int(k1[0]) : int(k1[-1]) + 1] if len(k2) else lines
    if not block.all():
        share = 100 * float(block.float().mean())
        who = "training with a truth" if do else setting("simulate_mask")
        raise DataError(
            f"{who} needs a full scan, this one has {share:.0f} % of its lines",
            do=do or f"leave {setting('simulate_mask')} out: the scan is undersampled already",
        )


def _fitted(mask: Bool[Tensor, "*frame 1 k2 k1 k0"], kspace: KSpace) -> Bool[Tensor, "*batch 1 k2 k1 k0"]:
    """Frames, where there are several, on the batch axis `time`; other batch axes broadcast."""
    n_frames = mask.shape[0] if mask.ndim == 5 else 1
    shape = [n_frames if axis == "time" else 1 for axis in kspace.axes]
    return mask.reshape(*shape, *mask.shape[-4:])
