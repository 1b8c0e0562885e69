"""Siemens raw data (.dat), VB and VD/VE layouts, through twixtools' definitions.

Tried on real files of VE11C (syngo MR E11, Skyra): a gradient echo and an echo-planar scan; VB and the other features
on synthetic files; XA, which shares VE's layout, on none. The last measurement of a multi-raid file is the scan; noise
is taken from it or an earlier one. Readout oversampling is removed, reversed lines are turned, averages averaged,
partial Fourier and asymmetric echoes placed by their centres. Echo-planar lines come back to an even grid and in phase
(`io/twix/epi.py`).

Why the samples are conjugated
------------------------------
The receiver's signal follows exp(+2 pi i k r), ours exp(-2 pi i k r) (`ops/fourier.py`): without conjugation the image
stands mirrored along all its encoded axes. Each readout's quaternion then gives, for the conjugated samples, the
directions of phase encode, readout and slice (LPS) as the columns of its rotation, and `ReadOutOffcentre` is the
slice's position along that readout direction. Three things outside ourselves agree: twixtools turns the directions
round instead of the samples; the echo-planar picture has less entropy, and is more like the gradient echo's, with the
receiver's phase on the ramps taken out with this sign than with the other or not at all; and the wedges at the
phantom's front are in front.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.io.limits import check_memory
from spinecho.io.options import ReadOptions, refuse_idle
from spinecho.io.twix.file import Measurement, measurements, starts_as_twix
from spinecho.io.twix.grid import calibration_grid, image_grid
from spinecho.io.twix.lines import Readout, Roles, noise_covariance, roles
from spinecho.io.twix.phase import line_phases
from spinecho.io.twix.protocol import Protocol, directions, read_protocol
from spinecho.ops.fourier import fft

SUFFIXES = (".dat",)


def recognises(path: Path, head: bytes) -> bool:
    """By the table of measurements and the first header section's name."""
    return path.is_file() and starts_as_twix(path, head)


def slice_count(path: Path, options: ReadOptions) -> int:
    """Number of slices with image readouts."""
    scan = measurements(path)[-1]
    return len(np.unique(scan.counter("Sli")[roles(scan).image]))


def read(path: Path, options: ReadOptions) -> KSpace:
    """The scan in the file's last measurement.

    Raises
    ------
    DataError
        If the file is truncated, or of a kind that is refused: not Cartesian, multi-band, readouts of several sizes.
    """
    refuse_idle(options, "Siemens raw")
    measured = measurements(path)
    scan = measured[-1]
    protocol, kinds = read_protocol(scan.protocol, path), roles(scan)
    n_slices = len(np.unique(scan.counter("Sli")[kinds.image]))
    if options.slices is not None:
        kinds = _only_slices(scan, kinds, options.slices)
    readout = Readout.of(scan, kinds.image, protocol)
    grid = image_grid(scan, kinds.image, protocol, readout, is_part=n_slices > 1)
    check_memory(2 * grid.n_bytes, "the scan")
    with np.errstate(over="ignore", invalid="ignore"):  # absurd samples are refused once they are k-space
        phases, notes = line_phases(scan, kinds, protocol, readout)
        values, count = grid.filled(scan, kinds.image, readout, phases)
    samples, mask = _on_grid(values, count, readout)
    calib = None
    if len(kinds.reference):
        own = Readout.of(scan, kinds.reference, protocol)
        lines = calibration_grid(scan, kinds.reference, grid)
        calib, _ = _on_grid(*lines.filled(scan, kinds.reference, own, phases), own)
    n_times = float(np.median(count[count > 0]))
    noise = _noise(measured, scan, kinds, protocol, n_times)
    notes += [f"up to {int(count.max())} readings of a line averaged"] if count.max() > 1 else []
    notes += [] if noise is None else ["noise covariance from the noise readouts"]
    matrix = (samples.shape[-3], samples.shape[-2], samples.shape[-1])
    return KSpace(
        samples=samples,
        mask=mask,
        encoding=_encoding(protocol, matrix),
        geometries=_geometries(scan, kinds.image, protocol, matrix),
        calib=calib,
        noise_cov=noise,
        axes=grid.axes,
        header=protocol.header.noted(*notes),
    )


def _only_slices(m: Measurement, kinds: Roles, wanted: tuple[int, int]) -> Roles:
    """Readouts of some slices; noise stays."""
    numbers = np.unique(m.counter("Sli")[kinds.image])
    start, stop = wanted
    if not 0 <= start < stop <= len(numbers):
        raise DataError(
            f"slices {start}:{stop} were asked for, the scan has {len(numbers)}", do=f"choose in 0:{len(numbers)}"
        )
    inside = np.isin(m.counter("Sli"), numbers[start:stop])
    names = ("image", "reference", "navigators", "reference_navigators")
    return replace(kinds, **{n: getattr(kinds, n)[inside[getattr(kinds, n)]] for n in names})


def _on_grid(values: np.ndarray, count: np.ndarray, readout: Readout) -> tuple[Tensor, Tensor]:
    """Lines in image space along x (*batch, coil, k2, k1, x), each counted, to samples and their mask."""
    samples = fft(torch.from_numpy(values), (-1,))
    mask = torch.from_numpy(count > 0)[..., None, :, :, None]
    if readout.measured is not None:
        mask = mask & torch.from_numpy(readout.measured)
        samples = samples * mask
    return samples, mask


def _encoding(protocol: Protocol, matrix: tuple[int, int, int]) -> Encoding:
    z, y, x = protocol.fov_mm
    return Encoding(
        matrix=matrix,
        recon_matrix=protocol.recon_matrix,
        fov_mm=(z * protocol.oversampling[0], y * protocol.oversampling[1], x),
        recon_fov_mm=protocol.fov_mm,
        acceleration=protocol.acceleration,
    )


def _geometries(
    m: Measurement, index: np.ndarray, protocol: Protocol, matrix: tuple[int, int, int]
) -> tuple[Geometry, ...]:
    """One for each slice, from its first readout's position and quaternion."""
    fov = _encoding(protocol, matrix).fov_mm
    assert fov is not None
    voxel = [f / n for f, n in zip(fov[::-1], matrix[::-1], strict=True)]
    numbers, first = np.unique(m.counter("Sli")[index], return_index=True)
    geometries = []
    for i in index[first]:
        place = m.lines["SliceData"][i]
        position = [float(place["SlicePos"][axis]) for axis in ("Sag", "Cor", "Tra")]
        geometries.append(Geometry.from_frame(position, directions(place["Quaternion"]), voxel, matrix))
    assert len(geometries) == len(numbers)
    return tuple(geometries)


def _noise(
    measured: list[Measurement], scan: Measurement, kinds: Roles, protocol: Protocol, n_times: float
) -> Tensor | None:
    """Noise covariance per sample of the scan: the noise readouts', scaled from their bandwidth to the scan's."""
    channels = scan.channels(int(kinds.image[0]))
    for m in (scan, *reversed(measured[:-1])):
        index = np.flatnonzero(m.has("NOISEADJSCAN"))
        if not len(index):
            continue
        covariance = noise_covariance(m, index, channels)
        if covariance is None:
            continue
        if m is not scan:
            dwell = read_dwell(m)
            covariance = covariance * (dwell / protocol.dwell_ns if dwell and protocol.dwell_ns else 1.0)
        return torch.from_numpy((covariance / n_times).astype(np.complex64))
    return None


def read_dwell(m: Measurement) -> float:
    """Time per sample, ns; 0 where the protocol does not say."""
    times = m.protocol.get("MeasYaps", {}).get("sRXSPEC", {}).get("alDwellTime")
    return float(times[0]) if isinstance(times, list) and times and isinstance(times[0], (int, float)) else 0.0
