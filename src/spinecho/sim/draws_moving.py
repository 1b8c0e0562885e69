"""Moving scenes drawn at random, for training: pictures that beat, breathe and brighten, and drawn shapes that do."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, log_uniform, uniform
from spinecho.sim.moving import Beat, Uptake, arterial, beating, concentration, sample_beat

_BEATS, _BRIGHTENS = 0.65, 0.5
"""Shares of the scenes that beat, and that brighten; what does neither stands still"""
_SHAPES = 0.25
"""Share of the scenes that are drawn shapes in place of a picture"""
_BRIGHTEST = 6.0
"""A region becomes at most so many times brighter than it was, over 1"""


def sample_frames(
    picture: Float[Tensor, "y x"], other: Float[Tensor, "y x"], n_frames: int, rng: torch.Generator
) -> Float[Tensor, "t y x"]:
    """Frames of a scene, at least 0.

    Parameters
    ----------
    picture
        What it shows, unless shapes are drawn.
    other
        What comes into the slice as the heart moves through it.
    """
    shape = (picture.shape[0], picture.shape[1])
    if chance(rng, _SHAPES):
        picture = other = shapes(shape, rng)
    brightened = brightening(picture, n_frames, rng) if chance(rng, _BRIGHTENS) else None
    if not chance(rng, _BEATS):
        frames = picture.expand(n_frames, -1, -1)
        return frames if brightened is None else frames * brightened
    frames = beating(picture, sample_wide_beat(rng), n_frames, other)[:, 0, 0]
    return frames if brightened is None else frames * brightened


def sample_wide_beat(rng: torch.Generator) -> Beat:
    """As `sample_beat`, over wider ranges: a network shall know more than it is tried on."""
    beat = sample_beat(rng)
    return replace(
        beat,
        reach=uniform(rng, 0.25, 0.8),
        squeeze=uniform(rng, 0.05, 0.6),
        twist=uniform(rng, -0.3, 0.3),
        beats=uniform(rng, 0.3, 2.5),
        breath=uniform(rng, 0.0, 0.08),
    )


def shapes(shape: tuple[int, int], rng: torch.Generator) -> Float[Tensor, "y x"]:
    """A body of one brightness with ellipses of others in it."""
    picture = torch.zeros(shape)
    body = ellipse(shape, rng, (0.5, 0.95), 0.2)
    picture[body] = uniform(rng, 0.1, 1.0)
    for _ in range(2 + integer(rng, 6)):
        picture[body & ellipse(shape, rng, (0.04, 0.45), 0.8)] = uniform(rng, 0.05, 1.0)
    return picture


def ellipse(
    shape: tuple[int, int], rng: torch.Generator, sizes: tuple[float, float], off: float
) -> Bool[Tensor, "y x"]:
    """Half-axes from a range and a centre at most `off` from the middle along each axis, in halves of the picture."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    cy, cx = uniform(rng, -off, off), uniform(rng, -off, off)
    a, b = log_uniform(rng, *sizes), log_uniform(rng, *sizes)
    return ((y - cy) / a).square() + ((x - cx) / b).square() < 1


def brightening(picture: Float[Tensor, "y x"], n_frames: int, rng: torch.Generator) -> Float[Tensor, "t y x"]:
    """A factor for each pixel of each frame: regions of the picture whose contrast agent comes and goes."""
    shape = (picture.shape[0], picture.shape[1])
    factor = torch.ones(n_frames, *shape)
    times = torch.arange(n_frames) * uniform(rng, 1.0, 5.0)
    whole = float(times[-1]) or 1.0
    blood = arterial(times, uniform(rng, -0.1, 0.6) * whole, log_uniform(rng, 0.03, 0.2) * whole, 1.0)
    for _ in range(1 + integer(rng, 4)):
        where = region(picture, rng)
        curve = sample_curve(blood, times, rng)
        factor = factor + where * (curve * log_uniform(rng, 0.2, _BRIGHTEST))[:, None, None]
    return factor


def region(picture: Float[Tensor, "y x"], rng: torch.Generator) -> Float[Tensor, "y x"]:
    """An ellipse, what is about as bright as one pixel, or what lies on one side of a smooth random field."""
    shape = (picture.shape[0], picture.shape[1])
    kind = integer(rng, 3)
    if kind == 0:
        return ellipse(shape, rng, (0.05, 0.5), 0.7).float()
    if kind == 1:
        middle, width = uniform(rng, 0.1, 0.9), uniform(rng, 0.05, 0.2)
        return torch.exp(-((picture / picture.max().clamp_min(1e-6) - middle) / width).square())
    field = torch.randn(1, 1, 4 + integer(rng, 6), 4 + integer(rng, 6), generator=rng)
    return (F.interpolate(field, shape, mode="bicubic", align_corners=True)[0, 0] > 0.5).float()


def sample_curve(blood: Float[Tensor, " t"], times: Float[Tensor, " t"], rng: torch.Generator) -> Float[Tensor, " t"]:
    """Of a tissue or of blood itself, largest 1, saturated more or less."""
    tissue = Uptake(plasma=uniform(rng, 0.0, 0.2), transfer=uniform(rng, 0.02, 0.6), washout=uniform(rng, 0.1, 3.0))
    curve = blood if chance(rng, 0.35) else concentration(tissue, blood, times)
    curve = curve / curve.max().clamp_min(torch.finfo(curve.dtype).tiny)
    bend = uniform(rng, 0.0, 3.0)
    return curve * (1 + bend) / (1 + bend * curve)
