"""The adversarial refinement: what it may change, who learns what of the game, scale, batches, its words."""

from __future__ import annotations

import warnings
from dataclasses import asdict, replace
from pathlib import Path

import drawn
import pytest
import torch
from small import QUICK, images
from torch import Tensor

from spinecho import recon
from spinecho.calib.prepare import rescale
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.core.state import save_state
from spinecho.nets.critic import judged
from spinecho.nets.features import root_mean_square
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.guard import INVENTION
from spinecho.tasks.recon.methods import hqs_net, modl, varnet
from spinecho.tasks.recon.methods.gan import Config, Method
from spinecho.tasks.recon.parts.refinement import relative_noise

SMALL = {"channels": (6, 8), "blocks": (1, 1), "critic_channels": 3}
SIZES = {"channels": (4, 6), "blocks": (1, 1)}
NETWORKS = {
    "varnet": lambda: varnet.Method(varnet.Config(n_cascades=1, start_iters=4, **SIZES)),
    "hqs_net": lambda: hqs_net.Method(hqs_net.Config(n_steps=2, early=1, start_iters=3, **SIZES)),
    "modl": lambda: modl.Method(modl.Config(n_unrolls=1, **SIZES)),
    "e2e": lambda: varnet.Method(varnet.Config(form="e2e", n_cascades=1, map_channels=(4, 6), **SIZES)),
}


@pytest.fixture(scope="module")
def starts(tmp_path_factory) -> dict[str, str]:
    """Small networks with their first weights."""
    folder, files = tmp_path_factory.mktemp("starts"), {}
    for name, build in NETWORKS.items():
        torch.manual_seed(0)
        method, file = build(), Path(folder / f"{name}_tiny.safetensors")
        owner = "varnet" if name == "e2e" else name
        facts = {"task": "recon", "method": owner, "config": asdict(method.config), "card": {}, "trained": {}}
        if name == "varnet":
            facts["card"] = {"coils": [1, 2]}
        save_state(file, method.state_dict(), facts)
        files[name] = str(file)
    return files


def trained(start: str, strength: float = 0.4, **settings) -> Method:
    """With weights that change the image."""
    torch.manual_seed(0)
    method = Method(Config(**{**SMALL, "start": start, **settings}))
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in method.unet.parameters():
            p.copy_(strength * torch.randn(p.shape, generator=rng) / p[0].numel() ** 0.5)
    return method


def parts(method: Method, kspace: KSpace) -> tuple[Tensor, Tensor, Tensor]:
    """The image it refines, its coil maps, what it adds."""
    with torch.inference_mode():
        x, csm = method.start(kspace).slices(kspace)
        return x, csm, method.change(kspace, csm, x)


@pytest.mark.parametrize("name", ["varnet", "hqs_net"])
def test_untrained_the_image_is_its_starts(name, starts):
    kspace, method = drawn.drawn(4), Method(Config(**{**SMALL, "start": starts[name]}))
    with torch.inference_mode():
        image, before = method(kspace), method.start(kspace)(kspace)
    torch.testing.assert_close(image.values, before.values)
    assert not image.extras["invented"].any() and "added 0 % to the image of" in image.header.history[-1]


@pytest.mark.parametrize("n_coils", [1, 4])
@pytest.mark.parametrize("kind", ["random", "points"])
def test_measured_samples_move_less_than_the_noise_allows(n_coils, kind, starts):
    kspace, method = drawn.drawn(n_coils, kind=kind), trained(starts["hqs_net"], 3.0, cg_iters=60)
    x, csm, change = parts(method, kspace)
    assert float(change.norm()) > 0.01 * float(x.norm())
    scale = root_mean_square(x)
    sigma = float(relative_noise(kspace, scale))
    moved = CartesianSense(kspace.mask, csm)(change)
    with torch.inference_mode():
        open_ = Method.change(_slack(method, 1e6), kspace, csm, x)
    assert float(moved.norm()) <= 0.5 * sigma * float(open_.norm()) * 1.01
    assert float(moved.norm()) < 0.5 * float(CartesianSense(kspace.mask, csm)(open_).norm())


def _slack(method: Method, slack: float) -> Method:
    """The same network, whose change is not held: what it says."""
    other = Method(replace(method.config, slack=slack))
    other.load_state_dict(method.state_dict())
    return other


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_does_not_matter(factor, starts):
    method, kspace = trained(starts["varnet"]), drawn.drawn(3)
    with torch.inference_mode():
        image, scaled = method(kspace), method(rescale(kspace, factor))
    assert drawn.nrmse(scaled.values / factor, image.values) < 2e-3
    torch.testing.assert_close(scaled.extras["invented"], image.extras["invented"], rtol=0.05, atol=2e-3)


def test_a_batch_is_its_scans_one_by_one(starts):
    method, scans = trained(starts["hqs_net"]), [drawn.drawn(3, (64, 40), seed=seed) for seed in (0, 1)]
    with torch.no_grad():
        apart = torch.stack([method.loss(k) for k in scans]).mean()
        together = method.loss(KSpace.joined(scans))
    assert float(together) == pytest.approx(float(apart), rel=1e-5)


def test_each_side_learns_its_own_part_of_the_game(starts):
    """The refinement's gradient has nothing of the critic's loss; the critic's nothing of the rest."""
    kspace, method = drawn.drawn(3, (64, 40)), trained(starts["hqs_net"])
    method.loss(kspace).backward()
    assert method.critic is not None
    own = [p.grad.clone() for p in method.critic.parameters() if p.grad is not None]
    refined = [p.grad.clone() for p in method.unet.parameters() if p.grad is not None]
    for weight in (0.02, 0.04):
        other = trained(starts["hqs_net"], weight=weight)
        other.load_state_dict(method.state_dict())
        other.loss(kspace).backward()
        assert other.critic is not None
        for a, b in zip(own, (p.grad for p in other.critic.parameters()), strict=True):
            torch.testing.assert_close(a, b)
        same = all(torch.equal(a, p.grad) for a, p in zip(refined, other.unet.parameters(), strict=True))
        assert same is (weight == 0.02), "the critic's word reaches the refinement"


def test_the_critic_sees_detail_not_brightness(starts):
    """Of the image beside what it was made from, in units of the latter: nothing that is smooth."""
    kspace, method, seen = drawn.drawn(3, (64, 40)), trained(starts["hqs_net"]), []
    assert method.critic is not None
    method.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    method.loss(kspace)
    assert len(seen) == 3, "the made image twice, the true one once"
    for pair in seen:
        sizes = pair[:, 0].square().mean((-2, -1)).sqrt()
        torch.testing.assert_close(sizes, torch.ones_like(sizes))
        smooth = torch.nn.functional.avg_pool2d(pair, 15, 1)
        assert float(smooth.abs().max()) < 0.25 * float(pair.abs().max())


def test_its_sober_twin_has_no_critic(starts):
    method, kspace = trained(starts["hqs_net"], weight=0.0), drawn.drawn(3, (64, 40))
    assert method.critic is None and torch.isfinite(method.loss(kspace))
    with_critic = trained(starts["hqs_net"], weight=1e-9)
    assert with_critic.critic is not None
    with torch.no_grad():
        for p in with_critic.critic.parameters():
            p.zero_()
        rest = judged(with_critic.critic, torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)) / 2
        torch.testing.assert_close(with_critic.loss(kspace) - rest, method.loss(kspace), rtol=1e-4, atol=1e-6)


def test_disagreement_with_lines_held_back_costs(starts):
    kspace, losses = drawn.drawn(3, (64, 40)), []
    for against in (0.0, 1.0, 2.0):
        with torch.no_grad():
            losses.append(float(trained(starts["hqs_net"], 5.0, against=against).loss(kspace)))
    assert losses[1] > losses[0] + 1e-3 and losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


def test_what_it_refines_stays_as_it_is(starts):
    method, kspace = trained(starts["hqs_net"]), drawn.drawn(3, (64, 40))
    before = {k: v.clone() for k, v in method.start(kspace).state_dict().items()}
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    method.loss(kspace).backward()
    optimiser.step()
    assert all(torch.equal(v, before[k]) for k, v in method.start(kspace).state_dict().items())
    assert {name.partition(".")[0] for name in method.state_dict()} == {"unet", "critic"}


def test_it_learns_one_scan_by_heart(starts):
    kspace = drawn.drawn(3, (64, 40), seed=2)
    torch.manual_seed(0)
    method = Method(Config(**{**SMALL, "start": starts["hqs_net"], "weight": 0.0, "against": 0.0, "slack": 3.0}))
    optimiser, losses = torch.optim.Adam(method.parameters(), 5e-3), []
    for _ in range(40):
        optimiser.zero_grad()
        losses.append(method.loss(kspace))
        losses[-1].backward()
        optimiser.step()
    assert min(losses[-5:]) < 0.8 * losses[0]


def test_by_command_from_first_step_to_what_the_history_says(tmp_path, starts, capsys):
    folder, out = images(tmp_path / "pictures"), tmp_path / "run"
    few = ["--channels", "4", "6", "--blocks", "1", "1", "--critic-channels", "2", "--start", starts["varnet"]]
    given = ["train", "recon/gan", "--data", str(folder), *few, *QUICK, "--validate-every", "0"]
    assert main([*given, "--steps", "1", "--out", str(out)]) == 0
    assert "to use it: spinecho recon SCAN" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = recon(drawn.drawn(3), "gan", weights=str(out / "weights.safetensors"))
    told = image.header.warnings
    assert any(INVENTION + Method.invents == step for step in told)
    assert any("outside the card of" in step and "coils" in step for step in told), "the start's card counts"
    assert image.extras["invented"].shape == image.values.shape


def test_without_weights_it_says_how_to_make_some():
    with pytest.raises(DataError, match="spinecho train recon/gan"):
        recon(drawn.drawn(2), "gan")


@pytest.mark.parametrize("name", ["modl", "e2e"])
def test_networks_that_it_cannot_refine(name, starts):
    with pytest.raises(DataError, match="cannot be refined"):
        trained(starts[name]).start(drawn.drawn(2))


@pytest.mark.parametrize("settings", [{"weight": -1.0}, {"against": -1.0}, {"slack": 0.0}])
def test_settings_that_mean_nothing(settings):
    with pytest.raises(DataError, match="out of range"):
        Config(**settings)


def test_its_words_say_what_it_invents():
    import spinecho.tasks.recon.methods.gan as module

    assert "What it may invent" in (module.__doc__ or "") and "not measured" in Method.invents
