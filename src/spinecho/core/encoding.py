"""How a scan was encoded: matrix sizes, fields of view, trajectory, acceleration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Sizes of the encoded grid and of the image wanted from it; every triple is (z, y, x) = (k2, k1, k0).

    Parameters
    ----------
    matrix
        Size of the encoded grid. For Cartesian data the samples have this shape; for trajectories, images do.
    recon_matrix
        Size of the image that is handed out.
    fov_mm, recon_fov_mm
        Fields of view of both; None: unknown.
    centre
        Index at which k = 0 lies in the samples (n // 2 unless found otherwise); Cartesian only.
    acceleration
        Nominal factor along (k2, k1), for headers and reports; what was measured is in the mask.
    trajectory
        `cartesian`, or what shape the non-Cartesian path has.
    is_exact
        Samples lie exactly on the trajectory (it was measured, or delays of the gradients are corrected already).
    """

    matrix: tuple[int, int, int]
    recon_matrix: tuple[int, int, int]
    fov_mm: tuple[float, float, float] | None = None
    recon_fov_mm: tuple[float, float, float] | None = None
    centre: tuple[int, int, int] | None = None
    acceleration: tuple[float, float] = (1.0, 1.0)
    trajectory: Literal["cartesian", "radial", "spiral", "other"] = "cartesian"
    is_exact: bool = False

    @classmethod
    def cartesian(cls, matrix: tuple[int, int, int]) -> Encoding:
        """A plain grid: the image has the samples' size, nothing else is known."""
        return cls(matrix=matrix, recon_matrix=matrix)

    @property
    def origin(self) -> tuple[int, int, int]:
        """Index of k = 0: `centre` where known, else n // 2."""
        z, y, x = self.matrix
        return self.centre or (z // 2, y // 2, x // 2)

    @property
    def cropped_matrix(self) -> tuple[int, int, int]:
        """The image's size at the encoded resolution, once cropped (or padded) to the field of view wanted.

        It differs from `recon_matrix` where the scanner interpolates.
        """
        if self.fov_mm is None or self.recon_fov_mm is None:
            return self.recon_matrix
        z, y, x = (
            round(n * recon / encoded) if recon > 0 and encoded > 0 else m
            for n, m, recon, encoded in zip(self.matrix, self.recon_matrix, self.recon_fov_mm, self.fov_mm, strict=True)
        )
        return max(1, z), max(1, y), max(1, x)
