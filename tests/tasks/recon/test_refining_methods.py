"""What all learned image methods keep, with weights as if trained: any scan, any scale, slices apart, derivatives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn import BUILD, drawn, drawn_spokes, nrmse, slices, trained

from spinecho.calib.noise import rss_noise
from spinecho.calib.prepare import prepare, rescale
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.sim.scan import Scan, simulate_phantom

NAMES = list(BUILD)
each = pytest.mark.parametrize("name", NAMES)


def run(method, kspace):
    with torch.inference_mode():
        return method(kspace)


@each
@pytest.mark.parametrize("n_coils", [1, 2, 5])
@pytest.mark.parametrize("kind", ["random", "points"])
def test_takes_any_number_of_coils_and_masks_along_one_axis_or_both(name, n_coils, kind):
    kspace = drawn(n_coils, kind=kind)
    image = run(trained(name), kspace)
    assert image.values.shape == (1, 1, 40, 36) and image.extras["csm"].shape == (1, n_coils, 1, 40, 36)
    assert torch.isfinite(image.values.abs()).all()
    assert kspace.target is not None and nrmse(image.values.abs(), kspace.target) < 0.6


@each
@pytest.mark.parametrize("shape", [(65, 97), (24, 50)])
def test_takes_any_size(name, shape):
    kspace = drawn(3, shape)
    image = run(trained(name), kspace)
    assert image.values.shape == (1, 1, *shape) and torch.isfinite(image.values.abs()).all()


@each
@pytest.mark.parametrize("n_coils", [1, 4])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_of_the_samples_changes_nothing(name, n_coils, factor):
    method, kspace = trained(name), drawn(n_coils)
    scaled = run(method, rescale(kspace, factor)).values / factor
    assert nrmse(scaled, run(method, kspace).values) < 2e-3


@each
def test_phase_of_the_scan_turns_the_image(name):
    """Networks are not linear in phase; the magnitude of what they add moves little, of what is measured not at all."""
    method, kspace = BUILD[name](), drawn()
    turned = run(method, replace(kspace, samples=kspace.samples * 1j)).values
    assert nrmse(turned.abs(), run(method, kspace).values.abs()) < 1e-3


@each
@pytest.mark.parametrize("n_coils", [1, 4])
def test_slices_together_are_slices_apart(name, n_coils):
    """With one noise level, calibration block and support for both: a scan has one of each."""
    first = drawn(n_coils)
    second = replace(first, samples=0.5 * first.samples.flip(-4)) if n_coils > 1 else drawn(1, seed=1)
    assert first.mask is not None and second.mask is not None
    mask = first.mask & second.mask
    scans = [replace(k, samples=k.samples * mask, mask=mask, noise_cov=first.noise_cov) for k in (first, second)]
    method = trained(name)
    together = run(method, slices(*scans))
    assert together.axes == ("slice",) and together.values.shape == (2, 1, 1, 40, 36)
    for i, kspace in enumerate(scans):
        assert nrmse(together.values[i].abs(), run(method, kspace).values.abs()) < 0.02, i


@each
def test_frames_share_their_maps(name):
    kspace = drawn()
    series = replace(slices(kspace, kspace), axes=("time",), geometries=kspace.geometries)
    found, one = run(trained(name), series).values, run(trained(name), kspace).values
    assert nrmse(found[0], found[1]) < 1e-5 and nrmse(found[0], one) < 0.01


@each
def test_volumes_are_taken_slice_by_slice(name):
    scan = Scan(
        matrix=(4, 32, 28), fov_mm=(40.0, 240.0, 210.0), n_coils=4, snr=40, sampling="equispaced:2:12", fineness=1
    )
    kspace, _ = prepare(simulate_phantom(scan).kspace)
    image = run(trained(name), kspace)
    assert image.values.shape == (1, 4, 32, 28) and torch.isfinite(image.values.abs()).all()


@each
def test_refuses_what_it_cannot_take(name):
    method = BUILD[name]()
    kspace = drawn()
    assert method.refusal(kspace) is None and method.refusal(drawn(1)) is None
    gap = torch.ones(1, 1, 40, 1, dtype=torch.bool)
    gap[..., 18:23, :] = False
    assert "calibration lines" in str(method.refusal(replace(kspace, mask=gap, samples=kspace.samples * gap)))
    if name == "modl":
        assert method.refusal(drawn_spokes()) is None
    else:
        assert "modl" in str(method.refusal(drawn_spokes()))


@each
def test_scatter_along_all_three_axes_is_refused(name):
    rng = torch.Generator().manual_seed(0)
    mask = torch.rand(1, 16, 16, 16, generator=rng) < 0.4
    mask[:, 4:12, 4:12, 4:12] = True
    samples = torch.randn(2, 16, 16, 16, dtype=torch.complex64, generator=rng) * mask
    shape = (16, 16, 16)
    kspace = KSpace(
        samples=samples, mask=mask, encoding=Encoding.cartesian(shape), geometries=(Geometry.unknown(shape),)
    )
    assert "three axes" in str(BUILD[name]().refusal(kspace))


@each
def test_noise_of_all_coils_is_told_for_the_picture(name):
    kspace = drawn()
    method = trained(name)
    told = run(method, kspace)
    assert float(told.extras["noise_floor"]) == pytest.approx(rss_noise(kspace), rel=1e-5)
    method.config = replace(method.config, noise_floor=False)
    plain = run(method, kspace)
    assert "noise_floor" not in plain.extras and torch.equal(plain.values, told.values)


@each
@pytest.mark.parametrize("n_coils", [1, 4])
def test_all_weights_have_finite_gradients(name, n_coils):
    method = trained(name)
    loss = method.loss(drawn(n_coils))
    loss.backward()
    for key, p in method.named_parameters():
        if p.grad is None:
            assert n_coils == 1 and "maps" in key, key  # one coil needs no maps
            continue
        assert torch.isfinite(p.grad).all(), key
        assert p.grad.any() or key.endswith("cascades.0.step"), key  # where k-space is as measured it has no effect


@each
def test_loss_of_an_object_that_leaves_readout_positions_empty(name):
    """Where no coil map reaches, the readout is left out of what is solved."""
    kspace = drawn(4, (40, 64), width=0.3)
    method = trained(name)
    image = run(method, kspace)
    assert torch.isfinite(image.values.abs()).all()
    if name != "e2e":
        empty = ~(image.extras["csm"] != 0).any(-4).any(-4, keepdim=True)
        assert empty[..., :4].all() and not image.values[empty].any()
    method.loss(kspace).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


@each
def test_loss_does_not_depend_on_the_scale(name):
    method, kspace = trained(name), drawn(2)
    if name == "varnet":
        method.config = replace(method.config, start_coils=0)  # else the start is drawn from the target's bits
    assert kspace.target is not None
    scaled = replace(rescale(kspace, 1024.0), target=kspace.target * 1024)
    with torch.no_grad():
        assert float(method.loss(scaled)) == pytest.approx(float(method.loss(kspace)), rel=1e-3)


@each
def test_a_few_steps_lower_the_loss(name):
    torch.manual_seed(0)
    method, kspace = BUILD[name](), drawn(2, seed=3)
    optimiser = torch.optim.SGD(method.parameters(), 0.0)
    first = last = float("nan")
    for i in range(20):
        optimiser.zero_grad()
        loss = method.loss(kspace)
        loss.backward()
        last = float(loss.detach())
        first = last if i == 0 else first
        size = torch.nn.utils.clip_grad_norm_(method.parameters(), 1e9)
        optimiser.param_groups[0]["lr"] = 0.005 / float(size)
        optimiser.step()
    assert last < 0.99 * first
