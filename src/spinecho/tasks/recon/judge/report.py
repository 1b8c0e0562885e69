"""One self-contained HTML page: the images, how they were sampled, how good they are, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from markupsafe import Markup
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.evaluate import pictures
from spinecho.evaluate.judge import INSIDE
from spinecho.evaluate.pictures import Picture
from spinecho.evaluate.template import part, write_framed
from spinecho.metrics.image import PROTOCOL
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.sampling import acceleration
from spinecho.tasks.recon.judge.case import Case, Result
from spinecho.tasks.recon.judge.columns import columns, middle_slice


def write_report(path: Path, cases: Sequence[Case], command: str = "") -> None:
    """Write the page; it needs no other file and no network.

    Parameters
    ----------
    path
        The .html file; replaced only when the new page is complete.
    cases
        Scans with their results.
    command
        What makes this page again.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    write_framed(path, "report", "Reconstruction report", sections(cases), command)


def sections(cases: Sequence[Case]) -> Markup:
    """The page's sections, one for each scan, for pages that hold more than these."""
    protocol = f"{INSIDE}; scaled to the truth there. Whole image, as it is: {PROTOCOL}"
    values = {"cases": [_view(case) for case in cases], "protocol": protocol}
    return part("spinecho.tasks.recon.judge", "report.html.j2", values)


def _view(case: Case) -> dict[str, object]:
    """What the template shows of a case."""
    return {
        "title": case.title,
        "flags": case.kspace.header.flags,
        "facts": facts(case.kspace),
        "columns": columns(case, film=True),
        "sampling": _sampling(case.kspace),
        "maps": [picture for r in case.results for picture in _maps(r, first=r is _with_maps(case))],
        "results": case.results,
        "has_scores": any(r.scores for r in case.results),
        "refused": case.refused,
    }


def facts(kspace: KSpace) -> list[tuple[str, str]]:
    """What the scan is, as labels and values."""
    encoding, header = kspace.encoding, kspace.header
    rows = [("file", header.source), ("format", header.file_format), ("coils", str(kspace.n_coils))]
    rows.append(("encoded matrix (z, y, x)", " x ".join(map(str, encoding.matrix))))
    rows.append(("image matrix (z, y, x)", " x ".join(map(str, encoding.recon_matrix))))
    batch = zip(kspace.axes, kspace.samples.shape[:-4], strict=True)
    rows += [(f"number of {axis} entries", str(n)) for axis, n in batch]
    if kspace.mask is not None:
        full = kspace.mask.expand(*kspace.mask.shape[:-3], *encoding.matrix)
        rows.append(("net acceleration", f"{acceleration(full):.2f}"))
    else:
        rows.append(("trajectory", f"{encoding.trajectory}, {kspace.samples.shape[-2]} readouts"))
    rows.append(("voxel (x, y, z)", " x ".join(f"{v:.3g}" for v in kspace.geometries[0].voxel_mm) + " mm"))
    rows.append(("scanner", f"{header.vendor} {header.model}".strip()))
    rows.append(("field", f"{header.field_t:.3g} T" if header.field_t else ""))
    rows.append(("noise scan", "yes" if kspace.noise_cov is not None else "no"))
    return [(label, value) for label, value in rows if value]


def _sampling(kspace: KSpace) -> list[Picture]:
    """Mask or trajectory, and the magnitude of k-space on a logarithmic scale."""
    samples = kspace.samples.flatten(0, -5)[0] if kspace.samples.ndim > 4 else kspace.samples
    energy = root_sum_of_squares(samples)[0]
    if kspace.traj is not None:
        return [_trajectory(kspace.traj)]
    assert kspace.mask is not None
    mask = (kspace.mask.flatten(0, -5)[0] if kspace.mask.ndim > 4 else kspace.mask)[0]
    mask = mask.expand(energy.shape)
    plane = (lambda t: t[t.shape[0] // 2]) if energy.shape[-3] == 1 else (lambda t: t[..., t.shape[-1] // 2])
    log, bounds = pictures.log_magnitude(plane(energy))
    names = "k0 to the right, k1 down" if energy.shape[-3] == 1 else "k1 to the right, k2 down"
    which = "all of them, " if bool(mask.all()) else ""
    return [
        pictures.grey(plane(mask).float(), 1.0, f"measured samples: {which}{names}"),
        pictures.coloured(log, bounds, "k-space, root sum of squares over coils", unit="log10 of its maximum"),
    ]


def _trajectory(traj: Tensor) -> Picture:
    points = traj.reshape(-1, traj.shape[-4] * traj.shape[-3] * traj.shape[-2], 3)[0]
    n = 400
    half = float(points.abs().max()) or 1.0
    index = ((points[:, :2] / half + 1) / 2 * (n - 1)).round().long().clamp(0, n - 1)
    sheet = torch.zeros(n, n)
    sheet[index[:, 1], index[:, 0]] = 1
    return pictures.grey(sheet, 1.0, "sample positions: kx to the right, ky down")


def _with_maps(case: Case) -> Result | None:
    return next((r for r in case.results if "csm" in r.image.extras), None)


def _maps(r: Result, *, first: bool) -> list[Picture]:
    """g-factor and residual of data consistency of a result that has them; coil maps from the first that has some."""
    drawn = [_gfactor(r)] if "gfactor" in r.image.extras else []
    if first:
        csm = r.image.extras["csm"].abs()
        shown = [middle_slice(csm[..., 0, c : c + 1, :, :, :], r.image)[0] for c in range(min(csm.shape[-4], 32))]
        sheet = pictures.tiles(shown, columns=max(min(4, len(shown)), -(-len(shown) // 4)))
        drawn.append(pictures.coloured(sheet, (0.0, 1.0), f"coil maps of {r.method}, magnitude", colours="viridis"))
    if "residual" in r.image.extras:
        rows, size = middle_slice(r.image.extras["residual"].abs(), r.image)
        top = pictures.upper_window(r.image.values)
        caption = (
            f"what {r.method} leaves of the measured samples, as an image, 20 x brighter: noise is good, anatomy is not"
        )
        drawn.append(pictures.grey(rows, top / 20, caption, size))
    return drawn


def _gfactor(r: Result) -> Picture:
    rows, size = middle_slice(r.image.extras["gfactor"].abs(), r.image)
    top = max(1.5, pictures.upper_window(rows, 99.0))
    return pictures.coloured(
        rows, (1.0, top), f"g-factor of {r.method}", colours="turbo", pixel_mm=size, unit="noise x g"
    )
