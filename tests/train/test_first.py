"""First weights: random by the seed, those of a file, those of a name in the package, and what is refused."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from small import QUICK, VARNET, images

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.methods.pretrained import open_learned
from spinecho.methods.registry import learned, load
from spinecho.tasks.recon.methods import gan, unet, varnet
from spinecho.tasks.segment.methods import pix2pix3d
from spinecho.tasks.superres.methods import srgan3d
from spinecho.train.first import first, frozen

SMALL = varnet.Config(n_cascades=1, channels=(4, 8), blocks=(1, 1))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.safetensors"
    metadata = {"task": "recon", "method": "varnet", "config": asdict(SMALL), "card": {"coils": [1, 2]}, "trained": {}}
    save_state(path, first("recon", "varnet", SMALL, None, 1).state_dict(), metadata)
    return path


def same(one, other) -> bool:
    return all(torch.equal(a, other.state_dict()[name]) for name, a in one.state_dict().items())


def test_random_weights_follow_the_seed():
    made = [first("recon", "varnet", SMALL, None, seed) for seed in (1, 1, 2)]
    assert same(made[0], made[1]) and not same(made[0], made[2])


def test_weights_of_a_file_bring_their_settings_and_leave_their_card(file):
    method = first("recon", "varnet", varnet.Config(), str(file), 0)
    assert method.config == SMALL and not method.card and not method.weights
    assert same(method, first("recon", "varnet", SMALL, None, 1))
    assert all(p.requires_grad for p in method.parameters())


def test_a_setting_that_changes_no_weight_may_be_another(file):
    assert first("recon", "varnet", varnet.Config(cg_iters=3), str(file), 0).config.cg_iters == 3
    with pytest.raises(DataError, match=r"trained with n_cascades 1 \(asked for: 2\)"):
        first("recon", "varnet", varnet.Config(n_cascades=2), str(file), 0)


@pytest.mark.parametrize("name", ["varnet", "varnet_fast"])
def test_weights_of_the_package_by_name(name):
    method = first("recon", "varnet", varnet.Config(), name, 0)
    assert same(method, open_learned("recon", name))


def test_weights_of_another_method_or_none_are_refused(file, tmp_path, capsys):
    with pytest.raises(DataError, match="they are weights of varnet, not of unet -> train recon/varnet"):
        first("recon", "unet", unet.Config(), str(file), 0)
    with pytest.raises(DataError, match=r"no such weights .*in the package are .*varnet"):
        first("recon", "varnet", SMALL, "varnetto", 0)
    common = ["train", "register/voxelmorph", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*common, "--init", str(file)]) == 2
    assert "they are weights of recon/varnet, but weights are needed for register" in capsys.readouterr().err


def test_frozen_weights_stay_and_others_learn(tmp_path):
    images(tmp_path / "images")
    given = ["train", "recon/varnet", "--data", str(tmp_path / "images"), *VARNET, *QUICK, "--validate-every", "0"]
    given[given.index("--n-cascades") + 1] = "2"
    out = tmp_path / "run"
    assert main([*given, "--steps", "2", "--out", str(out), "--freeze", "cascades.0", "mix"]) == 0
    config = varnet.Config(n_cascades=2, channels=(4, 8), blocks=(1, 1), cg_iters=2, start_iters=0)
    before, after = first("recon", "varnet", config, None, 0), open_learned("recon", out / "weights.safetensors")
    moved = {k for k, v in after.state_dict().items() if not torch.equal(v, before.state_dict()[k])}
    assert moved and all(name.startswith("cascades.1.") for name in moved)
    assert main([*given, "--steps", "3", "--out", str(out), "--freeze", "cascades.0", "mix"]) == 0
    assert main([*given, "--steps", "4", "--out", str(out), "--freeze", "mix"]) == 2


def test_what_cannot_be_frozen_is_said():
    with pytest.raises(DataError, match=r"no weights begin with 'cascade' .*cascades\.0, mix"):
        frozen(first("recon", "varnet", SMALL, None, 0), ["cascade"])
    with pytest.raises(DataError, match="leaves nothing to train"):
        frozen(first("recon", "varnet", SMALL, None, 0), ["cascades", "mix"])
    method = frozen(first("recon", "varnet", SMALL, None, 0), [])
    assert all(p.requires_grad for p in method.parameters())


@pytest.mark.parametrize(("before", "now"), [("l1", "critic"), ("critic", "l1")])
def test_what_is_learned_from_now_on_is_what_was_asked_for(tmp_path, before, now):
    """Not what the file was trained for, also where the wish is a default and cannot be told from none."""
    small = {"channels": 4, "blocks": 1, "critic_channels": 2}
    trained = srgan3d.Method(srgan3d.Config(against=before, **small))
    told = {"task": "superres", "method": "srgan3d", "config": asdict(trained.config), "card": {}, "trained": {}}
    save_state(tmp_path / "w.safetensors", trained.state_dict(), told)
    config = srgan3d.Config(against=now, weight=0.3, **small)
    method = first("superres", "srgan3d", config, str(tmp_path / "w.safetensors"), 0)
    assert isinstance(method, srgan3d.Method)
    assert method.config == config and (method.critic is None) == (now == "l1")
    assert torch.equal(method.network.enter.weight, trained.network.enter.weight)


SMALL_JUDGED = {
    "segment/pix2pix3d": (pix2pix3d, {"channels": (4, 6), "critic_channels": 2}, "adversarial"),
    "recon/gan": (gan, {"channels": (4, 6), "blocks": (1, 1), "critic_channels": 2}, "weight"),
}


@pytest.mark.parametrize("size", [0.0, 0.5])
@pytest.mark.parametrize("name", SMALL_JUDGED)
def test_how_much_a_critic_counts_is_what_was_asked_for(tmp_path, name, size):
    module, small, field = SMALL_JUDGED[name]
    task, method = name.split("/")
    trained = module.Method(module.Config(**small, **{field: 0.5 - size}))
    told = {"task": task, "method": method, "config": asdict(trained.config), "card": {}, "trained": {}}
    save_state(tmp_path / "w.safetensors", trained.state_dict(), told)
    config = module.Config(**small, **{field: size})
    made = first(task, method, config, str(tmp_path / "w.safetensors"), 0)
    assert made.config == config and (made.critic is None) == (size == 0)
    kept = {k: v for k, v in trained.state_dict().items() if not k.startswith("critic.")}
    assert all(torch.equal(v, made.state_dict()[k]) for k, v in kept.items())


def test_every_method_with_a_critic_says_what_training_alone_uses():
    """A contract over all of them: otherwise the file's setting wins without a word."""
    judged = [module.Method for module in (load(*each) for each in learned()) if module.Method.judges]
    assert len(judged) >= 5
    for method in judged:
        assert method.aims, f"{method.__module__} has a critic and no `aims`"
