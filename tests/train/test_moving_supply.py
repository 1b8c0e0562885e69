"""Moving scenes as a supply: examples by number, in the two ways, with held-out ones; what does not fit is refused."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.io.write import write
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples import Options, gather, moving
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.moving import MovingScans, Pictures, SmallSeries
from spinecho.tasks.recon.methods import varnet_kt
from spinecho.tasks.recon.parts.series import Series
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.team import Team

STACK = np.stack([toy.disc((48, 52)).numpy() * (0.5 + 0.05 * i) for i in range(9)]).astype(np.float16)
PICTURES = Pictures((STACK,), (1.0,))
TINY = varnet_kt.Config(channels=(4, 6), blocks=(1, 1), n_steps=1, start_iters=2, cg_iters=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def folder(path):
    path.mkdir()
    for name in ("a", "b", "c", "d", "e", "f"):
        np.save(path / f"{name}.npy", STACK)
    return path


def context(said, **settings):
    chosen = {"validate_every": 1, "validation_examples": 2, **settings}
    return toy.context(said.append, method=varnet_kt.Method(TINY), **chosen)


def test_a_number_gives_the_same_series_and_a_step_one_length():
    draw = SmallSeries(PICTURES, 24, 3)
    one, again, beside, part = draw(1, 0), draw(1, 0), draw(1, 1), SmallSeries(PICTURES, 24, 3, "validate")(1, 0)
    assert torch.equal(one.noisy, again.noisy) and not torch.equal(one.noisy, beside.noisy)
    assert one.bucket == beside.bucket and one.clean.shape[2:] == (24, 24)
    assert part.clean.shape[1:] != one.clean.shape[1:] or not torch.equal(part.clean, one.clean)
    assert len({draw(step, 0).clean.shape[1] for step in range(12)}) > 1


def test_series_join_and_move():
    draw = SmallSeries(PICTURES, 16, 0)
    both = Series.joined([draw(1, 0), draw(1, 1)]).to(torch.device("cpu"))
    assert both.clean.shape[0] == 2 and torch.equal(both.noisy[1:], draw(1, 1).noisy) and both.level.shape == (2,)


def test_the_level_is_that_of_the_error():
    for step in range(12):
        example = SmallSeries(PICTURES, 32, 1)(step, 0)
        error = float((example.noisy - example.clean).abs().square().mean().sqrt())
        assert 0.4 < float(example.level) / max(error, 0.004) < 1.6
        assert float(example.clean.abs().max()) == pytest.approx(1, abs=0.02)


def test_samples_put_right_what_they_measured():
    """On measured lines it is the truth, on others what it was; the change is the difference, times a number."""
    wrong, truth = (torch.randn(6, 20, 16, dtype=torch.complex64, generator=seeded(i)) for i in (0, 1))
    noisy, change = moving.put_right(wrong, truth, seeded(2))
    k, k_wrong, k_truth = (moving.fft(x, (-2,)) for x in (noisy, wrong, truth))
    right, old = ((k - x).abs().amax(-1) < 1e-4 for x in (k_truth, k_wrong))
    assert bool((right ^ old).all()) and bool(right[:, 9:11].all()) and 0 < float(old.float().mean()) < 1
    times = (change / (noisy - wrong)).real
    assert float(times.std()) < 1e-2 * float(times.mean()) and float(times.mean()) > 1


def test_what_is_mistaken_is_smoother_and_stillness_is_not():
    """Frames that run into each other, or few components: a still series stays what it is."""
    still = torch.randn(1, 8, 8, dtype=torch.complex64, generator=seeded()).expand(7, -1, -1)
    moving_series = torch.randn(7, 8, 8, dtype=torch.complex64, generator=seeded())
    for i in range(6):
        assert float((moving.mistaken(still, seeded(i)) - still).abs().max()) < 1e-4
        assert float((moving.mistaken(moving_series, seeded(i)) - moving_series).abs().max()) > 0.1


def test_few_components_are_the_nearest():
    clean = torch.randn(5, 8, 9, dtype=torch.complex64, generator=seeded())
    kept = moving._few_components(clean, 2)
    u, s, v = torch.linalg.svd(clean.flatten(1), full_matrices=False)
    assert torch.allclose(kept.flatten(1), (u[:, :2] * s[:2]) @ v[:2], atol=1e-4)


def test_scans_are_series_ready_for_a_method():
    draw = Seeded(MovingScans(PICTURES), 0)
    scan = pickle.loads(pickle.dumps(draw))(1, 0)
    assert torch.equal(scan.samples, draw(1, 0).samples) and scan.axes == ("time",)
    frames = scan.samples.shape[0]
    assert scan.target.shape[0] == scan.mask.shape[0] == frames >= 10
    assert varnet_kt.Method.refusal(scan) is None and float(scan.samples.abs().max()) == pytest.approx(1)
    assert not torch.equal(scan.mask[0], scan.mask[1]) and 2 < 1 / float(scan.mask.float().mean()) < 12
    spread = torch.stack([Seeded(MovingScans(PICTURES), 0)(i, 0).target.std(0).max() for i in (1, 2, 3, 4)])
    assert float(spread.max()) > 1e-3, "something moves"


def test_all_samples_are_those_of_the_truth():
    """Undersampling and noise apart, the root sum of squares of the coils is the target."""
    frames = torch.polar(torch.from_numpy(STACK[:2].astype(np.float32))[:, None, None], torch.zeros(2, 1, 1, 48, 52))
    scan = moving.measured(frames, (32, 32), seeded())
    measured = scan.mask.expand(2, 1, 1, 32, 32)[:, 0, 0, :, 0]
    assert scan.target.shape == (2, 1, 1, 32, 32) and bool(measured[:, 15:17].all())
    again = moving.measured(3 * frames, (32, 32), seeded())
    torch.testing.assert_close(again.target, 3 * scan.target)
    torch.testing.assert_close(again.samples, 3 * scan.samples, rtol=1e-3, atol=1e-4)


def test_pairs_are_neighbours_turned_alike():
    picture, other = PICTURES.pair(seeded(5))
    assert picture.shape == other.shape and float(picture.max()) == pytest.approx(1)
    ratio = (other / picture)[picture > 0.1]
    assert float(ratio.std()) < 0.01, "the same disc, brighter or darker"


@pytest.mark.parametrize("way", ["patches", "scans"])
def test_both_ways_train_and_are_judged(tmp_path, way):
    said: list[str] = []
    told = context(said, steps=2, batch=2)
    made = gather([folder(tmp_path / "pictures")], Options(moving=way), told)
    assert made.facts == {"moving": way} and any("to validate" in s for s in said)
    run = Run(method=told.method, task="recon", name="varnet_kt", settings=told.settings, out=tmp_path, team=Team())
    steps = list(train(run, made.train, made.held_out))
    assert steps[-1].scores and made.told(steps[-1].scores)
    assert made.aim is not None and math.isfinite(made.aim(steps[-1].scores))
    assert (tmp_path / "pictures" / "step_000002.png").is_file()


def test_scenes_train_without_their_truth(tmp_path):
    said: list[str] = []
    told = context(said, steps=2, batch=1)
    made = gather([folder(tmp_path / "pictures")], Options(moving="scans", loss="ssdu", loss_share=0.3), told)
    assert made.facts["moving"] == "scans" and made.facts["loss"] == "ssdu" and made.facts["loss_share"] == 0.3
    example = made.train(1, 0)
    assert example.kspace.axes == ("time",) and example.kspace.target is None and bool(example.left.any())
    run = Run(
        method=told.method,
        task="recon",
        name="varnet_kt",
        settings=told.settings,
        out=tmp_path,
        team=Team(),
        rule=made.rule,
        aim=made.aim,
    )
    scores = list(train(run, made.train, made.held_out))[-1].scores
    assert scores["unpredicted"] > 0 and scores["l1_wavelet_unpredicted"] > 0
    assert any("no truth is looked at" in s for s in said)


def test_raw_series_train_as_measured_and_images_that_stand_still_do_not(tmp_path):
    scan = Scan(matrix=(1, 40, 32), sampling="kt-random:2.5:8:1", n_frames=6, snr=40, n_coils=4, fineness=1)
    write(replace(simulate_phantom(scan).kspace, target=None), tmp_path / "series.h5")
    said: list[str] = []
    made = gather([tmp_path / "series.h5"], Options(loss="ssdu"), context(said))
    example = made.train(1, 0)
    assert example.kspace.samples.shape[0] == 6 and any("1 undersampled raw scans" in s for s in said)
    few = gather([tmp_path / "series.h5"], Options(loss="ssdu", frames=4), context(said)).train(1, 0)
    assert few.kspace.samples.shape[0] == 4
    with pytest.raises(DataError, match=r"learns from series.*raw series, or images with moving='scans'"):
        gather([folder(tmp_path / "pictures")], Options(loss="ssdu"), context(said))


def test_what_does_not_fit_is_refused(tmp_path):
    paths, said = [folder(tmp_path / "pictures")], []
    with pytest.raises(DataError, match=r"loss and moving='patches' are both given"):
        gather(paths, Options(moving="patches", loss="ssdu"), context(said))
    with pytest.raises(DataError, match="loss_share and moving='scans' are both given"):
        gather(paths, Options(moving="scans", loss_share=0.3), context(said))
    with pytest.raises(DataError, match="cannot train on radial scans"):
        gather(paths, Options(loss="ssdu", acquire=("radial",)), context(said))
    with pytest.raises(DataError, match=r"'films'.*scans, patches"):
        gather(paths, Options(moving="films"), context(said))
    with pytest.raises(DataError, match="both given"):
        gather(paths, Options(moving="scans", radial=0.3), context(said))
    with pytest.raises(DataError, match="no denoiser of series"):
        gather(paths, Options(moving="patches"), toy.context(said.append))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files"):
        gather([tmp_path / "empty"], Options(moving="scans"), context(said))
