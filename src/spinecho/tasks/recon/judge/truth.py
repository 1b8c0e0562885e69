"""What is reconstructed: fully sampled slices with their truth, from files or from the simulator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor

from spinecho.calib.prepare import check
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.evaluate.rows import Kind
from spinecho.metrics.inside import inside
from spinecho.ops.sampling import acceleration
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.judge.case import flat_slices
from spinecho.tasks.recon.judge.ceiling import Ceiling, noise_ceiling, pixel_noise
from spinecho.tasks.recon.judge.protocol import truth_of
from spinecho.tasks.recon.retrospective import check_full, undersample

OWN_MASK = "own"
"""The mask of a scan that was undersampled when it was read and carries its truth."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A scan that is not read yet.

    Parameters
    ----------
    name
        For tables.
    n_slices
        How many cases it gives for each mask.
    load
        Reads slice i.
    contrast, anatomy
        What its owner says; empty: what the scan itself says.
    kind
        None: `simulated` where the scan's flags say so, else `real`.
    """

    name: str
    n_slices: int
    load: Callable[[int], KSpace]
    contrast: str = ""
    anatomy: str = ""
    kind: Kind | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """One slice with all its samples (or its own mask), the picture it is judged by, and what is known of it."""

    scan: str
    slice: int
    kind: Kind
    contrast: str
    anatomy: str
    kspace: KSpace
    values: Tensor
    is_full: bool
    snr: float
    ceiling: Ceiling | None
    digest: str

    def undersampled(self, spec: MaskSpec) -> KSpace:
        """The scan with that mask (with its own, where it is not full), and the truth as its target."""
        cut = undersample(self.kspace, spec) if self.is_full else self.kspace
        if self.kspace.target is not None:
            return replace(cut, target=self.kspace.target)
        shape = (*cut.target.shape,) if cut.target is not None else self.values.shape
        return replace(cut, target=self.values.reshape(shape).float())

    def own_spec(self) -> tuple[str, float, float, int]:
        """Kind, acceleration, centre and seed of a scan's own mask, as far as they are known."""
        assert self.kspace.mask is not None
        mask = self.kspace.mask
        return (
            OWN_MASK,
            round(float(acceleration(mask.expand(*mask.shape[:-3], *self.kspace.encoding.matrix))), 2),
            0,
            0,
        )


class BadSlice(DataError):
    """A fault of one slice: others of its file may be well."""


def load_truth(source: Source, index: int) -> Truth:
    """Read a slice and find its truth.

    Raises
    ------
    DataError
        As the reader; `BadSlice` if its samples cannot be used; if they lie along a trajectory, or are not complete and
        carry no truth.
    """
    kspace = source.load(index)
    try:
        check(kspace)
    except DataError as error:
        raise BadSlice(error.found, do=error.do) from None
    if kspace.mask is None:
        raise DataError("its samples lie along a trajectory; a full Cartesian scan is needed", do="leave it out")
    kind: Kind = source.kind or ("simulated" if "simulated" in kspace.header.flags else "real")
    is_full = _is_full(kspace)
    if not is_full and kspace.target is None:
        do = "give a fully sampled scan, or one that carries its truth"
        raise DataError("it is undersampled and has no truth to compare with", do=do)
    own = kspace.target is not None and (kind == "simulated" or not is_full)
    assert kspace.target is not None or not own
    values = flat_slices(kspace.target) if own and kspace.target is not None else truth_of(kspace)
    kspace = kspace if own else replace(kspace, target=None)
    sigma = pixel_noise(kspace, values) if is_full else 0.0
    bright = values[inside(values)]
    level = float(bright.mean() if len(bright) else values.mean())
    return Truth(
        scan=source.name,
        slice=index,
        kind=kind,
        contrast=source.contrast or ("" if kspace.header.protocol == "simulated" else kspace.header.protocol),
        anatomy=source.anatomy,
        kspace=kspace,
        values=values,
        is_full=is_full,
        snr=level / sigma if sigma > 0 else math.inf,
        ceiling=noise_ceiling(values, sigma, kspace.n_coils) if kind == "real" and is_full else None,
        digest=_digest(kspace, values),
    )


def _is_full(kspace: KSpace) -> bool:
    assert kspace.mask is not None
    try:
        check_full(kspace.mask, kspace.encoding.matrix)
    except DataError:
        return False
    return True


def _digest(kspace: KSpace, truth: Tensor) -> str:
    """Of all that a method sees and of the truth, so that another scan under the same name is another case."""
    digest = sha256(repr((kspace.encoding.matrix, kspace.encoding.centre)).encode())
    for t in (kspace.samples, kspace.mask, kspace.noise_cov, kspace.calib, truth):
        if t is not None:
            t = torch.view_as_real(t.resolve_conj()) if t.is_complex() else t
            digest.update(t.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
