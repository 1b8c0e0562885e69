"""MRD, whole kinds of scan: two phase encodes, partial Fourier, calibration, averages, k-space paths, noise."""

from __future__ import annotations

import ismrmrd
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mrd_files import (
    CALIBRATION,
    NOISE,
    REVERSED,
    coil_images,
    grid_lines,
    header,
    line,
    save,
    to_images,
    to_kspace,
)

from spinecho.core.errors import DataError
from spinecho.io.mrd.calibration import _hole_free
from spinecho.io.options import ReadOptions
from spinecho.io.read import read

COILS, NZ, NY, NX = 2, 6, 10, 8


def kspace(n_z=NZ, n_x=NX, seed=0):
    return to_kspace(coil_images(COILS, (n_z, NY, n_x), seed))


def close(a, b, tolerance=2e-6):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def got_of(tmp_path, head, lines, **options):
    return read(save(tmp_path / "a.h5", head, lines), ReadOptions(**options))


def test_a_slab_with_oversampling_along_readout_and_slices(tmp_path):
    images = coil_images(COILS, (NZ, NY, 2 * NX))
    head = header(
        (NZ, NY, 2 * NX), fov_mm=(18.0, 200.0, 320.0), recon_matrix=(4, NY, NX), recon_fov_mm=(12.0, 200.0, 160.0)
    )
    got = got_of(tmp_path, head, grid_lines(to_kspace(images)))
    close(to_images(got.samples.numpy()), images[..., NX // 2 : NX // 2 + NX])
    # Slices beyond the slab are still encoded: the reconstruction crops them, the reader only tells.
    assert got.encoding.matrix == (NZ, NY, NX) and got.encoding.recon_matrix == (4, NY, NX)
    assert got.encoding.fov_mm == (18.0, 200.0, 160.0) and got.encoding.recon_fov_mm == (12.0, 200.0, 160.0)
    assert got.geometries[0].voxel_mm == pytest.approx((20.0, 20.0, 3.0))


@pytest.mark.parametrize("centre", [(3, 5), (1, 5), (3, 2), (0, 0), (4, 7), (5, 9)])
def test_partial_fourier_along_both_phase_encodes_stands_by_the_centre(tmp_path, centre):
    full = kspace()
    z0, y0 = NZ // 2 - centre[0], NY // 2 - centre[1]
    kept = [(z, y) for z, y in np.ndindex(NZ, NY) if 0 <= z - z0 < NZ and 0 <= y - y0 < NY]
    lines = [line(full[:, z, y], kspace_encode_step_2=z - z0, kspace_encode_step_1=y - y0) for z, y in kept]
    got = got_of(tmp_path, header((NZ, NY, NX), centre=centre), lines)
    want = np.zeros((NZ, NY), bool)
    want[tuple(zip(*kept, strict=True))] = True
    np.testing.assert_array_equal(got.mask[0, :, :, 0].numpy(), want)
    close(got.samples, full * want[..., None])


@given(
    steps=st.lists(st.tuples(st.integers(0, NZ - 1), st.integers(0, NY - 1)), min_size=1, max_size=40),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=12, deadline=None)
def test_lines_in_any_order_and_number_become_means(tmp_path_factory, steps, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((len(steps), COILS, NX)) + 1j * rng.standard_normal((len(steps), COILS, NX))
    lines = [line(v, kspace_encode_step_2=z, kspace_encode_step_1=y) for v, (z, y) in zip(values, steps, strict=True)]
    got = read(save(tmp_path_factory.mktemp("a") / "a.h5", header((NZ, NY, NX)), lines))
    total, count = np.zeros((NZ, NY, COILS, NX), complex), np.zeros((NZ, NY))
    for v, at in zip(values, steps, strict=True):
        total[at] += v
        count[at] += 1
    want = (total / np.maximum(count, 1)[..., None, None]).transpose(2, 0, 1, 3)
    np.testing.assert_array_equal(got.mask[0, :, :, 0].numpy(), count > 0)
    np.testing.assert_allclose(got.samples.numpy(), want, atol=1e-5)


def test_contrasts_with_averages_of_different_number(tmp_path):
    values = {(c, a): kspace(1, seed=10 * c + a) for c, n in enumerate((3, 1)) for a in range(n)}
    lines = [x for (c, a), k in values.items() for x in grid_lines(k, contrast=c, average=a)]
    got = got_of(tmp_path, header((1, NY, NX), te_ms=(2.0, 9.0)), lines)
    assert got.axes == ("contrast",) and got.header.te_ms == (2.0, 9.0)
    close(got.samples[0], (values[0, 0] + values[0, 1] + values[0, 2]) / 3)
    close(got.samples[1], values[1, 0])
    assert "lines measured more than once (up to 3 times) were averaged" in got.header.history


def test_averages_lower_the_noise_that_a_sample_has(tmp_path):
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((COILS, 2000)) + 1j * rng.standard_normal((COILS, 2000))
    four = [x for a in range(4) for x in grid_lines(kspace(1), average=a)]
    one, averaged = (
        got_of(tmp_path, header((1, NY, NX)), [line(noise, flags=[NOISE]), *lines]).noise_cov
        for lines in (grid_lines(kspace(1)), four)
    )
    close(one, noise @ noise.conj().T / 2000)
    close(averaged, one / 4)


def test_noise_of_other_coils_or_too_little_of_it_is_left_out_aloud(tmp_path):
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((COILS + 1, 64)).astype(complex)
    image = list(grid_lines(kspace(1)))
    short = got_of(tmp_path, header((1, NY, NX)), [line(wide[:COILS, :COILS], flags=[NOISE]), *image])
    assert short.noise_cov is None
    assert f"the noise scan ({COILS} samples of {COILS} coils) is too short or broken: not used" in short.header.history
    dead = wide[:COILS].copy()
    dead[1] = 0
    assert got_of(tmp_path, header((1, NY, NX)), [line(dead, flags=[NOISE]), *image]).noise_cov is None


def test_echoes_read_back_and_forth_with_an_asymmetric_start(tmp_path):
    full = kspace(1)
    late = full[:, 0, :, 3:]
    lines = []
    for y in range(NY):
        turned = y % 2 == 1
        samples = late[:, y, ::-1] if turned else late[:, y]
        # center_sample counts from the start of the line once turned.
        lines.append(
            line(samples, kspace_encode_step_1=y, center_sample=NX // 2 - 3, flags=[REVERSED] if turned else [])
        )
    got = got_of(tmp_path, header((1, NY, NX)), lines)
    close(got.samples[:, 0, :, 3:], late)
    assert got.mask[0, 0].all(0).tolist() == [False] * 3 + [True] * (NX - 3)


@pytest.mark.parametrize("n_lines", [1, 2, 3, 4, 5, 8])
def test_two_dimensional_calibration_of_any_size_has_its_centre_in_the_middle(tmp_path, n_lines):
    image, reference = kspace(1), kspace(1, seed=1)
    first = NY // 2 - n_lines // 2
    steps = [(0, y) for y in range(first, first + n_lines)]
    lines = [*grid_lines(image, [(0, y) for y in range(0, NY, 2)]), *grid_lines(reference, steps, flags=[CALIBRATION])]
    got = got_of(tmp_path, header((1, NY, NX)), lines)
    close(got.calib, reference[:, :, first : first + n_lines])
    assert f"{n_lines} separate calibration lines: a block of {NX}x{n_lines}x1" in got.header.history


def test_three_dimensional_calibration_leaves_out_the_corners_of_a_disc(tmp_path):
    image, reference = kspace(), kspace(seed=1)
    cross = [(z, y) for z in (2, 3, 4) for y in range(2, 9) if abs(z - 3) + abs(y - 5) <= 3]
    lines = [
        *grid_lines(image, [(z, y) for z, y in np.ndindex(NZ, NY) if (z + y) % 2]),
        *grid_lines(reference, cross, flags=[CALIBRATION]),
    ]
    got = got_of(tmp_path, header((NZ, NY, NX), acceleration=(1, 2)), lines)
    nz, ny = got.calib.shape[-3:-1]
    z, y = NZ // 2 - nz // 2, NY // 2 - ny // 2
    assert all(at in cross for at in np.ndindex(nz, ny) for at in [(z + at[0], y + at[1])]) and nz * ny >= 10
    close(got.calib, reference[:, z : z + nz, y : y + ny])


@pytest.mark.parametrize(
    ("steps", "fields", "said"),
    [
        ([(0, y) for y in (0, 1)], {}, "do not cover the centre of k-space"),
        ([(0, y) for y in (4, 5)], {"slice": 7}, None),
    ],
)
def test_calibration_that_cannot_be_used_is_told(tmp_path, steps, fields, said):
    lines = [*grid_lines(kspace(1)), *grid_lines(kspace(1), steps, flags=[CALIBRATION], **fields)]
    got = got_of(tmp_path, header((1, NY, NX)), lines)
    assert got.calib is None
    if said:
        assert any(said in step for step in got.header.history)


def test_a_part_of_the_slices_takes_its_own_calibration(tmp_path):
    lines = []
    for s in range(3):
        lines += [*grid_lines(kspace(1, seed=s), slice=s)]
        lines += [*grid_lines(kspace(1, seed=9 + s), [(0, 4), (0, 5)], slice=s, flags=[CALIBRATION])]
    whole = got_of(tmp_path, header((1, NY, NX)), lines)
    part = got_of(tmp_path, header((1, NY, NX)), lines, slices=(1, 3))
    assert whole.calib.shape[0] == 3 and torch.equal(part.calib, whole.calib[1:])


@given(seed=st.integers(0, 10**6), density=st.floats(0.3, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_block_without_holes_has_none_and_holds_the_centre(seed, density):
    measured = np.random.default_rng(seed).random((3, 5, 4)) < density
    block = _hole_free(measured)
    if not measured[1, 2, 2]:
        assert block is None
        return
    if block is None:
        pytest.fail("k = 0 was measured")
    assert measured[block].all() and measured[block].size > 0
    for part, n in zip(block, measured.shape, strict=True):
        assert part.start + (part.stop - part.start) // 2 == n // 2
    tried = [
        (n2 * n1, slice(1 - n2 // 2, 1 - n2 // 2 + n2), slice(2 - n1 // 2, 2 - n1 // 2 + n1))
        for n2, n1 in np.ndindex(4, 6)
        if n2 * n1
    ]
    most = max(n for n, k2, k1 in tried if measured[k2, k1, block[2]].size and measured[k2, k1, block[2]].all())
    assert measured[block[0], block[1], 0].size == most


def koosh(n, n_spokes, n_samples, seed=0):
    ends = np.random.default_rng(seed).standard_normal((n_spokes, 3))
    ends /= np.abs(ends).max(1, keepdims=True)
    return (np.linspace(-n / 2, n / 2, n_samples)[:, None] * ends[:, None]).astype(np.float32)


def path_lines(path, seed=0, **fields):
    rng = np.random.default_rng(seed)
    shape = (len(path), COILS, path.shape[1])
    values = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    return values, [line(v, traj=p, **fields) for v, p in zip(values, path, strict=True)]


def test_a_path_through_three_dimensions(tmp_path):
    path = koosh(12, 7, 20)
    values, lines = path_lines(path)
    got = got_of(tmp_path, header((12, 12, 12), trajectory="radial"), lines)
    assert got.traj.shape == (1, 7, 20, 3) and got.encoding.matrix == (12, 12, 12)
    np.testing.assert_allclose(got.traj[0].numpy(), path, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got.samples[:, 0].numpy(), values.transpose(1, 0, 2))


def test_the_third_coordinate_of_a_plane_is_ignored_aloud_and_spirals_are_named(tmp_path):
    path = koosh(12, 5, 20, seed=1)
    head = header((1, 12, 12), trajectory="spiral")
    got = got_of(tmp_path, head, path_lines(path)[1])
    assert not got.traj[..., 2].any() and got.encoding.trajectory == "spiral"
    np.testing.assert_allclose(got.traj[0, ..., :2].numpy(), path[..., :2], rtol=1e-5, atol=1e-5)
    assert "the third trajectory dimension of a 2-D scan was ignored" in got.header.history


def test_slices_and_averages_along_a_path(tmp_path):
    path = koosh(12, 4, 16)[..., :2]
    parts = {(s, a): path_lines(path, 10 * s + a, slice=s, average=a) for s in range(2) for a in range(2)}
    got = got_of(tmp_path, header((1, 12, 12), trajectory="radial"), [x for _, lines in parts.values() for x in lines])
    assert got.axes == ("slice",) and got.traj.shape == (1, 1, 8, 16, 3)
    for s in range(2):
        both = np.concatenate([parts[s, a][0] for a in range(2)]).transpose(1, 0, 2)
        np.testing.assert_array_equal(got.samples[s, :, 0].numpy(), both)


def test_lines_that_discard_everything(tmp_path):
    empty = [replace_fields(x, discard_pre=5, discard_post=5) for x in grid_lines(kspace(1))]
    with pytest.raises(DataError, match="discard more samples than they have -> export the scan again"):
        got_of(tmp_path, header((1, NY, NX)), empty)


def replace_fields(acquisition: ismrmrd.Acquisition, **fields) -> ismrmrd.Acquisition:
    for name, value in fields.items():
        setattr(acquisition, name, value)
    return acquisition


def test_steps_far_outside_the_matrix_are_damage_not_a_bigger_matrix(tmp_path):
    lines = [*grid_lines(kspace(1)), line(np.ones((COILS, NX)), kspace_encode_step_1=9000)]
    with pytest.raises(DataError, match=r"encoding steps 1 run from 0 to 9000 about 5, the header's matrix is 10 ->"):
        got_of(tmp_path, header((1, NY, NX)), lines)


def test_a_header_may_be_silent_about_limits_and_field_of_view(tmp_path):
    head = header((1, NY, NX))
    head.encoding[0].encodingLimits.kspace_encoding_step_1 = None
    full = kspace(1)
    close(got_of(tmp_path, head, grid_lines(full)).samples, full)


def test_cardiac_phases_and_slices_without_some_lines_are_told(tmp_path):
    cells = [(s, t) for s in range(2) for t in range(3) if (s, t) != (1, 2)]
    lines = [x for s, t in cells for x in grid_lines(kspace(1, seed=3 * s + t), slice=s, phase=t)]
    got = got_of(tmp_path, header((1, NY, NX)), lines)
    assert got.axes == ("slice", "time") and got.samples.shape[:2] == (2, 3)
    assert not got.mask[1, 2].any() and not got.samples[1, 2].any()
    assert "1 of 6 slices and frames have no lines at all" in got.header.history
    close(got.samples[1, 1], kspace(1, seed=4))
