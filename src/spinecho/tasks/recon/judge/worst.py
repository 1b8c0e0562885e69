"""The worst cases of an evaluation, made again to be looked at: every method's image, its error, one window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.evaluate import pictures
from spinecho.evaluate.words import number
from spinecho.tasks.recon.judge import oracle
from spinecho.tasks.recon.judge.case import flat_slices
from spinecho.tasks.recon.judge.columns import Column, middle_slice
from spinecho.tasks.recon.judge.protocol import fitted
from spinecho.tasks.recon.judge.rows import Kind, Row
from spinecho.tasks.recon.judge.run import Plan, reconstruct
from spinecho.tasks.recon.judge.truth import Truth, load_truth

N_WORST = 3
"""Cases shown of each kind for each way of being bad."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A case with its pictures and why it is shown."""

    title: str
    why: str
    columns: tuple[Column, ...]


def worst(rows: Sequence[Row], kind: Kind, method: str, baseline: str) -> dict[str, str]:
    """Case -> why: those with the lowest psnr of a method, and with its least gain over the baseline."""
    mine = {r.case: r for r in rows if r.kind == kind and r.method == method and not r.refused}
    base = {r.case: r.psnr for r in rows if r.kind == kind and r.method == baseline and not r.refused}
    found = dict.fromkeys(sorted(mine, key=lambda c: mine[c].psnr)[:N_WORST], f"lowest psnr of {method}")
    if method != baseline:
        gain = {c: mine[c].psnr - base[c] for c in mine if c in base}
        for c in sorted(gain, key=lambda c: gain[c])[:N_WORST]:
            found[c] = f"{found[c]}, and " if c in found else ""
            found[c] += f"least gain of {method} over {baseline} ({gain[c]:+.2f} dB)"
    return found


def shown(plan: Plan, rows: Sequence[Row], cases: dict[str, str]) -> Iterator[Shown]:
    """Reconstruct these cases again, in the order of `cases`, and draw them.

    An oracle's image is not made again: it is the best of dozens.
    """
    first = {r.case: r for r in reversed(rows) if r.case in cases}
    for case, why in cases.items():
        row = first[case]
        source = next(s for s in plan.sources if s.name == row.scan and row.slice < s.n_slices)
        truth = load_truth(source, row.slice)
        spec = next((s for s in plan.specs if (s.kind, s.accel, s.centre, s.seed) == _mask_of(row)), plan.specs[0])
        kspace = truth.undersampled(spec).to(plan.device)
        own = {r.method: r for r in rows if r.case == case and r.method not in oracle.NAMES and not r.refused}
        title = f"{row.scan}{f', slice {row.slice}' if source.n_slices > 1 else ''}: {row.mask}, R = {row.accel:g}"
        yield Shown(title=f"{title}, mask {row.seed}", why=why, columns=tuple(_columns(truth, kspace, own)))


def _mask_of(row: Row) -> tuple[str, float, float, int]:
    return row.mask, row.accel, row.centre, row.seed


def _columns(truth: Truth, kspace: KSpace, rows: dict[str, Row]) -> Iterator[Column]:
    top = pictures.upper_window(truth.values)
    has_truth = False
    for method, row in rows.items():
        try:
            values, _ = reconstruct(kspace, method, truth)
        except DataError:
            continue
        values = values.cpu()
        image = _on_grid(kspace, values)
        if not has_truth:
            has_truth = True
            yield Column(name="truth", image=_grey(truth.values.reshape(values.shape), image, top, "of all samples"))
        prediction = fitted(truth.values, flat_slices(values))
        line = f"{number(row.psnr)} dB · ssim {number(row.ssim, 3)}"
        picture = _grey(prediction.reshape(values.shape), image, top, "")
        error = _grey((prediction - truth.values).abs().reshape(values.shape), image, top / 5, "error, 5 x brighter")
        yield Column(name=method, image=picture, error=error, line=line)


def _on_grid(kspace: KSpace, values: Tensor) -> Image:
    """The values as an image of the scan on the grid that `recon` hands out."""
    wanted = (int(values.shape[-3]), int(values.shape[-2]), int(values.shape[-1]))
    cropped = kspace.encoding.cropped_matrix
    geometries = tuple(g.centre_cropped(cropped).resized(wanted) for g in kspace.geometries)
    return Image(values=values, geometries=geometries, axes=kspace.axes, header=kspace.header)


def _grey(values: Tensor, image: Image, top: float, caption: str) -> pictures.Picture:
    rows, size = middle_slice(values, image)
    return pictures.grey(rows, top, caption, size)
