"""From answers to figures: one line for each reader, one for all, pairs of readers, and who fooled them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spinecho.evaluate.statistics import Interval, bootstrap_mean
from spinecho.serve.study import statistics
from spinecho.serve.study.answers import QUALITIES, Entry, Reading
from spinecho.serve.study.manifest import Manifest
from spinecho.serve.study.statistics import Counts


@dataclass(frozen=True, kw_only=True)
class Share:
    """k of n with an interval."""

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """nan for none of none."""
        return self.k / self.n if self.n else float("nan")


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One reader, or all.

    Parameters
    ----------
    n_answered, n_changed
        Images with both answers; images whose answer was changed.
    real, synthetic
        How often each quality was given to the group.
    overlap, area
        Of the two distributions of quality; area with its interval.
    real_real, synthetic_real
        Share of real, and of synthetic images that were taken for real.
    right
        Share of right answers.
    seconds
        Quartiles of the time to the first complete answer.
    """

    name: str
    n_answered: int
    n_changed: int
    real: Counts
    synthetic: Counts
    overlap: float
    area: tuple[float, float, float]
    real_real: Share
    synthetic_real: Share
    right: Share
    seconds: tuple[float, float, float]

    @property
    def means(self) -> tuple[float, float]:
        """Mean quality of real and of synthetic images."""
        values = np.array(QUALITIES)
        real, synthetic = (
            float((c @ values) / c.sum()) if c.sum() else float("nan") for c in (self.real, self.synthetic)
        )
        return real, synthetic


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Agreement of two readers on the n images that both answered."""

    names: tuple[str, str]
    n: int
    real: float
    quality: float


@dataclass(frozen=True, kw_only=True)
class Fooled:
    """An image and how many of the readers who judged it were wrong."""

    image: int
    n_wrong: int
    n: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """All results of a study.

    Parameters
    ----------
    together
        The line of all readers: shares are means over images with bootstrap intervals over images (`shares`).
    shares
        Of `together`: real taken for real, synthetic taken for real, right.
    """

    manifest: Manifest
    lines: tuple[Line, ...]
    together: Line | None
    shares: tuple[Interval, Interval, Interval] | None
    pairs: tuple[Pair, ...]
    fooled: tuple[Fooled, ...]


def results(manifest: Manifest, readings: Sequence[Reading]) -> Results:
    """The figures of all readers who answered anything."""
    readings = [r for r in readings if r.answered()]
    lines = tuple(_line(manifest, r) for r in readings)
    several = len(readings) > 1
    return Results(
        manifest=manifest,
        lines=lines,
        together=_together(manifest, readings, lines) if several else None,
        shares=_shares(manifest, readings) if several else None,
        pairs=tuple(_pair(a, b) for a, b in combinations(readings, 2)),
        fooled=_fooled(manifest, readings),
    )


def _is_real(manifest: Manifest, image: int) -> bool:
    return manifest.images[image].group == "real"


def _line(manifest: Manifest, reading: Reading) -> Line:
    said = reading.answered()
    groups = {real: [e for i, e in said.items() if _is_real(manifest, i) == real] for real in (True, False)}
    taken = {real: sum(bool(e.real) for e in group) for real, group in groups.items()}
    n_right = taken[True] + len(groups[False]) - taken[False]
    real, synthetic = (_histogram(groups[real]) for real in (True, False))
    return Line(
        name=reading.reader,
        n_answered=len(said),
        n_changed=reading.n_changed(),
        real=real,
        synthetic=synthetic,
        overlap=statistics.overlap(real, synthetic),
        area=statistics.area_interval([_scores(manifest, said, True)], [_scores(manifest, said, False)]),
        real_real=_share(taken[True], len(groups[True])),
        synthetic_real=_share(taken[False], len(groups[False])),
        right=_share(n_right, len(said)),
        seconds=_quartiles(list(reading.first_seconds().values())),
    )


def _together(manifest: Manifest, readings: Sequence[Reading], lines: Sequence[Line]) -> Line:
    """All readers: counts added, the ROC area the mean of theirs."""
    real, synthetic = (sum((getattr(x, g) for x in lines), np.zeros(len(QUALITIES))) for g in ("real", "synthetic"))
    said = [r.answered() for r in readings]
    shares = [[getattr(x, name) for x in lines] for name in ("real_real", "synthetic_real", "right")]
    nan = float("nan")
    pooled = [Share(k=sum(s.k for s in of), n=sum(s.n for s in of), low=nan, high=nan) for of in shares]
    return Line(
        name="all readers",
        n_answered=sum(x.n_answered for x in lines),
        n_changed=sum(x.n_changed for x in lines),
        real=real,
        synthetic=synthetic,
        overlap=statistics.overlap(real, synthetic),
        area=statistics.area_interval(
            [_scores(manifest, s, True) for s in said], [_scores(manifest, s, False) for s in said]
        ),
        real_real=pooled[0],
        synthetic_real=pooled[1],
        right=pooled[2],
        seconds=_quartiles([s for r in readings for s in r.first_seconds().values()]),
    )


def _shares(manifest: Manifest, readings: Sequence[Reading]) -> tuple[Interval, Interval, Interval]:
    """Taken for real (real, synthetic) and right, over all answers; intervals by drawing images anew."""
    said = [(i, bool(e.real)) for r in readings for i, e in r.answered().items()]
    real = [(i, taken) for i, taken in said if _is_real(manifest, i)]
    synthetic = [(i, taken) for i, taken in said if not _is_real(manifest, i)]
    right = [(i, taken == _is_real(manifest, i)) for i, taken in said]
    a, b, c = (bootstrap_mean([float(v) for _, v in of], [str(i) for i, _ in of]) for of in (real, synthetic, right))
    return a, b, c


def _pair(a: Reading, b: Reading) -> Pair:
    ours, theirs = a.answered(), b.answered()
    shared = [i for i in ours if i in theirs]
    real = statistics.kappa([ours[i].real for i in shared], [theirs[i].real for i in shared], (True, False))
    quality = statistics.kappa(
        [ours[i].quality for i in shared], [theirs[i].quality for i in shared], QUALITIES, weighted=True
    )
    return Pair(names=(a.reader, b.reader), n=len(shared), real=real, quality=quality)


def _fooled(manifest: Manifest, readings: Sequence[Reading]) -> tuple[Fooled, ...]:
    """Images that anybody was wrong about, those with the largest share of wrong answers first."""
    told: list[Fooled] = []
    for image in range(len(manifest.images)):
        said = [answered[image] for r in readings if image in (answered := r.answered())]
        n_wrong = sum(e.real != _is_real(manifest, image) for e in said)
        if n_wrong:
            told.append(Fooled(image=image, n_wrong=n_wrong, n=len(said)))
    return tuple(sorted(told, key=lambda f: (-f.n_wrong / f.n, -f.n, manifest.images[f.image].file)))


def _histogram(entries: Sequence[Entry]) -> Counts:
    return statistics.histogram([e.quality for e in entries if e.quality is not None], QUALITIES)


def _scores(manifest: Manifest, said: dict[int, Entry], real: bool) -> Counts:
    """(image of the group, quality): 1 at the score given."""
    images = [i for i in range(len(manifest.images)) if _is_real(manifest, i) == real]
    rows = np.zeros((len(images), len(QUALITIES)))
    for row, image in zip(rows, images, strict=True):
        if image in said:
            row[QUALITIES.index(said[image].quality or 0)] = 1
    return rows


def _share(k: int, n: int) -> Share:
    low, high = statistics.wilson(k, n)
    return Share(k=k, n=n, low=low, high=high)


def _quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    if not seconds:
        return float("nan"), float("nan"), float("nan")
    first, middle, third = (float(q) for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return middle, first, third
