"""checked: candidates that suit the scan, weights by samples left out, and what it says of them."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from denoising import denoiser_file, saved, unrolled_file
from drawn import BUILD, drawn, drawn_spokes, nrmse, slices, trained

from spinecho import recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import rescale
from spinecho.core import precision
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.core.state import save_state
from spinecho.methods.pretrained import weights_used
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods import checked, l1_wavelet, pnp
from spinecho.tasks.recon.methods._candidates import Candidates, tools
from spinecho.tasks.recon.parts import left_out
from spinecho.tasks.recon.parts.denoisers import by_level, method_named

NONE = {"network": "none", "hqs_net": "none", "denoiser": "none"}
FAST = {**NONE, "n_steps": 2, "start_iters": 4, "folds": 1}
WAVELET = {**FAST, "denoiser": "wavelet"}


def run(kspace: KSpace, **settings):
    with torch.inference_mode():
        return checked.Method(checked.Config(**{**WAVELET, **settings}))(kspace)


def network_file(folder, name: str = "varnet", card: dict | None = None) -> str:
    path = saved(method := trained(name), "recon", name, folder)
    if card:
        config = asdict(method.config)
        metadata = {"task": "recon", "method": name, "config": config, "card": card, "trained": {}}
        save_state(folder / f"{name}.safetensors", method.state_dict(), metadata)
    return path


def chosen(kspace: KSpace, **settings):
    given = {**NONE, **settings}
    return tools(kspace, given["network"], given["hqs_net"], given["denoiser"], pnp.Config(n_steps=2, start_iters=4))


def told(image) -> str:
    (step,) = (s for s in image.header.history if s.startswith("checked: "))
    return step


def test_candidates_are_those_that_there_are_tools_for(tmp_path):
    varnet, unrolled = network_file(tmp_path), unrolled_file(tmp_path)
    lines, spokes = drawn(3), drawn_spokes(3)
    assert chosen(lines).names == ("l1_wavelet",) and chosen(spokes).names == ("nufft_cg",)
    assert chosen(lines, denoiser="wavelet").names == ("l1_wavelet", "l1_wavelet + pnp")
    every = chosen(lines, denoiser="wavelet", network=varnet, hqs_net=unrolled)
    assert every.names == (
        "l1_wavelet", "varnet", "l1_wavelet + hqs_net", "l1_wavelet + hqs_net + pnp", "varnet + pnp",
        "varnet + pnp + hqs_net", "varnet + pnp + hqs_net + pnp",
    )  # fmt: skip
    least = chosen(lines, denoiser="wavelet", hqs_net=unrolled)
    assert least.names[2:] == ("l1_wavelet + hqs_net + pnp", "l1_wavelet + hqs_net + pnp + hqs_net")
    assert every.safe == "l1_wavelet + pnp"
    modl = network_file(tmp_path, "modl", {"trajectories": ["radial"]})
    assert chosen(spokes, network=modl).names == ("nufft_cg", "modl")
    assert chosen(spokes, denoiser="wavelet").names == ("nufft_cg", "nufft_cg + pnp", "nufft_cg + firmer pnp")


def test_each_is_what_its_method_makes(tmp_path):
    kspace, file = drawn(3), network_file(tmp_path)
    csm = estimate_csm(kspace)
    every = chosen(kspace, denoiser="wavelet", network=file)
    with torch.inference_mode():
        made = Candidates(kspace, csm, every)
        start = l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=4))
        assert nrmse(made["l1_wavelet"], start) < 1e-6
        same = pnp.Method(pnp.Config(denoiser="wavelet", n_steps=2, start_iters=4))(kspace).values
        assert nrmse(made["l1_wavelet + pnp"], same) < 1e-5
        assert made["varnet"] is made["varnet"], "made once"
        looser = pnp.Config(n_steps=2, weight=0.25)
        *_, after = pnp.steps(made.solved, made["varnet"], looser, by_level(method_named("wavelet", kspace.device)))
        assert nrmse(made["varnet + pnp"], after) < 1e-6, "half the weight after a network"


def test_pnp_is_brief_behind_hqs_net_alone(tmp_path):
    kspace = drawn(3)
    csm = estimate_csm(kspace)
    tool = tools(kspace, "none", unrolled_file(tmp_path), "wavelet", pnp.Config(n_steps=5, first=4.0, start_iters=4))
    with torch.inference_mode():
        made = Candidates(kspace, csm, tool)
        brief = pnp.Config(n_steps=2, first=2.5, weight=0.25)
        before = made["l1_wavelet + hqs_net"]
        *_, after = pnp.steps(made.solved, before, brief, by_level(method_named("wavelet", kspace.device)))
        assert nrmse(made["l1_wavelet + hqs_net + pnp"], after) < 1e-6
        again = made["l1_wavelet + hqs_net + pnp + hqs_net"]
        assert nrmse(again, after) > 1e-4, "hqs_net once more"


def test_a_bad_network_has_no_weight_and_a_good_candidate_has(tmp_path):
    """A network with random weights predicts worse than sparse wavelets do."""
    kspace = drawn(4)
    image = run(kspace, network=network_file(tmp_path), folds=2)
    without = run(kspace, folds=2)
    assert nrmse(image.values.abs(), kspace.target) < 1.05 * nrmse(without.values.abs(), kspace.target)
    words = told(image)
    assert "x the noise's variance: l1_wavelet " in words and "of their weighted mean" in words
    shares = [float(part.partition(")")[0]) for part in words.split("(weight ")[1:]]
    assert sum(shares) == pytest.approx(1, abs=0.02) and len(shares) == 4


def test_a_network_outside_its_card_is_checked_as_others_are_and_named(tmp_path):
    file = network_file(tmp_path, card={"coils": [1, 2]})
    image = run(drawn(3), network=file)
    (note,) = (s for s in image.header.history if s.startswith("varnet outside its card: 3 coils"))
    assert note.endswith("it counts as far as samples left out say")
    inside = run(drawn(3), network=network_file(tmp_path))
    assert torch.equal(image.values, inside.values) and told(image) == told(inside)


def test_without_lines_to_leave_out_no_network_has_a_say(tmp_path):
    few = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=3, snr=50.0, fineness=1, sampling="full")).kspace
    image = recon(few, "checked", **{**WAVELET, "network": network_file(tmp_path, card={"coils": [1, 2]})})
    assert torch.equal(image.values, recon(few, "checked", **WAVELET).values)
    assert any(s.startswith("varnet outside its card") for s in image.header.history)
    spokes = chosen(drawn_spokes(3), network=network_file(tmp_path, "modl", card={"coils": [1, 2]}))
    assert spokes.names == ("nufft_cg",) and "outside its card" in spokes.notes[0], "along trajectories it is left out"


def changed_where_left(kspace: KSpace, fold: left_out.Fold) -> KSpace:
    """The scan with other values in the samples that a fold leaves out."""
    left = kspace.mask & ~fold.kspace.mask
    return replace(kspace, samples=torch.where(left, 7 * kspace.samples.flip(-2) + 3, kspace.samples))


def test_what_a_fold_makes_knows_nothing_of_the_samples_left_out(tmp_path):
    """Other values there change no candidate, to the last bit; in the scan as a whole they change all."""
    kspace = drawn(4)
    hurried = chosen(kspace, denoiser="wavelet", network=network_file(tmp_path), hqs_net=unrolled_file(tmp_path))
    hurried = hurried.hurried(kspace)
    csm = estimate_csm(kspace)
    with torch.inference_mode():
        for i, fold in enumerate(left_out.leave_out(kspace, 2)):
            other = changed_where_left(kspace, fold)
            again = left_out.leave_out(other, 2)[i]
            one, two = (Candidates(f.kspace, csm, hurried) for f in (fold, again))
            seen, unseen = (Candidates(k, csm, hurried) for k in (kspace, other))
            for name in hurried.names:
                assert torch.equal(one[name], two[name]), name
                assert nrmse(unseen[name], seen[name]) > 1e-3, name
            assert not torch.equal(fold.errors(one[name], csm), again.errors(two[name], csm))


def test_folds_hurry_on_a_grid_alone():
    lines, spokes = drawn(3), drawn_spokes(3)
    steps = chosen(lines).hurried(lines).steps
    assert (steps.n_steps, steps.start_iters) == (1, 2)
    usual = tools(lines, "none", "none", "none", pnp.Config(n_steps=9)).hurried(lines).steps
    assert (usual.n_steps, usual.start_iters) == (5, -(-l1_wavelet.iterations(lines) // 2))
    assert chosen(spokes).hurried(spokes).steps == chosen(spokes).steps


def test_networks_in_bfloat16_make_the_same_image(tmp_path, monkeypatch):
    kspace, file = drawn(5), network_file(tmp_path)  # of these the networks get weight
    settings = {"network": file, "hqs_net": unrolled_file(tmp_path), "denoiser": denoiser_file(tmp_path)}
    exact = run(kspace, **settings, exact=True).values
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    assert torch.equal(run(kspace, **settings, exact=True).values, exact)
    rounded = run(kspace, **settings).values
    assert not torch.equal(rounded, exact) and nrmse(rounded, exact) < 5e-3


def test_too_few_lines_and_no_choice_are_told():
    kspace = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=3, snr=50.0, fineness=1, sampling="full")).kspace
    assert told(recon(kspace, "checked", **WAVELET)).endswith(
        "unchecked, since there are too few lines to leave any out"
    )
    alone = recon(drawn(3), "checked", **FAST)
    assert told(alone) == "checked: took l1_wavelet unchecked, since there is no other candidate"


def test_spokes_points_series_and_volumes():
    kspace = drawn_spokes(4)
    image = run(kspace)
    assert nrmse(image.values.abs(), kspace.target) < 0.5 and "nufft_cg + pnp" in told(image)
    points = drawn(3, kind="points")
    assert nrmse(run(points).values.abs(), points.target) < 0.5
    scan = {"n_coils": 3, "snr": 50.0, "fineness": 1}
    volume = Scan(matrix=(6, 40, 24), sampling="equispaced:2:12", fov_mm=(60.0, 240.0, 240.0), **scan)
    for settings in (volume, Scan(matrix=(1, 40, 24), sampling="kt-random:2.5:10:1", n_frames=3, **scan)):
        kspace = simulate_phantom(settings).kspace
        image = recon(kspace, "checked", **WAVELET)
        assert nrmse(image.values.abs(), kspace.target.abs()) < 0.4 and "(weight" in told(image)


def test_slices_have_weights_of_their_own():
    one, other = drawn(3), replace(drawn(3, seed=2), noise_cov=drawn(3).noise_cov)
    together = run(slices(one, other)).values
    assert nrmse(together[0], run(one).values) < 0.02 and nrmse(together[1], run(other).values) < 0.02


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_does_not_matter(factor):
    kspace = replace(drawn(3), noise_cov=None)
    assert nrmse(run(rescale(kspace, factor)).values / factor, run(kspace).values) < 5e-3


def test_what_is_no_tool_is_refused(tmp_path):
    with pytest.raises(DataError, match="folds"):
        checked.Config(folds=0)
    with pytest.raises(DataError, match="holds weights of hqs_net"):
        run(drawn(2), network=unrolled_file(tmp_path))
    plain = saved(BUILD["e2e"](), "recon", "varnet", tmp_path)
    with pytest.raises(DataError, match="makes no complex image"):
        run(drawn(2), network=plain)


def test_the_weights_it_may_take_are_named_for_those_who_keep_results(tmp_path):
    file = denoiser_file(tmp_path)
    used = {str(path) for path in weights_used("recon", "checked", {"denoiser": file})}
    assert file in used and any(path.endswith("recon/varnet.safetensors") for path in used)
    assert weights_used("recon", "l1_wavelet", {}) == []
    assert {str(p) for p in weights_used("recon", "pnp", {"denoiser": file})} >= {file}


@pytest.mark.parametrize("snr", [2.0, 40.0])
def test_where_all_is_noise_the_last_data_consistency_is_left_out(snr, monkeypatch):
    kspace = simulate_phantom(Scan(matrix=(1, 64, 48), n_coils=4, sampling="random:2:12:0", snr=snr)).kspace
    seen: list[bool] = []
    monkeypatch.setattr(Candidates, "consistent", lambda self, x: seen.append(True) or x)
    recon(kspace, "checked", **FAST)
    assert bool(seen) == (snr > 2)
