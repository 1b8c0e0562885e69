"""What `checked` chooses among: which reconstructions suit a scan, and each of them made when it is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.kspace import KSpace
from spinecho.core.method import Method
from spinecho.core.precision import network_precision
from spinecho.methods import registry
from spinecho.methods.pretrained import built, method_of
from spinecho.tasks.recon.limits import outside
from spinecho.tasks.recon.methods import hqs_net, l1_wavelet, modl, pnp, varnet
from spinecho.tasks.recon.parts.denoisers import by_level, method_named
from spinecho.tasks.recon.parts.splitting import Denoiser, problem

NONE = "none"
"""Said instead of a name: leave this out."""
_FIRMER = 20.0
"""Along a trajectory pnp has a second form, with so many times the weight of the denoised image, and so has the last
data consistency: streaks of few spokes are no noise. Of the spokes of one real heart that were left out it predicted
9 % better than the usual form, and 16 % better than nufft_cg at its best number of iterations."""

_LOOSER = 0.5
"""On a grid pnp has this part of the weight after a network, whose image needs it less: on the real slices (mask 5,
which no table has) the mean of candidates gained 0.1 dB on heads, and lost nothing on abdomens."""

_BRIEF, _QUIETER = 0.4, 0.625
"""Behind `hqs_net` alone pnp has this part of its steps, and begins with this part of the noise: on the real slices
(masks 5 to 7) the image is the same within 0.05 dB, with less than half of the time."""


@dataclass(frozen=True, eq=False)
class Tools:
    """What is there to reconstruct with.

    Parameters
    ----------
    start
        Name of the classical method.
    network
        varnet or modl, ready to run; None: without.
    unrolled, denoiser
        Of hqs_net and of pnp.
    steps
        Settings of pnp.
    exact
        Whether networks run in float32 even where the processor is faster in bfloat16.
    notes
        Why something was left out, or is not what it was trained for, for the history.
    """

    start: str
    network: varnet.Method | modl.Method | None
    unrolled: hqs_net.Method | None
    denoiser: Denoiser | None
    steps: pnp.Config
    exact: bool = False
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all candidates: the classical image, the network's, and what refines each of them, in turns."""
        network = [] if self.network is None else [_name(self.network)]
        pnp = [] if self.denoiser is None else ["pnp"]
        unrolled = [] if self.unrolled is None else ["hqs_net"]
        chains = [[self.start], network, [self.start, *unrolled], [self.start, *unrolled, *pnp]]
        chains.append([*network, *pnp] if network else [])
        if unrolled and network:
            chains += [[*network, *pnp, *unrolled], [*network, *pnp, *unrolled, *pnp]]
        elif unrolled:
            chains.append([self.start, *unrolled, *pnp, *unrolled])
        if self.start != "l1_wavelet" and pnp:
            chains.append([self.start, "firmer pnp"])
        return tuple(dict.fromkeys(" + ".join(chain) for chain in chains if chain))

    def hurried(self, kspace: KSpace) -> Tools:
        """For lines left out on a grid: half the steps of pnp, half the iterations of l1_wavelet, for all alike."""
        if not kspace.is_cartesian:
            return self
        s = self.steps
        n_iters = l1_wavelet.iterations(kspace) if s.start_iters is None else s.start_iters
        return replace(self, steps=replace(s, n_steps=-(-s.n_steps // 2), start_iters=-(-n_iters // 2)))

    @property
    def safe(self) -> str:
        """What is taken where nothing can be checked: no network that was trained on scans has part in it."""
        return self.start + " + pnp" * (self.denoiser is not None)


def tools(
    kspace: KSpace,
    network: str | None,
    unrolled: str | None,
    denoiser: str | None,
    steps: pnp.Config,
    *,
    exact: bool = False,
) -> Tools:
    """All that may take a prepared scan; on a grid networks outside their cards, too: samples left out judge them.

    Each of the three is a name or a weights file; None: what the package has, if anything. `exact`: as in `Tools`.

    Raises
    ------
    DataError
        If something that was asked for does not exist.
    """
    kind = "varnet" if kspace.is_cartesian else "modl"
    networks = {name: _ready(name, given, kspace) for name, given in ((kind, network), ("hqs_net", unrolled))}
    notes = tuple(
        f"without {name}: {why}" if ready is None else f"{name} {why}: it counts as far as samples left out say"
        for name, (ready, why) in networks.items()
        if why
    )
    if denoiser is None and registry.offer("denoise", "unet").is_ready:
        denoiser = "unet"
    return Tools(
        start="l1_wavelet" if kspace.is_cartesian else "nufft_cg",
        network=cast("varnet.Method | modl.Method | None", networks[kind][0]),
        unrolled=cast("hqs_net.Method | None", networks["hqs_net"][0]),
        denoiser=None if denoiser in (None, NONE) else _at_work(method_named(denoiser, kspace.device), exact),
        steps=steps,
        exact=exact,
        notes=notes,
    )


def _ready(name: str, given: str | None, kspace: KSpace) -> tuple[object, str]:
    """A network with its weights, and in which ways the scan is outside its card; None and why it cannot take the scan;
    None and nothing where it is not wanted or has no weights."""
    if given == NONE or (given is None and not registry.offer("recon", name).is_ready):
        return None, ""
    if given is not None and (owner := method_of("recon", given)) != name:
        raise DataError(f"{given} holds weights of {owner}", do=f"give weights of {name}")
    settings = {} if given is None else {"weights": given}
    method = built("recon", name, settings, kspace.device)
    if getattr(method.config, "form", "solved") != "solved":
        do = f"give {setting('network')} weights of the form that is solved"
        raise DataError(f"{given} makes no complex image", do=do)
    if reason := method.refusal(kspace):
        return None, reason
    ways = outside(method.card, kspace)
    why = f"outside its card: {', '.join(ways)}" if ways else ""
    return (method if kspace.is_cartesian or not ways else None), why


def _at_work(method: Method, exact: bool) -> Denoiser:
    """A denoising method as a function; a network in the precision that suits the processor."""
    denoiser = by_level(method)

    def rounding(slices: Tensor, levels: Tensor) -> Tensor:
        with network_precision(slices, exact=exact):
            return denoiser(slices, levels)

    return rounding if method.learned else denoiser


def _name(network: object) -> str:
    return "varnet" if isinstance(network, varnet.Method) else "modl"


class Candidates:
    """The images of one scan by name, each made once and not before it is asked for."""

    def __init__(self, kspace: KSpace, csm: Tensor, tools: Tools) -> None:
        self.kspace, self.csm, self.tools = kspace, csm, tools
        self.solved = problem(kspace, csm)
        self._made: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Complex[Tensor, "*batch 1 z y x"]:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Tensor:
        tools = self.tools
        if name == tools.start:
            return pnp.start(self.kspace, self.csm, self.solved, tools.steps.start_iters)
        if isinstance(tools.network, varnet.Method) and name == "varnet":
            start = self[tools.start]
            with network_precision(start, exact=tools.exact):
                x = tools.network.images(self.kspace, self.csm, start=start)[-1]
            return torch.where(self.solved.support.where, x, start)  # it blanks what has no coil maps
        if isinstance(tools.network, modl.Method) and name == "modl":
            return tools.network.images(self.kspace, self.csm)[-1]
        before, _, last = name.rpartition(" + ")
        if last in ("pnp", "firmer pnp") and tools.denoiser is not None:
            *_, x = pnp.steps(self.solved, self[before], self._steps(before, last), tools.denoiser)
            return x
        assert tools.unrolled is not None
        start = self[before]
        with network_precision(start, exact=tools.exact):
            *_, x = tools.unrolled.steps(self.solved, start, hqs_net.acceleration(self.kspace))
        return x

    def _steps(self, before: str, last: str) -> pnp.Config:
        """Of pnp behind another image."""
        steps, start = self.tools.steps, self.tools.start
        looser = self.kspace.is_cartesian and before != start
        factor = _FIRMER if last == "firmer pnp" else _LOOSER if looser else 1.0
        steps = replace(steps, weight=factor * steps.weight)
        if before != f"{start} + hqs_net":
            return steps
        return replace(steps, n_steps=math.ceil(_BRIEF * steps.n_steps), first=max(_QUIETER * steps.first, steps.last))

    def consistent(self, x: Tensor) -> Complex[Tensor, "*batch 1 z y x"]:
        """argmin |A x - y|^2 + w |x - z|^2 from z, with the weight of the last step of pnp."""
        firm = 1.0 if self.kspace.is_cartesian else _FIRMER
        weight = firm * self.tools.steps.weight * (self.solved.sigma / self.solved.level(x)).square()
        one = torch.ones((), device=x.device)
        return self.solved.equations.consistent(x, weight, one, self.tools.steps.cg_iters)
