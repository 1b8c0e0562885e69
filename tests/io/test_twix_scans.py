"""Siemens raw files, kinds of scan beyond the plain ones: slabs, repeated lines, noise of other channels, protocols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation
from test_twix import COILS, N1, N, lines_of, noise, raw, read
from twix_maker import Line, protocol, write_twix

from spinecho.core.errors import DataError
from spinecho.io.formats import twix
from spinecho.io.options import ReadOptions
from spinecho.io.twix.file import measurements
from spinecho.io.twix.protocol import directions


def scan_of(tmp_path: Path, lines, **settings):
    options = settings.pop("options", {})
    return read(write_twix(tmp_path / "s.dat", [(protocol(N, N1, **settings), lines)]), **options)


def slab_lines(samples: np.ndarray, centre: tuple[int, int], keep=lambda p, y: True, **settings) -> list[Line]:
    """Readouts of (coil, k2, k1, k0); counters begin at the first partition and line kept."""
    data = raw(samples)
    kept = [(p, y) for p, y in np.ndindex(samples.shape[1:3]) if keep(p, y)]
    p0, y0 = min(p for p, _ in kept), min(y for _, y in kept)
    return [
        Line(data[:, p, y], {"Par": p - p0, "Lin": y - y0}, (), (N, centre[1] - y0, centre[0] - p0), **settings)
        for p, y in kept
    ]


@pytest.mark.parametrize("first", [(0, 0), (1, 0), (0, 4), (2, 3)])
def test_partial_fourier_of_a_slab(tmp_path: Path, first: tuple[int, int]) -> None:
    samples = noise(COILS, 6, N1, N)
    lines = slab_lines(samples, (3, N1 // 2), lambda p, y: p >= first[0] and y >= first[1])
    kspace = scan_of(tmp_path, lines, partitions=6)
    want = np.zeros((6, N1), bool)
    want[first[0] :, first[1] :] = True
    assert kspace.mask is not None
    assert_array_equal(kspace.mask[0, :, :, 0].numpy(), want)
    assert_allclose(kspace.samples.numpy(), samples * want[..., None], atol=1e-5)


def test_a_slab_with_oversampled_slices_and_lines(tmp_path: Path) -> None:
    extra = "sKSpace.dSliceOversamplingForDialog = 0.5\nsKSpace.dPhaseOversamplingForDialog = 0.25"
    lines = slab_lines(noise(COILS, 6, N1, N), (3, N1 // 2))
    got = scan_of(tmp_path, lines, partitions=6, extra=extra).encoding
    assert got.matrix == (6, N1, N) and got.recon_fov_mm == (5.0, 200.0, 240.0)
    assert got.fov_mm == (7.5, 250.0, 240.0) and got.recon_matrix == (6, round(N * 200 / 240), N)


def test_acceleration_along_both_phase_encodes(tmp_path: Path) -> None:
    samples = noise(COILS, 4, N1, N)
    lines = slab_lines(samples, (2, N1 // 2), lambda p, y: p % 2 == 0 and y % 3 == 0)
    extra = "sPat.lAccelFactPE = 3\nsPat.lAccelFact3D = 2"
    kspace = scan_of(tmp_path, lines, partitions=4, extra=extra)
    assert kspace.encoding.acceleration == (2.0, 3.0) and kspace.mask is not None
    want = np.zeros((4, N1), bool)
    want[::2, ::3] = True
    assert_array_equal(kspace.mask[0, :, :, 0].numpy(), want)


def test_separate_calibration_of_a_slab_and_of_slices(tmp_path: Path) -> None:
    samples, reference = noise(COILS, 4, N1, N), noise(COILS, 4, N1, N, seed=1)
    lines = slab_lines(samples, (2, N1 // 2), lambda p, y: y % 2 == 0)
    for p in range(1, 3):
        for line in lines_of(reference[:, p])[4:8]:
            line.counters["Par"], line.flags, line.centre = p, ("PATREFSCAN",), (N, N1 // 2, 2)
            lines.append(line)
    kspace = scan_of(tmp_path, lines, partitions=4)
    assert kspace.calib is not None
    assert_allclose(kspace.calib.numpy(), reference[:, 1:3, 4:8], atol=1e-5)

    lines, wanted = [], []
    for number in range(2):
        image, own = noise(COILS, N1, N, seed=number), noise(COILS, N1, N, seed=5 + number)
        wanted.append(own[:, 4:8])
        place = {"counters": {"Sli": number}, "position": (0.0, 0.0, 9.0 * number)}
        lines += lines_of(image, **{k: dict(v) if k == "counters" else v for k, v in place.items()})
        lines += lines_of(own, flags=("PATREFSCAN",), **place)[4:8]
    kspace = scan_of(tmp_path, lines)
    assert kspace.calib is not None and kspace.axes == ("slice",)
    assert_allclose(kspace.calib[:, :, 0].numpy(), np.stack(wanted), atol=1e-5)
    part = scan_of(tmp_path, lines, options={"slices": (1, 2)})
    assert part.calib is not None and part.calib.shape[0] == 1
    assert_allclose(part.calib[0, :, 0].numpy(), wanted[1], atol=1e-5)


@given(counts=st.lists(st.integers(0, 3), min_size=N1, max_size=N1).filter(any), seed=st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_repeated_lines_become_means_and_absent_ones_zeros(tmp_path_factory, counts: list[int], seed: int) -> None:
    readings = noise(3, COILS, N1, N, seed=seed)
    lines = [x for a in range(3) for x in lines_of(readings[a], counters={"Ave": a}) if counts[x.counters["Lin"]] > a]
    np.random.default_rng(seed).shuffle(lines)
    if len({x.counters["Lin"] for x in lines}) == 1:
        return
    kspace = scan_of(tmp_path_factory.mktemp("a"), lines)
    weights = (np.arange(3)[:, None] < np.array(counts))[:, None, :, None]
    want = (readings * weights).sum(0) / np.maximum(counts, 1)[:, None]
    assert kspace.mask is not None
    assert_array_equal(kspace.mask[0, 0, :, 0].numpy(), np.array(counts) > 0)
    assert_allclose(kspace.samples[:, 0].numpy(), want, atol=1e-5)
    assert any("readings of a line averaged" in step for step in kspace.header.history) == (max(counts) > 1)


def test_cardiac_phases_echoes_sets_and_segments(tmp_path: Path) -> None:
    samples = noise(2, 2, 3, COILS, N1, N)
    lines = []
    for e, s, t in np.ndindex(2, 2, 3):
        # Numbers along an axis may have gaps; segments are parts of one image and no axis.
        for line in lines_of(samples[e, s, t], counters={"Eco": 2 * e, "Set": s + 4, "Phs": t}):
            line.counters["Seg"] = line.counters["Lin"] % 4
            lines.append(line)
    kspace = scan_of(tmp_path, lines)
    assert kspace.axes == ("time", "contrast")
    want = samples.transpose(2, 0, 1, 3, 4, 5).reshape(3, 4, COILS, N1, N)
    assert_allclose(kspace.samples[:, :, :, 0].numpy(), want, atol=1e-5)


def test_readouts_that_are_no_image_are_skipped(tmp_path: Path) -> None:
    samples = noise(COILS, N1, N)
    lines = lines_of(samples)
    for flag in ("RTFEEDBACK", "HPFEEDBACK", "PHASCOR", "REFPHASESTABSCAN", "RETRO_DUMMYSCAN"):
        lines.insert(3, Line(np.full((COILS, 7), 1e6), {"Lin": 3}, (flag,), (3, N1 // 2, 0)))
    assert_allclose(scan_of(tmp_path, lines).samples[:, 0].numpy(), samples, atol=1e-5)


def test_noise_within_the_scan_counts_averages_and_too_little_is_not_used(tmp_path: Path) -> None:
    readings = noise(COILS, 2000, seed=9)
    images = [x for a in range(2) for x in lines_of(noise(COILS, N1, N), counters={"Ave": a})]
    kspace = scan_of(tmp_path, [Line(readings, flags=("NOISEADJSCAN",)), *images])
    assert kspace.noise_cov is not None
    assert_allclose(kspace.noise_cov.numpy(), (readings @ readings.conj().T).conj() / 2000 / 2, atol=1e-5)
    few = [Line(readings[:, : 2 * COILS], flags=("NOISEADJSCAN",)), *images]
    assert scan_of(tmp_path, few).noise_cov is None


@pytest.mark.parametrize("n_noise", [COILS - 1, COILS, COILS + 2])
def test_noise_is_matched_by_channel_numbers(tmp_path: Path, n_noise: int) -> None:
    readings = noise(n_noise, 500, seed=2)
    kspace = scan_of(tmp_path, [Line(readings, flags=("NOISEADJSCAN",)), *lines_of(noise(COILS, N1, N))])
    if n_noise < COILS:
        assert kspace.noise_cov is None
        return
    ours = readings[:COILS].conj()
    assert kspace.noise_cov is not None
    assert_allclose(kspace.noise_cov.numpy(), ours @ ours.conj().T / 500, atol=1e-5)


@given(q=st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
@settings(max_examples=50, deadline=None)
def test_quaternions_turn_as_scipys(q: list[float]) -> None:
    unit = np.array(q) / np.linalg.norm(q)
    w, x, y, z = unit
    matrix = Rotation.from_quat([x, y, z, w]).as_matrix()
    assert_allclose(directions(unit), matrix[:, [1, 0, 2]], atol=1e-12)


@pytest.mark.parametrize("q", [(0, 0, 0, 0), (1, 1, 0, 0), (np.nan, 0, 0, 1)])
def test_what_is_no_rotation_is_refused(tmp_path: Path, q: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match=r"quaternion \[.*\] is no rotation -> export the scan again"):
        scan_of(tmp_path, lines_of(noise(COILS, N1, N), quaternion=q))


def test_facts_of_the_protocol(tmp_path: Path) -> None:
    extra = "\n".join(
        [
            "lContrasts = 2",
            "alTE[1] = 7500",
            "alTI[0] = 900000",
            "sPrepPulses.ucInversion = 1",
            "adFlipAngleDegree[0] = 12",
            'tProtocolName = "brain"',
        ]
    )
    header = scan_of(tmp_path, lines_of(noise(COILS, N1, N)), extra=extra).header
    assert (header.te_ms, header.tr_ms, header.ti_ms, header.flip_deg) == ((3.0, 7.5), (10.0,), (900.0,), (12.0,))
    assert (header.vendor, header.protocol, header.slice_thickness_mm) == ("Siemens", "brain", 5.0)
    assert header.patient["id"] == "p1" and header.history[0] == "read Siemens raw data, syngo MR test"
    plain = scan_of(tmp_path, lines_of(noise(COILS, N1, N)), extra="alTI[0] = 900000").header
    assert plain.ti_ms == () and plain.te_ms == (3.0,)
    slab = scan_of(tmp_path, slab_lines(noise(COILS, 4, N1, N), (2, N1 // 2)), partitions=4).header
    assert slab.slice_thickness_mm == 0.0, "a slab's thickness is no slice's"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"extra": "sKSpace.ucTrajectory = 4"}, "spiral, and the file does not record .* -> convert it to MRD"),
        ({"extra": "sKSpace.ucTrajectory = 8"}, "the readouts are BLADE"),
        ({"extra": "sKSpace.ucTrajectory = 77"}, "of code 77"),
        ({"extra": "sKSpace.lPhaseEncodingLines = 70000"}, "lPhaseEncodingLines as 70000"),
        ({"extra": "sSliceArray.asSlice[0].dReadoutFOV = 0"}, "no slice with a field of view -> export"),
        ({"meas": '<ParamLong."alRegridMode"> { 8 }\n'}, "readout gradient has the unknown shape 8"),
        ({"meas": '<ParamLong."alRegridMode"> { 2 }\n'}, "gradient makes no sense: up 0.0, flat 0.0"),
    ],
)
def test_protocols_that_cannot_be_followed(tmp_path: Path, settings: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        scan_of(tmp_path, lines_of(noise(COILS, N1, N)), **settings)


def test_counters_far_from_the_centre_are_damage(tmp_path: Path) -> None:
    lines = lines_of(noise(COILS, N1, N))
    lines[2].counters["Lin"] = 60000
    with pytest.raises(DataError, match=r"Lin runs from -6 to 59994 about its centre, the protocol has 12 lines ->"):
        scan_of(tmp_path, lines)


def test_other_files_are_not_taken_for_raw_data(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    for content in (b"", b"\0" * 200, b"text " * 100, np.arange(4000, dtype="<u4").tobytes()):
        path.write_bytes(content)
        assert not twix.recognises(path, content[:4096])
    good = write_twix(path, [(protocol(N, N1), lines_of(noise(COILS, N1, N)))])
    assert twix.recognises(good, good.read_bytes()[:4096]) and len(measurements(good)) == 1
    assert not twix.recognises(tmp_path, b"")


def test_tables_of_measurements_that_lie(tmp_path: Path) -> None:
    good = write_twix(tmp_path / "s.dat", [(protocol(N, N1), lines_of(noise(COILS, N1, N)))]).read_bytes()
    (tmp_path / "none.dat").write_bytes(good[:4] + bytes(4) + good[8:])
    with pytest.raises(DataError, match="the file holds no measurement -> copy it from the scanner again"):
        twix.read(tmp_path / "none.dat", ReadOptions())
    (tmp_path / "short.dat").write_bytes(good[:9000])
    with pytest.raises(DataError, match="truncated to 9000 bytes"):
        twix.read(tmp_path / "short.dat", ReadOptions())
    (tmp_path / "long.dat").write_bytes(good[:10240] + b"\xff\xff\xff\x7f" + good[10244:])
    with pytest.raises(DataError, match=r"its header declares 2147483647 bytes, \d+ are there"):
        twix.read(tmp_path / "long.dat", ReadOptions())
