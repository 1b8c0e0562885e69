"""One self-contained HTML page on a registration: pictures before and after, the deformation, figures, settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Composite, Displacement, Transform, identity
from spinecho.evaluate.template import part, write_framed
from spinecho.metrics.folding import regularity
from spinecho.metrics.similarity import foreground10, ncc_foreground, nmi_foreground64
from spinecho.metrics.warp_error import inverse_error_mm, mask_points
from spinecho.tasks.register.judge.figures import is_linear, thinned, values_on
from spinecho.tasks.register.judge.pictures import rows_of_pictures
from spinecho.tasks.register.parts.mean_shape import nearest_affine
from spinecho.tasks.register.run import Registration

SCOPE = (
    "Left and right are taken from the images' headers: mirrored anatomy (a scan whose header has the sides exchanged) "
    "is out of scope, and no similarity shows it."
)
_MOST_POINTS = 100_000
_LEAST_ALONG = 5
_HEAD_AND_NECK_MM = 170.0
_BELOW_VERTEX_MM = 75.0
"""Where an adult's thalamus lies, roughly"""


def write_report(
    path: Path,
    fixed: Image,
    moving: Image,
    registration: Registration,
    command: str = "",
    labels: Image | None = None,
    regions: Sequence[tuple[str, str, str, str]] = (),
    regions_note: str = "",
) -> None:
    """Write the page; it needs no other file and no network.

    Parameters
    ----------
    path
        The .html file; replaced only when the new page is complete.
    fixed, moving
        As read.
    registration
        What was found between them.
    command
        What makes this page again.
    labels
        Label map of the moving image, to be drawn over the fixed one.
    regions, regions_note
        Change of regions between two visits (label, share seen, percent, interval), and what that means.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    body = sections(fixed, moving, registration, labels, regions, regions_note)
    write_framed(path, "registration report", "Registration report", body, command)


def sections(
    fixed: Image,
    moving: Image,
    registration: Registration,
    labels: Image | None = None,
    regions: Sequence[tuple[str, str, str, str]] = (),
    regions_note: str = "",
) -> Markup:
    """The page's sections, for pages that hold more than these; parameters as for `write_report`."""
    fixed, moving = fixed.volume(), moving.volume()
    transform = registration.transform
    grid = thinned(fixed.geometry)
    target = values_on(identity(), fixed, grid)
    mask = foreground10(target)
    points = mask_points(grid, mask if bool(mask.any()) else None)
    linear = nearest_affine(transform, points[:: max(1, len(points) // _MOST_POINTS)])
    values = {
        "method": registration.method,
        "facts": [("fixed", *_fact(fixed)), ("moving", *_fact(moving))],
        "rows": rows_of_pictures(fixed, moving, transform, linear, labels, middle(points)),
        "figures": _figures(moving, transform, linear, grid, target, mask),
        "stages": list(registration.seconds.items()),
        "seconds": sum(registration.seconds.values()),
        "notes": [f"{name}: {note}" for name, notes in registration.told.items() for note in notes],
        "warnings": registration.warnings,
        "settings": registration.settings,
        "deformed": not is_linear(transform),
        "scope": SCOPE,
        "regions": regions,
        "regions_note": regions_note,
    }
    return part("spinecho.tasks.register.judge", "register.html.j2", values)


def middle(points: Tensor) -> list[float]:
    """Where the planes cross, LPS mm: the foreground's centre, or the brain's in a head with its neck."""
    centre = points.mean(0).tolist()
    top = float(points[:, 2].quantile(0.999)) if len(points) < _MOST_POINTS else float(points[:, 2].max())
    if top - float(points[:, 2].min()) > _HEAD_AND_NECK_MM:
        centre[2] = top - _BELOW_VERTEX_MM
    return centre


def knows_inverse(transform: Transform) -> bool:
    """Whether the inverse is at hand, and no field has to be inverted by a long iteration."""
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    return all(not isinstance(p, Displacement) or p.backward is not None for p in parts)


def _figures(
    moving: Image, transform: Transform, linear: Affine, grid: Geometry, target: Tensor, mask: Tensor
) -> list[tuple[str, str]]:
    """What is measured, and its value, on at most a million voxels of the fixed grid."""
    moved = [values_on(way, moving, grid) for way in (identity(), transform)]
    ncc = [f"{ncc_foreground(target, m, mask):.3f}" for m in moved]
    nmi = [f"{nmi_foreground64(target, m, mask):.3f}" for m in moved]
    volume = float(np.linalg.det(linear.matrix[:3, :3]))
    rows = [
        ("NCC over the fixed foreground, before and after", " → ".join(ncc)),
        ("NMI (64 bins) there, before and after", " → ".join(nmi)),
        ("affine part: volume in the moving image over that in the fixed one", f"{volume:.3f}"),
    ]
    if min(grid.shape) < _LEAST_ALONG:
        return rows
    if knows_inverse(transform):
        back = inverse_error_mm(transform, grid, mask)
        told = f"{back.mean:.3f}, {back.max:.3f} mm"
    else:
        told = "not known: the method gives no inverse, it is searched for when the transform is written"
    rows.append(("inverse consistency over the foreground, mean and largest", told))
    if is_linear(transform):
        return [*rows, ("deformation", "none: the transform is linear")]
    figure = regularity(transform, grid)
    spacing = " x ".join(f"{v:.3g}" for v in grid.voxel_mm)
    return [
        *rows,
        (f"folded voxels on a grid of {spacing} mm, central differences", f"{figure.folded_central:.4%}"),
        ("folded voxels, digital-diffeomorphism test", f"{figure.folded_digital:.4%}"),
        ("Jacobian determinant, smallest and largest", f"{figure.jacobian_min:.2f}, {figure.jacobian_max:.2f}"),
        ("SDlogJ", f"{figure.sdlogj:.3f}"),
    ]


def _fact(image: Image) -> tuple[str, str]:
    g = image.geometry
    size = " x ".join(map(str, g.shape[::-1]))
    voxel = " x ".join(f"{v:.3g}" for v in g.voxel_mm)
    known = "" if g.oriented else ", orientation unknown"
    return Path(image.header.source).name or "image", f"{size} voxels (x, y, z) of {voxel} mm{known}"
