"""One self-contained HTML page: the images, how they were sampled, how good they are, and what was done."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from spinecho import __version__
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.evaluate import pictures
from spinecho.evaluate.case import Case, Result, flat_slices
from spinecho.evaluate.pictures import Picture
from spinecho.io.atomic import replacing
from spinecho.io.display import upright, upright_geometry
from spinecho.metrics import PROTOCOL
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.sampling import acceleration


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
    environment = Environment(
        loader=PackageLoader("spinecho.evaluate", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["uri"] = lambda p: "data:image/png;base64," + base64.b64encode(p.png).decode()
    page = environment.get_template("report.html.j2").render(
        cases=[_view(case) for case in cases], version=__version__, protocol=PROTOCOL, command=command
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _view(case: Case) -> dict[str, object]:
    """What the template shows of a case."""
    return {
        "title": case.title,
        "flags": case.kspace.header.flags,
        "facts": facts(case.kspace),
        "columns": _columns(case),
        "sampling": _sampling(case.kspace),
        "maps": [picture for r in case.results for picture in _maps(r, first=r is _with_maps(case))],
        "results": case.results,
        "has_scores": any(r.scores for r in case.results),
        "scaled": case.kspace.noise_cov is not None,
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


def _middle(values: Tensor, image: Image) -> tuple[Tensor, tuple[float, float]]:
    """The middle slice of the first batch entry as rows and columns, upright, with its pixel size (width, height).

    Values lie on the image's grid; batch axes that they lack are inserted.
    """
    n_batch = len(image.axes)
    values = values[(None,) * (n_batch + 4 - values.ndim)]
    shown = replace(image, values=values.expand(*image.values.shape[:n_batch], *values.shape[n_batch:]), extras={})
    shown = shown.as_stored()
    middle = len(shown.geometries) // 2
    index = tuple(middle if axis == "slice" else 0 for axis in shown.axes)
    geometry = upright_geometry(shown.geometries[middle])
    volume = upright(shown.values[index][0], shown.geometries[middle])
    return volume[volume.shape[0] // 2], geometry.voxel_mm[:2]


def _columns(case: Case) -> list[dict[str, object]]:
    """Truth and results side by side under one window, each with its error."""
    if not case.results:
        return []
    first = case.results[0].image
    target = case.kspace.target
    reference = target if target is not None else first.magnitude().values
    top = pictures.upper_window(reference)
    columns: list[dict[str, object]] = []
    if target is not None:
        rows, size = _middle(target.abs(), first)
        picture = pictures.grey(rows, top, "the fully sampled scan", size)
        columns.append({"name": "truth", "image": picture, "error": None, "line": ""})
    for r in case.results:
        magnitude = r.image.magnitude().values
        matched = magnitude if target is None else magnitude * _match(case.kspace, target, magnitude)
        own_top = top if target is not None else pictures.upper_window(magnitude)
        rows, size = _middle(matched, r.image)
        picture = pictures.grey(rows, own_top, f"white at {own_top:.3g}", size)
        columns.append(
            {"name": r.method, "image": picture, "error": _error(target, matched, r.image, top), "line": _line(r)}
        )
    return columns


def _match(kspace: KSpace, target: Tensor, magnitude: Tensor) -> float:
    if kspace.noise_cov is None:
        return 1.0
    t, p = flat_slices(target), flat_slices(magnitude)
    return float((t * p).sum() / p.square().sum())


def _line(r: Result) -> str:
    seconds = f"{r.seconds:.2f} s"
    return seconds if r.scores is None else f"{seconds} · {r.scores.psnr:.2f} dB · ssim {r.scores.ssim:.3f}"


def _error(target: Tensor | None, magnitude: Tensor, image: Image, top: float) -> Picture | None:
    if target is None:
        return None
    rows, size = _middle((magnitude - target.abs()).abs(), image)
    return pictures.grey(rows, top / 5, "absolute error, 5 x brighter", size)


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
    return [
        pictures.grey(plane(mask).float(), 1.0, f"measured samples: {names}"),
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
    found = [_gfactor(r)] if "gfactor" in r.image.extras else []
    if first:
        csm = r.image.extras["csm"].abs()
        shown = [_middle(csm[..., 0, c : c + 1, :, :, :], r.image)[0] for c in range(min(csm.shape[-4], 32))]
        sheet = pictures.tiles(shown, columns=max(4, -(-len(shown) // 4)))
        found.append(pictures.coloured(sheet, (0.0, 1.0), f"coil maps of {r.method}, magnitude", colours="viridis"))
    if "residual" in r.image.extras:
        rows, size = _middle(r.image.extras["residual"].abs(), r.image)
        top = pictures.upper_window(r.image.values)
        caption = (
            f"what {r.method} leaves of the measured samples, as an image, 20 x brighter: noise is good, anatomy is not"
        )
        found.append(pictures.grey(rows, top / 20, caption, size))
    return found


def _gfactor(r: Result) -> Picture:
    rows, size = _middle(r.image.extras["gfactor"].abs(), r.image)
    top = max(1.5, pictures.upper_window(rows, 99.0))
    return pictures.coloured(
        rows, (1.0, top), f"g-factor of {r.method}", colours="turbo", pixel_mm=size, unit="noise x g"
    )
