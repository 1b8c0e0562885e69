"""MRD files for tests, written with the `ismrmrd` package line by line: independent of spinecho's own writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import ismrmrd
import numpy as np
from ismrmrd import xsd

NOISE, CALIBRATION, BOTH, REVERSED = 19, 20, 21, 22
NAVIGATOR, PHASE_CORRECTION, DUMMY, RT_FEEDBACK = 23, 24, 27, 28


def line(
    samples: np.ndarray, *, flags: Sequence[int] = (), traj: np.ndarray | None = None, **fields
) -> ismrmrd.Acquisition:
    """One acquisition of (coil, sample) complex samples.

    `fields` are header fields or encoding counters by their ISMRMRD names (`slice`, `kspace_encode_step_1`, ...);
    center_sample is the middle unless given.
    """
    acquisition = ismrmrd.Acquisition.from_array(
        np.ascontiguousarray(samples, np.complex64), None if traj is None else np.ascontiguousarray(traj, np.float32)
    )
    fields = {"center_sample": samples.shape[1] // 2, "sample_time_us": 5.0, **fields}
    for name, value in fields.items():
        if hasattr(acquisition.idx, name):
            setattr(acquisition.idx, name, value)
        elif np.ndim(value):
            getattr(acquisition, name)[:] = [float(v) for v in value]
        else:
            setattr(acquisition, name, value)
    for flag in flags:
        acquisition.setFlag(flag)
    return acquisition


def grid_lines(kspace: np.ndarray, steps: Iterable[tuple[int, int]] | None = None, **fields) -> Iterator:
    """Lines of a (coil, k2, k1, k0) grid: all, or those of the (k2, k1) steps given."""
    for z, y in steps if steps is not None else np.ndindex(*kspace.shape[1:3]):
        yield line(kspace[:, z, y], kspace_encode_step_1=y, kspace_encode_step_2=z, **fields)


def header(
    matrix: tuple[int, int, int],
    *,
    fov_mm: tuple[float, float, float] | None = None,
    recon_matrix: tuple[int, int, int] | None = None,
    recon_fov_mm: tuple[float, float, float] | None = None,
    centre: tuple[int, int] | None = None,
    trajectory: str = "cartesian",
    acceleration: tuple[int, int] = (1, 1),
    calibration: str | None = None,
    vendor: str = "",
    noise_bandwidth: float | None = None,
    te_ms: Sequence[float] = (),
) -> xsd.ismrmrdHeader:
    """A header with one encoding; triples are (z, y, x), pairs (k2, k1); fields of view default to 1 mm voxels.

    calibration is the standard's calibrationMode; None leaves it out.
    """
    fov_mm = fov_mm or tuple(float(n) for n in matrix)
    centre = centre or (matrix[0] // 2, matrix[1] // 2)
    limits = {
        f"kspace_encoding_step_{2 - i}": xsd.limitType(minimum=0, maximum=matrix[i] - 1, center=centre[i])
        for i in (0, 1)
    }
    encoding = xsd.encodingType(
        encodedSpace=_space(matrix, fov_mm),
        reconSpace=_space(recon_matrix or matrix, recon_fov_mm or fov_mm),
        encodingLimits=xsd.encodingLimitsType(**limits),
        trajectory=xsd.trajectoryType(trajectory),
        parallelImaging=xsd.parallelImagingType(
            accelerationFactor=xsd.accelerationFactorType(
                kspace_encoding_step_1=acceleration[1], kspace_encoding_step_2=acceleration[0]
            ),
            calibrationMode=None if calibration is None else xsd.calibrationModeType(calibration),
        ),
    )
    return xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=127729200),
        encoding=[encoding],
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(
            systemVendor=vendor or None, relativeReceiverNoiseBandwidth=noise_bandwidth
        ),
        sequenceParameters=xsd.sequenceParametersType(TE=list(te_ms)),
    )


def _space(matrix: Sequence[int], fov_mm: Sequence[float]) -> xsd.encodingSpaceType:
    z, y, x = matrix
    fz, fy, fx = fov_mm
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=x, y=y, z=z), fieldOfView_mm=xsd.fieldOfViewMm(x=fx, y=fy, z=fz)
    )


def save(path: Path, head: xsd.ismrmrdHeader | str | None, lines: Iterable[ismrmrd.Acquisition]) -> Path:
    """Write the file with the package's own writer; head may be XML text, or None to leave it out."""
    with ismrmrd.Dataset(str(path), "dataset", mode="w") as file:
        if head is not None:
            file.write_xml_header((head if isinstance(head, str) else xsd.ToXML(head)).encode())
        for acquisition in lines:
            file.append_acquisition(acquisition)
    return path


def coil_images(n_coils: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Complex images (coil, z, y, x) without any symmetry."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n_coils, *shape)) + 1j * rng.standard_normal((n_coils, *shape))).astype(np.complex64)


def to_kspace(images: np.ndarray, axes: tuple[int, ...] = (-3, -2, -1)) -> np.ndarray:
    """Centred unitary FFT, in numpy."""
    moved = np.fft.fftn(np.fft.ifftshift(images, axes), axes=axes, norm="ortho")
    return np.fft.fftshift(moved, axes).astype(np.complex64)


def to_images(kspace: np.ndarray, axes: tuple[int, ...] = (-3, -2, -1)) -> np.ndarray:
    """Inverse of `to_kspace`."""
    moved = np.fft.ifftn(np.fft.ifftshift(kspace, axes), axes=axes, norm="ortho")
    return np.fft.fftshift(moved, axes).astype(np.complex64)
