"""A brain and how it might lie at a second visit, aligned; the movement is made here, so each error is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import as_file, files

import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Transform, Velocity, identity
from spinecho.io.read import read_image
from spinecho.metrics.similarity import foreground10
from spinecho.metrics.warp_error import Spread, warp_error_mm
from spinecho.sim.warps import degrade, sample_affine, smooth_noise
from spinecho.tasks.register.run import Registration, run

TURN_DEG, SHIFT_MM, SNR = 12.0, 8.0, 20.0
"""Of the second visit: at most so much about and along each axis; signal over noise"""
BENT_MM, SMOOTH_MM = 12.0, 20.0
"""How far it is bent, and over which distance"""
ROOM = 8
"""Voxels about the head, so that no part of it moves out of the picture"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two visits and the way between them.

    Parameters
    ----------
    fixed, moving
        First and second visit.
    registration
        What was found.
    before, after
        How far points of the brain are from where they belong, without and with it, mm.
    """

    fixed: Image
    moving: Image
    registration: Registration
    before: Spread
    after: Spread


def sample_head() -> Image:
    """The brain among the samples."""
    with as_file(files("spinecho.samples") / "head_t1.nii.gz") as path:
        return read_image(path)


def second_visit(head: Image, seed: int = 5) -> tuple[Image, Transform]:
    """The head moved, bent, shaded and noisier, and the transform from the first visit to it."""
    rng = torch.Generator().manual_seed(seed)
    grid = head.geometry
    z, y, x = (n + 2 * ROOM for n in grid.shape)
    room = grid.cropped([-ROOM] * 3, (z, y, x))
    middle = grid.to_world([(n - 1) / 2 for n in reversed(grid.shape)])
    centre_mm = (float(middle[0]), float(middle[1]), float(middle[2]))
    way = sample_affine(rng, centre_mm, turn_deg=TURN_DEG, shift_mm=SHIFT_MM, scale=0.05) @ _bend(room, rng)
    moved = way.warp(head, onto=room)
    scanned = degrade(moved.values[0].float(), room, rng, snr=SNR)[None]
    header = replace(moved.header, source="second visit, simulated").noted(
        "a second visit, simulated: moved, bent, shaded, with noise"
    )
    return replace(moved, values=scanned, header=header), way.inverse()


def _bend(room: Geometry, rng: torch.Generator) -> Velocity:
    """The flow of smooth noise that fades towards the sides; its inverse is known."""
    z, y, x = (max(2, n // 2) for n in room.shape)
    coarse = room.resized((z, y, x))
    fade = torch.ones(())
    for n in coarse.shape:
        fade = fade[..., None] * torch.hann_window(n, periodic=False)
    velocity = fade * smooth_noise(coarse.shape, SMOOTH_MM / min(coarse.voxel_mm), rng, 3)
    return Velocity(velocity * (BENT_MM / velocity.norm(dim=0).max()), coarse)


def aligned(head: Image) -> Pair:
    """The head and its second visit, registered with what `spinecho register` takes by itself."""
    moving, truth = second_visit(head)
    registration = run(head, moving)
    inside = foreground10(head.values[0].float())
    before, after = (warp_error_mm(way, truth, head.geometry, inside) for way in (identity(), registration.transform))
    return Pair(fixed=head, moving=moving, registration=registration, before=before, after=after)
