"""Small scans whose answer is known: what a method gives, notes, scales, crops, and says when it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho import DataError, Image, KSpace, recon
from spinecho.calib.prepare import prepare
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.methods import registry
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.model import forward_model
from spinecho.ops.sampling import centre_crop
from spinecho.tasks.recon.methods.auto import choices, trained
from spinecho.tasks.recon.methods.llr import automatic_threshold, frame_axis
from spinecho.tasks.recon.retrospective import FLAG, undersample
from spinecho.tasks.recon.run import refusal

NY, NX = 32, 24


def blob(nz: int = 1, ny: int = NY, nx: int = NX) -> torch.Tensor:
    """A positive, smooth object (1, z, y, x)."""
    z, y, x = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in (nz, ny, nx))
    r2 = z[:, None, None] ** 2 + (y[:, None] - 0.1) ** 2 + 1.5 * (x + 0.1) ** 2
    return torch.exp(-6 * r2)[None]


def striped(nz: int = 1, ny: int = NY, nx: int = NX) -> torch.Tensor:
    """The object with stripes across y that lie beyond the calibration lines."""
    return blob(nz, ny, nx) * (1 + 0.5 * torch.cos(2.2 * torch.arange(ny))[:, None])


def coils(n: int, nz: int = 1, ny: int = NY, nx: int = NX) -> torch.Tensor:
    """Smooth complex coils of unit norm together, around the object, (coil, z, y, x)."""
    z, y, x = (torch.linspace(-1, 1, m) if m > 1 else torch.zeros(1) for m in (nz, ny, nx))
    angle = 2 * torch.pi * torch.arange(n) / n
    cy, cx = 1.4 * torch.cos(angle), 1.4 * torch.sin(angle)
    d2 = (y[:, None] - cy[:, None, None]) ** 2 + (x - cx[:, None, None]) ** 2
    size = torch.exp(-d2 / 2)[:, None] * (1 + 0.3 * z[:, None, None] * torch.cos(angle)[:, None, None, None])
    maps = size * torch.exp(1j * angle)[:, None, None, None]
    return maps / maps.abs().square().sum(0, keepdim=True).sqrt()


def scan(images: torch.Tensor, mask: torch.Tensor | None = None, axes: tuple[str, ...] = (), **facts) -> KSpace:
    """The scan of coil images (*batch, coil, z, y, x)."""
    shape = tuple(images.shape[-3:])
    mask = torch.ones([1] * (len(axes) + 4), dtype=torch.bool) if mask is None else mask
    n = images.shape[axes.index("slice")] if "slice" in axes else 1
    slices = tuple(Geometry.unknown(shape).cropped((i, 0, 0), shape) for i in range(n))
    known = {"encoding": Encoding.cartesian(shape), "geometries": slices, **facts}
    return KSpace(samples=fft(images.to(torch.complex64)) * mask, mask=mask, axes=axes, **known)


def lines(*kept: object, n: int = NY) -> torch.Tensor:
    """True on these lines (indices or slices) of k1."""
    mask = torch.zeros(1, 1, n, 1, dtype=torch.bool)
    for k in kept:
        mask[:, :, k] = True
    return mask


def nrmse(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def error_inside(image: Image, truth: torch.Tensor) -> float:
    """nrmse where the object is, outside of which the coil maps are zero."""
    inside = (truth > 0.1 * truth.max()).expand(image.values.shape)
    return nrmse(image.values.abs()[inside], truth.expand(image.values.shape)[inside])


EVERY_SECOND = lines(slice(0, None, 2), slice(NY // 2 - 6, NY // 2 + 6))


@pytest.mark.parametrize("combine", ["rss", "csm"])
def test_a_full_scan_comes_back_on_its_own_scale(combine):
    image = recon(scan(3e-6 * coils(4) * blob()), "zero_filled", combine=combine)
    bright = blob() > 0.1
    torch.testing.assert_close(image.values.abs()[bright], 3e-6 * blob()[bright], rtol=2e-3, atol=0)
    assert image.values.is_complex() == (combine == "csm") == ("csm" in image.extras)


@pytest.mark.parametrize("method", ["cg_sense", "tv", "grappa"])
def test_two_fold_undersampling_of_a_clean_object_is_undone(method):
    settings = {"cg_sense": {"l2": 1e-5}, "tv": {"weight": 1e-5}, "grappa": {"l2": 1e-6}}[method]
    kspace = scan(coils(4) * striped(), EVERY_SECOND)
    filled = error_inside(recon(kspace, "zero_filled"), striped())
    assert error_inside(recon(kspace, method, **settings), striped()) < 0.02 < filled


@pytest.mark.parametrize("method", ["cg_sense", "tv", "grappa"])
def test_volumes_undersampled_along_two_axes(method):
    shape = (8, 16, 12)
    mask = torch.zeros(1, 8, 16, 1, dtype=torch.bool)
    mask[:, ::2, ::2] = True
    mask[:, 1:7, 3:13] = True
    kspace = scan(coils(6, *shape) * striped(*shape), mask)
    image = recon(kspace, method, **({"kernel": (2, 2, 3)} if method == "grappa" else {}))
    assert image.values.shape == (1, *shape)
    filled = error_inside(recon(kspace, "zero_filled"), striped(*shape))
    assert error_inside(image, striped(*shape)) < 0.5 * filled


@pytest.mark.parametrize("method", ["zero_filled", "cg_sense", "tv", "grappa"])
def test_frames_and_slices_at_once(method):
    """Each slice of each frame lands in its own place: slice s, frame t is (1 + s) (1 + t / 2) times the object."""
    factor = (1 + torch.arange(2.0))[:, None] * (1 + torch.arange(3.0) / 2)
    images = factor[:, :, None, None, None, None] * (coils(4) * blob())
    image = recon(scan(images, EVERY_SECOND[None, None], ("slice", "time")), method)
    assert image.axes == ("slice", "time") and image.values.shape[:2] == (2, 3)
    sizes = image.values.abs().amax((-3, -2, -1))[..., 0]
    torch.testing.assert_close(sizes / sizes[0, 0], factor, rtol=0.03, atol=0)
    assert image.volume().values.shape == (3, 1, 2, NY, NX)


def test_the_residual_is_what_it_says(rng):
    """The history's share of the norm, its multiple of the noise and the extra against the model, by hand."""
    noise = torch.randn((4, 1, NY, NX), dtype=torch.complex64, generator=rng)
    cov = 1e-4 * torch.eye(4, dtype=torch.complex64)
    kspace = scan(coils(4) * blob() + 1e-2 * noise, EVERY_SECOND, noise_cov=cov)
    image = recon(kspace, "cg_sense", n_iters=3)
    A = forward_model(kspace, image.extras["csm"])
    error = A(image.values) - kspace.samples
    (note,) = (step for step in image.header.history if step.startswith("residual on the measured samples"))
    share = 100 * torch.linalg.vector_norm(error) / torch.linalg.vector_norm(kspace.samples)
    multiple = torch.linalg.vector_norm(error) / torch.count_nonzero(kspace.samples).sqrt() / 1e-2
    told_share, told_multiple = (float(part.split()[0]) for part in note.partition(": ")[2].split(", "))
    assert told_share == pytest.approx(float(share), abs=0.02)
    assert told_multiple == pytest.approx(float(multiple), abs=0.02)
    torch.testing.assert_close(image.extras["residual"], A.adjoint(error), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", ["zero_filled", "cg_sense", "grappa"])
def test_readout_oversampling_is_cropped_and_the_geometry_follows(method):
    wide = torch.nn.functional.pad(coils(4) * blob(), (NX // 2, NX // 2))
    encoding = Encoding(matrix=(1, NY, 2 * NX), recon_matrix=(1, NY, NX))
    kspace = scan(wide, EVERY_SECOND, encoding=encoding)
    image = recon(kspace, method)
    assert image.values.shape == (1, 1, NY, NX)
    assert all(e.shape[-1] == NX for e in image.extras.values())
    middle = (NX // 2, NY // 2, 0)
    assert image.geometry.to_world(middle) == pytest.approx(kspace.geometries[0].to_world((NX, NY // 2, 0)))
    assert nrmse(image.values.abs(), blob()) < 0.15
    assert torch.equal(
        image.values,
        centre_crop(recon(replace(kspace, encoding=Encoding.cartesian((1, NY, 2 * NX))), method).values, (1, NY, NX)),
    )


def test_more_than_twelve_coils_are_compressed_and_say_so():
    kspace = scan(coils(16) * blob())
    prepared, scale = prepare(kspace)
    assert prepared.n_coils == 12 and float(prepared.samples.abs().max()) == pytest.approx(1)
    image = recon(kspace, "zero_filled")
    assert "16 coils compressed to 12 virtual ones" in image.header.history
    torch.testing.assert_close(image.values, blob(), rtol=1e-3, atol=1e-4)
    assert scale > 0 and not any("compressed" in step for step in recon(scan(coils(12) * blob())).header.history)


def test_correlated_noise_is_whitened_and_said(rng):
    M = torch.randn((4, 4), dtype=torch.complex64, generator=rng)
    image = recon(scan(coils(4) * blob(), noise_cov=M @ M.mH), "zero_filled")
    assert "coils prewhitened with the noise scan" in image.header.history


def test_g_is_one_where_nothing_was_skipped():
    """A series of which one frame is full: no noise is amplified there, and some is in the others."""
    mask = torch.stack([lines(slice(0, None, 3), slice(10, 22)), lines(slice(None))])
    image = recon(scan((coils(4) * blob()).expand(2, -1, -1, -1, -1), mask, ("time",)), "grappa")
    g = image.extras["gfactor"]
    assert torch.equal(g[1], torch.ones_like(g[1]))
    assert float(g[0][blob() > 0.2].mean()) > 1
    assert "gfactor" not in recon(scan(coils(4) * blob(), EVERY_SECOND), "grappa", gfactor=False).extras


def half_lines() -> torch.Tensor:
    return lines(slice(NY // 2 - 8, None))


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_half_the_samples_of_a_real_object_are_enough(method):
    """Without phase the missing end is the conjugate of the other one, so the object comes back."""
    real = striped()
    image = recon(scan(real, half_lines()), method)
    filled = nrmse(recon(scan(real, half_lines()), "zero_filled").values, real)
    assert nrmse(image.values.abs(), real) < min(0.01, 0.2 * filled)


@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_a_constant_phase_comes_back(method):
    real = striped()
    image = recon(scan(real * torch.exp(torch.tensor(0.7j)), half_lines()), method, combine="csm")
    bright = real > 0.2
    torch.testing.assert_close(image.values[bright].angle(), torch.full((int(bright.sum()),), 0.7), atol=0.02, rtol=0)


def test_pocs_without_projections_is_the_zero_filled_image():
    kspace = scan(coils(3) * blob(), half_lines())
    torch.testing.assert_close(recon(kspace, "pocs", n_iters=0).values, recon(kspace, "zero_filled").values)


@pytest.mark.parametrize("axis", ["time", "slice"])
@pytest.mark.parametrize("method", ["homodyne", "pocs"])
def test_both_ways_of_partial_fourier_take_frames_sampled_differently_apart(method, axis):
    mask = torch.stack([half_lines(), half_lines().flip(-2)])
    kspace = scan((coils(2) * blob()).expand(2, -1, -1, -1, -1), mask, (axis,))
    assert (refusal(method, kspace) or "").startswith("its frames or slices are sampled differently")
    image = recon(kspace, method)
    for i in range(2):
        torch.testing.assert_close(image.values[i], recon(kspace.part(axis, i), method).values[0])
    assert image.header.warnings == ()
    assert f"{axis} 2 of 2: sampled unlike the others, reconstructed apart" in image.header.history


@pytest.mark.parametrize("method", sorted(registry.names("recon")))
def test_unknown_settings_are_told_with_the_known_ones(method):
    known = registry.load("recon", method).Config.__dataclass_fields__
    with pytest.raises(DataError, match=f"{method} has no setting strength, width") as told:
        recon(scan(blob()), method, width=1, strength=2)
    assert told.value.do == "it has " + (", ".join(known) or "none")


def test_an_unknown_method_is_told_with_the_known_ones():
    with pytest.raises(DataError, match=r"there is no recon method 'sense' -> known are .*cg_sense.*zero_filled"):
        recon(scan(blob()), "sense")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("gridding", "zero_filled takes them"),
        ("nufft_cg", "cg_sense takes them"),
        ("llr", "it has 1 frame along time or repetition, 3 are needed"),
        ("homodyne", "both sides of k = 0 were measured equally far"),
        ("grappa", "it has one coil"),
    ],
)
def test_refused_methods_say_why_and_what_to_do(method, words):
    with pytest.raises(DataError, match=rf"{method} cannot take this scan: .*{words}") as told:
        recon(scan(blob()), method)
    assert "spinecho list" in told.value.do


@pytest.mark.parametrize(
    ("axes", "batch", "axis"),
    [(("slice", "time"), (4, 3), 1), (("time", "repetition"), (2, 5), 1), (("slice", "contrast"), (9, 9), None)],
)
def test_the_axis_of_frames(axes, batch, axis):
    kspace = scan(torch.ones(*batch, 1, 1, 4, 4), axes=axes)
    assert frame_axis(kspace) == axis


def test_automatic_threshold_goes_with_the_noise_and_the_sampling():
    """0.7 sigma sqrt(share measured) (sqrt(pixels) + sqrt(frames)), by its formula."""
    kspace = scan(torch.ones(4, 2, 1, 16, 16), lines(slice(0, None, 4), n=16)[None], ("time",))
    kspace = replace(kspace, noise_cov=0.09 * torch.eye(2, dtype=torch.complex64))
    assert automatic_threshold(kspace, 8) == pytest.approx(0.7 * 0.3 * 0.5 * (8 + 2), rel=1e-5)


def test_llr_of_a_static_clean_series_is_the_object():
    gen = torch.Generator().manual_seed(1)
    mask = (torch.rand((6, 1, 1, NY, 1), generator=gen) < 0.5) | lines(slice(NY // 2 - 6, NY // 2 + 6))
    kspace = scan((coils(4) * striped()).expand(6, -1, -1, -1, -1), mask, ("time",))
    assert error_inside(recon(kspace, "llr", weight=1e-4), striped()) < 0.05
    assert error_inside(recon(kspace, "zero_filled"), striped()) > 0.1


UNDERSAMPLED = (*trained(), "l1_wavelet", "cg_sense", "grappa", "zero_filled")


@pytest.mark.parametrize(
    ("mask", "axes", "names", "words"),
    [
        (lines(slice(None)), (), ("zero_filled",), "fully sampled, 4 coils"),
        (EVERY_SECOND, (), UNDERSAMPLED, "regular phase encodes, R = 2, 1.5-fold"),
        (lines(slice(10, 22), 1, 6, 8, 25, 30), (), UNDERSAMPLED, "irregular phase"),
        (half_lines(), (), ("pocs", "homodyne", "zero_filled"), "partial Fourier along k1, 4 coils"),
        (EVERY_SECOND[None], ("time",), ("varnet_kt", "llr", *UNDERSAMPLED), "5 frames, regular"),
        (EVERY_SECOND[None], ("slice",), UNDERSAMPLED, "13 calibration lines"),
    ],
)
def test_what_auto_would_try_and_why(mask, axes, names, words):
    images = coils(4) * blob()
    kspace = scan(images.expand(5, *images.shape) if axes else images, mask, axes)
    found, why = choices(prepare(kspace)[0])
    assert found == names and words in why


def test_auto_counts_lines_scanned_apart_and_a_single_coil():
    calib = fft((coils(1) * blob()).to(torch.complex64))[:, :, 10:22]
    kspace = replace(scan(coils(1) * blob(), lines(slice(0, None, 2))), calib=calib)
    assert choices(kspace)[1].endswith("2.0-fold undersampled, separate calibration lines, 1 coil")


def test_auto_sees_that_only_the_second_frame_is_undersampled():
    mask = torch.stack([lines(slice(None)), EVERY_SECOND])
    kspace = scan((coils(2) * blob()).expand(2, -1, -1, -1, -1), mask, ("time",))
    names, why = choices(kspace)
    assert names[:2] == ("varnet_kt", "llr") and "some frames or slices undersampled" in why


@pytest.mark.parametrize("spec", ["partial:0.7", "equispaced:2:6:0", "gaussian:2:6:1", "poisson:2:6:1"])
def test_undersampling_after_the_fact(spec):
    """What is kept is as measured, the rest is zero; the truth is that of all samples; the input stays as it was."""
    whole = scan(coils(3) * blob())
    before = whole.samples.clone()
    cut = undersample(whole, spec)
    kept = cut.mask.expand_as(cut.samples)
    assert torch.equal(cut.samples[kept], whole.samples[kept]) and not cut.samples[~kept].any()
    assert 0.3 < float(kept.float().mean()) < 0.95
    torch.testing.assert_close(cut.target, ifft(whole.samples).abs().square().sum(0, keepdim=True).sqrt())
    assert torch.equal(whole.samples, before) and FLAG not in whole.header.flags
    assert cut.header.flags.count(FLAG) == 1 and undersample(whole, spec).header == cut.header


def test_the_truth_of_an_oversampled_scan_lies_on_the_image_grid():
    wide = torch.nn.functional.pad(coils(3) * blob(), (NX // 2, NX // 2))
    kspace = scan(wide, encoding=Encoding(matrix=(1, NY, 2 * NX), recon_matrix=(1, NY, NX)))
    cut = undersample(kspace, "equispaced:2:8:0")
    assert cut.target is not None and cut.target.shape == (1, 1, NY, NX)
    assert recon(cut, "cg_sense").values.shape == cut.target.shape
