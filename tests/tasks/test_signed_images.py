"""An offset does not change what is done: standardised images and those stored with an offset, beside plain ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.signed import below_0, is_signed, raised, raised_within, unsigned
from spinecho.core.transform import Rigid, identity
from spinecho.tasks.register.judge.figures import values_on


def head(shape: tuple[int, int, int] = (12, 72, 64)) -> torch.Tensor:
    """An ellipsoid of four tissues, brightest about 100, air 0: (1, z, y, x)."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    r = (x / 0.75).square() + (y / 0.85).square() + (z / 1.6).square()
    return 100 * ((0.35 * (r < 1) + 0.45 * (r < 0.7) + 0.2 * (r < 0.35)) * (r < 1))[None]


def noise(like: torch.Tensor, sigma: float) -> torch.Tensor:
    return sigma * torch.randn(like.shape, generator=torch.Generator().manual_seed(0))


def image(values: torch.Tensor) -> Image:
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    return Image(values=values, geometries=(Geometry.unknown(shape, (1.0, 1.0, 2.0)),))


def standardised(values: torch.Tensor) -> torch.Tensor:
    """Over the whole image."""
    return (values - values.mean()) / values.std()


def masked(values: torch.Tensor) -> torch.Tensor:
    """Over the head alone, 0 around it."""
    inside = values > 20
    return torch.where(inside, (values - values[inside].mean()) / values[inside].std(), 0.0)


@pytest.mark.parametrize(
    ("values", "signed"),
    [
        (head(), False),
        (head() + noise(head(), 10), False),
        (standardised(head()), True),
        (standardised(head() + noise(head(), 5)), True),
        (masked(head()), True),
        (head() - 1000, True),
        ((head() - 1000).to(torch.int16), True),
        (head().to(torch.uint8), False),
        (torch.zeros(1, 4, 4, 4), False),
        (-torch.ones(1, 8, 8, 8), True),
        (head().to(torch.complex64), False),
    ],
)
def test_what_counts_as_signed(values, signed):
    assert is_signed(values) == signed
    lifted, by = raised(values)
    assert (by > 0) == signed and (not signed or float(lifted.min()) == 0)
    torch.testing.assert_close(lifted - by, values, rtol=1e-5, atol=1e-3, check_dtype=False)


def test_ringing_about_edges_is_not_signed():
    spectrum = torch.fft.fftshift(torch.fft.fft2(head()), (-2, -1))
    cut = torch.zeros_like(spectrum)
    cut[..., 18:54, 16:48] = spectrum[..., 18:54, 16:48]
    ringing = torch.fft.ifft2(torch.fft.ifftshift(cut, (-2, -1))).real
    assert float(ringing.min()) < -1 and not is_signed(ringing)


REAL = [
    "ixi_2mm/t1/IXI013",
    "ixi_2mm/t1/IXI033",
    "ms_1mm/patient07/flair",
    "ms_1mm/patient19/t1",
    "anatomy_hd/chris_PD",
]


@pytest.mark.parametrize("name", REAL)
def test_real_heads_are_told_apart_with_room_to_spare(name, shared_data):
    """The numbers beside the bounds in core/signed.py."""
    values = spinecho.read(shared_data / f"{name}.nii.gz").volume().values.float()
    middle = values.shape[-3] // 2
    values = values[..., max(0, middle - 20) : middle + 20, :, :].contiguous()
    inside = values > 0.05 * values.max()
    within = torch.where(inside, (values - values[inside].mean()) / values[inside].std(), 0.0)
    assert below_0(within)[0] > 0.3 and below_0(within)[1] > 0.7 and is_signed(within)
    for signed in (standardised(values), values - 0.5 * float(values.max())):
        assert below_0(signed)[0] > 0.3 and below_0(signed)[1] > 0.8 and is_signed(signed)
    noisy = values + noise(values, 0.08 * float(values.max()))
    finer = torch.nn.functional.interpolate(noisy[..., :12, :, :], scale_factor=2, mode="bilinear")
    for plain in (noisy, finer):
        assert below_0(plain)[0] > 0.08 and below_0(plain)[1] < 0.55 and not is_signed(plain)
    kept = torch.where(inside, noisy, 0.0)
    assert below_0(kept)[0] < 0.05 and not is_signed(kept) and not is_signed(values)


def test_what_is_masked_stays_so():
    values, by = raised_within(masked(head()))
    assert by > 0 and bool((values[head() <= 20] == 0).all()) and float(values.min()) == 0


def test_nan_does_not_count():
    values = standardised(head())
    values[..., 0, 0] = torch.nan
    assert is_signed(values) and raised(values)[1] > 0


def error(given: torch.Tensor, truth: torch.Tensor) -> float:
    return float((given - truth).square().mean().sqrt())


@pytest.mark.parametrize("method", ["auto", "unet25d", "autoencoder", "unet", "wavelet"])
def test_denoised_as_it_would_be_without_the_offset(method):
    truth = head()
    noisy = truth + noise(truth, 6)
    mean, scale = noisy.mean(), noisy.std()
    made = spinecho.denoise(image((noisy - mean) / scale), method).values
    assert error(made * scale + mean, truth) < 0.75 * error(noisy, truth)


@pytest.mark.parametrize("method", ["auto", "bspline"])
def test_finer_as_it_would_be_without_the_offset(method):
    made = [spinecho.superres(image(head() - by), method, factor=2).values + by for by in (0, 1000)]
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=12.0)  # of 100: the scale to unit peak is another
    assert error(*made) < 1.0


def test_regions_do_not_hang_on_the_offset():
    made = [spinecho.segment(image(v)).values for v in (head(), head() - 1000, standardised(head()))]
    for other in made[1:]:
        assert float((other == made[0]).float().mean()) > 0.98


def test_another_contrast_does_not_hang_on_the_offset():
    plain, *others = (
        spinecho.translate(image(v), to="t2", contrast="t1").values
        for v in (head(), standardised(head()), head() - 1000)
    )
    inside = head() > 20
    for other in others:
        assert float(torch.corrcoef(torch.stack([plain[inside], other[inside]]))[0, 1]) > 0.99


def test_a_head_that_was_masked_and_standardised_is_warned_of():
    made = spinecho.translate(image(masked(head())), to="t2", contrast="t1")
    assert any("masked and then standardised" in told for told in made.header.warnings)


def test_a_bias_field_needs_values_over_0():
    with pytest.raises(DataError, match="a field multiplies"):
        spinecho.correct(image(standardised(head())), "n4")


def test_images_are_compared_over_0():
    plain, deep = image(head()), image(head() - 1000)
    shift = Rigid(np.array([[1.0, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    for way in (identity(), shift):
        a, b = (values_on(way, one, plain.geometry) for one in (plain, deep))
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
    assert float(unsigned(replace(plain, values=head() - 1e-3)).values.min()) >= 0
