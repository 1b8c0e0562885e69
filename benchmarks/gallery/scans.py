"""Reconstructions: the same real slice sampled in several ways, a simulated radial scan, a simulated series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gallery.sheet import Panel, Row, error
from spinecho.calib.noise import with_noise_power
from spinecho.core.kspace import KSpace
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.methods import registry
from spinecho.metrics.inside import fitted_inside, inside
from spinecho.tasks.recon.judge.case import run_method, shows_floor
from spinecho.tasks.recon.judge.columns import middle_slice
from spinecho.tasks.recon.judge.protocol import floor_of
from spinecho.tasks.recon.retrospective import undersample
from spinecho.tasks.recon.run import refusal

SLICE = "kspace/brain_t1_7coil_images.npz"
MASKS = {"random": "random:4:0.08:0", "equispaced": "equispaced:3:24", "partial": "partial:0.6"}
MINUTES = "it learns for minutes"
_AIR = 6
_SAYS = "A real T1 slice (7 coils, ISMRM motion-correction workshop 2022, MIT licence)"


def random_lines(folder: Path) -> Row:
    """The real slice, every method that takes it."""
    floor = " All images have the noise floor of the coils, as the truth has it; the scores are without it."
    heading = "Reconstruction: lines left out at random, R = 4"
    return row("recon_random", heading, f"{_SAYS}, mask `{MASKS['random']}`.{floor}", _real(folder, "random"))


def equispaced(folder: Path) -> Row:
    """The same with regular lines."""
    text = f"The same slice, mask `{MASKS['equispaced']}`: every third line, and 24 in the middle."
    chosen = ("zero_filled", "grappa", "cg_sense", "checked")
    return row("recon_equispaced", "Reconstruction: every third line", text, _real(folder, "equispaced"), chosen)


def partial(folder: Path) -> Row:
    """The same with one side of k-space."""
    text = f"The same slice, mask `{MASKS['partial']}`: 60 % of the lines, from one end."
    chosen = ("zero_filled", "homodyne", "pocs", "l1_wavelet")
    return row("recon_partial", "Reconstruction: partial Fourier", text, _real(folder, "partial"), chosen)


def radial(folder: Path) -> Row:
    """Spokes."""
    text = "A simulated slice with 5 coils: the sample `radial.mrd.h5` in the package."
    return row("recon_radial", "Reconstruction: 34 radial spokes", text, _sample("radial"))


def series(folder: Path) -> Row:
    """Frames."""
    text = (
        "The middle one of 8 frames of a simulated bolus (5 coils, R = 4, other lines in each frame): the sample "
        "`kt_series.mrd.h5` in the package. The scores are those of all frames."
    )
    return row("recon_series", "Reconstruction: a series of frames", text, _sample("kt_series"))


ROWS: dict[str, Callable[[Path], Row]] = {
    "recon_random": random_lines,
    "recon_equispaced": equispaced,
    "recon_partial": partial,
    "recon_radial": radial,
    "recon_series": series,
}


def _real(folder: Path, mask: str) -> KSpace:
    full = read(folder / SLICE, ReadOptions(axes="y x coil", domain="coil-images", readout="y"))
    assert isinstance(full, KSpace)
    return undersample(full, MASKS[mask])


def _sample(name: str) -> KSpace:
    scan = read(Path(str(files("spinecho.samples") / f"{name}.mrd.h5")))
    assert isinstance(scan, KSpace)
    return scan


def row(name: str, heading: str, text: str, scan: KSpace, methods: Sequence[str] | None = None) -> Row:
    """A scan by these methods (None: by every one that takes it), beside its truth; the middle frame is shown."""
    chosen, left_out = (list(methods), {}) if methods else offered(scan)
    assert scan.target is not None
    floor = floor_of(scan, "simulated" if "simulated" in scan.header.flags else "real")
    results = [run_method(scan, m, **({"noise_floor": False} if shows_floor(m) else {})) for m in chosen]
    grid = results[0].image
    truth = middle_slice(scan.target.abs(), grid)[0].double()
    box = about(inside(truth))
    white = float(truth[inside(truth)].quantile(0.995))
    true = truth[box] / white
    panels = [Panel(title="truth", picture=true, below=_sampling(scan, true), line="below: the samples")]
    for made in results:
        assert made.scores is not None
        values = with_noise_power(made.image.values, floor).abs()
        shown = fitted_inside(truth, middle_slice(values, grid)[0].double())[box] / white
        line = f"{made.scores.psnr_inside:.2f} dB, {made.scores.ssim_inside:.3f}"
        panels.append(Panel(title=made.method, picture=shown, below=error(shown, true), line=line))
    return Row(name=name, heading=heading, text=text, panels=panels, left_out=left_out)


def about(object_: Tensor) -> tuple[slice, slice]:
    """Rows and columns that hold the object, and a little air around it."""
    where = torch.nonzero(object_)
    low, high = (where.amin(0) - _AIR).clamp_min(0).tolist(), (where.amax(0) + _AIR + 1).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1])


def offered(scan: KSpace) -> tuple[list[str], dict[str, str]]:
    """Methods that take the scan, the simplest first, and why the others do not."""
    names, left_out = [], dict[str, str]()
    for offer in registry.offers("recon"):
        if offer.name == "auto":
            left_out["auto"] = "it chooses one of these"
        elif offer.learned and offer.weights is None:
            left_out[offer.name] = "no trained weights yet"
        elif registry.load("recon", offer.method).Method.tells:
            left_out[offer.name] = MINUTES
        elif why := refusal(offer.name, scan):
            left_out[offer.name] = why
        else:
            names.append(offer.name)
    first = [n for n in ("zero_filled", "gridding") if n in names]
    return [
        *first,
        *(n for n in names if n not in (*first, "checked")),
        *(n for n in names if n == "checked"),
    ], left_out


def _sampling(scan: KSpace, like: Tensor) -> Tensor:
    """Which samples were measured: the mask, or the points of a trajectory, on the picture's grid."""
    height, width = like.shape
    if scan.mask is not None:
        mask = scan.mask.reshape(-1, *scan.mask.shape[-2:])[0].float().expand(*scan.encoding.matrix[1:])
        return torch.nn.functional.interpolate(mask[None, None], size=(height, width))[0, 0].double()
    assert scan.traj is not None
    points = scan.traj.reshape(-1, 3)[:, :2].double()
    reach = float(points.abs().max())
    seen = torch.zeros(height, width, dtype=torch.float64)
    x = ((points[:, 0] / reach + 1) / 2 * (width - 1)).round().long()
    y = ((points[:, 1] / reach + 1) / 2 * (height - 1)).round().long()
    seen[y, x] = 1.0
    return seen
