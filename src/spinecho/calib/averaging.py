"""Frames, repetitions and averages as one scan for calibration, though each measured lines of its own.

The plain mean of a line over the frames that have it is the mean of other moments than that of the next line: where
contrast arrives or a heart beats, lines contradict each other. But what changes in time changes in a few ways, the same
everywhere in k-space (Liang 2007, doi:10.1109/ISBI.2007.357020: partial separability), and the samples that all frames
have show them. With D their matrix (frame, sample) and G = Re(D D^H), the weights of a place that the frames S have are

    argmin (w - 1/n)^T G (w - 1/n) + ridge |w - 1/|S||^2,    w = 0 outside of S, sum of w = 1:

the mean over S that looks most like the mean over all n.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

_RIDGE = 3e-3
"""Of the frames' mean energy: how much weights that differ cost, for they carry noise and what outer samples add"""
_AGREES = 0.2
"""How far, relative to its size, the mean of some frames may be from that of all by what all frames have"""


def frame_mean(
    samples: Complex[Tensor, "n coil k2 k1 k0"], mask: Bool[Tensor, "n 1 #k2 #k1 #k0"]
) -> Complex[Tensor, "1 coil k2 k1 k0"]:
    """The mean over the frames, of each place over those that measured it; 0 where none did."""
    weight = frame_weights(samples, mask)[0]
    mean = torch.zeros_like(samples[:1])
    for one, of in zip(samples, weight, strict=True):  # a product of all would be as large as they are
        mean += one * of
    return mean


def frame_weights(
    samples: Complex[Tensor, "n coil k2 k1 k0"], mask: Bool[Tensor, "n 1 #k2 #k1 #k0"]
) -> tuple[Float[Tensor, "n 1 #k2 #k1 #k0"], Bool[Tensor, "1 1 #k2 #k1 #k0"]]:
    """How much each frame counts at each place, and where their mean is that of all frames, as far as one can tell."""
    everywhere, somewhere = mask.all(0, keepdim=True), mask.any(0, keepdim=True)
    if torch.equal(everywhere, somewhere) or not bool(everywhere.any()):
        return mask.to(samples.real.dtype) / mask.sum(0, keepdim=True).clamp_min(1), somewhere
    D = samples[:, :, everywhere[0, 0].expand(samples.shape[2:])].flatten(1)
    weight, error = mean_weights((D @ D.mH).real, mask.flatten(1).T)
    agrees = somewhere & (error <= _AGREES).reshape(somewhere.shape)
    return weight.T.reshape(mask.shape).to(samples.real.dtype), agrees


def mean_weights(
    gram: Float[Tensor, "n n"], has: Bool[Tensor, "place n"]
) -> tuple[Float[Tensor, "place n"], Float[Tensor, " place"]]:
    """As above, for G and S: weights of the frames that a place has (0 where it has none), and the distance of their
    mean from that of all frames, relative to its size."""
    gram = gram.double()
    patterns, of = torch.unique(has, dim=0, return_inverse=True)
    patterns, eye = patterns.to(gram), torch.eye(len(gram)).to(gram)
    tiny = torch.finfo(gram.dtype).tiny
    mean = gram.diagonal().mean()
    ridge = _RIDGE * torch.where(mean > 0, mean, 1)
    matrix = patterns[:, :, None] * (gram + ridge * eye) * patterns[:, None] + torch.diag_embed(1 - patterns) * ridge
    wanted = patterns * (gram.mean(1) + ridge / patterns.sum(1, keepdim=True).clamp_min(1))
    free, ones = torch.linalg.solve(matrix, torch.stack([wanted, patterns], -1)).unbind(-1)
    more = (1 - free.sum(1)) / ones.sum(1).clamp_min(tiny)
    weight = (free + more[:, None] * ones) * patterns
    off = weight - 1 / len(gram)
    error = ((off @ gram * off).sum(1).clamp_min(0) / gram.mean().clamp_min(tiny)).sqrt()
    return weight[of], error[of]
