"""Raw samples with everything needed to reconstruct an image."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image, check_batch

TENSORS = {"samples": 4, "mask": 4, "traj": 4, "calib": 4, "noise_cov": 2, "target": 4, "object_noise": 2}
"""A scan's tensors, and how many of the last axes of each are no batch axes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KSpace:
    """Samples (*batch, coil, k2, k1, k0) as the scanner measured them; Cartesian or along a trajectory.

    Parameters
    ----------
    samples
        complex64. Cartesian: on the full encoded grid, zeros where nothing was measured. Otherwise k1 counts the
        readouts (spokes, interleaves) and k0 the samples along each.
    mask
        True where a Cartesian sample was measured, (*batch, 1, k2, k1, k0), every axis broadcastable. None with a
        trajectory (all samples count).
    traj
        (*batch, k2, k1, k0, 3), (kx, ky, kz) in cycles per field of view; None for Cartesian data.
    encoding
        Matrix sizes, fields of view, acceleration.
    geometries
        Of the encoded grid (before cropping to the wanted field of view): one per entry of the batch axis `slice`,
        or one for all.
    calib
        Calibration lines that were scanned separately, (*batch, coil, c2, c1, c0), k = 0 at n // 2; None: use the
        fully sampled centre of `samples`.
    noise_cov
        Coil noise covariance per sample (variance of the complex value), (coil, coil), or with batch axes before them
        if several scans are joined (`joined`); None: unknown.
    axes
        Names of the batch axes, in order: `slice time contrast average repetition`; `example`: unrelated scans
        (`joined`).
    header
        What is known about the scan.
    target
        The truth, if the file contains one: magnitude or complex, (*batch, 1, z, y, x), already on the image's grid
        (made from prewhitened coils, if there is a noise covariance).
    receivers
        Number of coils before compression, if `samples` holds fewer; 0: the same number.
    object_noise
        Standard deviation of the noise where the object is (`calib.object_noise`), (1, 1) or with batch axes before
        them, where the scan was divided, so that parts have that of the whole; None: to be measured.
    """

    samples: Complex[Tensor, "*batch coil k2 k1 k0"]
    mask: Bool[Tensor, "*#batch 1 #k2 #k1 #k0"] | None = None
    traj: Float[Tensor, "*#batch k2 k1 k0 3"] | None = None
    encoding: Encoding
    geometries: tuple[Geometry, ...]
    calib: Complex[Tensor, "*#batch _coil c2 c1 c0"] | None = None
    noise_cov: Complex[Tensor, "*#batch _coil _coil"] | None = None
    axes: tuple[str, ...] = ()
    header: Header = field(default_factory=Header)
    target: Tensor | None = None
    receivers: int = 0
    object_noise: Float[Tensor, "*#batch 1 1"] | None = None

    def __post_init__(self) -> None:
        check_batch(tuple(self.samples.shape[:-4]), self.axes, len(self.geometries), "k-space")
        if (self.mask is None) == (self.traj is None):
            raise DataError("k-space needs a mask (Cartesian) or a trajectory, and not both")
        grid = tuple(self.samples.shape[-3:])
        if self.is_cartesian and grid != self.encoding.matrix:
            raise DataError(
                f"Cartesian samples have shape {grid} (k2, k1, k0), the encoded matrix is {self.encoding.matrix}"
            )
        for name, t in (("calib", self.calib), ("noise_cov", self.noise_cov)):
            n = t.shape[-4 if name == "calib" else -1] if t is not None else self.n_coils
            if n != self.n_coils:
                raise DataError(f"{name} has {n} coils, k-space {self.n_coils}", do="give the same coils to both")

    @property
    def n_coils(self) -> int:
        """Number of receive coils."""
        return self.samples.shape[-4]

    @property
    def n_receivers(self) -> int:
        """Number of receive coils before compression."""
        return self.receivers or self.n_coils

    @property
    def is_cartesian(self) -> bool:
        """Whether the samples lie on a grid."""
        return self.traj is None

    def image(self, values: Tensor, **extras: Tensor) -> Image:
        """Values (*batch, channel, z, y, x) on the encoded grid as an Image with this scan's geometry and header.

        Cropping and interpolating to the wanted matrix is the last step of `spinecho.recon`, not of a method.
        """
        return Image(values=values, geometries=self.geometries, axes=self.axes, header=self.header, extras=extras)

    @property
    def device(self) -> torch.device:
        """The device of the samples."""
        return self.samples.device

    def to(self, device: torch.device | str) -> KSpace:
        """A copy with all tensors on a device."""
        moved: dict[str, Any] = {f: t.to(device) for f in TENSORS if (t := getattr(self, f)) is not None}
        return replace(self, **moved)

    def part(self, axis: str, index: int) -> KSpace:
        """One entry of a batch axis; the axis stays, with length 1."""
        return self.narrow(axis, index, index + 1)

    def narrow(self, axis: str, start: int, stop: int) -> KSpace:
        """The entries start:stop of a batch axis."""
        return self.take(axis, range(start, stop))

    def take(self, axis: str, entries: Sequence[int]) -> KSpace:
        """These entries of a batch axis, in this order; a view if they are consecutive."""
        if axis not in self.axes:
            raise DataError(f"there is no axis {axis!r} among {self.axes}")
        i = self.axes.index(axis)

        def cut(t: Tensor) -> Tensor:
            if isinstance(entries, range) and entries.step == 1:
                return t.narrow(i, entries.start, len(entries))
            return t.index_select(i, torch.as_tensor(list(entries), device=t.device))

        fields: dict[str, Any] = {"samples": cut(self.samples)}
        for name, own in TENSORS.items():
            t: Tensor | None = getattr(self, name)
            if t is not None and t.ndim - own == len(self.axes) and t.shape[i] > 1:
                fields[name] = cut(t)
        if axis == "slice":
            fields["geometries"] = tuple(self.geometries[k] for k in entries)
        return replace(self, **fields)

    @property
    def bucket(self) -> Hashable:
        """What scans must have in common to be `joined`."""
        shapes = tuple(None if (t := getattr(self, name)) is None else tuple(t.shape) for name in TENSORS)
        return shapes, self.axes, self.encoding, len(self.geometries)

    @classmethod
    def joined(cls, scans: Sequence[KSpace]) -> KSpace:
        """Scans of one `bucket` as one, along a new first batch axis `example`; geometries and header are the first's.

        Raises
        ------
        DataError
            If they are not of one bucket.
        """
        first = scans[0]
        if any(scan.bucket != first.bucket for scan in scans):
            raise DataError("scans of different shapes cannot be joined", do="join those of one bucket")
        fields: dict[str, Any] = {}
        for name, own in TENSORS.items():
            if getattr(first, name) is not None:
                n_dims = len(first.axes) + own
                fields[name] = torch.stack([padded(getattr(scan, name), n_dims) for scan in scans])
        return replace(first, axes=("example", *first.axes), receivers=max(s.receivers for s in scans), **fields)


def padded(t: Tensor, n_dims: int) -> Tensor:
    """With axes of length 1 in front, until there are so many."""
    return t.reshape(*[1] * (n_dims - t.ndim), *t.shape)
