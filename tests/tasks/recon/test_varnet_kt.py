"""varnet_kt: at first each frame as by the denoiser alone, then together; scale and other axes do not matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from denoising import SMALL, denoiser_file, saved, shaken
from drawn import drawn, nrmse

from spinecho import KSpace, recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.calib.object_noise import bright_readouts, object_noise
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.ops.fourier import ifft
from spinecho.ops.psf import CartesianSense
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods import llr, varnet_kt
from spinecho.tasks.recon.methods.varnet_kt import Config, Method
from spinecho.tasks.recon.parts.denoisers import by_level, method_named
from spinecho.tasks.recon.parts.division import Divided
from spinecho.tasks.recon.parts.left_out import best_shares
from spinecho.tasks.recon.parts.losses import How, ssdu
from spinecho.tasks.recon.parts.refinement import Support
from spinecho.tasks.recon.parts.series import Series
from spinecho.tasks.recon.parts.splitting import Problem, problem
from spinecho.tasks.recon.slices import settled
from spinecho.train.first import first

FEW = {"n_steps": 2, "cg_iters": 3, "start_iters": 4, "reach": 1}


def series(n_frames: int = 5, seed: int = 1) -> KSpace:
    scan = Scan(matrix=(1, 36, 32), sampling=f"kt-random:3:8:{seed}", n_frames=n_frames, snr=40, n_coils=4, fineness=1)
    return simulate_phantom(scan).kspace


def wide() -> KSpace:
    """Of an object that is long enough for parts of it to be a trial."""
    scan = Scan(matrix=(1, 36, 144), sampling="kt-random:3:8:1", n_frames=3, snr=40, n_coils=3, fineness=1)
    return simulate_phantom(scan).kspace


def mixing(strength: float = 0.2) -> Method:
    """A small one whose frames know of each other."""
    method = shaken(Method(Config(**SMALL, **FEW)))
    with torch.no_grad():
        for name, p in method.network.named_parameters():
            if not name.startswith("still."):
                p.copy_(strength * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return method.eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    return saved(mixing(), "recon", "varnet_kt", tmp_path_factory.mktemp("weights"))


@torch.no_grad()
def test_begun_from_a_denoiser_it_denoises_each_frame(tmp_path):
    path = denoiser_file(tmp_path)
    method = first("recon", "varnet_kt", Config(**FEW), path, 0)
    assert isinstance(method, Method) and method.config.channels == SMALL["channels"]
    noisy = torch.randn(2, 4, 16, 12, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([0.3, 0.6])
    alone = by_level(method_named(path, torch.device("cpu")))
    expected = torch.stack([alone(noisy[:, t], level) for t in range(4)], 1)
    # `Noise.sigma` of the task denoise is that of complex noise, too
    change = torch.randn_like(noisy)  # of which nothing is known yet
    assert nrmse(method.estimate(noisy, change, level), expected) < 1e-4
    with pytest.raises(DataError, match="channels"):
        first("recon", "varnet_kt", Config(channels=(4, 4)), path, 0)


def solved_series() -> tuple[KSpace, Problem, torch.Tensor]:
    prepared = prepare(series())[0]
    csm = estimate_csm(prepared)
    return prepared, problem(prepared, csm), csm


@torch.no_grad()
def test_apart_is_each_frame_by_itself():
    prepared, solved, csm = solved_series()
    method = mixing()
    x = method.start(prepared, csm, solved, 2.0)
    alone = Method(replace(method.config, apart=True)).eval()
    alone.load_state_dict(method.state_dict())
    level = torch.full((1, 1, 1, 1, 1), 0.05)
    together, apart = (m.denoised(x, 0.5 * x, level, solved.support, 0) for m in (method, alone))
    where = solved.support.where[0, 0, 0]
    box = solved.support.cut(x)[2:3, :, 0]
    frame = alone.estimate(box, 0.5 * box, level.flatten())
    put = solved.support.put_back(frame[:, :, None])[0, 0, 0]
    assert nrmse(apart[2, 0, 0][where], put[where]) < 1e-5 and nrmse(together, apart) > 1e-3
    assert torch.equal(apart[2, 0, 0][~where], x[2, 0, 0][~where])


@torch.no_grad()
def test_axes_beside_time_are_taken_apart():
    method, rng = mixing(), torch.Generator().manual_seed(0)
    x, change = (torch.randn(3, 5, 1, 1, 16, 12, dtype=torch.complex64, generator=rng) for _ in range(2))
    levels = torch.tensor([0.1, 0.2, 0.4]).view(3, 1, 1, 1, 1, 1)
    support = Support(torch.ones(1, 1, 1, 1, 16, 12, dtype=torch.complex64))
    by_slice = method.denoised(x, change, levels, support, 1)
    turned = method.denoised(x.transpose(0, 1), change.transpose(0, 1), levels.transpose(0, 1), support, 0)
    assert nrmse(turned.transpose(0, 1), by_slice) < 1e-5
    one = method.estimate(x[1, :, 0, 0][None], change[1, :, 0, 0][None], torch.tensor([0.2]))[0]
    assert nrmse(by_slice[1, :, 0, 0], one) < 1e-5


@pytest.mark.parametrize("factor", [1e-6, 1e5])
def test_scale_goes_through(file, factor):
    scan = series()
    louder = replace(scan, samples=scan.samples * factor, noise_cov=scan.noise_cov * factor**2)
    one, other = (recon(k, "varnet_kt", weights=file) for k in (scan, louder))
    assert one.values.shape == (5, 1, 1, 36, 32) and nrmse(other.values / factor, one.values) < 2e-2
    assert "csm" in one.extras and any("varnet_kt, by lines left out" in line for line in one.header.history)


def test_slices_of_series_are_those_alone(file):
    one = series()
    affine = one.geometries[0].affine.copy()
    affine[:3, 3] += 10 * one.geometries[0].directions[:, 2]
    two = replace(
        one,
        samples=torch.stack([one.samples, one.samples], 1),
        mask=one.mask.unsqueeze(1),
        target=None,
        axes=("time", "slice"),
        geometries=(one.geometries[0], replace(one.geometries[0], affine=affine)),
    )
    values, alone = (recon(k, "varnet_kt", weights=file).values for k in (two, one))
    assert nrmse(values[:, 1], alone) < 2e-2


def test_the_start_is_near_and_steps_follow_the_samples():
    """Without any denoising all steps are data consistency: the error on measured samples gets no larger."""
    prepared, solved, csm = solved_series()
    method = Method(Config(**SMALL, **FEW)).eval()
    start = method.start(prepared, csm, solved, 2.0)
    with torch.no_grad():
        images = [start, *method.steps(solved, start, prepared)]
    eq = solved.equations

    def misfit(x):  # |A x - y|^2 but for a constant
        inner = eq.enter(x)
        return float((inner.conj() * (eq.operator(inner) - 2 * eq.rhs)).real.sum())

    errors = [misfit(x) for x in images]
    assert errors[1] <= errors[0] + 1e-6 and errors[2] <= errors[1] + 1e-6 and len(images) == 3


@torch.no_grad()
def test_what_makes_it_worse_is_not_taken(file):
    """A network with random weights changes much: by left-out lines little of that is taken."""
    prepared, _, csm = solved_series()
    shares = mixing(2.0).tried(prepared, csm)
    assert 0 <= min(shares) <= max(shares) < 0.7
    told = recon(series(), "varnet_kt", weights=file).header.history
    assert any("over time taken" in line for line in told)
    few = torch.zeros_like(prepared.mask)
    few[..., 14:22, :] = True
    less = replace(prepared, mask=prepared.mask & few, samples=prepared.samples * few)
    assert mixing().tried(less, csm) == (1.0, 1.0), "nothing can be left out"


@torch.no_grad()
def test_noise_that_is_not_known_is_that_of_all_lines(file):
    """The parts that lines are left out of do not measure it again."""
    scan = replace(series(), noise_cov=None, target=None)
    image = recon(scan, "varnet_kt", weights=file)
    assert torch.isfinite(image.values.abs()).all() and image.values.shape == (5, 1, 1, 36, 32)


def test_the_best_shares_are_those_of_the_least_error():
    rng = torch.Generator().manual_seed(0)
    errors = [torch.randn(200, dtype=torch.complex64, generator=rng) for _ in range(3)]
    shares = torch.tensor(best_shares(errors))
    assert shares.min() > 0 and shares.max() < 1

    def size(a: float, b: float) -> float:
        return float((errors[0] + a * (errors[1] - errors[0]) + b * (errors[2] - errors[1])).abs().square().sum())

    a, b = shares.tolist()
    around = [size(a + u, b + v) for u, v in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02))]
    assert size(a, b) < min(around)
    start = errors[0]
    assert best_shares([start, 0.2 * start]) == [1] and best_shares([start, 3 * start]) == [0]
    assert best_shares([start, start]) == [0] and best_shares([0 * start] * 3) == [0, 0]


@torch.no_grad()
def test_what_helps_the_mean_alone_is_taken_there_alone(monkeypatch):
    """A change towards the true mean over time, and noise in each frame."""
    prepared, _, csm = solved_series()
    truth = llr.solved(prepared, csm, llr.Config(n_iters=60), 0.0)  # of all lines

    def last(_: Method, solved: Problem, start: torch.Tensor, kspace: KSpace) -> torch.Tensor:
        noise = torch.randn(start.shape, dtype=start.dtype, generator=torch.Generator().manual_seed(0))
        noise = 0.3 * truth.abs().mean() * (noise - noise.mean(0))
        return start + (truth - start).mean(0) + noise

    monkeypatch.setattr(Method, "last", last)
    of_mean, of_rest = mixing().tried(prepared, csm)
    assert of_mean > 0.5 and of_rest < of_mean / 2, "not 0: both are moved halfway towards one share for all"


@torch.no_grad()
def test_parts_of_the_readout_are_a_scan_of_their_own():
    """Predictions from a quarter of the positions along the readout are those of the whole there."""
    scan = replace(prepare(wide())[0], noise_cov=None)
    csm = estimate_csm(scan)
    part, maps = varnet_kt.two_stretches(scan, csm)
    x = llr.solved(scan, csm, llr.Config(n_iters=3), None)
    first, after = bright_readouts(scan)
    at = [first + round(q * (after - first)) for q in (0.1875, 0.3125, 0.6875, 0.8125)]
    positions = [*range(at[0], at[1]), *range(at[2], at[3])]
    assert part.samples.shape[-1] == maps.shape[-1] == len(positions) and after - first >= 96
    here = ifft(CartesianSense(scan.mask, csm)(x), (-1,))[..., positions]
    there = ifft(CartesianSense(part.mask, maps)(x[..., positions]), (-1,))
    assert nrmse(there, here) < 1e-5
    assert noise_sigma(part) == pytest.approx(object_noise(scan), rel=1e-5), "the noise is that of the whole"
    short = solved_series()[0]
    assert varnet_kt.two_stretches(short, estimate_csm(short))[0] is short


def test_losses_of_nothing_learned():
    """The network is zero at first: of small series the error is the noise, of scans about that of the start."""
    method = Method(Config(**SMALL, **FEW))
    clean = torch.randn(2, 3, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, 3, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    level = torch.tensor([0.1, 0.5])
    loss = method.loss(Series(clean, clean + level[:, None, None, None] * noise, noise, level))
    assert abs(float(loss.detach())) < 0.1
    scan = prepare(series())
    ready = replace(scan[0], target=series().target / scan[1])
    torch.manual_seed(0)
    assert abs(float(method.eval().loss(ready).detach())) < 1


def test_a_few_steps_take_noise_away():
    method, rng = Method(Config(**SMALL, **FEW)), torch.Generator().manual_seed(0)
    clean = torch.ones(4, 6, 16, 16, dtype=torch.complex64)
    noisy = clean + 0.3 * torch.randn(clean.shape, dtype=torch.complex64, generator=rng)
    example = Series(clean, noisy, torch.zeros_like(clean), torch.full((4,), 0.3))
    optimiser, losses = torch.optim.Adam(method.parameters(), 3e-3), []
    for _ in range(25):
        optimiser.zero_grad()
        loss = method.loss(example)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3
    assert method.network.down[0].near.weight.abs().max() > 0, "frames are mixed"


def test_a_series_teaches_without_a_truth():
    """Lines of each frame are left out and predicted from all others; examples of a batch do not know of each other."""
    scans = [settled(replace(series(6, seed), target=None)) for seed in (1, 2)]
    one, other = (ssdu.drawn(scan, torch.Generator().manual_seed(0), How()) for scan in scans)
    assert bool(one.left.flatten(2).any(2).sum() >= 4), "in most frames"
    method = shaken(Method(Config(**SMALL, **FEW)))
    both = Divided.joined([one, other])
    alone = [ssdu.loss(method, Divided.joined([x])) for x in (one, other)]
    torch.testing.assert_close(ssdu.loss(method, both), torch.stack(alone).mean(), rtol=1e-4, atol=1e-5)
    optimiser, losses = torch.optim.Adam(method.parameters(), 3e-3), []
    for _ in range(12):
        optimiser.zero_grad()
        loss = ssdu.loss(method, Divided.joined([one]))
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.step()
    assert min(losses[-3:]) < losses[0]


@torch.no_grad()
def test_steps_in_training_are_those_in_use():
    prepared, _, csm = solved_series()
    method = mixing(0.1)
    whole = problem(prepared, csm, cut=False)
    start = method.start(prepared, csm, whole, varnet_kt._drawn_lift(prepared.samples))
    for one, same in zip(method.stages(prepared, csm), method.steps(whole, start, prepared), strict=True):
        torch.testing.assert_close(one, same)


def test_what_the_samples_changed_is_seen():
    """A change that is the error itself is learned: taken away, little is left."""
    method, rng = Method(Config(**SMALL, **FEW)), torch.Generator().manual_seed(0)
    clean, error = (torch.randn(4, 3, 16, 16, dtype=torch.complex64, generator=rng) for _ in range(2))
    example = Series(clean, clean - error, error, torch.ones(4))
    optimiser, losses = torch.optim.Adam(method.parameters(), 3e-3), []
    for _ in range(25):
        optimiser.zero_grad()
        loss = method.loss(example)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3


def test_a_single_frame_learns_too():
    """The lesson of the task stands still."""
    method = Method(Config(**SMALL, **FEW))
    loss = method.loss(drawn(3))
    loss.backward()
    assert torch.isfinite(loss) and method.network.still.leave.weight.grad.abs().max() > 0


def test_says_what_it_cannot_take():
    assert "1 frame " in (Method.refusal(series().part("time", 0)) or "")
    scan = Scan(matrix=(1, 32, 32), sampling="radial:20", n_frames=4, n_coils=2, fineness=1)
    assert "trajectory" in (Method.refusal(simulate_phantom(scan).kspace) or "")


def test_the_mean_acceleration_is_that_of_all_lines():
    scan = prepare(series())[0]
    measured = float(scan.mask.float().mean())
    assert float(varnet_kt._mean_acceleration(scan)) == pytest.approx(1 / measured, rel=1e-5)
