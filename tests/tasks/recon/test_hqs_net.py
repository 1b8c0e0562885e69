"""hqs_net: before training it is a short pnp, late steps stay the denoiser, and a batch has levels of its own."""

from __future__ import annotations

import pytest
import torch
from denoising import SMALL, denoiser_file, shaken, unrolled_file
from drawn import drawn, drawn_spokes, nrmse, slices
from tools import make_student

from spinecho import recon
from spinecho.calib.csm import estimate_csm
from spinecho.core.errors import DataError
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.recon.methods import hqs_net, pnp
from spinecho.tasks.recon.parts.denoisers import by_level, method_named
from spinecho.tasks.recon.parts.splitting import problem, split
from spinecho.train.first import first

FEW = {"n_steps": 3, "cg_iters": 3, "start_iters": 4}


def begun(file: str, **settings) -> hqs_net.Method:
    method = first("recon", "hqs_net", hqs_net.Config(**FEW, **settings), file, 0)
    assert isinstance(method, hqs_net.Method)
    return method


@pytest.mark.parametrize("reach", [(), (10,), (10, 12)])
@pytest.mark.parametrize("early", [0, 2, 3])
def test_before_training_it_is_pnp(tmp_path, early, reach):
    file, kspace = denoiser_file(tmp_path), drawn(3)
    csm = estimate_csm(kspace)
    solved = problem(kspace, csm)
    x = solved.equations.start()
    method = begun(file, early=early, reach=reach)
    denoiser = by_level(method_named(file, torch.device("cpu")))
    with torch.no_grad():
        expected = list(pnp.steps(solved, x, pnp.Config(first=4.0, **FEW), denoiser))
        ours = list(method.steps(solved, x, hqs_net.acceleration(kspace)))
    assert all(nrmse(a, b) < 1e-4 for a, b in zip(ours, expected, strict=True))
    assert method.config.channels == SMALL["channels"] and method.config.early == early


def test_late_steps_keep_the_denoiser_and_the_rest_learns(tmp_path):
    method, kspace = begun(denoiser_file(tmp_path), early=2), drawn(3)
    kept = {n: w.clone() for n, w in method.state_dict().items() if n.startswith("kept.")}
    assert kept and not any(n.startswith("kept.") for n, _ in method.requires_grad_(True).named_parameters())
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = method.loss(kspace)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())
    assert all(torch.equal(w, method.state_dict()[n]) for n, w in kept.items())


def test_a_loss_of_nothing_gained_is_near_zero(tmp_path):
    """log of the error over the start's: with a denoiser that changes nothing the image stays the start."""
    method = begun(denoiser_file(tmp_path), early=1)
    with torch.no_grad():
        for w in method.state_dict().values():
            if w.ndim == 4:
                w.zero_()
    assert abs(float(method.loss(drawn(3)).detach())) < 0.6


def test_levels_and_accelerations_of_a_batch_are_its_entries_own(tmp_path):
    method = shaken(begun(denoiser_file(tmp_path), early=1))
    with torch.no_grad():
        method.per_accel.fill_(0.1)
    one, other = drawn(3), drawn(3, seed=4)
    both = slices(one, other)
    accel = hqs_net.acceleration(both)
    assert accel.shape == (2, 1, 1, 1, 1) and float(accel[1]) == float(hqs_net.acceleration(other))
    solved = problem(both, estimate_csm(both))
    x = solved.equations.start()

    def at(*levels: float):
        told = torch.tensor(levels).reshape(2, 1, 1, 1, 1)
        with torch.no_grad():
            *_, last = method.steps(type(solved)(solved.equations, solved.support, told), x, accel)
        return last

    mixed = at(0.01, 0.02)
    assert nrmse(mixed[0], at(0.01, 0.01)[0]) < 1e-5 and nrmse(mixed[1], at(0.02, 0.02)[1]) < 1e-5
    assert nrmse(mixed[1], at(0.01, 0.01)[1]) > 1e-3


def test_the_bright_part_is_the_object():
    truth = torch.zeros(1, 1, 32, 32)
    truth[..., 8:24, 8:24] = 1
    where = hqs_net.bright(truth)
    assert bool(where[..., 10:22, 10:22].all()) and not bool(where[..., :4, :].any())


def test_by_command_from_a_file(tmp_path):
    file = unrolled_file(tmp_path)
    kspace = drawn(4)
    image = recon(kspace, "hqs_net", weights=file, cg_iters=2)
    assert image.values.shape == (1, 1, 40, 36) and torch.isfinite(image.values.abs()).all()
    spokes = drawn_spokes(3)
    assert nrmse(recon(spokes, "hqs_net", weights=file).values.abs(), spokes.target) < 1
    assert open_learned("recon", file).config.early == 1
    with pytest.raises(DataError, match="cannot be changed afterwards"):
        recon(kspace, "hqs_net", weights=file, early=2)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match="early"):
        hqs_net.Config(early=7)
    with pytest.raises(DataError, match="channels"):
        begun(denoiser_file(tmp_path), channels=(4, 4))
    with pytest.raises(DataError, match="weights of denoise/unet"):
        first("recon", "modl", first("recon", "modl", _modl(), None, 0).config, denoiser_file(tmp_path), 0)


def _modl():
    from spinecho.tasks.recon.methods import modl

    return modl.Config(**SMALL)


def test_steps_of_a_denoiser_that_is_told_everything():
    """split hands each step its denoiser, level and weight in order."""
    kspace = drawn(2)
    solved = problem(kspace, estimate_csm(kspace))
    x, calls = solved.equations.start(), []

    def named(name):
        return lambda slices, level: calls.append((name, float(level[0] / solved.sigma))) or slices

    steps = [(named(n), torch.tensor(r), torch.tensor(1.0)) for n, r in (("a", 3.0), ("b", 2.0))]
    list(split(solved, x, steps, 1))
    assert [n for n, _ in calls] == ["a", "b"] and [r for _, r in calls] == pytest.approx([3.0, 2.0])


def test_without_iterations_it_starts_from_sense(tmp_path):
    kspace = drawn(3)
    csm = estimate_csm(kspace)
    solved = problem(kspace, csm)
    method = first("recon", "hqs_net", hqs_net.Config(**{**FEW, "start_iters": 0}), denoiser_file(tmp_path), 0)
    assert isinstance(method, hqs_net.Method)
    assert torch.equal(method.start(kspace, csm, solved, 0), solved.equations.start())


def test_a_student_has_the_steps_named_and_starts_from_sense(tmp_path, monkeypatch):
    teacher, out = open_learned("recon", unrolled_file(tmp_path)), tmp_path / "student.safetensors"
    assert isinstance(teacher, hqs_net.Method)
    monkeypatch.setattr("sys.argv", ["make_student", unrolled_file(tmp_path), str(out), "--keep", "0", "1", "1"])
    make_student.main()
    student = open_learned("recon", out)
    assert isinstance(student, hqs_net.Method)
    c = student.config
    assert (c.n_steps, c.early, c.start_iters) == (3, 3, 0)
    assert torch.equal(student.log_ratio, teacher.log_ratio[[0, 1, 1]])
    assert all(
        torch.equal(w, teacher.state_dict()[n]) for n, w in student.trained.state_dict(prefix="trained.").items()
    )
