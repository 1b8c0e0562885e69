"""Radial acquisitions drawn at random, for training: few spokes, evenly or by the golden angle, readout oversampled."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.chance import integer, log_uniform, uniform
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import mix_coils, root_sum_of_squares, whitening
from spinecho.ops.nufft import NUFFT
from spinecho.sim import noise
from spinecho.sim.draws import Draws, sample_coil_images, sample_noise_cov
from spinecho.sim.trajectory import radial

_MOST_FIRST = 1000
"""Golden-angle series begin with any spoke below this number."""


def acquire_radial(magnitude: Float[Tensor, "fy fx"], side: int, rng: torch.Generator, draws: Draws) -> KSpace:
    """Scan an object along radial spokes, with random phase, coils and noise as in `acquire_random`.

    The number of spokes is drawn from `draws.spokes` (no more than twice the matrix); half of the scans have evenly
    divided angles, half golden ones; half have a twofold oversampled readout.

    Parameters
    ----------
    magnitude
        The object over the (square) field of view, of `fine_shape((side, side))`.
    side
        Matrix along both axes.

    Returns
    -------
    Samples (coil, 1, spoke, sample) on the scale of the unitary transform, with trajectory; `target` is the root sum of
    squares of the noise-free (prewhitened) coil images. Half of the scans know their noise covariance.
    """
    matrix = (1, side, side)
    coil_images = sample_coil_images(magnitude, (side, side), rng, replace(draws, odd=0.0))
    cov = sample_noise_cov(coil_images, rng, draws)
    n_spokes = min(round(log_uniform(rng, *draws.spokes)), 2 * side)
    n_samples = side * (1 + integer(rng, 2))
    traj = radial(n_spokes, n_samples, side, golden=bool(integer(rng, 2)), first=integer(rng, _MOST_FIRST))
    samples = NUFFT(traj, matrix, eps=1e-5)(coil_images)
    samples = samples + noise.noise(tuple(samples.shape), cov, rng)
    known = uniform(rng) < 0.5
    return KSpace(
        samples=samples,
        traj=traj,
        encoding=replace(Encoding.cartesian(matrix), trajectory="radial"),
        geometries=(Geometry.unknown(matrix),),
        noise_cov=cov if known else None,
        header=Header().flagged("simulated"),
        target=root_sum_of_squares(mix_coils(coil_images, whitening(cov)) if known else coil_images),
    )
