"""Sharpens a trained network's image, trained against a critic: it invents, within what the samples leave open.

Source: Mardani et al. 2019, GANCS, doi:10.1109/TMI.2018.2858752, for a generator whose image is made consistent with
the samples; Mao et al. 2017, doi:10.1109/ICCV.2017.304, for the least-squares game. From the image x of `start`
(`varnet` or `hqs_net`), with U a network and v what the samples leave open of U(x) (`parts.invention`),

    image = x + v,    loss = distance + weight word(critic) + against disagreement + critic's own loss / 2.

How we differ: it refines a network that is not trained further; what was measured well cannot change; lines are held
back in training, and a change that predicts them worse than none is penalised; the critic sees the image beside x, both
without what is smooth, and one scalar trains both sides at once (`nets.critic`).

What it may invent: fine texture and the exact course of edges, where no line was measured. It adds what is likely, not
what was seen: a small lesion like those of its training may come where nothing is, and a small finding may be smoothed
away. The extra `invented` is the size of what it added, and no finding may rest on that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor
from torch.nn import functional as F

from spinecho.calib.csm import estimate_csm
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.core.state_header import read_metadata
from spinecho.methods.pretrained import load_learned, weights_file
from spinecho.nets.critic import Critic, judged, word
from spinecho.nets.features import as_channels, as_complex, as_level, root_mean_square
from spinecho.nets.losses import image_loss
from spinecho.nets.unet import UNet
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.guard import OUTSIDE
from spinecho.tasks.recon.limits import outside
from spinecho.tasks.recon.methods import hqs_net, varnet
from spinecho.tasks.recon.parts.division import centred
from spinecho.tasks.recon.parts.invention import disagreement, held_back, left_open
from spinecho.tasks.recon.parts.left_out import without
from spinecho.tasks.recon.parts.normal import cartesian
from spinecho.tasks.recon.parts.refinement import Support, refused, relative_noise, with_floor
from spinecho.tasks.recon.slices import by_slices

_EVERY = 6
"""Of the outer lines, one in so many is held back in training."""
_AROUND = 7
"""Pixels along each side of the mean that the critic does not see."""
Start = varnet.Method | hqs_net.Method


@dataclass(frozen=True, kw_only=True)
class Config:
    start: str = "varnet"
    """weights of varnet or hqs_net whose image is refined, by name or file; they stay as they are"""
    channels: tuple[int, ...] = (32, 64, 96)
    """of the U-Net's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 2)
    """residual blocks of each level"""
    slack: float = 1.0
    """how far a measured sample may move, relative to the noise"""
    weight: float = 0.02
    """of the critic's word beside the distance from the truth; 0: no critic (its sober twin)"""
    against: float = 0.3
    """of the penalty where the change disagrees with lines held back"""
    critic_channels: int = 16
    """of the critic's first stage"""
    cg_iters: int = 8
    """conjugate-gradient iterations to find what the samples leave open"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares, so that the picture compares with the scanner's"""

    def __post_init__(self) -> None:
        if min(self.weight, self.against) < 0 or not self.slack > 0:
            each = f"{setting('weight')}, {setting('against')} or {setting('slack')}"
            raise DataError(f"{each} is out of range", do="give weights of 0 or more, and a slack over 0")


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    judges: ClassVar[tuple[str, ...]] = ("critic",)
    aims: ClassVar[tuple[str, ...]] = ("weight", "against")
    tunable: ClassVar[tuple[str, ...]] = ("cg_iters", "noise_floor")
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("recon", "varnet"), ("recon", "hqs_net"))
    invents: ClassVar[str] = (
        "it was trained to look real: fine texture and edges where no line was measured are likely, not measured, and "
        "no finding may rest on them"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.unet = UNet(3, 2, config.channels, config.blocks)
        self.critic = Critic(config.critic_channels, 2, 2) if config.weight else None

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return refused(kspace)

    def forward(self, kspace: KSpace) -> Image:
        x, csm, added = by_slices(kspace, self.slices)
        image = kspace.image(x, csm=csm, invented=added)
        name = self.config.start
        card = read_metadata(weights_file("recon", name))["card"]
        share = 100 * float(added.square().mean().sqrt() / (added > 0).float().mean().clamp_min(1e-6).sqrt())
        header = image.header.warned(*(f"{OUTSIDE}{name}: {way}" for way in outside(card, kspace)))
        header = header.noted(f"gan: added {share:.2g} % to the image of {name} (root mean square)")
        image = replace(image, header=header)
        return with_floor(image, kspace) if self.config.noise_floor else image

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor, Tensor]:
        """Image and coil maps of a scan of slices, and the size of what was added, relative to the image's own."""
        x, csm = self.start(kspace).slices(kspace)
        change = self.change(kspace, csm, x)
        return x + change, csm, change.abs() / root_mean_square(x)

    def start(self, kspace: KSpace) -> Start:
        """The network whose image is refined, on the scan's device.

        Raises
        ------
        DataError
            If there are no such weights, or they are of another method.
        """
        network = load_learned("recon", self.config.start, device=kspace.device)
        if not isinstance(network, Start) or network.no_stages():
            do = f"give {setting('start')} weights of varnet (not its form e2e) or hqs_net"
            raise DataError(f"{self.config.start} holds weights that cannot be refined", do=do)
        return network

    def change(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], x: Complex[Tensor, "*batch 1 z y x"]
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """v: what is added to an image of these samples."""
        with full_precision(csm), torch.no_grad():
            assert kspace.mask is not None
            # in float64: where samples say little, rounding would grow a hundredfold in a few iterations
            exact = CartesianSense(kspace.mask, csm.to(torch.complex128), cut=False)
            equations, support = cartesian(exact, kspace.samples.to(torch.complex128)), Support(csm, cut=False)
            scale = root_mean_square(x)
            noise = relative_noise(kspace, scale)
            seen = x / scale
        made = as_complex(self.unet(torch.cat([as_channels(seen), as_level(noise, x.shape)], 1)), x.shape)
        with full_precision(csm):
            weight = (self.config.slack * noise).double().square()
            return left_open(made * support.where, equations, weight, self.config.cg_iters) * scale

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance from the target; the critic's word, the disagreement with lines held back, the critic's own loss."""
        assert kspace.target is not None
        c = self.config
        with full_precision(kspace.samples), torch.no_grad():
            csm, left = estimate_csm(kspace), held_back(kspace, _EVERY)
        seen = without(centred(kspace), left)
        with torch.no_grad():
            x = self.start(kspace).stages(seen, csm)[-1]
        change = self.change(seen, csm, x)
        with full_precision(csm):
            image, truth = x + change, kspace.target.abs() * Support(csm, cut=False).where
            loss = image_loss(image, truth) + c.against * disagreement(kspace, csm, left, x, change).mean()
        if self.critic is None:
            return loss
        shown = _detail(x)
        level = shown.square().mean((-3, -2, -1), keepdim=True).clamp_min(torch.finfo(shown.dtype).tiny).sqrt()
        beside, true = (torch.cat([shown, _detail(v)], 1) / level for v in (image, truth))
        with full_precision(csm):
            return loss + c.weight * word(self.critic, beside) + judged(self.critic, true, beside) / 2


def _detail(x: Tensor) -> Tensor:
    """What the critic sees of slices: their magnitude without its surroundings' mean, or it would judge brightness."""
    flat = x.abs().reshape(-1, 1, *x.shape[-2:])
    return flat - F.avg_pool2d(flat, _AROUND, 1, _AROUND // 2, count_include_pad=False)
