"""The guard: what contradicts the samples, or lies outside the card, is a warning; auto then takes another method."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from learned import CARD, save_tiny, tiny

from spinecho import DoubtfulResult, Header, recon
from spinecho.calib.prepare import prepare
from spinecho.cli import main
from spinecho.io.write import write
from spinecho.methods.pretrained import load_learned
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.guard import compared, guarded
from spinecho.tasks.recon.methods import auto


@pytest.fixture(scope="module")
def scan():
    return simulate_phantom(Scan(matrix=(1, 40, 32), sampling="random:2.5:10:1", n_coils=4, fineness=1)).kspace


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """`tiny`, which auto knows."""
    monkeypatch.setattr(auto, "_LEARNED", ("tiny",))
    return tiny(tmp_path, monkeypatch)


def judged(image, kspace, runner):
    return guarded(*compared(image, kspace), kspace, runner)


def took(image) -> str:
    (note,) = (step for step in image.header.history if step.startswith("auto took "))
    return note


def test_warnings_of_a_header():
    header = Header().noted("a").warned("b", "c").noted("d").warned("b")
    assert header.history == ("a", "warning: b", "warning: c", "d", "warning: b") and header.warnings == ("b", "c")


def test_good_weights_give_no_warning(weights, scan):
    save_tiny(weights / "tiny.safetensors")
    header = recon(scan, "tiny").header
    assert header.warnings == () and any(s.startswith("residual on the measured samples: ") for s in header.history)


def test_an_image_that_contradicts_the_samples_is_a_warning(weights, scan):
    save_tiny(weights / "tiny.safetensors", correction=0.5)
    with pytest.warns(DoubtfulResult, match="contradicts|does not explain"):
        image = recon(scan, "tiny")
    unexplained, warning = image.header.warnings
    assert unexplained.startswith("the image does not explain the measured samples: it leaves ")
    assert warning.startswith("the image contradicts the measured samples: residual on the measured samples: ")
    assert "residual" in image.extras


@pytest.mark.parametrize(
    ("error", "noise", "warns"), [(0.5, 0.001, True), (0.02, 0.0001, False), (0.5, 0.5, False), (0.5, 0.0, True)]
)
def test_the_rule(weights, scan, error, noise, warns):
    """Over 3 times the noise and over 5 % of the norm; noise is given as a part of the samples' root mean square."""
    save_tiny(weights / "tiny.safetensors")
    kspace = prepare(scan)[0]
    rms = float(kspace.samples.abs().square().sum() / torch.count_nonzero(kspace.samples)) ** 0.5
    eye = torch.eye(kspace.n_coils, dtype=torch.complex64)
    kspace = replace(kspace, noise_cov=eye * (noise * rms) ** 2)
    runner = load_learned("recon", "tiny")
    with torch.inference_mode():
        image = runner(kspace)
    csm = image.extras["csm"]
    wrong = replace(image, values=image.values * (1 + error), extras={"csm": csm})
    assert bool(judged(wrong, kspace, runner).header.warnings) == warns
    assert not compared(wrong, kspace)[0].header.warnings, "classical methods do not warn"


def test_not_a_number_is_a_warning(weights, scan):
    save_tiny(weights / "tiny.safetensors")
    kspace, runner = prepare(scan)[0], load_learned("recon", "tiny")
    with torch.inference_mode():
        image = runner(kspace)
    assert judged(replace(image, values=image.values * torch.nan), kspace, runner).header.warnings


def test_an_image_without_maps_says_that_its_residual_is_not_known(weights, scan):
    save_tiny(weights / "tiny.safetensors")
    kspace, runner = prepare(scan)[0], load_learned("recon", "tiny")
    with torch.inference_mode():
        image = replace(runner(kspace), extras={})
    assert judged(image, kspace, runner).header.history[-1].startswith("the residual on the measured samples is not")


def test_outside_the_card_is_named_and_done(weights, scan):
    save_tiny(weights / "tiny.safetensors", card={**CARD, "coils": [1, 3], "acceleration": [1, 2]})
    header = recon(scan, "tiny").header
    assert header.warnings == (
        "outside the card of tiny: 4 coils (card: 1 to 3)",
        "outside the card of tiny: 2.5-fold undersampled (card: 1 to 2)",
    )


def test_coils_are_counted_before_compression(weights):
    many = simulate_phantom(Scan(matrix=(1, 40, 32), sampling="random:2.5:10:1", n_coils=14, fineness=1)).kspace
    save_tiny(weights / "tiny.safetensors")
    assert recon(many, "tiny").header.warnings == ("outside the card of tiny: 14 coils (card: 1 to 8)",)
    assert "not tiny, since the scan is outside its card: 14 coils (card: 1 to 8)" in took(recon(many))


def test_auto_without_weights_is_as_before(weights, scan):
    assert took(recon(scan)).startswith("auto took l1_wavelet: ") and "tiny" not in took(recon(scan))


def test_auto_takes_weights_inside_their_card(weights, scan):
    save_tiny(weights / "tiny.safetensors")
    image = recon(scan)
    assert took(image).startswith("auto took tiny: irregular phase encodes, 2.5-fold undersampled")
    assert torch.equal(image.values, recon(scan, "tiny").values)
    assert sum(s.startswith("residual on the measured") for s in image.header.history) == 1


def test_auto_leaves_weights_outside_their_card_and_says_why(weights, scan):
    save_tiny(weights / "tiny.safetensors", card={**CARD, "acceleration": [1, 2]})
    image, note = recon(scan), took(recon(scan))
    assert note.startswith("auto took l1_wavelet") and image.header.warnings == ()
    assert note.endswith("; not tiny, since the scan is outside its card: 2.5-fold undersampled (card: 1 to 2)")


def test_auto_leaves_an_image_that_contradicts_the_samples(weights, scan):
    save_tiny(weights / "tiny.safetensors", correction=0.5)
    image = recon(scan)
    assert took(image).startswith(
        "auto took l1_wavelet"
    ) and "not tiny, since the image contradicts the measured" in took(image)
    assert image.header.warnings == () and torch.equal(image.values, recon(scan, "l1_wavelet").values)


def test_auto_goes_on_where_memory_does_not_suffice(weights, scan, monkeypatch):
    save_tiny(weights / "tiny.safetensors")

    def hungry(self, kspace):
        raise MemoryError

    runner = type(load_learned("recon", "tiny"))
    monkeypatch.setattr(runner, "forward", hungry)
    note = took(recon(scan))
    assert note.startswith("auto took l1_wavelet") and note.endswith(
        "not tiny, since there is not enough memory for it"
    )


def test_auto_tells_of_damaged_weights_and_goes_on(weights, scan):
    path = save_tiny(weights / "tiny.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "not tiny, since its content does not have the sha256" in took(recon(scan))


@pytest.mark.parametrize(
    ("sampling", "taken"), [("full", "zero_filled"), ("partial:0.7", "pocs"), ("radial:20", "nufft_cg")]
)
def test_auto_takes_weights_for_undersampled_scans_only(weights, sampling, taken):
    save_tiny(weights / "tiny.safetensors")
    kspace = simulate_phantom(Scan(matrix=(1, 40, 32), sampling=sampling, n_coils=4, fineness=1)).kspace
    assert took(recon(kspace)).startswith(f"auto took {taken}: ")


def test_auto_without_calibration_lines(weights, scan):
    save_tiny(weights / "tiny.safetensors")
    mask = (torch.arange(40) % 4 == 1).reshape(1, 1, 40, 1)
    bare = replace(scan, samples=scan.samples * mask, mask=mask, target=None)
    assert took(recon(bare)).startswith("auto took zero_filled") and "not tiny, since no calibration" in took(
        recon(bare)
    )


@pytest.mark.parametrize("n_coils", [1, 4])
def test_three_dimensions(weights, n_coils):
    shape = Scan(
        matrix=(6, 40, 32), fov_mm=(60.0, 240.0, 192.0), sampling="equispaced:2:14", n_coils=n_coils, fineness=1
    )
    save_tiny(weights / "tiny.safetensors")
    image = recon(simulate_phantom(shape).kspace, "tiny")
    assert tuple(image.values.shape) == (1, 6, 40, 32) and image.header.warnings == ()
    assert image.extras["csm"].shape[-3:] == (6, 40, 32)


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_command_line(weights, scan, tmp_path, capsys):
    file, out = tmp_path / "scan.mrd.h5", tmp_path / "out.npy"
    write(scan, file)
    code, _, err = run(capsys, "recon", file, "-o", out, "--method", "tiny")
    assert code == 2 and "no trained weights" in err and "spinecho train recon/tiny" in err and not out.exists()
    code, shown, _ = run(capsys, "list")
    assert code == 0 and "for tests only. [no weights yet: spinecho train recon/tiny]" in shown

    save_tiny(weights / "tiny_fast.safetensors", card={**CARD, "coils": [1, 3]})
    _, shown, _ = run(capsys, "list")
    assert "  tiny_fast    tiny weights [trained weights for tiny, 0.0 MB]" in shown
    code, shown, err = run(capsys, "recon", file, "-o", out, "--method", "tiny_fast", "--strength", "0.5")
    assert code == 0 and out.exists()
    assert err == "warning: outside the card of tiny_fast: 4 coils (card: 1 to 3)\n"
    code, shown, _ = run(capsys, "recon", "--method", "tiny_fast", "--help")
    assert code == 0 and "--strength" in shown and "--channels" not in shown


def test_own_weights_on_the_command_line(weights, scan, tmp_path, capsys):
    file, out, own = tmp_path / "scan.mrd.h5", tmp_path / "out.npy", save_tiny(tmp_path / "own.safetensors")
    write(scan, file)
    code, _, err = run(capsys, "recon", file, "-o", out, "--weights", own, "--strength", "0.5")
    assert (code, err) == (0, "")
    assert run(capsys, "recon", file, "-o", out, "--weights", own, "--method", "tiny")[0] == 0
    code, _, err = run(capsys, "recon", file, "-o", out, "--weights", own, "--method", "cg_sense")
    assert code == 2 and "cg_sense" in err
    code, _, err = run(capsys, "recon", file, "-o", out, "--weights", file)
    assert code == 2 and "it is not a safetensors file" in err and err.count("\n") == 1
