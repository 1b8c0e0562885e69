"""MRD, non-Cartesian: however spokes, interleaves and partitions are counted, the image looks like the truth."""

from __future__ import annotations

import numpy as np
import pytest
from mrd_files import CALIBRATION, header, line, save

from spinecho import recon
from spinecho.io.read import read

N = 32
_SPOTS = [
    ((1.0, -5.0, 4.0), 2.2, (1.0, 0.4)),
    ((-1.0, 6.0, -3.0), 1.8, (0.5, 1.0)),
    ((0.0, -2.0, -8.0), 3.5, (0.6, 0.7)),
]
"""Place (z, y, x) from the centre, width in the plane (1 across it), and what each coil sees of it."""


def truth(nz):
    """Root sum of squares over coils of the spots, (z, y, x)."""
    z, y, x = np.meshgrid(np.arange(nz) - nz // 2, *2 * [np.arange(N) - N // 2], indexing="ij")
    coils = 0
    for (cz, cy, cx), width, seen in _SPOTS:
        distance = ((x - cx) ** 2 + (y - cy) ** 2) / width**2 + ((z - cz) ** 2 if nz > 1 else 0)
        coils = coils + np.exp(-distance / 2) * np.reshape(seen, (2, 1, 1, 1))
    return np.sqrt((np.abs(coils) ** 2).sum(0))


def signal(path, nz):
    """Fourier transform (line, coil, sample) of the spots at points (line, sample, 3) in cycles per field of view."""
    kx, ky, kz = np.moveaxis(path.astype(np.float64), -1, 0)
    total = 0
    for (z, y, x), width, seen in _SPOTS:
        phase, decay = kx * x / N + ky * y / N, width**2 * (kx**2 + ky**2) / N**2
        scale = 2 * np.pi * width**2
        if nz > 1:
            phase, decay, scale = phase + kz * z / nz, decay + kz**2 / nz**2, scale * (2 * np.pi) ** 0.5
        one = scale * np.exp(-2j * np.pi * phase - 2 * np.pi**2 * decay)
        total = total + one[:, None] * np.reshape(seen, (2, 1))
    return total.astype(np.complex64)


def star(n_spokes, n_samples=2 * N, golden=False):
    """(spoke, sample, 3) in one plane, reaching N / 2."""
    angle = np.arange(n_spokes) * (np.deg2rad(111.24611) if golden else np.pi / n_spokes)
    radius = (np.arange(n_samples) - n_samples // 2) * N / n_samples
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)[:, None]


def spiral(n_interleaves, n_samples=400):
    """(interleave, sample, 3) Archimedean, from the centre out."""
    t = np.linspace(0, 1, n_samples) ** 0.7
    angle = 2 * np.pi * (t * N / 2 * 1.2 / n_interleaves + np.arange(n_interleaves)[:, None] / n_interleaves)
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1) * (t * N / 2)[:, None]


def koosh(n_spokes, nz, n_samples=N):
    """(spoke, sample, 3) evenly over the sphere."""
    i = np.arange(n_spokes) + 0.5
    cos, around = 1 - 2 * i / n_spokes, np.pi * (1 + 5**0.5) * i
    sin = np.sqrt(1 - cos**2)
    radius = (np.arange(n_samples) - n_samples // 2) / n_samples
    return radius[:, None] * (np.stack([sin * np.cos(around), sin * np.sin(around), cos], -1) * (N, N, nz))[:, None]


def lines(path, nz, dims=3, unit=1.0, fields=lambda i: {"kspace_encode_step_1": i}):
    """Lines of all spokes; `fields` tells the counters of the i-th."""
    values = signal(path, nz)
    return [line(v, traj=p[:, :dims] * unit, **fields(i)) for i, (v, p) in enumerate(zip(values, path, strict=True))]


def head(nz=1, trajectory="radial", limits=None):
    """A header; limits are (maximum, centre) of the encoding steps 1 and 2, or None for no limits."""
    made = header((nz, N, N), fov_mm=(5.0 * nz, 240.0, 240.0), trajectory=trajectory)
    encoding = made.encoding[0].encodingLimits
    for i in (1, 2):
        limit = getattr(encoding, f"kspace_encoding_step_{i}")
        if limits is None:
            setattr(encoding, f"kspace_encoding_step_{i}", None)
        else:
            limit.maximum, limit.center = limits[i - 1]
    return made


def likeness(got, nz=1, index=()):
    """Correlation of the image with the truth."""
    assert got.encoding.matrix == (nz, N, N) and got.encoding.recon_matrix == (nz, N, N)
    values = recon(got, "gridding").magnitude().values.numpy()[index]
    return np.corrcoef(values.ravel(), truth(nz).ravel())[0, 1]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("limits", [None, "spokes", "matrix"])
@pytest.mark.parametrize("n_spokes", [20, N, 120])
def test_a_star_of_any_number_of_spokes(tmp_path, n_spokes, limits, dims):
    known = {"spokes": ((n_spokes - 1, n_spokes // 2), (0, 0)), "matrix": ((N - 1, N // 2), (0, 0))}.get(limits)
    got = read(save(tmp_path / "a.h5", head(limits=known), lines(star(n_spokes), 1, dims)))
    assert got.samples.shape == (2, 1, n_spokes, 2 * N) and likeness(got) > 0.99
    assert not any("widened" in step or "oversampling" in step for step in got.header.history)


@pytest.mark.parametrize("unit", [1.0, 1 / N, 1e3 / 240])
def test_golden_angles_in_frames_with_a_counter_that_never_restarts(tmp_path, unit):
    made = lines(star(180, golden=True), 1, 2, unit, lambda i: {"kspace_encode_step_1": i, "repetition": i // 60})
    got = read(save(tmp_path / "a.h5", head(trajectory="goldenangle"), made))
    assert got.axes == ("repetition",) and got.samples.shape[:1] == (3,)
    assert min(likeness(got, index=(i,)) for i in range(3)) > 0.98


@pytest.mark.parametrize("counters", ["1", "2", "segment"])
@pytest.mark.parametrize("n_interleaves", [1, 6, 48])
def test_spirals_whatever_counts_their_interleaves(tmp_path, n_interleaves, counters):
    name = counters if counters == "segment" else f"kspace_encode_step_{counters}"
    limits = ((N - 1, N // 2), (n_interleaves - 1, 0))
    made = lines(spiral(n_interleaves), 1, 2, 1.0, lambda i: {name: i, "center_sample": 0})
    got = read(save(tmp_path / "a.h5", head(trajectory="spiral", limits=limits), made))
    assert got.samples.shape[-2] == n_interleaves and likeness(got) > 0.98


@pytest.mark.parametrize("slices", [1, 2])
def test_slices_and_averages_with_more_spokes_than_lines(tmp_path, slices):
    made = [
        x
        for s, a in np.ndindex(slices, 2)
        for x in lines(
            star(90)[a::2], 1, 2, fields=lambda i, s=s, a=a: {"kspace_encode_step_1": i, "slice": s, "average": a}
        )
    ]
    got = read(save(tmp_path / "a.h5", head(), made))
    assert got.samples.shape[-2] == 90
    assert min(likeness(got, index=(i,) if slices > 1 else ()) for i in range(slices)) > 0.99


def stack(nz, n_spokes, partitions, change=lambda path: path, dims=3):
    """Lines of a stack of stars; `change` tells what the file stores of each star's trajectory."""
    made = []
    for z in partitions:
        path = star(n_spokes) + np.array([0, 0, z - nz // 2])
        stored, values = change(path.copy())[..., :dims], signal(path, nz)
        made += [
            line(values[i], traj=stored[i], kspace_encode_step_1=i, kspace_encode_step_2=z - partitions[0])
            for i in range(n_spokes)
        ]
    return made


def weights(path):
    """(kx, ky, density): what some converters store in the third place."""
    path[..., 2] = np.hypot(path[..., 0], path[..., 1])
    return path


@pytest.mark.parametrize("limits", [False, True])
@pytest.mark.parametrize(
    ("change", "dims"),
    [
        (lambda path: path, 2),
        (lambda path: path, 3),
        (lambda path: path * [1, 1, 0], 3),
        (lambda path: path / [0.24, 0.24, 0.04], 3),
        (lambda path: path / [N, N, 1], 3),
        (weights, 3),
    ],
    ids=["planar", "with kz", "kz left zero", "1/m", "partitions counted", "weights"],
)
def test_a_stack_of_stars(tmp_path, change, dims, limits):
    nz, n_spokes = 8, 40
    known = ((n_spokes - 1, 0), (nz - 1, nz // 2)) if limits else None
    got = read(save(tmp_path / "a.h5", head(nz, limits=known), stack(nz, n_spokes, range(nz), change, dims)))
    assert got.samples.shape[-2] == nz * n_spokes
    np.testing.assert_allclose(got.traj[0, ::n_spokes, 0, 2], np.arange(nz) - nz // 2, atol=1e-3)
    assert likeness(got, nz) > 0.98


@pytest.mark.parametrize("dims", [2, 3])
def test_a_stack_with_fewer_partitions_about_the_centre_of_its_limits(tmp_path, dims):
    """Partial Fourier along the partitions: 0 to 5 of 8, k = 0 at 2."""
    made = stack(8, 60, range(2, 8), dims=dims)
    got = read(save(tmp_path / "a.h5", head(8, limits=((59, 0), (5, 2))), made))
    assert sorted(set(got.traj[..., 2].ravel().tolist())) == [-2, -1, 0, 1, 2, 3] and likeness(got, 8) > 0.95


@pytest.mark.parametrize("count", [lambda i: (i, 0), lambda i: (i % 50, i // 50)])
def test_thousands_of_spokes_through_a_sphere(tmp_path, count):
    nz = 16
    made = lines(
        koosh(2000, nz),
        nz,
        fields=lambda i: {"kspace_encode_step_1": count(i)[0], "kspace_encode_step_2": count(i)[1]},
    )
    got = read(save(tmp_path / "a.h5", head(nz), made))
    assert got.samples.shape == (2, 1, 2000, N) and likeness(got, nz) > 0.98


def test_calibration_on_a_grid_beside_spokes(tmp_path):
    """A separate Cartesian scan without trajectory gives the coils; its lines are no spokes."""
    steps = np.arange(N) - N // 2
    grid = np.stack([np.broadcast_to(steps, (N, N)), np.broadcast_to(steps[:, None], (N, N)), np.zeros((N, N))], -1)
    acs = [line(v, kspace_encode_step_1=i, flags=[CALIBRATION]) for i, v in enumerate(signal(grid, 1)) if 8 <= i < 24]
    got = read(save(tmp_path / "a.h5", head(), [*acs, *lines(star(70), 1, 2)]))
    assert got.samples.shape[-2] == 70 and got.calib.shape == (2, 1, 16, N) and likeness(got) > 0.99
    flagged = [*lines(star(70), 1, 2), *lines(star(9), 1, 2)]
    for x in flagged[70:]:
        x.setFlag(CALIBRATION)
    got = read(save(tmp_path / "b.h5", head(), flagged))
    assert got.samples.shape[-2] == 70 and got.calib is None
    assert any("9 calibration lines along a trajectory" in step for step in got.header.history)


def test_a_header_without_a_matrix(tmp_path):
    made = head()
    made.encoding[0].encodedSpace.matrixSize.x = 0
    got = read(save(tmp_path / "a.h5", made, lines(star(70), 1, 2)))
    assert got.encoding.matrix == (1, N, N) and likeness(got) > 0.99
