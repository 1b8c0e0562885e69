"""Echo-planar readouts on simulated data: ramps are undone exactly, and odd lines come back in phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from twix_maker import Line, protocol, write_twix

from spinecho.core.kspace import KSpace
from spinecho.io.formats import twix
from spinecho.io.options import ReadOptions
from spinecho.io.twix.epi import Ramp, least_entropy, navigator_phase, phase_ramp, to_image_line
from spinecho.ops.fourier import ifft

RAMP = Ramp(160, 240, 160, 32, 496)
N, N1, COILS = 32, 24, 2


def smooth(*shape: int) -> np.ndarray:
    """An object within the field of view: blobs, complex."""
    rng = np.random.default_rng(3)
    grids = np.meshgrid(*[np.linspace(-1, 1, n, endpoint=False) for n in shape], indexing="ij")
    out = np.zeros(shape, complex)
    for _ in range(6):
        centre, width = rng.uniform(-0.4, 0.4, len(shape)), rng.uniform(0.1, 0.25)
        out += np.exp(-sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) / width**2)
    return out


@pytest.mark.parametrize("ramp", [RAMP, Ramp(160, 240, 160, 32, 496, is_sine=True), Ramp(10, 540, 10, 10, 540)])
def test_k_is_the_area_under_the_gradient(ramp: Ramp) -> None:
    k = ramp.position(160)
    assert_allclose(k, -k[::-1], atol=1e-5)
    steps = np.diff(k)
    assert (steps > 0).all() and steps[79] > 0.999 * steps.max() and 0.98 < k[-1] - k[0] + steps[0] < 1.01
    assert (steps[0] < 0.5 * steps.max()) == (ramp.up_us > 100)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_ramp_sampling_is_undone(shift: float) -> None:
    image = smooth(N)
    k = RAMP.position(2 * N) * N
    x = np.arange(N) - N // 2
    samples = np.exp(-2j * np.pi * k[:, None] * x / N) @ image
    even = np.arange(2 * N) - N + 0.5
    samples = samples * np.exp(2j * np.pi * shift * (even * np.diff(k).max() - k))
    line = to_image_line(RAMP, 2 * N, N, shift) @ samples
    assert_allclose(line / line[N // 2], image / image[N // 2], atol=2e-3 * np.abs(image / image[N // 2]).max())


def test_unit_noise_stays_unit_noise() -> None:
    matrix = to_image_line(RAMP, 2 * N, N, 0.0)
    assert_allclose(np.mean(np.sum(np.abs(matrix) ** 2, 1)), 1, rtol=1e-5)


@pytest.mark.parametrize(("slope", "offset"), [(0.0, 0.0), (0.05, -1.0), (-0.2, 2.5)])
def test_the_navigators_phase_is_found(slope: float, offset: float) -> None:
    rng = np.random.default_rng(0)
    forward = np.stack([smooth(N), 1j * smooth(N)])[None]
    turned = forward * np.exp(1j * (slope * (np.arange(N) - N // 2) + offset))
    turned = turned + 0.01 * rng.standard_normal(turned.shape)
    found = navigator_phase(np.concatenate([turned, turned]), forward)
    assert_allclose(found, (slope, offset), atol=0.02)
    assert_allclose(turned[0] * phase_ramp(*found, N), forward[0], atol=0.1)


def test_least_entropy_finds_the_same_from_the_image_alone() -> None:
    image = np.stack([smooth(N1, N), smooth(N1, N) * np.linspace(0, 1, N)])
    image[:, :6] = image[:, -6:] = 0
    lines = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(image, -2), axis=-2), -2)
    reflected = np.arange(N1) % 2 == 1
    lines[:, reflected] *= np.exp(1j * (0.03 * (np.arange(N) - N // 2) + 0.25))
    assert_allclose(least_entropy(lines, reflected, (0.02, 0.1)), (0.03, 0.25), atol=0.01)


@pytest.mark.parametrize("acceleration", [1, 2])
def test_a_whole_echo_planar_file(tmp_path: Path, acceleration: int) -> None:
    """Ramp-sampled, reversed, delayed lines with navigators give the object back without a ghost."""
    object_ = np.stack([smooth(N1, N), smooth(N1, N) * np.linspace(0.2, 1, N)])
    object_[:, :6] = object_[:, -6:] = 0
    k, x = RAMP.position(2 * N) * N, np.arange(N) - N // 2
    sampled = np.exp(-2j * np.pi * k[:, None] * x / N)
    rows = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(object_, -2), axis=-2), -2)
    delay = np.exp(1j * (0.04 * x + 0.5))

    def line(row: np.ndarray, i: int, reflected: bool, flags: tuple[str, ...] = ()) -> Line:
        samples = np.einsum("kx,cx->ck", sampled, row * delay if reflected else row).conj()
        flags = (*flags, "REFLECT") if reflected else flags
        stored = samples[:, ::-1] if reflected else samples
        return Line(stored.astype(np.complex64), {"Lin": i}, flags, (N, N1 // 2, 0))

    middle = rows[:, N1 // 2]
    lines = [line(middle, N1 // 2, r, ("PHASCOR", "RTFEEDBACK")) for r in (True, False, True)]
    shown = range(0, N1, acceleration)
    lines += [line(rows[:, i], i, j % 2 == 1) for j, i in enumerate(shown)]
    entries = {"Mode": 2, "RampupTime": 160, "FlattopTime": 240, "RampdownTime": 160, "DelaySamplesTime": 32}
    meas = "".join(f'<ParamLong."alRegrid{n}"> {{ {v} 0 }}\n' for n, v in entries.items())
    meas += '<ParamDouble."aflRegridADCDuration"> { <Precision> 6 496.0 0.0 }\n'
    extra = f"sPat.lAccelFactPE = {acceleration}\nsFastImaging.lEPIFactor = {N1}"
    path = write_twix(tmp_path / "e.dat", [(protocol(N, N1, extra=extra, meas=meas), lines)])
    kspace = twix.read(path, ReadOptions())
    assert isinstance(kspace, KSpace)
    wanted = rows.copy()
    wanted[:, [i for i in range(N1) if i not in shown]] = 0
    wanted = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(wanted, -2), axis=-2), -2)
    found = ifft(kspace.samples)[:, 0].numpy()
    scale = np.vdot(wanted, found) / np.vdot(wanted, wanted)
    assert np.linalg.norm(found - scale * wanted) < 0.03 * np.linalg.norm(scale * wanted)
