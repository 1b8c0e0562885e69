"""Readouts of a Siemens measurement: what each is for, its line in image space, its place on the encoded grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from spinecho.core.errors import DataError
from spinecho.io.twix.epi import to_image_line
from spinecho.io.twix.file import Measurement
from spinecho.io.twix.protocol import Protocol
from spinecho.ops.fourier import ifft

_ASIDE = ("RTFEEDBACK", "HPFEEDBACK", "REFPHASESTABSCAN", "PHASESTABSCAN", "PHASCOR", "NOISEADJSCAN")
_NO_IMAGE = (*_ASIDE, "noname60", "MDH_VOP", "RETRO_DUMMYSCAN", "B1_CONTROLLOOP")
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Roles:
    """Readouts by purpose, as indices.

    `reference` holds separate parallel-imaging calibration lines; those that were measured within the scan, in one
    grid with the image's, are among `image`. Navigators tell odd from even lines.
    """

    image: np.ndarray
    reference: np.ndarray
    navigators: np.ndarray
    reference_navigators: np.ndarray
    noise: np.ndarray


def roles(m: Measurement) -> Roles:
    """Sort readouts by their flags.

    Raises
    ------
    DataError
        If several slices were excited at once, or nothing was measured for an image.
    """
    if m.has("SLICE_ACCEL_REFSCAN", "SLICE_ACCEL_PHASCOR").any():
        raise DataError("slices were excited several at once (multi-band), which is not read", do="unfold it first")
    reference, both = m.has("PATREFSCAN"), m.has("PATREFANDIMASCAN")
    plain = ~m.has(*_NO_IMAGE)
    separate = reference & ~both if not both.any() else np.zeros_like(both)
    image = np.flatnonzero(plain & ~separate)
    if not len(image):
        raise DataError(f"none of its {len(m.lines)} readouts is of an image", do="give the scan, not an adjustment")
    phase = m.has("PHASCOR") & ~m.has("NOISEADJSCAN")
    return Roles(
        image=image,
        reference=np.flatnonzero(plain & separate),
        navigators=np.flatnonzero(phase & ~reference),
        reference_navigators=np.flatnonzero(phase & reference),
        noise=np.flatnonzero(m.has("NOISEADJSCAN")),
    )


@dataclass(frozen=True, eq=False)
class Readout:
    """How samples become a line of pixels: one shape for all readouts of a kind.

    Parameters
    ----------
    n_samples, n_full
        As stored, and once an asymmetric echo is filled up to a symmetric one.
    start
        Where the first stored sample stands among n_full.
    n
        Pixels, and samples on the grid, once readout oversampling is cropped.
    cut
        Samples to be ignored at the beginning and the end.
    """

    n_samples: int
    n_full: int
    start: int
    n: int
    cut: tuple[int, int]
    protocol: Protocol

    @classmethod
    def of(cls, m: Measurement, index: np.ndarray, protocol: Protocol) -> Readout:
        """For readouts of equal size.

        Raises
        ------
        DataError
            If their sizes, or centres, differ.
        """
        lines = m.lines[index]
        sizes, counts = np.unique(np.stack([lines["SamplesInScan"], lines["UsedChannels"]]), axis=1, return_counts=True)
        if sizes.shape[1] > 1:
            listed = ", ".join(f"{c} x {s[0]} samples x {s[1]} coils" for s, c in zip(sizes.T, counts, strict=True))
            raise DataError(f"its readouts differ in size: {listed}", do="convert it to MRD, one file for each kind")
        n_samples = int(sizes[0, 0])
        forward = lines[~m.has("REFLECT")[index]]
        first = forward[0] if len(forward) else lines[0]
        centre = int(first["CenterCol"])
        if not 0 < centre < n_samples or protocol.ramp is not None:
            centre = n_samples // 2
        n_full = 2 * max(centre, n_samples - centre)
        n_full = n_samples if n_full - n_samples <= 2 else n_full
        return cls(
            n_samples=n_samples,
            n_full=n_full,
            start=n_full // 2 - centre if n_full > n_samples else 0,
            n=max(1, round(n_full / protocol.oversampling[2])),
            cut=(int(first["CutOff"]["Pre"]), int(first["CutOff"]["Post"])),
            protocol=protocol,
        )

    @property
    def measured(self) -> np.ndarray | None:
        """Which of the n samples on the grid an asymmetric echo holds; None: all."""
        first, last = self.start + self.cut[0], self.start + self.n_samples - self.cut[1]
        if last - first >= self.n_full - 2:
            return None
        step = self.n_full / self.n
        k = (np.arange(self.n) - self.n // 2) * step + self.n_full // 2
        return (k >= first) & (k <= last - 1)

    def lines(self, m: Measurement, index: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Chunks (indices, lines (readout, coil, x)): conjugated, in reading order, oversampling cropped."""
        reflected = m.has("REFLECT")
        for begin in range(0, len(index), _CHUNK):
            chunk = index[begin : begin + _CHUNK]
            samples = m.samples(chunk).conj()
            if self.cut[0]:
                samples[..., : self.cut[0]] = 0
            if self.cut[1]:
                samples[..., -self.cut[1] :] = 0
            backwards = reflected[chunk]
            samples[backwards] = samples[backwards][..., ::-1]
            yield chunk, self._pixels(samples, m, chunk)

    def _pixels(self, samples: np.ndarray, m: Measurement, chunk: np.ndarray) -> np.ndarray:
        ramp = self.protocol.ramp
        if ramp is not None:
            shifts = m.lines["ReadOutOffcentre"][chunk].astype(np.float64) / self.protocol.fov_mm[2]
            out = np.empty((*samples.shape[:2], self.n), np.complex64)
            for shift in np.unique(shifts):
                matrix = to_image_line(ramp, self.n_samples, self.n, float(shift))
                out[shifts == shift] = samples[shifts == shift] @ matrix.T
            return out
        full = np.zeros((*samples.shape[:2], self.n_full), np.complex64)
        full[..., self.start : self.start + self.n_samples] = samples
        begin = self.n_full // 2 - self.n // 2
        return ifft(torch.from_numpy(full), (-1,))[..., begin : begin + self.n].numpy()


def noise_covariance(m: Measurement, index: np.ndarray, channels: tuple[int, ...]) -> np.ndarray | None:
    """Covariance (coil, coil) of the noise readouts, for these channels in this order; None if they do not match."""
    theirs = m.channels(int(index[0]))
    same = [i for i in index if m.channels(int(i)) == theirs]
    if not set(channels) <= set(theirs):
        return None
    order = [theirs.index(c) for c in channels]
    sizes = m.lines["SamplesInScan"][same]
    noise = np.concatenate([m.samples(np.array([i]))[0] for i in np.array(same)[sizes == sizes[0]]], -1)[order]
    noise = noise.conj().astype(np.complex128)
    return noise @ noise.conj().T / noise.shape[1] if noise.shape[1] > 2 * len(order) else None
