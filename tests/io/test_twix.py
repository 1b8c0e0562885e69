"""Siemens raw files: the real ones stand where their headers say; what they lack is tried on files made here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from twix_maker import Line, protocol, write_twix

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io.formats import twix
from spinecho.io.options import ReadOptions
from spinecho.io.twix.epi import to_image_line
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.run import recon

N, N1, COILS = 16, 12, 3


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def raw(samples: np.ndarray) -> np.ndarray:
    """What the scanner stores for samples (..., n) without oversampling: conjugated, over twice the field of view."""
    image = ifft(torch.from_numpy(np.ascontiguousarray(samples)), (-1,))
    n = image.shape[-1]
    wide = torch.zeros((*image.shape[:-1], 2 * n), dtype=image.dtype)
    wide[..., n // 2 : n // 2 + n] = image
    return fft(wide, (-1,)).numpy().conj()


def lines_of(samples: np.ndarray, centre: int = N1 // 2, **settings) -> list[Line]:
    """Readouts of (coil, k1, k0)."""
    counters, flags = settings.pop("counters", {}), settings.pop("flags", ())
    data = raw(samples)
    return [
        Line(data[:, i], {"Lin": i, **counters}, flags, (data.shape[-1] // 2, centre, 0), **settings)
        for i in range(samples.shape[1])
    ]


def read(path: Path, **options) -> KSpace:
    return twix.read(path, ReadOptions(**options))


@pytest.mark.parametrize("vb", [False, True])
def test_slices_repetitions_and_averages(tmp_path: Path, vb: bool) -> None:
    samples = noise(2, 3, COILS, N1, N)
    turn = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)
    lines = [
        line
        for average in range(2)
        for rep in range(3)
        for order, number in enumerate((1, 0))
        for line in lines_of(
            samples[number, rep] * (0.5 + average),
            counters={"Sli": number, "Rep": rep, "Ave": average},
            position=(1.0, 2.0, 10.0 * number + 0 * order),
            quaternion=turn,
        )
    ]
    path = write_twix(tmp_path / "s.dat", [(protocol(N, N1), lines)], vb=vb)
    with path.open("rb") as f:
        assert twix.recognises(path, f.read(4096))
    kspace = read(path)
    assert kspace.axes == ("slice", "repetition") and kspace.samples.shape == (2, 3, COILS, 1, N1, N)
    assert_allclose(kspace.samples[:, :, :, 0].numpy(), samples, atol=1e-5)
    assert kspace.mask is not None and kspace.mask.all() and kspace.encoding.recon_fov_mm == (5, 200, 240)
    # Columns of the rotation by 90 degrees about the first axis are phase, readout and slice.
    for i, g in enumerate(kspace.geometries):
        assert_allclose(g.directions, [[0, 1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-6)
        assert_allclose(g.to_world([N // 2, N1 // 2, 0]), [1, 2, 10 * i], atol=1e-5)
    assert twix.slice_count(path, ReadOptions()) == 2
    part = read(path, slices=(1, 2))
    assert torch.equal(part.samples, kspace.samples[1:]) and part.axes == kspace.axes
    assert kspace.header.patient["sex"] == "M" and kspace.header.te_ms == (3.0,)
    with pytest.raises(DataError, match="the scan has 2"):
        read(path, slices=(0, 3))


def test_partial_fourier_and_an_asymmetric_echo_stand_by_their_centres(tmp_path: Path) -> None:
    samples = noise(COILS, N1, N)
    full = raw(samples)
    lines = [Line(full[:, i, 8:], {"Lin": i - 4}, (), (N - 8, N1 // 2 - 4, 0)) for i in range(4, N1)]
    kspace = read(write_twix(tmp_path / "s.dat", [(protocol(N, N1), lines)]))
    assert kspace.mask is not None and kspace.encoding.matrix == (1, N1, N)
    assert kspace.mask[0, 0].any(1).tolist() == [False] * 4 + [True] * (N1 - 4)
    assert kspace.mask[0, 0, 5].tolist() == [False] * 4 + [True] * (N - 4)
    inside = kspace.samples[:, 0, 4:, 8:].numpy()
    assert np.linalg.norm(inside - samples[:, 4:, 8:]) < 0.35 * np.linalg.norm(samples[:, 4:, 8:])
    cut = [Line(full[:, i], {"Lin": i}, (), (N, N1 // 2, 0), cut=(8, 0)) for i in range(N1)]
    other = read(write_twix(tmp_path / "c.dat", [(protocol(N, N1), cut)]))
    assert torch.equal(other.samples[:, :, 4:], kspace.samples[:, :, 4:])


@pytest.mark.parametrize("integrated", [False, True])
def test_calibration_lines(tmp_path: Path, integrated: bool) -> None:
    samples = noise(COILS, N1, N)
    all_lines = lines_of(samples)
    lines = []
    for i, line in enumerate(all_lines):
        central = 4 <= i < 8
        if i % 2 == 0:
            line.flags = ("PATREFANDIMASCAN",) if integrated and central else ()
            lines.append(line)
        if central and not (integrated and i % 2 == 0):
            lines.append(Line(line.samples * (1 if integrated else 2), line.counters, ("PATREFSCAN",), line.centre))
    kspace = read(write_twix(tmp_path / "s.dat", [(protocol(N, N1, extra="sPat.lAccelFactPE = 2"), lines)]))
    assert kspace.encoding.acceleration == (1.0, 2.0) and kspace.mask is not None
    measured = kspace.mask.flatten().tolist()
    assert measured == [i % 2 == 0 or (integrated and 4 <= i < 8) for i in range(N1)]
    if integrated:
        assert kspace.calib is None
    else:
        assert kspace.calib is not None and kspace.calib.shape == (COILS, 1, 4, N)
        assert_allclose(kspace.calib[:, 0].numpy(), 2 * samples[:, 4:8], atol=1e-5)


def test_noise_of_an_earlier_measurement(tmp_path: Path) -> None:
    mix = np.array([[1, 0.5, 0], [0, 1, 0.2j], [0, 0, 2]])
    adjustment = [Line(mix @ noise(COILS, 4096, seed=i), flags=("NOISEADJSCAN",)) for i in range(8)]
    scan = lines_of(noise(COILS, N1, N))
    first = protocol(N, N1).replace(b"alDwellTime[0] = 5000", b"alDwellTime[0] = 2500")
    kspace = read(write_twix(tmp_path / "s.dat", [(first, adjustment), (protocol(N, N1), scan)]))
    assert kspace.noise_cov is not None
    wanted = 2 * (mix @ mix.conj().T).conj() * 0.5
    assert_allclose(kspace.noise_cov.numpy(), wanted, atol=0.05 * np.abs(wanted).max())
    assert kspace.samples.shape == (COILS, 1, N1, N)


def test_echoes_sets_and_partitions(tmp_path: Path) -> None:
    samples = noise(2, COILS, 4, N1, N)
    data = raw(samples)
    lines = [
        Line(data[e, :, p, i], {"Lin": i, "Par": p, "Eco": e}, ("REFLECT",) if e else (), (N, N1 // 2, 2))
        for e in range(2)
        for p in range(4)
        for i in range(N1)
    ]
    for line in lines:
        if line.flags:
            line.samples = line.samples[:, ::-1]
    kspace = read(write_twix(tmp_path / "s.dat", [(protocol(N, N1, partitions=4), lines)]))
    assert kspace.axes == ("contrast",) and kspace.encoding.matrix == (4, N1, N)
    assert_allclose(kspace.samples.numpy(), samples, atol=1e-5)


@pytest.mark.parametrize(
    ("extra", "flags", "said"),
    [
        ("sKSpace.ucTrajectory = 2", (), "radial, and the file does not record"),
        ("", ("SLICE_ACCEL_REFSCAN",), "multi-band"),
        ("", ("NOISEADJSCAN",), "none of its 12 readouts is of an image"),
        ("sKSpace.lBaseResolution = 0", (), "lBaseResolution as 0"),
    ],
)
def test_what_is_refused(tmp_path: Path, extra: str, flags: tuple[str, ...], said: str) -> None:
    lines = lines_of(noise(COILS, N1, N), flags=flags)
    path = write_twix(tmp_path / "s.dat", [(protocol(N, N1, extra=extra), lines)])
    with pytest.raises(DataError, match=said):
        read(path)


def test_readouts_of_two_sizes_are_refused(tmp_path: Path) -> None:
    lines = lines_of(noise(COILS, N1, N))
    lines[3].samples = lines[3].samples[:, :10]
    path = write_twix(tmp_path / "s.dat", [(protocol(N, N1), lines)])
    with pytest.raises(DataError, match="1 x 10 samples x 3 coils, 11 x 32 samples"):
        read(path)


@pytest.mark.parametrize("keep", [9000, 10300, 12000, 0.5, 0.97])
def test_truncated_files(shared_data: Path, tmp_path: Path, keep: float) -> None:
    content = (shared_data / "kspace/siemens_epi.dat").read_bytes()
    path = tmp_path / "t.dat"
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(DataError, match="truncated"):
        read(path)


def test_a_readout_that_does_not_fit(tmp_path: Path) -> None:
    path = write_twix(tmp_path / "s.dat", [(protocol(N, N1), lines_of(noise(COILS, N1, N)))])
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[10240:10244], "little")
    content[10240 + length + 48 : 10240 + length + 50] = b"\xff\xff"
    path.write_bytes(content)
    with pytest.raises(DataError, match="readout 0 at byte"):
        read(path)


def picture(path: Path) -> tuple[KSpace, np.ndarray]:
    kspace = read(path)
    return kspace, recon(kspace, "zero_filled").magnitude().values[0, 0].numpy()


def test_the_gradient_echo_phantom(shared_data: Path) -> None:
    kspace, image = picture(shared_data / "kspace/siemens_gre.dat")
    assert kspace.samples.shape == (2, 1, 160, 160) and kspace.header.model == "Skyra"
    assert "syngo MR E11" in kspace.header.history[0]
    geometry = kspace.geometries[0]
    # The protocol's slice position (Sag, Cor, Tra) and normal, which are LPS.
    assert_allclose(geometry.to_world([80, 80, 0]), [-2.58969998377, 53.9224264395, -53.9994745263], atol=1e-4)
    assert_allclose(geometry.directions[:, 2], [0, 0.0383878015, 0.9992629886], atol=1e-6)
    assert np.linalg.det(geometry.directions) == pytest.approx(-1)
    # The wedges at the phantom's top are anterior: a dark notch in the middle of the first rows, none in the last.
    assert geometry.directions[1, 1] > 0.99
    body = np.median(image[60, 20:60])
    assert image[12:22, 80:86].mean() < 0.3 * body < image[140:148, 76:90].mean()


def test_the_echo_planar_phantom_has_no_ghost(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kspace, image = picture(shared_data / "kspace/siemens_epi.dat")
    _, gre = picture(shared_data / "kspace/siemens_gre.dat")
    assert kspace.samples.shape == (2, 1, 80, 80) and "navigators" in " ".join(kspace.header.history)
    small = gre.reshape(80, 2, 80, 2).mean((1, 3))
    assert np.corrcoef(image.ravel(), small.ravel())[0, 1] > 0.9
    inside = small > 0.3 * np.percentile(small, 99)
    grown = np.max([np.roll(inside, (i, j), (0, 1)) for i in range(-4, 5) for j in range(-4, 5)], 0)
    ghost = np.roll(inside, 40, 0) & ~grown
    level = np.median(image[ghost]) / np.median(image[inside])
    monkeypatch.setattr(twix, "line_phases", lambda *_: ({}, []))
    _, image = picture(shared_data / "kspace/siemens_epi.dat")
    untouched = np.median(image[ghost]) / np.median(image[inside])
    # Noise alone is 0.04 here.
    assert ghost.sum() > 200 and level < 0.07 and untouched > 0.15


def test_the_receivers_phase_on_the_ramps_tells_the_sign(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entropies = {}
    for sign in (1, 0, -1):
        matrix = lambda ramp, m, n, shift, s=sign: to_image_line(ramp, m, n, s * shift)  # noqa: E731
        monkeypatch.setattr("spinecho.io.twix.lines.to_image_line", matrix)
        _, image = picture(shared_data / "kspace/siemens_epi.dat")
        b = image / np.linalg.norm(image)
        entropies[sign] = -np.sum(b * np.log(b))
    assert entropies[1] < entropies[0] < entropies[-1]


@pytest.mark.peer
def test_samples_are_those_that_bart_reads(shared_data: Path, tmp_path: Path) -> None:
    program = shutil.which("bart")
    if program is None:
        pytest.skip("bart is not installed")
    path = shared_data / "kspace/siemens_gre.dat"
    words = ["-x", "320", "-y", "160", "-c", "2", "-a", "160"]
    subprocess.run([program, "twixread", *words, str(path), "out"], cwd=tmp_path, check=True, capture_output=True)
    theirs = np.fromfile(tmp_path / "out.cfl", np.complex64).reshape(2, 160, 320)
    wide = ifft(torch.from_numpy(theirs.conj()), (-1,))[..., 80:240]
    torch.testing.assert_close(read(path).samples[:, 0], fft(wide, (-1,)), rtol=1e-4, atol=1e-9)


def test_options_that_would_do_nothing_are_refused(shared_data: Path) -> None:
    with pytest.raises(DataError, match="mask does not apply to Siemens raw files"):
        read(shared_data / "kspace/siemens_gre.dat", mask=Path("m.npy"))
