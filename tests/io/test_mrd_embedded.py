"""MRD, parallel imaging: whichever lines an image is made of, and whatever their flags, it looks like the truth."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from mrd_files import BOTH, CALIBRATION, grid_lines, header, line, save, to_kspace

from spinecho import recon
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.io.write import write

N, COILS = 48, 6


def coils_and_truth(nz=1, n=N, seed=0):
    """Coil images (coil, z, y, x) of an object with edges, and its root sum of squares."""
    z, y, x = np.meshgrid((np.arange(nz) - nz // 2) * n / max(nz, 6), *2 * [np.arange(n) - n // 2], indexing="ij")
    head = x**2 + 0.8 * y**2 + z**2 < (0.4 * n) ** 2
    truth = 1.0 * head - 0.5 * ((x - 5 + seed) ** 2 + (y + 6) ** 2 < (n / 9) ** 2)
    angles = 2 * np.pi * np.arange(COILS) / COILS
    maps = np.stack(
        [
            np.exp(-((x - 22 * np.cos(a)) ** 2 + (y - 22 * np.sin(a)) ** 2 + (z - 14 * (-1) ** i) ** 2) / 600 + 1j * a)
            for i, a in enumerate(angles)
        ]
    )
    images = truth * maps
    return images, np.sqrt((np.abs(images) ** 2).sum(0))


def noisy(images, seed=0):
    rng = np.random.default_rng(seed)
    k = to_kspace(images)
    return (k + 1e-3 * (rng.standard_normal(k.shape) + 1j * rng.standard_normal(k.shape))).astype(np.complex64)


def lattice(nz, n, acceleration):
    return {(z, y) for z, y in np.ndindex(nz, n) if not z % acceleration[0] and not y % acceleration[1]}


def block(nz, n, width=16):
    z = range(nz // 2 - min(nz, width) // 2, nz // 2 - min(nz, width) // 2 + min(nz, width))
    return {(a, b) for a in z for b in range(n // 2 - width // 2, n // 2 + width // 2)}


def flagged(kspace, image, both=(), alone=(), **fields):
    """Lines of the image's steps, some of them flagged as calibration too, and those flagged calibration alone."""
    return [
        *grid_lines(kspace, sorted(set(image) - set(both)), **fields),
        *grid_lines(kspace, sorted(both), flags=[BOTH], **fields),
        *grid_lines(kspace, sorted(alone), flags=[CALIBRATION], **fields),
    ]


def error(got, truth):
    """Relative error of the image of a scan, scaled to the truth."""
    x = recon(got, "zero_filled" if got.mask.all() else "grappa").magnitude().values.numpy().reshape(truth.shape)
    return np.linalg.norm(x * (x * truth).sum() / (x * x).sum() - truth) / np.linalg.norm(truth)


def measured(got):
    mask = got.mask[..., 0].numpy()
    return {(int(z), int(y)) for z, y in zip(*np.nonzero(mask.reshape(-1, *mask.shape[-2:]).any(0)), strict=True)}


@pytest.mark.parametrize("mode", ["embedded", "interleaved", "other", None])
@pytest.mark.parametrize("rate", [2, 3, 4])
@pytest.mark.parametrize("both", [True, False])
def test_calibration_within_the_scan_is_part_of_the_image(tmp_path, mode, rate, both):
    images, truth = coils_and_truth()
    kspace, steps, acs = noisy(images), lattice(1, N, (1, rate)), block(1, N)
    lines = flagged(kspace, steps, acs & steps if both else (), acs - steps)
    got = read(save(tmp_path / "a.h5", header((1, N, N), acceleration=(1, rate), calibration=mode), lines))
    assert measured(got) == steps | acs and got.calib is None
    at = np.array(sorted(steps | acs))[:, 1]
    np.testing.assert_array_equal(got.samples[:, 0, at].numpy(), kspace[:, 0, at])
    assert error(got, truth) < 0.1
    assert any("flagged as calibration alone" in step for step in got.header.history)


@pytest.mark.parametrize("acceleration", [(2, 2), (2, 1), (1, 3)])
def test_calibration_within_a_scan_of_two_phase_encodes(tmp_path, acceleration):
    images, truth = coils_and_truth(nz=16, n=24)
    kspace, steps, acs = noisy(images), lattice(16, 24, acceleration), block(16, 24, 12)
    head = header((16, 24, 24), acceleration=acceleration, calibration="embedded")
    got = read(save(tmp_path / "a.h5", head, flagged(kspace, steps, acs & steps, acs - steps)))
    assert measured(got) == steps | acs and got.calib is None
    assert error(got, truth) < 0.15


def test_a_scan_whose_lines_are_all_flagged_as_its_own_calibration(tmp_path):
    images, truth = coils_and_truth()
    kspace = noisy(images)
    for mode in ("embedded", "interleaved"):
        lines = flagged(kspace, (), (), lattice(1, N, (1, 1)))
        got = read(save(tmp_path / "a.h5", header((1, N, N), calibration=mode), lines))
        assert got.mask.all() and error(got, truth) < 0.05


@pytest.mark.parametrize("n_z", [1, 8])
def test_frames_that_shift_their_lattice_calibrate_each_other(tmp_path, n_z):
    images, truth = coils_and_truth(n_z, 32)
    frames = [{(z, y) for z, y in lattice(n_z, 32, (1, 1)) if y % 2 == r % 2} for r in range(6)]
    lines = [x for r, s in enumerate(frames) for x in grid_lines(noisy(images, r), sorted(s), repetition=r)]
    head = header((n_z, 32, 32), acceleration=(1, 2), calibration="interleaved")
    got = read(save(tmp_path / "a.h5", head, lines))
    assert got.axes == ("repetition",) and got.samples.shape[0] == 6
    assert error(got, np.broadcast_to(truth, (6, *truth.shape))) < 0.1


def test_slices_averages_and_repetitions_with_calibration_in_the_first_only(tmp_path):
    steps, acs, lines, truths = lattice(1, N, (1, 2)), block(1, N), [], []
    for s in range(2):
        images, truth = coils_and_truth(seed=4 * s)
        truths.append([truth, truth])
        for r, a in np.ndindex(2, 2):
            first = r == 0 and a == 0
            kspace, fields = noisy(images, seed=10 * s + 2 * r + a), {"slice": s, "repetition": r, "average": a}
            lines += flagged(kspace, steps, acs & steps if first else (), acs - steps if first else (), **fields)
    head = header((1, N, N), acceleration=(1, 2), calibration="embedded")
    got = read(save(tmp_path / "a.h5", head, lines))
    assert got.axes == ("slice", "repetition") and got.samples.shape[:2] == (2, 2)
    assert error(got, np.array(truths)) < 0.1


@pytest.mark.parametrize("mode", ["separate", "external", "other", None])
@pytest.mark.parametrize("rate", [2, 4])
def test_a_separate_scan_of_another_contrast_calibrates_and_is_no_image(tmp_path, mode, rate):
    images, truth = coils_and_truth()
    kspace, steps, acs = noisy(images), lattice(1, N, (1, rate)), block(1, N, 24)
    dim = 1j * 5 * noisy(images * np.linspace(0.2, 1, N), 1)
    lines = [*flagged(kspace, steps), *flagged(dim, (), (), acs)]
    got = read(save(tmp_path / "a.h5", header((1, N, N), acceleration=(1, rate), calibration=mode), lines))
    assert measured(got) == steps
    np.testing.assert_array_equal(got.calib[:, 0].numpy(), dim[:, 0, 12:36])
    at = np.array(sorted(steps))[:, 1]
    np.testing.assert_array_equal(got.samples[:, 0, at].numpy(), kspace[:, 0, at])
    assert error(got, truth) < (0.1 if rate == 2 else 0.25)


def test_a_separate_scan_stays_apart_where_image_lines_are_flagged_too(tmp_path):
    """The header says separate, flags say both: lines measured twice are a scan of their own, new ones are not."""
    images, truth = coils_and_truth()
    kspace, steps, acs = noisy(images), lattice(1, N, (1, 2)), block(1, N)
    head = header((1, N, N), acceleration=(1, 2), calibration="separate")
    twice = [*flagged(kspace, steps, acs & steps), *flagged(3 * kspace, (), (), acs)]
    got = read(save(tmp_path / "a.h5", head, twice))
    assert measured(got) == steps and got.calib is not None and error(got, truth) < 0.1
    got = read(save(tmp_path / "b.h5", head, flagged(kspace, steps, acs & steps, acs - steps)))
    assert measured(got) == steps | acs and got.calib is None and error(got, truth) < 0.1


def test_frames_that_shift_their_lattice_with_calibration_in_each(tmp_path):
    """Neither mode nor flags of both: a frame's calibration repeats none of that frame's lines, only other frames'."""
    images, truth = coils_and_truth()
    acs, lines = block(1, N), []
    for r in range(4):
        steps = {(0, y) for y in range(r % 2, N, 2)}
        lines += flagged(noisy(images, r), steps, (), acs - steps, repetition=r)
    got = read(save(tmp_path / "a.h5", header((1, N, N), acceleration=(1, 2)), lines))
    assert got.calib is None and got.mask[..., 0].sum((1, 2, 3)).tolist() == [N // 2 + 8] * 4
    assert error(got, np.broadcast_to(truth, (4, *truth.shape))) < 0.1


@pytest.mark.parametrize("mode", ["embedded", "interleaved", "other"])
def test_calibration_that_repeats_a_line_of_the_image_changes_no_sample(tmp_path, mode):
    images, truth = coils_and_truth()
    kspace, steps, acs = noisy(images), lattice(1, N, (1, 2)), block(1, N)
    twice = grid_lines(3 * kspace, [(0, 20), (0, 24)], flags=[CALIBRATION])
    lines = [*flagged(kspace, steps, acs & steps, acs - steps), *twice]
    got = read(save(tmp_path / "a.h5", header((1, N, N), acceleration=(1, 2), calibration=mode), lines))
    at = np.array(sorted(steps | acs))[:, 1]
    np.testing.assert_array_equal(got.samples[:, 0, at].numpy(), kspace[:, 0, at])
    assert got.calib is None and error(got, truth) < 0.1
    assert any("2 calibration lines repeat lines of the image" in step for step in got.header.history)


def test_a_separate_scan_on_a_smaller_matrix_of_its_own(tmp_path):
    images, truth = coils_and_truth(nz=8, n=32)
    kspace, steps = noisy(images), lattice(8, 32, (1, 2))
    small = kspace[:, :, 4:28, 4:28]
    head = header((8, 32, 32), acceleration=(1, 2), calibration="embedded")
    head.encoding.append(header((8, 24, 24), fov_mm=(8.0, 32.0, 32.0), calibration="separate").encoding[0])
    lines = [*flagged(kspace, steps), *grid_lines(small, flags=[CALIBRATION], encoding_space_ref=1)]
    got = read(save(tmp_path / "a.h5", head, lines))
    assert measured(got) == steps and got.calib.shape == (COILS, 8, 24, 24)
    assert error(got, truth) < 0.15


def test_a_separate_scan_counted_from_zero_has_its_centre_found(tmp_path):
    images, truth = coils_and_truth()
    kspace, steps = noisy(images), lattice(1, N, (1, 2))
    block24 = kspace[:, :, 12:36]
    head = header((1, N, N), acceleration=(1, 2), calibration="external")
    got = read(save(tmp_path / "a.h5", head, [*flagged(kspace, steps), *grid_lines(block24, flags=[CALIBRATION])]))
    np.testing.assert_array_equal(got.calib.numpy(), block24)
    assert any("brightest" in step for step in got.header.history) and error(got, truth) < 0.1


def test_a_header_without_parallel_imaging(tmp_path):
    images, truth = coils_and_truth()
    kspace, steps, acs = noisy(images), lattice(1, N, (1, 2)), block(1, N)
    head = header((1, N, N))
    head.encoding[0].parallelImaging = None
    got = read(save(tmp_path / "a.h5", head, flagged(kspace, steps, acs & steps, acs - steps)))
    assert measured(got) == steps | acs and error(got, truth) < 0.1


def test_separate_calibration_stays_so_when_spinecho_writes_it(tmp_path):
    images, _ = coils_and_truth()
    kspace = noisy(images)
    odd = {(0, y) for y in range(N) if not 20 <= y < 28}
    head = header((1, N, N), calibration="separate")
    got = read(save(tmp_path / "a.h5", head, [*flagged(kspace, odd), *flagged(kspace, (), (), block(1, N, 8))]))
    assert got.calib is not None
    write(got, tmp_path / "b.mrd")
    again = read(tmp_path / "b.mrd")
    assert measured(again) == odd and np.array_equal(again.calib.numpy(), got.calib.numpy())
    assert "<calibrationMode>separate" in (tmp_path / "b.mrd").read_bytes().decode("latin1")


def test_calibration_of_other_coils_or_slices_never_joins_the_image(tmp_path):
    images, _ = coils_and_truth()
    kspace, steps, acs = noisy(images), lattice(1, N, (1, 2)), block(1, N)
    other = [line(kspace[:2, z, y], kspace_encode_step_1=y, flags=[CALIBRATION]) for z, y in sorted(acs)]
    elsewhere = flagged(kspace, (), (), acs - steps, slice=5)
    for i, extra in enumerate((other, elsewhere)):
        head = header((1, N, N), calibration="embedded")
        got = read(save(tmp_path / f"{i}.h5", head, [*flagged(kspace, steps), *extra]))
        assert measured(got) == steps and got.axes == ()


@pytest.mark.peer
@pytest.mark.parametrize("arguments", [("-a", "2", "-w", "24"), ("-a", "3", "-w", "16", "-r", "2", "-C")])
def test_the_standards_own_accelerated_phantom(tmp_path, arguments):
    if shutil.which("ismrmrd_generate_cartesian_shepp_logan") is None:
        pytest.skip("ismrmrd-tools are not installed")
    made = []
    for name, options in (("full.h5", ()), ("fast.h5", arguments)):
        made.append(tmp_path / name)
        command = ["ismrmrd_generate_cartesian_shepp_logan", "-m", "64", "-n", "0.001", *options, "-o", made[-1]]
        subprocess.run(command, check=True, capture_output=True)
    truth = recon(read(made[0], ReadOptions(key="dataset")), "auto").magnitude().values.numpy().squeeze()
    got = read(made[1], ReadOptions(key="dataset"))
    rate, width = int(arguments[1]), int(arguments[3])
    assert got.axes == ("repetition",) and got.samples.shape[0] == rate * (2 if "-r" in arguments else 1)
    n_lines = got.mask[..., 0].sum((1, 2, 3)).tolist()
    assert got.calib is None and all(abs(n - (width + (64 - width) / rate)) <= 1 for n in n_lines)
    assert error(got, np.broadcast_to(truth, (len(got.samples), *truth.shape))) < 0.1
