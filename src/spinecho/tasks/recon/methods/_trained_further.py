"""The mean of `checked`, and how far a network in it that was trained further on the same scan is to change it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.methods.pretrained import method_of
from spinecho.tasks.recon.methods import checked, hqs_net, varnet
from spinecho.tasks.recon.methods._candidates import Candidates, Tools
from spinecho.tasks.recon.parts.left_out import Fold, best_shares

Network = hqs_net.Method | varnet.Method


@dataclass(frozen=True, eq=False)
class Mean:
    """The candidates of `checked` and their weights, by all folds of its own, with the networks as they were.

    Parameters
    ----------
    kspace, csm
        One slice, and the maps that all candidates share.
    """

    kspace: KSpace
    csm: Complex[Tensor, "*#batch 1 coil z y x"]
    tools: Tools
    weights: Float[Tensor, "*batch n"]

    @classmethod
    def of(cls, kspace: KSpace, csm: Tensor, start: str, *, exact: bool) -> Mean:
        """With `start`, weights of hqs_net or varnet by name or file, in place of the package's."""
        ours = "hqs_net" if method_of("recon", start) == "hqs_net" else "network"
        tools = checked.tools_of(kspace, replace(checked.Config(exact=exact), **{ours: start}))
        weights, _ = checked.held_out(kspace, csm, tools, None)
        return cls(kspace, csm, tools, checked.counted(weights, kspace))

    def before(self, kspace: KSpace, network: Network) -> Complex[Tensor, "*batch 1 z y x"]:
        """What the network begins from on a part of the scan, where it counts most in the mean."""
        return Candidates(kspace, self.csm, self.tools)[self._place(network)]

    def image(self) -> Complex[Tensor, "*batch 1 z y x"]:
        """That of `checked`."""
        made = Candidates(self.kspace, self.csm, self.tools)
        return checked.last_consistency(made, checked.mean(made, self.weights))

    def moved(self, network: Network, fold: Fold) -> tuple[Complex[Tensor, "*batch 1 z y x"], float]:
        """The mean moved towards the one with the network, and how far, 0 to 1: until it predicts best the lines of a
        fold that the network has not learned from."""
        seen = Candidates(fold.kspace, self.csm, self.tools.hurried(self.kspace))
        (share,) = best_shares([fold.errors(x, self.csm) for x in self._ends(seen, network)])
        made = Candidates(self.kspace, self.csm, self.tools)
        start, end = self._ends(made, network)
        return checked.last_consistency(made, torch.lerp(start, end, share)), share

    def _ends(self, made: Candidates, network: Network) -> tuple[Tensor, Tensor]:
        """The mean of candidates with the network as it was, and as it is now."""
        name = "unrolled" if isinstance(network, hqs_net.Method) else "network"
        now = Candidates(made.kspace, self.csm, replace(made.tools, **{name: network}))
        return checked.mean(made, self.weights), checked.mean(now, self.weights)

    def _place(self, network: Network) -> str:
        """The candidate before the network: varnet begins from the classical one, hqs_net refines what is best."""
        behind = ("varnet + pnp", "varnet") if isinstance(network, hqs_net.Method) else ()
        return next((name for name in behind if name in self.tools.names), self.tools.start)
