"""Scenes that move: a heart that beats and breathes, a contrast agent that arrives; frames to be measured.

A frame is the still picture looked up at other places, I_t(p) = I_0(p + u_t(p)) with u_t in closed form, so that the
area of everything that was in the picture is known at every time (`Beat.area`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import uniform
from spinecho.core.errors import DataError

SYSTOLE, RELAXED = 0.35, 0.7
"""Shares of a beat after which the heart is smallest, and large again"""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """How a chest moves.

    Lengths are in units of half the picture's shorter side, angles in radians, times in shares of the series.

    Parameters
    ----------
    centre
        Of the heart (y, x), from the picture's middle.
    reach
        How far from there the motion goes: its Gaussian's width.
    squeeze
        At the end of systole what lies close to the centre is 1 / (1 + squeeze) as far from it as at rest.
    twist
        By which the middle is turned at that time.
    beats, phase
        In the series; where in a beat it begins, 0 to 1.
    breath, breaths, breath_phase
        How far the front of the chest moves along y, how often in the series, and where it begins.
    drift
        Along (y, x) over the series, of everything.
    through
        How much of the picture is another one at the end of systole: the heart moves through the slice.
    """

    centre: tuple[float, float] = (0.0, 0.0)
    reach: float = 0.4
    squeeze: float = 0.35
    twist: float = 0.1
    beats: float = 1.0
    phase: float = 0.0
    breath: float = 0.0
    breaths: float = 1.0
    breath_phase: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    through: float = 0.0

    def contraction(self, times: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
        """0 at rest, 1 at the end of systole: half a cosine each way, then rest."""
        at = (self.phase + self.beats * times) % 1.0
        down = 0.5 - 0.5 * torch.cos(math.pi * at / SYSTOLE)
        up = 0.5 + 0.5 * torch.cos(math.pi * (at - SYSTOLE) / (RELAXED - SYSTOLE))
        return torch.where(at < SYSTOLE, down, torch.where(at < RELAXED, up, 0.0))

    def places(self, shape: tuple[int, int], times: Float[Tensor, " t"]) -> Float[Tensor, "t y x 2"]:
        """p + u_t(p) for each pixel of each frame, (y, x)."""
        half = min(shape) / 2
        y, x = (((torch.arange(n) - (n - 1) / 2) / half) for n in shape)
        p = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1)
        c = self.contraction(times)[:, None, None, None]
        away = p - torch.tensor(self.centre)
        near = torch.exp(-away.square().sum(-1, keepdim=True) / self.reach**2)
        angle = self.twist * c * near
        turned = torch.stack([-away[..., 1].expand(angle.shape[:-1]), away[..., 0].expand(angle.shape[:-1])], -1)
        moved = (1 + self.squeeze * c * near) * (away * angle.cos() + turned * angle.sin())
        front = torch.sigmoid(-4 * p[..., :1])
        breath = self.breath * torch.sin(2 * math.pi * (self.breath_phase + self.breaths * times))[:, None, None, None]
        along = torch.tensor([1.0, 0.0]) * breath * front + torch.tensor(self.drift) * times[:, None, None, None]
        return moved + torch.tensor(self.centre) + along

    def area(self, radius: float, times: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
        """Of a disc about the centre, relative to its area at rest: the basis of an ejection fraction.

        Its edge lies at r with r (1 + squeeze c exp(-r^2 / reach^2)) = radius; found by bisection.
        """
        c = self.contraction(times).double()
        low, high = torch.zeros_like(c), torch.full_like(c, radius)
        for _ in range(60):
            r = (low + high) / 2
            outside = r * (1 + self.squeeze * c * torch.exp(-((r / self.reach) ** 2))) > radius
            low, high = torch.where(outside, low, r), torch.where(outside, r, high)
        return ((low / radius) ** 2).float()


def sample_beat(rng: torch.Generator) -> Beat:
    """A heart near the middle, one to two beats, shallow breath."""
    signed = lambda most: uniform(rng, -most, most)  # noqa: E731
    return Beat(
        centre=(signed(0.25), signed(0.25)),
        reach=uniform(rng, 0.3, 0.5),
        squeeze=uniform(rng, 0.15, 0.5),
        twist=signed(0.2),
        beats=uniform(rng, 0.8, 2.0),
        phase=uniform(rng),
        breath=uniform(rng, 0.0, 0.05),
        breaths=uniform(rng, 0.1, 0.6),
        breath_phase=uniform(rng),
        drift=(signed(0.02), signed(0.02)),
        through=uniform(rng, 0.0, 0.25),
    )


def beating(
    picture: Float[Tensor, "y x"], beat: Beat, n_frames: int, other: Float[Tensor, "y x"] | None = None
) -> Float[Tensor, "t 1 1 y x"]:
    """Frames of a picture that beats, as `sim.scan.measure` takes them.

    `other` is what comes into the slice with `beat.through`.
    """
    if n_frames < 1:
        raise DataError(f"{n_frames} frames are asked for", do="give 1 or more")
    times = torch.arange(n_frames) / n_frames
    y, x = picture.shape
    half = min(y, x) / 2
    at = beat.places((y, x), times)
    grid = torch.stack([at[..., 1] * half / (x / 2), at[..., 0] * half / (y / 2)], -1)
    pictures = picture[None] if other is None else torch.stack([picture, other])
    seen = F.grid_sample(pictures[None].expand(n_frames, -1, -1, -1), grid, mode="bicubic", align_corners=False)
    seen = seen.clamp_min(0)
    if other is None:
        return seen[:, None]
    share = (beat.through * beat.contraction(times))[:, None, None]
    return torch.lerp(seen[:, 0], seen[:, 1], share)[:, None, None]


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """How a tissue takes up a contrast agent: the extended model of Tofts.

    Parameters
    ----------
    plasma
        Share of the volume that is blood plasma.
    transfer, washout
        Per minute: K^trans, into the tissue, and k_ep, out of it.
    """

    plasma: float
    transfer: float = 0.0
    washout: float = 1.0


def arterial(times_s: Float[Tensor, " t"], arrival_s: float, width_s: float, peak_mm: float) -> Float[Tensor, " t"]:
    """Concentration in the arteries, mmol/l: a gamma variate that arrives, and a slow tail of a fifth of it.

    Source: Thompson et al. 1964, doi:10.1161/01.RES.14.6.502, for the gamma variate (its power is 3 here).
    """
    since = (times_s - arrival_s).clamp_min(0) / width_s
    first = (since / 3).pow(3) * torch.exp(3 - since)
    tail = 0.2 * (1 - torch.exp(-since)) * torch.exp(-since / 60)
    return peak_mm * (first + tail)


def concentration(uptake: Uptake, blood: Float[Tensor, " t"], times_s: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """v_p c_a(t) + K^trans integral of c_a(s) exp(-k_ep (t - s)) ds, by the trapezoidal rule; times evenly spaced.

    Source: Tofts et al. 1999, doi:10.1002/(SICI)1522-2586(199909)10:3<223::AID-JMRI2>3.0.CO;2-S.
    """
    step = float(times_s[1] - times_s[0]) / 60 if len(times_s) > 1 else 0.0
    lag = (times_s[:, None] - times_s[None, :]) / 60
    weights = torch.where(lag >= 0, torch.exp(-uptake.washout * lag.clamp_min(0)), 0.0)
    ends = 0.5 * (weights * blood)[:, 0] + 0.5 * blood
    return uptake.plasma * blood + uptake.transfer * step * ((weights * blood).sum(1) - ends)


def arriving(
    tissues: Integer[Tensor, "y x"],
    t1_ms: Mapping[int, float],
    pd: Mapping[int, float],
    curves: Mapping[int, Float[Tensor, " t"]],
    *,
    tr_ms: float = 5.0,
    flip_deg: float = 15.0,
    relaxivity: float = 4.5,
) -> Float[Tensor, "t 1 1 y x"]:
    """Frames of a spoiled gradient echo, as `sim.scan.measure` takes them.

    Each tissue's concentration (mmol/l) follows its curve: 1 / T1 = 1 / T1_0 + relaxivity c; T2* is
    left out. Tissues without a curve stay as they are.

    Source: Ernst and Anderson 1966, doi:10.1063/1.1719961, for the signal (`contrast.gradient_echo`).
    """
    n = len(next(iter(curves.values())))
    if any(len(curve) != n for curve in curves.values()):
        raise DataError("the curves differ in length", do="give each tissue the same times")
    a = math.radians(flip_deg)
    size = max(int(tissues.max()), *t1_ms) + 1
    table = torch.zeros(n, size)
    for i, t1 in t1_ms.items():
        rate = 1 / t1 + curves.get(i, torch.zeros(n)) * relaxivity / 1000
        e1 = torch.exp(-tr_ms * rate)
        table[:, i] = pd[i] * math.sin(a) * (1 - e1) / (1 - math.cos(a) * e1)
    return table[:, tissues.long()][:, None, None]
