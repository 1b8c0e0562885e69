"""The tables of RESULTS.md, real and simulated apart."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.rows import Row
from benchmarks.scoring import PROTOCOL

HEAD = """# Benchmark

Made by `{command}` on {date}; {machine}; {threads} threads for everybody; load average {load_before} before and
{load_after} after (a busy machine makes all times unreliable). Versions: {versions}.

**Quality.** {protocol}

**Weights.** `oracle`: the power of 10^(1/4) with the best psnr for that very case, for every side. `automatic`: no
weight given. `best on average`: the one weight with the best mean psnr over all cases of the table.

**Time.** Median of {repeats}. `iterations` is the first number, of
{ladder}, from which psnr stays within 0.05 dB of that of the side's own
converged image ({last} iterations; sigpy 100); times are those of so many, scores are those of the converged image.
`maps s`: the coil maps alone. `solve s`: the method on prepared samples, with its maps ready (spinecho: the method less
the maps that it makes). `whole s`: from samples to image (spinecho: all of `spinecho.recon`, with its checks, scaling
and residual; peers: maps + solve). `x solve`, `x whole`: the side's time over spinecho's with the same choice of weight
(a weight fixed on average: over the automatic one's). Start-up and files are out: Python sides are timed in a warm
process; from each of bart's processes the time of `bart scale 1` on the same k-space file is taken off. sigpy's maps
are timed once where a solver uses them.
`peak MB` is the largest resident memory of the process with its interpreter and libraries.
espirit rows: everybody's maps are put into the same solver, `bart pics -l2 -r 0.01 -i 30`; zero_filled has no peer.
"""

COLUMNS = (
    "| case | method | side | weight | chosen | iterations | maps s | solve s | x solve | whole s | x whole "
    "| inside dB | psnr dB | ssim | nrmse | peak MB |\n" + "|---" * 16 + "|\n"
)

_LIKE = {"best on average": "automatic"}
"""Which choice of spinecho's a peer's choice is timed against, where it is not the same one."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How the run was made."""

    command: str
    date: str
    machine: str
    threads: int
    repeats: int
    ladder: tuple[int, ...]
    load_before: str
    load_after: str
    versions: str


def page(rows: list[Row], failures: list[str], how: Circumstances) -> str:
    """The whole of RESULTS.md."""
    text = HEAD.format(**vars(how), protocol=PROTOCOL, last=how.ladder[-1])
    for kind, title in (("real", "Real data"), ("simulated", "Simulated data")):
        chosen = [r for r in rows if r.kind == kind]
        if chosen:
            text += f"\n## {title}\n\n{COLUMNS}" + "".join(_line(r, rows) for r in chosen)
    if failures:
        text += "\n## Failed\n\n" + "".join(f"- {f.splitlines()[0]}\n" for f in failures)
    return text


def _line(r: Row, rows: list[Row]) -> str:
    weight = "-" if r.weight is None else f"{r.weight:.2g}"
    cells = [
        r.case,
        r.method,
        r.side,
        weight,
        r.chosen,
        "-" if r.n_iters is None else str(r.n_iters),
        _seconds(r.maps_s),
        _seconds(r.solve_s),
        _times(r, rows, "solve_s"),
        _seconds(r.whole_s),
        _times(r, rows, "whole_s"),
        f"{r.object_psnr:.2f}",
        f"{r.psnr:.2f}",
        f"{r.ssim:.4f}",
        f"{r.nrmse:.4f}",
        f"{r.peak_mb:.0f}",
    ]
    return "| " + " | ".join(cells) + " |\n"


def _seconds(value: float) -> str:
    return "-" if value == 0 else f"{value:.3f}"


def _times(r: Row, rows: list[Row], which: str) -> str:
    """The peer's time over ours."""
    wanted = _LIKE.get(r.chosen, r.chosen)
    ours = [o for o in rows if (o.side, o.case, o.method, o.chosen) == ("spinecho", r.case, r.method, wanted)]
    if not ours or r.side == "spinecho" or getattr(ours[0], which) <= 0:
        return "-"
    return f"{getattr(r, which) / getattr(ours[0], which):.1f}"
