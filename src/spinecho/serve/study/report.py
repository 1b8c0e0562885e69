"""The results as lines on the terminal and as one page that needs no other file."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinecho.core.version import __version__
from spinecho.evaluate.statistics import Interval
from spinecho.evaluate.template import environment
from spinecho.evaluate.words import number
from spinecho.io.atomic import replacing
from spinecho.serve.study.alike import WHITE, Shown
from spinecho.serve.study.answers import QUALITIES
from spinecho.serve.study.results import Fooled, Line, Results, Share
from spinecho.serve.study.statistics import Counts

MOST_FOOLED = 12
HEADS = (
    "reader",
    "answered",
    "quality: real, synthetic",
    "overlap",
    "ROC area",
    "synthetic taken for real",
    "real taken for real",
    "right",
    "seconds",
)
SOURCES = (
    ("quality", "mean score, 1 to 5, of real and of synthetic images"),
    (
        "overlap",
        "of the two histograms of scores, sum of min(p, q): 1 where scores are alike (Inman and Bradley 1989, "
        "doi 10.1080/03610928908830127)",
    ),
    (
        "ROC area",
        "chance that a real image is scored above a synthetic one, ties half: 0.5 where scores are alike "
        "(Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747); 95 % bootstrap over images",
    ),
    (
        "taken for real",
        "95 % interval of Wilson for one reader (1927, doi 10.1080/01621459.1927.10502953); for all "
        "readers bootstrap over images, since they saw the same ones",
    ),
    (
        "agreement",
        "Cohen's kappa for real or not (1960, doi 10.1177/001316446002000104), with quadratic weights for "
        "quality (1968, doi 10.1037/h0026256): 1 full, 0 as by chance, a dash where chance leaves nothing to agree on",
    ),
    ("seconds", "in view until the first complete answer: median [quartiles]"),
)


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture in the form that the template's filter `uri` takes."""

    png: bytes


def cells(results: Results, line: Line) -> list[str]:
    """A line of the table, under `HEADS`."""
    shares: list[str]
    if line is results.together and results.shares is not None:
        real, synthetic, right = results.shares
        shares = [
            _interval(line.synthetic_real, synthetic),
            _interval(line.real_real, real),
            _interval(line.right, right),
        ]
    else:
        shares = [_share(line.synthetic_real), _share(line.real_real), _share(line.right)]
    n_readers = len(results.lines) if line is results.together else 1
    answered = f"{line.n_answered} of {n_readers * len(results.manifest.images)}"
    if line.n_changed:
        answered += f" ({line.n_changed} changed)"
    means = ", ".join(number(m) for m in line.means)
    area, low, high = line.area
    middle, first, third = line.seconds
    return [
        line.name,
        answered,
        means,
        number(line.overlap),
        _ranged(number(area), number(low), number(high), low),
        *shares,
        _ranged(number(middle, 1), number(first, 1), number(third, 1), first),
    ]


def told(results: Results) -> list[str]:
    """What is printed."""
    lines: list[str] = []
    for line in _all_lines(results):
        name, *rest = cells(results, line)
        lines.append(name)
        lines += [f"  {head:<25} {cell}" for head, cell in zip(HEADS[1:], rest, strict=True)]
    for pair in results.pairs:
        a, b = pair.names
        lines.append(
            f"{a} and {b}: kappa {number(pair.real)} for real or not, {number(pair.quality)} (weighted) for "
            f"quality, {pair.n} images"
        )
    for fooled in results.fooled[:MOST_FOOLED]:
        lines.append(_fooled(results, fooled))
    return lines


def write_page(path: Path, results: Results, command: str, shown: Shown | None = None) -> None:
    """Write the page.

    Parameters
    ----------
    shown
        The pictures, in the manifest's order; None: the page names images without showing them.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    groups = [m.group for m in results.manifest.images]
    page = (
        environment("spinecho.serve.study")
        .get_template("results.html.j2")
        .render(
            version=__version__,
            command=command,
            n_real=groups.count("real"),
            n_synthetic=groups.count("synthetic"),
            manifest=results.manifest,
            heads=HEADS,
            rows=[cells(results, line) for line in _all_lines(results)],
            bars=[(line.name, _bars(line.real), _bars(line.synthetic)) for line in _all_lines(results)],
            qualities=QUALITIES,
            pairs=results.pairs,
            fooled=_pictured(results, shown),
            n_fooled=len(results.fooled),
            sources=SOURCES,
            number=number,
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _all_lines(results: Results) -> list[Line]:
    return [*results.lines, *([results.together] if results.together is not None else [])]


def _fooled(results: Results, fooled: Fooled) -> str:
    member = results.manifest.images[fooled.image]
    wrong = "synthetic" if member.group == "real" else "real"
    return f"{member.group} {member.file}: taken for {wrong} by {fooled.n_wrong} of {fooled.n}"


def _pictured(results: Results, shown: Shown | None) -> list[tuple[str, Thumbnail | None]]:
    """The images that fooled most, with pictures where there are any."""
    first = results.fooled[:MOST_FOOLED]
    return [(_fooled(results, f), None if shown is None else _thumbnail(shown, f.image)) for f in first]


def _thumbnail(shown: Shown, image: int) -> Thumbnail:
    from PIL import Image as Pillow

    grey = np.clip(shown.pixels[image] / (WHITE * shown.levels) * 255, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(grey).save(buffer, format="PNG", optimize=True)
    return Thumbnail(png=buffer.getvalue())


def _bars(counts: Counts) -> list[tuple[int, float]]:
    """For each quality how often, and which per cent of the group."""
    total = max(1.0, float(counts.sum()))
    return [(int(c), 100 * float(c) / total) for c in counts]


def _share(share: Share) -> str:
    return _ranged(f"{share.k}/{share.n} = {_percent(share.value)}", *_ends(share.low, share.high), share.low)


def _interval(pooled: Share, spread: Interval) -> str:
    return _ranged(f"{pooled.k}/{pooled.n} = {_percent(spread.mean)}", *_ends(spread.low, spread.high), spread.low)


def _ends(low: float, high: float) -> tuple[str, str]:
    return _percent(low), _percent(high)


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"


def _ranged(middle: str, low: str, high: str, known: float) -> str:
    """`0.62 [0.48, 0.75]`; without brackets where there is no interval."""
    return middle if math.isnan(known) else f"{middle} [{low}, {high}]"
