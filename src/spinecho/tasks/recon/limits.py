"""What a card of reconstruction weights limits, and in which ways a scan lies outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spinecho.calib.centre import calibration_size, find_centre
from spinecho.calib.mask_kind import KINDS, mask_kinds
from spinecho.calib.noise import noise_sigma
from spinecho.core.kspace import KSpace
from spinecho.core.task import NUMBER, RANGE, YES_NO, some_of
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import SPATIAL, plain_ifft
from spinecho.tasks.recon.slices import no_slices, slice_matrix, splitting_axis

OTHER = "other"
MASKS = (*KINDS, OTHER)
"""What `masks` may list; `other` is a 3-D mask that does not fall apart into slices."""
TRAJECTORIES = ("radial", "spiral", "other")
LIMITS = {
    "coils": RANGE,
    "acceleration": RANGE,
    "matrix": RANGE,
    "noise": RANGE,
    "masks": some_of(*MASKS),
    "trajectories": some_of(*TRAJECTORIES),
    "calibration_lines": NUMBER,
    "two_dimensional": YES_NO,
}
"""Coils of the receiver; net acceleration (samples of the grid over samples measured); samples along each axis of a
slice; standard deviation of the noise relative to the largest pixel of the zero-filled root sum of squares; kinds of
masks; trajectories taken beside Cartesian scans; least number of calibration lines; whether the network sees slices."""


def outside(card: Mapping[str, Any], kspace: KSpace) -> list[str]:
    """Each way in which a prepared scan lies outside the card, with both numbers; empty where it lies inside.

    Sentences like "64 coils (card: 1 to 32)". Coils are those of the receiver, before compression.
    """
    if not kspace.is_cartesian:
        known = card.get("trajectories", ())
        if kspace.encoding.trajectory in known:
            return _counted(card, kspace)
        return [f"{kspace.encoding.trajectory} trajectory (card: {', '.join(('Cartesian', *known))})"]
    breaches = [*_counted(card, kspace), *_sampled(card, kspace)]
    if "noise" in card and (noise := relative_noise(kspace)) is not None:
        low, high = card["noise"]
        breaches += (
            [] if low <= noise <= high else [f"noise {noise:.2g} of the brightest pixel (card: {low:g} to {high:g})"]
        )
    return breaches


def relative_noise(kspace: KSpace) -> float | None:
    """Standard deviation of the noise, relative to the largest pixel of the zero-filled root sum of squares."""
    peak = float(brightest(kspace).max())
    return noise_sigma(kspace) / peak if peak > 0 else None


def brightest(kspace: KSpace) -> Float[Tensor, "*batch 1 1 1 1"]:
    """The largest pixel, wherever it lies, of each zero-filled root sum of squares."""
    return root_sum_of_squares(plain_ifft(kspace.samples, SPATIAL)).amax((-4, *SPATIAL), keepdim=True)


def kinds(kspace: KSpace) -> set[str]:
    """How the slices of a Cartesian scan were sampled, in the words of MASKS."""
    assert kspace.mask is not None
    axis = -3 if kspace.samples.shape[-3] == 1 else splitting_axis(kspace)
    if axis is None:
        return {OTHER}
    size, origin = slice_matrix(kspace), list(find_centre(kspace))
    del origin[axis]
    planes = kspace.mask.any(axis).flatten(0, -3).expand(-1, *size).cpu().contiguous().numpy()
    words: set[str] = set()
    for plane in {p.tobytes(): p for p in planes}.values():  # np.unique of whole planes takes half a second
        words |= mask_kinds(plane, (origin[0], origin[1]))
    return words


def _counted(card: Mapping[str, Any], kspace: KSpace) -> list[str]:
    breaches: list[str] = []
    if "coils" in card and not _within(card["coils"], kspace.n_receivers):
        n = kspace.n_receivers
        breaches.append(f"{n} coil{'s' * (n > 1)} {_told(card['coils'])}")
    sizes = kspace.encoding.matrix[1:]
    if kspace.encoding.matrix[0] > 1 and card.get("two_dimensional", False):
        if reason := no_slices(kspace):
            return [*breaches, f"3-D: {reason} (card: slices)"]
        sizes = slice_matrix(kspace)
    if "matrix" in card and not all(_within(card["matrix"], n) for n in sizes):
        breaches.append(f"matrix {' x '.join(map(str, sizes))} {_told(card['matrix'])}")
    return breaches


def _sampled(card: Mapping[str, Any], kspace: KSpace) -> list[str]:
    assert kspace.mask is not None
    breaches: list[str] = []
    share = kspace.mask.expand(*kspace.mask.shape[:-3], *kspace.encoding.matrix).float().mean((-3, -2, -1))
    share = share[share > 0]  # an entry of which nothing was measured says nothing of the others
    for factor in sorted({float(1 / share.min()), float(1 / share.max())}) if share.numel() else []:
        if "acceleration" in card and not _within(card["acceleration"], round(factor, 2)):
            breaches.append(f"{factor:.1f}-fold undersampled {_told(card['acceleration'])}")
            break
    strange = kinds(kspace) - set(card.get("masks", MASKS))
    if strange:
        breaches.append(f"sampling {', '.join(sorted(strange))} (card: {', '.join(card['masks'])})")
    least = card.get("calibration_lines", 0)
    if least and kspace.n_coils > 1 and (lines := calibration_size(kspace)) < least:
        breaches.append(f"{lines} calibration lines (card: at least {least})")
    return breaches


def _within(limit: Any, value: float) -> bool:
    return limit[0] <= value <= limit[1]


def _told(limit: Any) -> str:
    return f"(card: {limit[0]:g} to {limit[1]:g})"
