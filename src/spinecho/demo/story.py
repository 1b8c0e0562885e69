"""The demo's first page: one scan, four methods, one checked result, one aligned pair, one denoised image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.transform import identity
from spinecho.demo.pair import Pair
from spinecho.demo.quiet import Quiet
from spinecho.evaluate import pictures
from spinecho.evaluate.pictures import Column, Picture
from spinecho.ops.coils import root_sum_of_squares
from spinecho.tasks.recon.judge.case import Case, Result, score_image
from spinecho.tasks.recon.judge.columns import columns, middle_slice
from spinecho.tasks.register.judge.pictures import columns as pair_columns

FOUR = {
    "zero_filled": "what was not measured counts as zero",
    "cg_sense": "also uses that each coil sees another part of the head",
    "l1_wavelet": "also uses that images are mostly smooth (compressed sensing)",
    "varnet": "also uses what a network has learned from other scans",
}
"""The four methods, and what each adds to the one before"""
CHECKED = "checked"


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A part of the story: paragraphs, pictures, and a remark in small letters."""

    title: str
    words: Sequence[str]
    columns: Sequence[Column]
    remark: str = ""


def chapters(case: Case, pair: Pair, quiet: Quiet) -> list[Chapter]:
    """The story of a flat Cartesian scan that has a truth."""
    return [*chapters_of_scan(case), _pair(pair), _quiet(case, quiet)]


def chapters_of_scan(case: Case) -> list[Chapter]:
    """How it was measured, four methods, and the one that checks itself."""
    return [_scan(case), _four(case), _checked(case)]


def named(case: Case, method: str) -> Result:
    """A method's result of a case that has it."""
    return next(r for r in case.results if r.method == method)


def _scan(case: Case) -> Chapter:
    measured, heard, n, of = _lines(case.kspace)
    words = (
        "A scanner measures lines of spatial frequencies, one after the other, and each costs time.",
        f"This scan has {n} of {of} lines, heard by {case.kspace.n_coils} coils at once: it took {n / of:.0%} of the "
        "time of a full one. What would the other lines have said?",
    )
    shown = [
        Column(name="measured lines", image=measured, line="white: measured"),
        Column(
            name="what the coils heard",
            image=heard,
            line="brighter: stronger; the brain's coarse shape is in the middle",
        ),
        replace(columns(case)[0], name="the right answer", line="from all lines, without noise"),
    ]
    return Chapter(title="One scan", words=words, columns=shown)


def _lines(kspace: KSpace) -> tuple[Picture, Picture, int, int]:
    """Mask and strength of the samples, measured lines, and lines in all."""
    assert kspace.mask is not None
    heard = root_sum_of_squares(kspace.samples)[0, 0]
    mask = kspace.mask[0, 0].expand(heard.shape)
    log, (low, high) = pictures.log_magnitude(heard)
    lines = mask.any(-1)
    return (
        pictures.grey(mask.float(), 1.0, ""),
        pictures.grey(log - low, high - low, ""),
        int(lines.sum()),
        lines.numel(),
    )


def _four(case: Case) -> Chapter:
    some = replace(case, results=tuple(named(case, name) for name in FOUR))
    shown = [replace(c, line=f"{_decibel(named(case, c.name))}: {FOUR[c.name]}") for c in columns(some)[1:]]
    words = (
        f"Four of the {len(case.results)} methods that take this scan, from the simplest to a trained network.",
        "Below each image stands its error, five times brighter: the darker, the better. The figure says how near the "
        "image is to the right answer inside the head; 6 dB more is half the error.",
    )
    return Chapter(title="Four methods", words=words, columns=shown)


def _checked(case: Case) -> Chapter:
    result = named(case, CHECKED)
    truth, one = columns(replace(case, results=(result,)))
    assert one.below is not None
    shown = [
        replace(truth, name="the right answer", line="known here, unknown otherwise"),
        Column(name=CHECKED, image=one.image, line=_decibel(result)),
        Column(name="its error", image=one.below, line="five times brighter"),
    ]
    words = [
        "On a scan of your own nobody knows the right answer. This method, which spinecho takes by itself, asks the "
        "scan: it leaves out some measured lines, has several candidates predict them, and mixes these accordingly.",
    ]
    if nearer := [name for name in FOUR if _psnr(named(case, name)) > _psnr(result)]:
        words.append(
            f"Here {' and '.join(nearer)} alone is nearer still. On scans unlike those of its training a network may "
            "be far off, and that is what the check is for."
        )
    remark = next((step for step in result.image.header.history if step.startswith(f"{CHECKED}: ")), "")
    return Chapter(title="One checked result", words=words, columns=shown, remark=remark)


def _pair(pair: Pair) -> Chapter:
    voxel = min(pair.fixed.geometry.voxel_mm)
    words = (
        "The same brain at a second visit, simulated: turned, moved and bent, with more noise and another shading. "
        f"spinecho aligned the two in {sum(pair.registration.seconds.values()):.0f} s, without training.",
        "Since the movement was made here, the error of each point is known: on average "
        f"{pair.before.mean:.1f} mm before and {pair.after.mean:.1f} mm after. A voxel is {voxel:g} mm wide.",
    )
    ways = {"before": identity(), "after": pair.registration.transform}
    fixed, lying, moved = pair_columns(pair.fixed, pair.moving, ways)
    assert moved.below is not None
    outline = "the first visit in outline"
    shown = [
        Column(name="first visit", image=fixed.image),
        Column(name="second visit", image=lying.image, line=outline),
        Column(name="second visit, aligned", image=moved.image, line=outline),
        Column(name="both by turns", image=moved.below, line="edges go on from square to square"),
    ]
    return Chapter(title="One aligned pair", words=words, columns=[replace(c, line=c.line or " ") for c in shown])


def _quiet(case: Case, quiet: Quiet) -> Chapter:
    results = [
        Result(method=name, image=image, seconds=math.nan, scores=score_image(case.kspace, image))
        for name, image in (("before", quiet.before), ("after", quiet.after))
    ]
    truth, *shown = columns(replace(case, results=tuple(results)))
    shown = [replace(c, line=_decibel(r), below=None) for c, r in zip(shown, results, strict=True)]
    taken = (quiet.after.magnitude().values - quiet.before.magnitude().values).abs()
    picture, times = brightened(taken, quiet.after)
    shown.append(Column(name="what was taken away", image=picture, line=f"{times:.0f} times brighter"))
    shown.append(replace(truth, name="the right answer", line=" "))
    words = (
        f"The noisy image that {quiet.method} made above. spinecho measured the noise and took it away.",
        "What was taken away should be grain, without the folds of the brain.",
    )
    remark = next((step for step in quiet.after.header.history if step.startswith("denoised by")), "")
    return Chapter(title="One denoised image", words=words, columns=shown, remark=remark)


def brightened(values: Tensor, image: Image) -> tuple[Picture, float]:
    """Small values on an image's grid so bright that one sees them, and how much brighter than the image that is."""
    rows, size = middle_slice(values, image)
    top = pictures.upper_window(rows)
    return pictures.grey(rows, top, "", size), pictures.upper_window(image.values) / top


def _psnr(result: Result) -> float:
    return -math.inf if result.scores is None else result.scores.psnr_inside


def _decibel(result: Result) -> str:
    return f"{_psnr(result):.1f} dB"
