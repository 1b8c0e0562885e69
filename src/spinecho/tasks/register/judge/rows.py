"""One row per pair and method: every measure of a registration by its name."""

from __future__ import annotations

from dataclasses import dataclass

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """What one method made of one pair; nan where it is not known.

    Parameters
    ----------
    key
        Names the row for good: the files of the pair, the method, its settings and version, that of the measures.
    pair, group, fixed
        The pair, the set it belongs to, the fixed image's file.
    method
        As asked for, settings included.
    refused
        Why there are no figures.
    calls
        What a program of others was asked for, as its own record tells it.
    n_regions, n_lost
        Regions scored, and those of them that the moved label map lacks.
    dice, hd95_voxels, hd95_mm
        `overlap.dice_fixed100` and `surface.hd95_per_label` of the same regions, means; lost ones count in dice alone.
    sdlogj ... folded_volume
        `folding.Regularity` at the fixed voxels.
    error_mm, error_p95_mm, error_max_mm
        `warp_error.warp_error_mm` where the truth is known.
    inverse_mm, inverse_max_mm
        `warp_error.inverse_error_mm` over the fixed foreground.
    ncc_before, ncc_after, nmi_before, nmi_after
        `similarity`, over the fixed foreground.
    wall_s, cpu_s
        Of the whole registration, programs it starts included, reading and writing of images by us excluded.
    stages
        Seconds of each stage, as "affine 3.1, velocity 20.4".
    peak_gb
        `peak.peak_resident`, or what the program itself recorded.
    """

    key: str
    pair: str
    group: str
    fixed: str
    method: str
    refused: str = ""
    calls: str = ""
    n_regions: int = 0
    n_lost: int = 0
    dice: float = NAN
    hd95_voxels: float = NAN
    hd95_mm: float = NAN
    sdlogj: float = NAN
    sdlogj_learn2reg: float = NAN
    jacobian_min: float = NAN
    jacobian_max: float = NAN
    folded_central: float = NAN
    folded_digital: float = NAN
    folded_volume: float = NAN
    error_mm: float = NAN
    error_p95_mm: float = NAN
    error_max_mm: float = NAN
    inverse_mm: float = NAN
    inverse_max_mm: float = NAN
    ncc_before: float = NAN
    ncc_after: float = NAN
    nmi_before: float = NAN
    nmi_after: float = NAN
    wall_s: float = NAN
    cpu_s: float = NAN
    stages: str = ""
    peak_gb: float = NAN
