"""MRD, Cartesian: every line lands where the header puts it, and nothing else does."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import numpy as np
import pytest
import torch
from mrd_files import (
    BOTH,
    CALIBRATION,
    DUMMY,
    NAVIGATOR,
    NOISE,
    PHASE_CORRECTION,
    REVERSED,
    RT_FEEDBACK,
    coil_images,
    grid_lines,
    header,
    line,
    save,
    to_images,
    to_kspace,
)

from spinecho.core.errors import DataError
from spinecho.io.formats import mrd
from spinecho.io.options import ReadOptions
from spinecho.io.read import find_format, read
from spinecho.io.write import write
from spinecho.ops.fourier import ifft
from spinecho.tasks.recon.run import recon

N_COILS, NY, NX = 3, 12, 16
PLAIN = ReadOptions()


def close(a, b, tolerance=2e-6):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def scan(n_z=1, seed=0, n_x=NX):
    images = coil_images(N_COILS, (n_z, NY, n_x), seed)
    return images, to_kspace(images)


@pytest.mark.peer
@pytest.mark.parametrize("arguments", [["-m", "64", "-c", "4", "-C"], ["-m", "52", "-c", "1", "-O", "1"]])
def test_zero_filled_equals_the_standards_own_tool(tmp_path, arguments):
    if shutil.which("ismrmrd_recon_cartesian_2d") is None:
        pytest.skip("ismrmrd-tools are not installed")
    path = tmp_path / "scan.h5"
    subprocess.run(["ismrmrd_generate_cartesian_shepp_logan", *arguments, "-o", path], check=True, capture_output=True)
    subprocess.run(["ismrmrd_recon_cartesian_2d", path], check=True, capture_output=True)
    with h5py.File(path) as file:
        theirs = file["dataset/cpp/data"][0, 0, 0]
        nx = len(file["dataset/data"][-1]["data"]) // (2 * int(arguments[3]))
    kspace = read(path, ReadOptions(key="dataset"))
    ours = ifft(kspace.samples).abs().square().sum(-4).sqrt().squeeze().numpy()
    close(ours * (nx * theirs.shape[0]) ** 0.5, theirs)


def test_one_slice(tmp_path):
    images, kspace = scan()
    path = save(tmp_path / "a.h5", header((1, NY, NX), te_ms=(4.5,), vendor="Vendor"), grid_lines(kspace))
    got = read(path)
    close(got.samples, kspace)
    assert got.axes == () and got.mask.all() and got.calib is None and got.noise_cov is None
    assert got.header.te_ms == (4.5,) and got.header.vendor == "Vendor" and got.header.field_t == 3.0
    assert find_format(path) is mrd and mrd.slice_count(path, PLAIN) == 1
    close(recon(got, "zero_filled").values[0], np.sqrt((np.abs(images) ** 2).sum(0)), 1e-5)


def test_all_batch_axes_in_any_order(tmp_path, rng):
    lines, want = [], np.zeros((3, 2, 2, 2, N_COILS, 1, NY, NX), np.complex64)
    for i, (s, c, r, t) in enumerate(np.ndindex(3, 2, 2, 2)):
        want[s, c, r, t] = scan(seed=i)[1]
        # Gaps in the counters: slices 1, 3, 5 become 0, 1, 2.
        lines += grid_lines(want[s, c, r, t], slice=2 * s + 1, contrast=c, repetition=r, phase=t)
    order = torch.randperm(len(lines), generator=rng).tolist()
    path = save(tmp_path / "a.h5", header((1, NY, NX)), [lines[i] for i in order])
    got = read(path)
    assert got.axes == ("slice", "contrast", "repetition", "time") and len(got.geometries) == 3
    close(got.samples, want)
    assert mrd.slice_count(path, PLAIN) == 3
    part = read(path, ReadOptions(slices=(1, 3)))
    assert part.axes == got.axes and len(part.geometries) == 2
    close(part.samples, want[1:3])
    with pytest.raises(DataError, match="slices 2:4 were asked for, the file has 3"):
        read(path, ReadOptions(slices=(2, 4)))


def test_averages_are_averaged_and_sets_are_contrasts(tmp_path):
    kspaces = [scan(seed=i)[1] for i in range(4)]
    lines = [x for i in range(4) for x in grid_lines(kspaces[i], average=i % 2, set=i // 2)]
    got = read(save(tmp_path / "a.h5", header((1, NY, NX)), lines))
    assert got.axes == ("contrast",)
    close(got.samples[0], (kspaces[0] + kspaces[1]) / 2)
    close(got.samples[1], (kspaces[2] + kspaces[3]) / 2)
    assert any("averaged" in step for step in got.header.history)


def test_readout_oversampling_is_cropped_in_image_space(tmp_path):
    images, kspace = scan(n_x=2 * NX)
    head = header((1, NY, 2 * NX), recon_matrix=(1, NY, NX), recon_fov_mm=(1.0, NY, NX))
    got = read(save(tmp_path / "a.h5", head, grid_lines(kspace)))
    close(to_images(got.samples.numpy()), images[..., NX // 2 : NX // 2 + NX])
    assert got.encoding.matrix == (1, NY, NX) and got.encoding.fov_mm == (1.0, NY, NX)
    assert got.geometries[0].voxel_mm == (1.0, 1.0, 1.0)


def test_oversampling_that_the_header_does_not_count(tmp_path):
    images, kspace = scan(n_x=2 * NX)
    got = read(save(tmp_path / "a.h5", header((1, NY, NX)), grid_lines(kspace)))
    close(to_images(got.samples.numpy()), images[..., NX // 2 : NX // 2 + NX])
    assert any("taken as readout oversampling" in step for step in got.header.history)


def test_reversed_lines_and_discarded_samples(tmp_path):
    _, kspace = scan()
    rubbish = np.full((N_COILS, 3), 1e3)
    lines = []
    for y in range(NY):
        samples = np.concatenate([rubbish, kspace[:, 0, y], rubbish[:, :2]], 1)
        if y % 2:
            back = samples[:, ::-1]
            lines.append(
                line(
                    back,
                    flags=[REVERSED],
                    kspace_encode_step_1=y,
                    discard_pre=2,
                    discard_post=3,
                    center_sample=3 + NX // 2,
                )
            )
        else:
            lines.append(
                line(samples, kspace_encode_step_1=y, discard_pre=3, discard_post=2, center_sample=3 + NX // 2)
            )
    close(read(save(tmp_path / "a.h5", header((1, NY, NX)), lines)).samples, kspace)


@pytest.mark.parametrize("oversampling", [1, 2])
def test_asymmetric_echo(tmp_path, oversampling):
    n, start = oversampling * NX, oversampling * 5
    _, kspace = scan(n_x=n)
    lines = list(grid_lines(kspace[..., start:], center_sample=n // 2 - start))
    head = header((1, NY, n), recon_matrix=(1, NY, NX), recon_fov_mm=(1.0, NY, NX))
    got = read(save(tmp_path / "a.h5", head, lines))
    assert got.mask.shape[-1] == NX
    assert not got.mask[..., :5].any() and got.mask[..., 5:].all() and not got.samples[..., :5].any()
    if oversampling == 1:
        close(got.samples[..., 5:], kspace[..., 5:])


def test_partial_fourier_is_placed_by_the_limits_centre(tmp_path):
    _, kspace = scan()
    lines = [line(kspace[:, 0, y], kspace_encode_step_1=y - 4) for y in range(4, NY)]
    got = read(save(tmp_path / "a.h5", header((1, NY, NX), centre=(0, NY // 2 - 4)), lines))
    assert got.mask[0, 0, :, 0].tolist() == [False] * 4 + [True] * (NY - 4)
    close(got.samples[:, :, 4:], kspace[:, :, 4:])


def test_three_dimensions_with_holes(tmp_path, rng):
    _, kspace = scan(n_z=6)
    measured = torch.rand(6, NY, generator=rng).numpy() < 0.5
    lines = grid_lines(kspace, zip(*np.nonzero(measured), strict=True))
    got = read(save(tmp_path / "a.h5", header((6, NY, NX), acceleration=(2, 1)), lines))
    assert (got.mask[0, :, :, 0].numpy() == measured).all() and got.encoding.acceleration == (2.0, 1.0)
    close(got.samples, kspace * measured[..., None])
    assert got.geometries[0].shape == (6, NY, NX)


def test_lines_that_are_no_image(tmp_path):
    _, kspace = scan()
    rubbish = np.full((N_COILS, NX), 1e6)
    other = [line(rubbish, flags=[f]) for f in (NAVIGATOR, PHASE_CORRECTION, DUMMY, RT_FEEDBACK, DUMMY)]
    got = read(save(tmp_path / "a.h5", header((1, NY, NX)), [*other, *grid_lines(kspace), *other]))
    close(got.samples, kspace)
    assert "4 dummy lines skipped" in got.header.history


def test_separate_and_embedded_calibration(tmp_path):
    _, kspace = scan()
    _, reference = scan(seed=1)
    steps = [(0, y) for y in range(0, NY, 2)]
    apart = [
        *grid_lines(kspace, steps),
        *grid_lines(reference, [(0, y) for y in (*range(3, 9), 11)], flags=[CALIBRATION]),
    ]
    got = read(save(tmp_path / "a.h5", header((1, NY, NX), acceleration=(1, 2)), apart))
    assert got.mask[0, 0, :, 0].tolist() == [True, False] * (NY // 2)
    close(got.calib, reference[:, :, 3:9])
    embedded = [*grid_lines(kspace, steps), *grid_lines(kspace, [(0, y) for y in (5, 7)], flags=[BOTH])]
    got = read(save(tmp_path / "b.h5", header((1, NY, NX)), embedded))
    assert got.calib is None and int(got.mask.sum()) == NY // 2 + 2
    close(got.samples[:, :, [5, 7]], kspace[:, :, [5, 7]])


def test_calibration_of_each_slice_with_oversampling(tmp_path):
    lines, references = [], []
    for s in range(2):
        _, kspace = scan(seed=s, n_x=2 * NX)
        images, reference = scan(seed=10 + s, n_x=2 * NX)
        references.append(to_kspace(images[..., NX // 2 : NX // 2 + NX]))
        lines += [*grid_lines(kspace, slice=s), *grid_lines(reference, [(0, 5), (0, 6)], slice=s, flags=[CALIBRATION])]
    head = header((1, NY, 2 * NX), recon_matrix=(1, NY, NX), recon_fov_mm=(1.0, NY, NX))
    got = read(save(tmp_path / "a.h5", head, lines))
    close(got.calib, np.stack(references)[..., 5:7, :])


def test_noise_covariance_counts_dwell_time_and_bandwidth(tmp_path):
    rng = np.random.default_rng(0)
    mixing = np.tril(rng.standard_normal((N_COILS, N_COILS)) + 1j * rng.standard_normal((N_COILS, N_COILS)))
    white = (rng.standard_normal((N_COILS, 4096)) + 1j * rng.standard_normal((N_COILS, 4096))) / 2**0.5
    noise = (mixing @ white).astype(np.complex64)
    _, kspace = scan()
    lines = [line(part, flags=[NOISE], sample_time_us=10.0) for part in np.split(noise, 4, 1)] + list(
        grid_lines(kspace)
    )
    got = read(save(tmp_path / "a.h5", header((1, NY, NX), noise_bandwidth=0.8), lines))
    close(got.noise_cov, noise @ noise.conj().T / 4096 * 10.0 / (5.0 * 0.8), 1e-5)
    close(got.noise_cov, mixing @ mixing.conj().T * 2.5, 0.1)


def test_siemens_samples_are_conjugated_unless_spinecho_wrote_them(tmp_path):
    _, kspace = scan()
    got = read(save(tmp_path / "a.h5", header((1, NY, NX), vendor="SIEMENS"), grid_lines(kspace)))
    close(got.samples, kspace.conj())
    write(got, tmp_path / "b.mrd")
    again = read(tmp_path / "b.mrd")
    assert again.header.vendor == "SIEMENS"
    close(again.samples, kspace.conj())


def test_without_header_the_lines_say_the_matrix(tmp_path):
    _, kspace = scan()
    got = read(save(tmp_path / "a.h5", None, grid_lines(kspace, center_sample=0)))
    close(got.samples, kspace)
    assert any("no matrix size" in step for step in got.header.history)
    assert got.geometries[0].voxel_mm == (1.0, 1.0, 1.0) and "orientation=unknown" in got.header.flags


def test_a_matrix_that_is_too_small_is_widened(tmp_path):
    _, kspace = scan()
    got = read(save(tmp_path / "a.h5", header((1, NY - 2, NX), centre=(0, NY // 2)), grid_lines(kspace)))
    close(got.samples, kspace)
    assert any("widened from 10 to 12" in step for step in got.header.history)


def test_contrasts_with_another_matrix_are_left_out_aloud(tmp_path):
    _, kspace = scan()
    _, small = scan(n_x=NX // 2)
    head = header((1, NY, NX))
    head.encoding.append(header((1, NY, NX // 2)).encoding[0])
    lines = [*grid_lines(kspace), *grid_lines(small, contrast=1, encoding_space_ref=1)]
    got = read(save(tmp_path / "a.h5", head, lines))
    close(got.samples, kspace)
    assert any("another encoding (matrix 8x12x1) left out" in step for step in got.header.history)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line(np.ones((2, 8)), flags=[NOISE])], "none of the 1 lines is for imaging"),
        ([line(np.ones((2, 8))), line(np.ones((3, 8)))], "2 and 3 coils"),
        ([line(np.ones((2, 8)), discard_pre=5, discard_post=3)], "discard more samples"),
        ([line(np.ones((2, 8)), kspace_encode_step_1=60000)], "the header's matrix is 12"),
    ],
)
def test_errors_say_what_was_found(tmp_path, lines, said):
    with pytest.raises(DataError, match=said):
        read(save(tmp_path / "a.h5", header((1, NY, 8)), lines))


def test_options_that_would_do_nothing_are_refused(tmp_path):
    path = save(tmp_path / "a.h5", header((1, NY, NX)), grid_lines(scan()[1]))
    with pytest.raises(DataError, match="oversampling does not apply to MRD"):
        read(path, ReadOptions(oversampling=2.0))
    with pytest.raises(DataError, match="there is no 'other'; the file holds dataset"):
        read(path, ReadOptions(key="other"))


def test_ramp_sampled_epi_is_refused(tmp_path):
    import ismrmrd

    head = header((1, NY, NX), trajectory="epi")
    double = ismrmrd.xsd.userParameterDoubleType
    head.encoding[0].trajectoryDescription = ismrmrd.xsd.trajectoryDescriptionType(
        identifier="ConventionalEPI", userParameterDouble=[double(name="rampUpTime", value=120.0)]
    )
    with pytest.raises(DataError, match="ramps"):
        read(save(tmp_path / "a.h5", head, grid_lines(scan()[1])))
