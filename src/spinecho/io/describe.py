"""What a scan or an image is, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spinecho.core.header import WARNING, Header
from spinecho.core.image import Image
from spinecho.core.job import Console
from spinecho.core.kspace import KSpace
from spinecho.ops.sampling import acceleration


def one_line(item: KSpace | Image, n_slices: int | None = None) -> str:
    """`fastmri: 16 slices, 8 coils, matrix 1 x 320 x 320 (z, y, x), 4.0-fold undersampled`.

    `n_slices` is given where item is only one of that many slices.
    """
    batch = [(axis, n_slices if axis == "slice" and n_slices else n) for axis, n in _batch(item)]
    parts = [f"{n} {axis}s" if n != 1 else f"1 {axis}" for axis, n in batch]
    if isinstance(item, KSpace):
        parts.append(f"{item.n_coils} coil{'s' if item.n_coils > 1 else ''}")
        parts.append(f"matrix {times(item.encoding.matrix)} (z, y, x)")
        parts.append(sampling(item))
    else:
        parts.append(f"{times(item.values.shape[-3:])} (z, y, x), {str(item.values.dtype).removeprefix('torch.')}")
    flags = f" [{', '.join(item.header.flags)}]" if item.header.flags else ""
    return f"{item.header.file_format or 'data'}: {', '.join(parts)}{flags}"


def sampling(scan: KSpace) -> str:
    """How much of a scan was measured."""
    if scan.mask is None:
        return f"{scan.encoding.trajectory} trajectory of {scan.samples.shape[-2]} readouts"
    factor = acceleration(scan.mask.expand(*scan.mask.shape[:-3], *scan.encoding.matrix))
    return "fully sampled" if factor < 1.005 else f"{factor:.3g}-fold undersampled"


def facts(item: KSpace | Image) -> list[tuple[str, str]]:
    """Labels and values, those that are known."""
    header, g = item.header, item.geometries[0]
    rows = [("what", "k-space" if isinstance(item, KSpace) else "image"), ("", one_line(item))]
    if isinstance(item, KSpace):
        rows.append(("image matrix", f"{times(item.encoding.recon_matrix)} (z, y, x)"))
        rows.append(("calibration lines apart", "" if item.calib is None else times(item.calib.shape[-3:])))
        rows.append(("noise covariance", "yes" if item.noise_cov is not None else "no"))
        rows.append(("truth in the file", "yes" if item.target is not None else ""))
    rows.append(("voxel", f"{times(f'{v:.4g}' for v in g.voxel_mm)} mm (x, y, z)"))
    rows.append(("first voxel", f"{', '.join(f'{v:.2f}' for v in g.affine[:3, 3])} mm LPS" if g.oriented else ""))
    rows.append(("orientation", "" if g.oriented else "unknown"))
    rows.append(("scanner", f"{header.vendor} {header.model}".strip()))
    rows.append(("field", f"{header.field_t:.3g} T" if header.field_t else ""))
    for label, values, unit in (
        ("TE", header.te_ms, "ms"),
        ("TR", header.tr_ms, "ms"),
        ("TI", header.ti_ms, "ms"),
        ("flip angle", header.flip_deg, "degrees"),
    ):
        rows.append((label, f"{', '.join(f'{v:.4g}' for v in values)} {unit}" if values else ""))
    rows += [("sequence", header.sequence), ("protocol", header.protocol)]
    rows += [("history", step) for step in header.history]
    return [(label, value) for label, value in rows if value]


def plain(item: KSpace | Image) -> dict[str, Any]:
    """What is known, as JSON can hold it; one grid for all slices, or one each."""
    scan = isinstance(item, KSpace)
    grids = [
        {"shape_zyx": g.shape, "voxel_mm": g.voxel_mm, "affine_lps": g.affine.tolist() if g.oriented else None}
        for g in item.geometries
    ]
    told: dict[str, Any] = {
        "kind": "k-space" if scan else "image",
        "summary": one_line(item),
        "axes": dict(_batch(item)),
        "oriented": all(g.oriented for g in item.geometries),
        "grids": grids,
        "header": item.header.plain(),
    }
    if isinstance(item, KSpace):
        told |= {
            "coils": item.n_coils,
            "matrix_zyx": item.encoding.matrix,
            "image_matrix_zyx": item.encoding.recon_matrix,
            "sampling": sampling(item),
            "noise_covariance": item.noise_cov is not None,
            "truth": item.target is not None,
        }
    else:
        told |= {"channels": item.values.shape[-4], "type": str(item.values.dtype).removeprefix("torch.")}
    return told


def tell_history(header: Header, console: Console, whose: str = "") -> None:
    """Say what a reader did or assumed, as a warning where a person must not overlook it."""
    for step in header.history:
        if step.startswith(WARNING):
            console.warn(f"{whose}{step[len(WARNING) :]}")
        else:
            console.say(f"  {whose}{step}")


def written(paths: Sequence[Path]) -> str:
    """`wrote brain.nii.gz`, or how many files in which folder."""
    if len(paths) <= 4:
        return "\n".join(f"wrote {path}" for path in paths)
    return f"wrote {len(paths)} files in {paths[0].parent}"


def times(sizes: object) -> str:
    """(1, 320, 320) -> "1 x 320 x 320"."""
    return " x ".join(str(n) for n in sizes)  # type: ignore[attr-defined]


def _batch(item: KSpace | Image) -> list[tuple[str, int]]:
    tensor = item.samples if isinstance(item, KSpace) else item.values
    return list(zip(item.axes, tensor.shape[:-4], strict=True))
