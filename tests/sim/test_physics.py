"""Contrast, coils, noise and phase against what physics says of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ellipe, ellipk

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.coils import Loop, elliptic, sample_loops, sensitivities
from spinecho.sim.contrast import (
    SEQUENCES,
    Sequence,
    gradient_echo,
    inversion_recovery,
    nulling_ti_ms,
    spin_echo,
    t1_at_field,
)
from spinecho.sim.noise import noise, noise_scan, object_mean, sample_covariance
from spinecho.sim.phase import sample_phase
from spinecho.sim.tissue import TISSUES

PD, T1, T2 = (torch.tensor([v], dtype=torch.float64) for v in (0.8, 1000.0, 80.0))
positive = st.floats(1.0, 5000.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_long_tr_and_short_te_leave_proton_density():
    assert float(spin_echo(PD, T1, T2, te_ms=1e-6, tr_ms=1e6)) == pytest.approx(0.8)
    assert float(gradient_echo(PD, T1, T2, te_ms=1e-6, tr_ms=1e6, flip_deg=90)) == pytest.approx(0.8)
    assert float(inversion_recovery(PD, T1, T2, te_ms=1e-6, tr_ms=1e6, ti_ms=1e-6)) == pytest.approx(-0.8)


def test_the_ernst_angle_is_the_brightest():
    ernst = math.degrees(math.acos(math.exp(-20 / 1000)))
    signal = [
        float(gradient_echo(PD, T1, T2, te_ms=3, tr_ms=20, flip_deg=a)) for a in (0.7 * ernst, ernst, 1.4 * ernst)
    ]
    assert signal[1] == max(signal)


@given(t1=positive, tr=st.floats(500.0, 20000.0), te=st.floats(1.0, 200.0))
def test_the_nulling_time_nulls(t1, tr, te):
    ti = nulling_ti_ms(t1, tr_ms=tr, te_ms=te)
    signal = inversion_recovery(PD, torch.tensor([t1], dtype=torch.float64), T2, te_ms=te, tr_ms=tr, ti_ms=ti)
    assert abs(float(signal)) < 1e-9 or ti < 0


def test_t1_grows_with_the_field_and_fluid_does_not():
    assert t1_at_field(1000, 0.35, 3.0) == 1000
    assert TISSUES["white matter"].t1_at(1.5) < TISSUES["white matter"].t1_ms < TISSUES["white matter"].t1_at(7)
    assert 550 < TISSUES["white matter"].t1_at(1.5) < 700  # Rooney et al.: 656 ms
    assert TISSUES["csf"].t1_at(7) == TISSUES["csf"].t1_ms


@pytest.mark.parametrize("field", [1.5, 3.0])
def test_contrasts_look_as_they_are_called(field):
    t1, t2, flair, pd = (tissue_signals(SEQUENCES[n], field) for n in ("t1", "t2", "flair", "pd"))
    assert t1["white matter"] > t1["grey matter"] > t1["csf"]
    assert t2["csf"] > t2["grey matter"] > t2["white matter"]
    assert flair["csf"] < 0.02 and flair["lesion"] > flair["grey matter"] > flair["white matter"]
    assert pd["grey matter"] > pd["white matter"]
    assert all(s["air"] == 0 for s in (t1, t2, flair, pd))
    assert SEQUENCES["flair"].with_nulled(4300.0).ti_ms > 0 and SEQUENCES["t2"].with_nulled(4300.0).ti_ms == 0


def test_a_sequence_is_its_equation():
    wanted = spin_echo(PD, T1, T2, te_ms=30, tr_ms=500)
    assert torch.equal(Sequence(kind="spin-echo", te_ms=30, tr_ms=500).signal(PD, T1, T2, T2), wanted)


def test_elliptic_integrals():
    m = torch.linspace(0, 0.9999, 200, dtype=torch.float64)
    K, E = elliptic(m)
    np.testing.assert_allclose(K.numpy(), ellipk(m.numpy()), rtol=1e-12)
    np.testing.assert_allclose(E.numpy(), ellipe(m.numpy()), rtol=1e-12)


def test_field_of_a_loop_by_summing_its_wire():
    """Biot and Savart, sum of dl x r / |r|^3, up to the factor that the normalisation takes."""
    loop = Loop((60.0, -90.0, 20.0), (0.6, -0.8, 0.0), 50.0, 0.3)
    geometry = Geometry.from_frame([0, 0, 0], np.eye(3), (9, 9, 9), (5, 5, 5))
    found = sensitivities((loop,), geometry)[0, 0].numpy()
    normal, centre = np.array(loop.normal), np.array(loop.centre_mm)
    u = np.array([0, 0, 1.0])
    v = np.cross(normal, u)
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)[:, None]
    wire = centre + 50 * (np.cos(angle) * u + np.sin(angle) * v)
    along = -np.sin(angle) * u + np.cos(angle) * v
    index = np.stack(np.meshgrid(*(np.arange(5),) * 3, indexing="ij"), -1)[..., ::-1]
    r = geometry.to_world(index)[..., None, :] - wire
    field = (np.cross(np.broadcast_to(along, r.shape), r) / np.linalg.norm(r, axis=-1, keepdims=True) ** 3).sum(-2)
    received = (field[..., 0] - 1j * field[..., 1]) * np.exp(0.3j)
    received /= np.abs(received[2, 2, 2])
    sign = np.sign((found[2, 2, 2] / received[2, 2, 2]).real)
    np.testing.assert_allclose(found, sign * received, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_coils", [1, 3, 8, 16, 32])
def test_any_number_of_coils(n_coils):
    loops = sample_loops(n_coils, seeded())
    csm = sensitivities(loops, Geometry.from_frame([0, 0, 0], np.eye(3), (20, 20, 20), (3, 9, 9)))
    assert csm.shape == (1, n_coils, 3, 9, 9) and bool(torch.isfinite(torch.view_as_real(csm)).all())
    assert float(csm[0, :, 1, 4, 4].abs().square().sum()) == pytest.approx(1, rel=1e-5)
    assert loops == sample_loops(n_coils, seeded()) and loops != sample_loops(n_coils, seeded(1))


def test_each_coil_sees_its_own_side():
    loops = sample_loops(8, seeded())
    csm = sensitivities(loops, Geometry.from_frame([0, 0, 0], np.eye(3), (8, 8, 8), (1, 21, 21)))[0, :, 0].abs()
    for loop, magnitude in zip(loops, csm, strict=True):
        y, x = divmod(int(magnitude.argmax()), 21)
        assert (x - 10) * loop.centre_mm[0] + (y - 10) * loop.centre_mm[1] > 0


def test_no_coils_are_refused():
    with pytest.raises(DataError, match="0 coils"):
        sample_loops(0, seeded())


def test_noise_has_its_covariance():
    cov = sample_covariance(6, seeded()) * 0.04
    n = noise_scan(cov, seeded(1), 200_000)[:, 0, 0]
    torch.testing.assert_close(n @ n.mH / n.shape[-1], cov, rtol=0.02, atol=4e-4)
    circular = (n @ n.mT / n.shape[-1]).abs().max()
    assert float(circular) < 1e-3  # real and imaginary part are alike and uncorrelated


@given(n_coils=st.integers(1, 32), seed=st.integers(0, 999))
def test_covariances_are_hermitian_and_positive(n_coils, seed):
    cov = sample_covariance(n_coils, seeded(seed)).to(torch.complex128)
    assert float(torch.linalg.eigvalsh(cov).min()) > 0
    torch.testing.assert_close(cov, cov.mH)
    assert float(cov.diagonal().real.mean()) == pytest.approx(1, rel=1e-5)


def test_noise_is_seeded():
    cov = sample_covariance(2, seeded())
    a, b = noise((3, 2, 1, 4, 5), cov, seeded(7)), noise((3, 2, 1, 4, 5), cov, seeded(7))
    assert torch.equal(a, b) and a.shape == (3, 2, 1, 4, 5)


def test_object_mean_leaves_the_background_out():
    x = torch.zeros(10, 10)
    x[2:5, 2:5] = 3.0
    assert object_mean(x) == 3.0


def test_phase_is_smooth_and_of_the_strength_asked_for():
    strengths = [float(sample_phase(seeded(s), strength=1.0).on((1, 64, 64)).std()) for s in range(30)]
    assert 0.4 < np.mean(strengths) < 1.5
    phase = sample_phase(seeded())
    coarse, fine = phase.on((1, 32, 32)), phase.on((1, 64, 64))
    torch.testing.assert_close(coarse, fine[..., ::2, ::2])
    assert float(fine.diff(dim=-1).abs().max()) < 0.5
