"""Examples may be series and volumes: frames are kept where a method wants them, volumes where its loss takes them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.io.read import read
from spinecho.io.write import write
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.sim.draws import Draws
from spinecho.sim.draws_masks import sample_series_mask, sample_volume_mask
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples import Options, gather
from spinecho.tasks.recon.methods import unet
from spinecho.train.draw import generator
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.team import Team

N_FRAMES = 6


class Dynamic(Recon):
    """A weight for each frame with its gaps filled from the other frames, and one for the mean of all."""

    learned: ClassVar[bool] = True
    whole_series: ClassVar[bool] = True

    def __init__(self, config: toy.Config) -> None:
        super().__init__(config)
        self.shares = torch.nn.Parameter(torch.zeros(2))

    def forward(self, kspace: KSpace):
        at = kspace.axes.index("time")
        assert kspace.mask is not None
        n = kspace.mask.expand(*kspace.samples.shape[:-4], *kspace.mask.shape[-4:]).sum(at, keepdim=True)
        mean = kspace.samples.sum(at, keepdim=True) / n.clamp_min(1)
        filled = torch.where(kspace.mask, kspace.samples, mean)
        x = self.shares[0] * root_sum_of_squares(ifft(filled)) + self.shares[1] * root_sum_of_squares(ifft(mean))
        return kspace.image(x)

    def loss(self, kspace: KSpace):
        return toy.relative_error(self(kspace).values, kspace)


class Volumes(toy.Method):
    learns_volumes: ClassVar[bool] = True


def series(path: Path) -> Path:
    """A beating phantom, all samples of each frame."""
    still = simulate_phantom(Scan(matrix=(1, 36, 40), n_coils=3, sampling="full", fineness=1)).kspace
    beat = 1 + 0.3 * torch.sin(torch.arange(N_FRAMES) * 1.1)
    samples = still.samples * beat.view(-1, 1, 1, 1, 1)
    write(replace(still, samples=samples, mask=still.mask[None], axes=("time",), target=None), path)
    return path


def volume(path: Path) -> Path:
    made = Scan(matrix=(18, 36, 40), fov_mm=(180.0, 240.0, 240.0), n_coils=2, sampling="full", fineness=1)
    write(simulate_phantom(made).kspace, path)
    return path


def supply(path: Path, method: Recon, options: Options | None = None, said: list[str] | None = None):
    told = [] if said is None else said
    return gather([path], options or Options(), toy.context(told.append, method=method, validate_every=0))


@pytest.mark.parametrize(
    ("method", "options", "frames"),
    [
        (Dynamic(toy.Config()), Options(), N_FRAMES),
        (Dynamic(toy.Config()), Options(frames=4), 4),
        (Dynamic(toy.Config()), Options(frames=99), N_FRAMES),
        (toy.Method(toy.Config()), Options(), 1),
        (toy.Method(toy.Config()), Options(frames=3), 3),
    ],
)
def test_frames_of_a_series(tmp_path, method, options, frames):
    made = supply(series(tmp_path / "beat.h5"), method, options)
    example = made.train(1, 0)
    assert example.axes == ("time",)
    assert example.samples.shape == (frames, 3, 1, 36, 40) and example.target.shape == (frames, 1, 1, 36, 40)
    assert torch.equal(example.samples, made.train(1, 0).samples)
    measured = example.mask.expand(frames, 1, 1, 36, 40)
    assert not measured.all() and (example.samples.abs().amax(1, keepdim=True) > 0)[~measured].sum() == 0
    if frames > 1:
        assert not torch.equal(measured[0], measured[1]), "each frame has lines of its own"
        bright = example.target.amax((-4, -3, -2, -1))
        assert float(bright.max() / bright.min()) > 1.1, "frames stay in their order and differ"
    assert made.facts.get("frames") == options.frames


@pytest.mark.parametrize("axes", [("repetition",), ("time", "repetition")])
def test_the_longest_axis_of_frames_stays(axes, tmp_path):
    full = read(series(tmp_path / "beat.h5"))
    samples, mask = (t if len(axes) == 1 else t[None] for t in (full.samples, full.mask))
    write(replace(full, samples=samples, mask=mask, axes=axes), tmp_path / "other.h5")
    made = supply(tmp_path / "other.h5", Dynamic(toy.Config())).train
    example = pickle.loads(pickle.dumps(made))(1, 0)
    assert N_FRAMES in example.samples.shape[: len(example.axes)]
    assert torch.equal(example.samples, made(1, 0).samples), "a worker draws the same"


def test_a_dynamic_method_trains_on_it(tmp_path):
    made = supply(series(tmp_path / "beat.h5"), Dynamic(toy.Config()))
    settings = toy.context(steps=30, batch=1, rate=0.05, validate_every=0).settings
    run = Run(method=Dynamic(toy.Config()), task="recon", name="toy", settings=settings, out=tmp_path, team=Team())
    steps = list(train(run, made.train))
    assert steps[-1].loss < 0.5 * steps[0].loss
    assert (run.method.shares != 0).all()


def test_validation_takes_series(tmp_path):
    method = Dynamic(toy.Config())
    context = toy.context(lambda _: None, method=method, validation_examples=2)
    held_out = gather([series(tmp_path / "beat.h5")], Options(), context).held_out
    assert held_out.scores(method)["psnr"] > 0
    held_out.picture(method, tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_volumes_go_to_methods_whose_loss_takes_them(tmp_path):
    path = volume(tmp_path / "volume.h5")
    example = supply(path, Volumes(toy.Config())).train(1, 0)
    assert example.samples.shape == (2, 18, 36, 40) and example.target.shape == (1, 18, 36, 40)
    assert 0 < float(example.mask.float().mean()) < 1
    for method in (toy.Method(toy.Config()), unet.Method(unet.Config())):
        with pytest.raises(DataError, match=r"3-D encoding, \(18, 36, 40\) .*toy learns from 2-D slices"):
            supply(path, method)


def test_a_method_is_asked_whether_it_takes_a_raw_scan(tmp_path):
    class Spokes(toy.Method):
        @classmethod
        def refusal(cls, kspace):
            return "it wants spokes" if kspace.is_cartesian else None

    path = series(tmp_path / "beat.h5")
    with pytest.raises(DataError, match=r"beat\.h5: toy cannot train on it: it wants spokes"):
        supply(path, Spokes(toy.Config()), Options(acquire=("radial",)))


def test_still_pictures_are_told_to_be_still(tmp_path):
    np.save(tmp_path / "a.npy", (toy.disc((3, 64, 64)) * 200).byte().numpy())
    for method, still in ((Dynamic(toy.Config()), True), (toy.Method(toy.Config()), False)):
        said: list[str] = []
        supply(tmp_path / "a.npy", method, said=said)
        assert any("they have no frames" in line for line in said) == still


def test_no_frames_are_refused(tmp_path):
    with pytest.raises(DataError, match="frames is 0 -> give at least 1"):
        supply(series(tmp_path / "beat.h5"), Dynamic(toy.Config()), Options(frames=0))


@pytest.mark.parametrize("seed", range(6))
def test_masks_of_series_and_volumes_keep_to_the_range(seed):
    draws = Draws(accel=(2.0, 4.0))
    frames = sample_series_mask(8, 96, generator("series", seed), draws)
    assert frames.shape == (8, 1, 1, 96, 1) and 0.15 < float(frames.float().mean()) < 0.75
    assert frames[:, 0, 0, 44:52].all(), "the centre is in each frame"
    for shape in ((6, 64), (40, 64)):
        points = sample_volume_mask(shape, generator("volume", seed), draws)
        share = float(points.expand(1, *shape, 1).float().mean())
        assert 0.15 < share < 0.75 and points.expand(1, *shape, 1)[0, shape[0] // 2, shape[1] // 2]
