"""Trained weights by name or path: loaded once, checked, never random, and told where they do not fit."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from learned import CARD, save_tiny, tiny

from spinecho import recon
from spinecho.core.errors import DataError
from spinecho.core.state import load_state, save_state
from spinecho.io.options import ReadOptions
from spinecho.methods import pretrained, registry
from spinecho.methods.pretrained import load_learned, method_of, open_learned, trained_config, weights_used
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge.case import run_all, run_method
from spinecho.tasks.recon.partial import Finished, fingerprint
from spinecho.tasks.recon.run import build, refusal
from spinecho.tasks.recon.stream import SlicePlan, collect, stream


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The folder of the package's weights, empty, with the method `tiny` there."""
    return tiny(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def scan():
    return simulate_phantom(Scan(matrix=(1, 40, 32), sampling="random:2.5:10:1", n_coils=4, fineness=1)).kspace


def change(path, **metadata):
    """The file with other metadata, and a sha256 that is right."""
    state, told = load_state(path)
    save_state(path, state, {**told, **metadata}, bits=16)


def test_without_weights_it_says_so_and_how_to_train(weights, scan):
    command = "spinecho train recon/tiny --data FOLDER --out runs/tiny"
    with pytest.raises(
        DataError, match=f"tiny is a learned method, and this version has no trained weights.*{command}"
    ):
        recon(scan, "tiny")
    assert "no trained weights" in (refusal("tiny", scan) or "")
    with pytest.raises(DataError, match="tiny has no setting width -> it has channels, strength"):
        recon(scan, "tiny", width=3)


def test_by_name_by_path_and_under_a_name_of_its_own(weights, scan, tmp_path):
    save_tiny(weights / "tiny.safetensors")
    shutil.copy(weights / "tiny.safetensors", weights / "tiny_fast.safetensors")
    own = save_tiny(tmp_path / "own.safetensors", correction=0.01)
    images = [recon(scan, m, **s).values for m, s in (("tiny", {}), ("tiny_fast", {}), ("tiny", {"weights": own}))]
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])
    assert torch.equal(recon(scan, "tiny_fast", weights=str(own)).values, images[2])
    reference = recon(scan, "cg_sense", n_iters=20).values
    assert torch.linalg.vector_norm(images[0] - reference) < 1e-3 * torch.linalg.vector_norm(reference)


def test_names_and_what_stands_behind_them(weights):
    assert registry.is_learned("recon", "tiny") and not registry.is_learned("recon", "cg_sense")
    assert not registry.offer("recon", "tiny").is_ready and registry.offer("recon", "cg_sense").is_ready
    save_tiny(weights / "tiny_fast.safetensors")
    assert registry.weights_names("recon") == ["tiny_fast"]
    offers = {o.name: o for o in registry.offers("recon")}
    assert {*registry.names("recon"), "tiny_fast"} == set(offers)
    fast = offers["tiny_fast"]
    assert (fast.method, fast.summary, fast.learned, fast.is_ready) == ("tiny", "tiny weights", True, True)
    assert (
        offers["tiny"].weights is None
        and offers["tiny"].summary == "Tiny: CG-SENSE with a learned correction; for tests only."
    )
    with pytest.raises(DataError, match=r"there is no recon method 'tiny_slow' -> known are .*tiny, tiny_fast"):
        registry.offer("recon", "tiny_slow")


def test_loaded_once_and_anew_when_the_file_changes(weights, scan, monkeypatch):
    path, opened = save_tiny(weights / "tiny.safetensors"), []
    original = pretrained.open_learned
    monkeypatch.setattr(pretrained, "open_learned", lambda *a: opened.append(a) or original(*a))
    first = load_learned("recon", "tiny")
    assert load_learned("recon", "tiny") is first is load_learned("recon", path) and len(opened) == 1
    assert not first.training and not any(p.requires_grad for p in first.parameters())
    assert first.weights == "tiny" and first.card == CARD
    save_tiny(path, correction=0.5, bits=32)
    assert load_learned("recon", "tiny") is not first and len(opened) == 2


def test_loading_leaves_the_random_numbers_alone(weights):
    save_tiny(weights / "tiny.safetensors")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    open_learned("recon", "tiny")
    assert torch.equal(torch.rand(2), expected)


def test_opened_weights_can_be_trained_further(weights, scan):
    save_tiny(weights / "tiny.safetensors")
    with torch.inference_mode():
        load_learned("recon", "tiny")
    own = open_learned("recon", weights / "tiny.safetensors")
    own.loss(replace(scan, noise_cov=None)).backward()
    assert all(p.grad is not None for p in own.parameters()) and own is not load_learned("recon", "tiny")


def test_settings_that_do_not_touch_the_weights(weights, scan):
    save_tiny(weights / "tiny.safetensors", correction=0.02)
    plain, off = recon(scan, "tiny").values, recon(scan, "tiny", strength=0.0).values
    assert not torch.equal(plain, off)
    assert torch.equal(recon(scan, "tiny", channels=(6,), strength=1.0).values, plain), "what was trained may be said"
    assert torch.equal(recon(scan, "tiny", channels=[6]).values, plain)
    with pytest.raises(DataError, match=r"tiny was trained with channels=\(6,\), which cannot be changed.* strength$"):
        recon(scan, "tiny", channels=(8,))


def test_weights_for_a_method_that_has_none(weights, scan):
    path = save_tiny(weights / "tiny.safetensors")
    with pytest.raises(DataError, match="cg_sense has no setting weights"):
        recon(scan, "cg_sense", weights=path)
    with pytest.raises(DataError, match=r"absent: there are no such weights -> give a .*in the package are tiny"):
        recon(scan, "tiny", weights="absent")


def test_older_weights_have_the_default_of_what_may_be_changed_at_use(weights, monkeypatch):
    path = save_tiny(weights / "tiny.safetensors")
    metadata = load_state(path)[1]
    change(path, config={k: v for k, v in metadata["config"].items() if k != "strength"})
    module = registry.load("recon", "tiny")
    assert "strength" in module.Method.tunable and trained_config("recon", path).strength == module.Config().strength
    monkeypatch.setattr(module.Method, "tunable", ())
    with pytest.raises(DataError, match="missing are strength"):
        trained_config("recon", path)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"method": "absent"}, "weights of the method 'absent', which is not a learned method -> .*tiny"),
        ({"method": "cg_sense"}, "weights of the method 'cg_sense', which is not a learned method"),
        ({"method": 3}, "weights of the method '3', which is not a learned method"),
        ({"more": 1}, "its metadata hold card, config, method, more, trained; weights hold"),
        ({"config": {"strength": 1.0}}, "its settings do not fit tiny: missing are channels"),
        ({"config": {"channels": [6], "strength": 1.0, "depth": 2}}, "do not fit tiny: unknown are depth"),
        ({"config": {"channels": [], "strength": 1.0}}, "no network can be built from its settings"),
        ({"config": {"channels": ["a"], "strength": 1.0}}, "no network can be built from its settings"),
        ({"config": {"channels": [-1], "strength": 1.0}}, "no network can be built from its settings"),
        ({"config": {"channels": [5], "strength": 1.0}}, r"first.bias has shape .*wanted is .*5"),
        ({"config": 3}, "its card or config is no dictionary"),
        ({"card": {"coil": [1, 2]}}, "the card has unknown entries: coil"),
    ],
)
def test_weights_that_do_not_fit_are_told(weights, metadata, told):
    path = save_tiny(weights / "tiny.safetensors")
    change(path, **metadata)
    with pytest.raises(DataError, match=f"tiny.safetensors: .*{told}.*"):
        load_learned("recon", "tiny")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda s: s.pop("last.bias"), r"it misses weights: last\.bias"),
        (
            lambda s: s.update({f"x{i}": torch.zeros(1) for i in range(5)}),
            "it has unknown weights: x0, x1, x2 and 2 more",
        ),
        (lambda s: s.update({"last.bias": torch.zeros(2, dtype=torch.int64)}), r"last\.bias has shape .*int64"),
        (lambda s: s["last.bias"].fill_(torch.nan), r"last\.bias has values that are not numbers"),
    ],
)
def test_tensors_that_do_not_fit_are_told(weights, edit, told):
    path = save_tiny(weights / "tiny.safetensors")
    state, metadata = load_state(path)
    edit(state)
    save_state(path, state, metadata)
    with pytest.raises(DataError, match=f"tiny.safetensors: {told}.* -> "):
        load_learned("recon", "tiny")


def test_damaged_weights_are_told_by_name(weights, scan):
    path = save_tiny(weights / "tiny.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 4
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"tiny\.safetensors: its content does not have the sha256"):
        recon(scan, "tiny")


def test_what_a_file_says_of_itself(weights):
    path = save_tiny(weights / "tiny.safetensors")
    assert method_of("recon", path) == "tiny" and trained_config("recon", "tiny").channels == (6,)
    assert (
        weights_used("recon", "tiny", {})
        == weights_used("recon", "auto", {})
        == weights_used("recon", "tiny", {"weights": path})
        == [path]
    )
    assert weights_used("recon", "cg_sense", {}) == []


def test_a_case_runs_what_has_weights(weights, scan):
    complete = list(run_all(scan, "a"))[-1]
    assert "no trained weights" in complete.refused["tiny"]
    save_tiny(weights / "tiny_fast.safetensors")
    result = run_method(scan, "tiny_fast", strength=0.5)
    assert result.settings == {"channels": (6,), "strength": 0.5} and result.scores is not None
    assert build("tiny_fast", {}).weights == "tiny_fast"


def test_streaming_loads_once_and_keeps_warnings(weights, scan, tmp_path, monkeypatch):
    save_tiny(weights / "tiny.safetensors", card={**CARD, "coils": [1, 3]})
    opened, original = [], pretrained.open_learned
    monkeypatch.setattr(pretrained, "open_learned", lambda *a: opened.append(a) or original(*a))
    np.save(tmp_path / "scan.npy", np.stack([scan.samples[:, 0].numpy()] * 5))
    options, how = ReadOptions(axes="slice coil k1 k0"), SlicePlan(0, 5, 2, 0)
    states = list(stream(tmp_path / "scan.npy", options, "tiny", {}, tmp_path / "p", how, torch.device("cpu")))
    assert states[-1].done == 5 and len(opened) == 1
    image, _ = collect(tmp_path / "p", how)
    assert image.header.warnings[0] == "outside the card of tiny: 4 coils (card: 1 to 3)"
    marks = fingerprint(tmp_path / "scan.npy", options, "tiny", {}, "cpu")
    save_tiny(weights / "tiny.safetensors", correction=0.1)
    assert fingerprint(tmp_path / "scan.npy", options, "tiny", {}, "cpu") != marks
    with pytest.raises(DataError, match="an interrupted run with another weights"):
        list(stream(tmp_path / "scan.npy", options, "tiny", {}, tmp_path / "p", how, torch.device("cpu")))


def test_warnings_of_later_steps_are_kept_with_their_slices(scan, tmp_path):
    image = recon(
        replace(scan, samples=scan.samples[None], mask=scan.mask[None], target=None, axes=("slice",)), "zero_filled"
    )
    finished = Finished(tmp_path / "p", 3)
    finished.begin({}, 1)
    for i, words in enumerate([("a",), ("a", "b"), ()]):
        finished.put(i, replace(image, header=image.header.warned(*words)), None)
    assert finished.image(0, 3)[0].header.warnings == ("a", "b (slices 1:2)")
