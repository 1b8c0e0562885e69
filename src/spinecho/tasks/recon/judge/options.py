"""What `spinecho evaluate recon` takes beside the options of every task."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from spinecho.core.option import HIDDEN, INLINE, Option
from spinecho.io.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class Reading(ReadOptions):
    """How full scans are read; masks are drawn here, and a case list can name those of files."""

    mask: Annotated[Path | None, Option(hidden=True, name="file-mask")] = None
    traj: Annotated[Path | None, HIDDEN] = None
    simulate_mask: Annotated[str | None, HIDDEN] = None


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What the simulated test scans (--data sim) are drawn from; the rest is drawn by seed."""

    labels: Path | None = None
    """folder with label maps of heads (labels_NN.nii.gz), of which the test subjects are taken; else a phantom"""
    sim_coils: tuple[int, ...] = ()
    """coils of the simulated scans, by turns (default: drawn, 4 to 20)"""
    sim_matrix: tuple[int, int] = (320, 320)
    """matrix of the simulated scans (y x)"""
    sim_noise: float = 1.0
    """noise relative to what is drawn (SNR 10 to 60)"""
    sim_seed: int = 0
    """from which the simulated scans are drawn"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which scans, and how they are undersampled."""

    scans: Annotated[tuple[str, ...], Option(name="data")]
    """full scans: files, folders, case lists (.json), or sim or sim:N for N simulated test scans"""
    accel: tuple[float, ...] = (4.0,)
    """acceleration factors"""
    centre: tuple[float, ...] = ()
    """central lines for each factor, a fraction below 1 or a count (default: 0.32 over the factor)"""
    mask: tuple[Literal["random", "equispaced", "gaussian", "poisson"], ...] = ("random",)
    """kinds of masks"""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """seeds of the masks"""
    read: Annotated[Reading, INLINE] = field(default_factory=Reading)
    simulation: Annotated[Simulation, INLINE] = field(default_factory=Simulation)
