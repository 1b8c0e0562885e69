"""After reconstruction: denoising, finer grids, correction, regions, other contrasts, alignment, generated heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import spinecho
from benchmarks.gallery.heads import SOURCE, Head, head, image_of, noisy
from benchmarks.gallery.sheet import Panel, Row, error
from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.evaluate.planes import planes
from spinecho.methods import registry
from spinecho.metrics.head import brightness, psnr_head, ssim_head
from spinecho.metrics.overlap import dice_fixed100
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop

NO_WEIGHTS = "no trained weights yet"
CHOOSES = "it chooses one of these"
LOW = "it is for scans at low field, shown below"
NOISE, THICK, FIELD = 0.09, 4, 0.35
TRUTH, OTHER = 17, 18
_AXIAL = 10
_PALETTE = 7


def ready(task: str, other: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Methods that can be shown, and why the others cannot: `other` has reasons that are not those of every task."""
    names, left_out = [], dict[str, str]()
    for offer in registry.offers(task):
        if offer.name in other or offer.name == "auto":
            left_out[offer.name] = other.get(offer.name, CHOOSES)
        elif offer.learned and offer.weights is None:
            left_out[offer.name] = NO_WEIGHTS
        else:
            names.append(offer.name)
    return names, left_out


def denoised(upper: Head) -> Row:
    """Rician noise of 9 % taken out of 24 slices."""
    truth = upper.lowest(24).image("t1")
    given = noisy(truth, NOISE)
    names, left_out = ready("denoise", dict.fromkeys(("components", "mppca"), "it is for series of volumes"))
    made = {"noisy": given} | {name: spinecho.denoise(given, name) for name in names}
    text = f"24 slices of {SOURCE}, T1, with Rician noise of {100 * NOISE:g} %. Its even tissue suits `nlmeans`."
    return Row(
        name="denoise",
        heading="Denoising",
        text=text,
        panels=compared(truth.values[0], {k: v.values[0] for k, v in made.items()}, lambda v: v[_AXIAL]),
        left_out=left_out,
    )


def finer(upper: Head) -> Row:
    """Slices of 4 mm made 1 mm thin."""
    upper = upper.lowest(THICK * (upper.geometry.shape[0] // THICK))
    truth = upper.image("t2")
    n, height, width = truth.geometry.shape
    x = truth.values[0]
    thick = F.avg_pool3d(x[None], (THICK, 1, 1))[0]
    wide = truth.geometry.resized((n // THICK, height, width))
    given = image_of(thick, wide)
    others = {
        "lowfield": LOW,
        "self": "it learns from the scan for minutes",
        "srgan3d": "it makes three axes finer",
        "to_t1": "its image is a T1, whatever the input",
    }
    names, left_out = ready("superres", others)
    told = {"factor": (1, 1, THICK), "degradation": "slices", "thickness_mm": float(THICK)}
    made = {"thick slices": thick.repeat_interleave(THICK, 0)}
    made |= {name: spinecho.superres(given, name, **told).values[0] for name in names}
    text = f"Slices of {THICK} mm made 1 mm thin, seen from the front: {SOURCE}, T2."
    cut = x.shape[1] // 2
    panels = compared(x, made, lambda v: v[:, cut].flip(0))
    return Row(name="superres", heading="Thin slices", text=text, panels=panels, columns=2, left_out=left_out)


def lifted() -> Row:
    """A real slice at 0.055 T, and what two methods make of it; there is no truth on its grid."""
    scan = spinecho.read(Path(str(files("spinecho.samples") / "low_field.mrd.h5")))
    assert isinstance(scan, spinecho.KSpace)
    given = spinecho.recon(scan, "zero_filled").volume()
    quiet = spinecho.denoise(given, "unet")
    made = {"scanned": given, "denoise, unet": quiet, "superres, lowfield": spinecho.superres(given, "lowfield")}
    shown = {name: _upright(image) for name, image in made.items()}
    size = shown["superres, lowfield"].shape
    same = {k: F.interpolate(v[None, None], size=size, mode="bicubic")[0, 0] for k, v in shown.items()}
    panels = [
        Panel(title=name, picture=picture, below=error(picture, same["scanned"]), line="below: change from the scan")
        for name, picture in same.items()
        if name != "scanned"
    ]
    first = Panel(title="scanned", picture=same["scanned"], below=_zoomed(same["scanned"]), line="below: the middle")
    text = (
        "A real slice at 0.055 T (Liu et al. 2021, CC0; the sample `low_field.mrd.h5` in the package). There is no "
        "truth on its grid, so no scores; `lowfield` guesses, and says so. The results have scores of simulated heads."
    )
    return Row(name="lowfield", heading="Low field", text=text, panels=[first, *panels])


def _upright(image: Image) -> Tensor:
    """The only slice as people look at it, white at its 99.5th percentile."""
    values = image.magnitude().values.flatten(0, -4)[0]
    middle = image.geometry.to_world([n // 2 for n in image.geometry.shape[::-1]]).tolist()
    return planes(image.geometry, middle)[0].shown(values[:1] / values.quantile(0.995))


def _zoomed(picture: Tensor) -> Tensor:
    height, width = picture.shape
    cut = picture[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    return F.interpolate(cut[None, None], size=(height, width), mode="bicubic")[0, 0]


def corrected(upper: Head) -> Row:
    """A known bias field, and slices whose k-space was cut."""
    truth = upper.image("t1")
    z, y, x = truth.values.shape[-3:]
    ramp = torch.linspace(-1, 1, x).expand(y, x) + torch.linspace(1, -1, y)[:, None] ** 2
    shaded = image_of(truth.values[0] * torch.exp(FIELD * ramp).expand(z, y, x), truth.geometry)
    made = {"shaded": shaded.values[0], "n4": spinecho.correct(shaded, "n4").values[0]}
    made = {name: _as_bright(values, truth.values[0]) for name, values in made.items()}
    panels = compared(truth.values[0], made, lambda v: v[_AXIAL])
    fine, cut = ringing(upper)
    rung = {"1 mm": fine, "2 mm, cut k-space": cut, "unring": spinecho.correct(cut, "unring")}
    for title, image in rung.items():
        picture = image.values[0, _AXIAL] / brightness(fine.values[0].double())
        panels.append(Panel(title=title, picture=picture, below=_zoomed(picture), line="below: the middle"))
    text = f"Above, a smooth field over {SOURCE}, T1, and what `n4` leaves of it; below, T2 at 2 mm with ringing."
    return Row(name="correct", heading="Even brightness, no ringing", text=text, panels=panels)


def ringing(upper: Head) -> tuple[Image, Image]:
    """Some slices, and the same from the middle half of their k-space along y and x, on a coarser grid."""
    image = upper.image("t2")
    x = image.values[0, : 2 * _AXIAL]
    x = x[:, : x.shape[1] // 4 * 4, : x.shape[2] // 4 * 4]
    fine = image_of(x, image.geometry.cropped((0, 0, 0), (x.shape[0], x.shape[1], x.shape[2])))
    half = (x.shape[0], x.shape[1] // 2, x.shape[2] // 2)
    kept = centre_crop(fft(x.to(torch.complex64), (-2, -1)), half)
    return fine, image_of(ifft(kept, (-2, -1)).abs() / 2, fine.geometry.resized(half))


def labelled(whole: Head) -> Row:
    """Regions of the same head in two contrasts; the truth beneath."""
    truth, at = ids(whole), whole.shown()
    panels: list[Panel] = []
    for contrast in ("t1", "t2", "flair"):
        given = noisy(whole.image(contrast), 0.03)
        found_labels = spinecho.segment(given, "regions", sides=False).values[0].int()
        white = brightness(given.values[0].double())
        score = dice_fixed100(truth, found_labels)
        grey = given.values[0, at] / white
        below = painted(grey, truth[at])
        title, line = f"regions on {contrast.upper()}", f"mean Dice {score:.2f}; below: the truth"
        panels.append(Panel(title=title, picture=painted(grey, found_labels[at]), below=below, line=line))
    text = (
        f"{SOURCE[0].upper()}{SOURCE[1:]}, in three contrasts with 3 % noise. One colour for each region, both sides."
    )
    return Row(name="segment", heading="Regions", text=text, panels=panels)


def ids(head: Head) -> Tensor:
    """The regions of a head by the numbers that `segment` writes, both sides alike."""
    from spinecho.tasks.segment.parts.names import REGIONS, classes_of

    return torch.tensor([r.label for r in REGIONS], dtype=torch.int32)[classes_of(head.labels.int()).long()]


def painted(grey: Tensor, labels: Tensor) -> Tensor:
    """A picture with each label in its colour."""
    from matplotlib import colormaps

    colours = grey.new_tensor(colormaps["tab20"]((labels.numpy() * _PALETTE) % 20)[..., :3])
    mixed = 0.55 * colours + 0.45 * grey[..., None]
    return torch.where((labels > 0)[..., None], mixed, grey[..., None].expand(*grey.shape, 3))


def translated(upper: Head) -> Row:
    """T2 made of T1, without the skull."""
    source, truth = (upper.image(c, brain_only=True) for c in ("t1", "t2"))
    names, left_out = ready("translate", {})
    made = {name: spinecho.translate(source, name, to="t2", contrast="t1").values[0] for name in names}
    at = lambda v: v[_AXIAL]  # noqa: E731
    first = Panel(
        title="T1, the input",
        picture=at(source.values[0]) / brightness(source.values[0].double()),
        below=at(truth.values[0]) / brightness(truth.values[0].double()),
        line="below: the true T2",
    )
    panels = [first, *compared(truth.values[0], {k: _as_bright(v, truth.values[0]) for k, v in made.items()}, at)[1:]]
    text = (
        f"T2 guessed from T1: {SOURCE}, brain alone. A result is a guess, whatever it looks like. `lookup` learned its "
        "curves from one real patient, and simulated tissue is not as bright, which is most of the error."
    )
    return Row(name="translate", heading="Another contrast", text=text, panels=panels, left_out=left_out)


def _as_bright(values: Tensor, truth: Tensor) -> Tensor:
    """On the truth's scale by least squares, since no contrast has units."""
    return values * float((values * truth).sum() / values.square().sum())


def aligned(fixed: Head, moving: Head) -> Row:
    """One head on another."""
    a, b = fixed.image("t1"), moving.image("t1", seed=1)
    extras: dict[str, str] = dict.fromkeys(("ants", "greedy", "elastix"), "another program, an extra; see the results")
    names, left_out = ready("register", extras)
    names.sort(key=["rigid", "affine", "voxelmorph", "hybrid"].index)
    at, white = fixed.shown(), brightness(a.values[0].double())
    picture = lambda v: v[at] / white  # noqa: E731
    still = identity()
    transforms = {"not aligned": still} | {name: spinecho.register(a, b, name) for name in names}
    panels = [Panel(title="fixed", picture=picture(a.values[0]), below=painted(picture(a.values[0]), fixed.labels[at]))]
    for name, transform in transforms.items():
        moved = transform.warp(b, onto=a.geometry).values[0]
        regions = transform.warp(image_of(moving.labels.float(), moving.geometry), onto=a.geometry, mode="nearest")
        score = dice_fixed100(fixed.labels.int(), regions.values[0].int())
        below = error(picture(moved), picture(a.values[0]))
        panels.append(Panel(title=name, picture=picture(moved), below=below, line=f"mean Dice {score:.3f}"))
    text = (
        f"Two simulated heads at 2 mm ({SOURCE[SOURCE.index('label') :].rstrip(')')}), T1. Beneath the fixed head its "
        "labels, which no method sees; beneath the others the difference from the fixed head."
    )
    return Row(name="register", heading="Alignment", text=text, panels=panels, columns=3, left_out=left_out)


def generated() -> Row:
    """Pictures of heads that do not exist."""
    names, left_out = ready("generate", {})
    panels = []
    for name in names:
        pictures = spinecho.generate(name, n=6, seed=0).values[0]
        white = float(pictures.quantile(0.995))
        for i in range(3):
            panels.append(Panel(title=f"{name}, {i}", picture=pictures[i] / white, below=pictures[3 + i] / white))
    text = "Six pictures of the seed 0; `cascade` makes those of `diffusion2d` finer. No such person exists; "
    text += "there is no truth, so no errors."
    return Row(name="generate", heading="Heads that do not exist", text=text, panels=panels, left_out=left_out)


def compared(truth: Tensor, made: Mapping[str, Tensor], plane: Callable[[Tensor], Tensor]) -> list[Panel]:
    """The truth, and each result with its error and its scores over the whole volume."""
    white = brightness(truth.double())
    true = plane(truth) / white
    panels = [Panel(title="truth", picture=true, below=_outline(true), line="below: where it is scored")]
    for name, values in made.items():
        shown = plane(values) / white
        line = f"{psnr_head(truth.double(), values.double()):.2f} dB, {ssim_head(truth.double(), values.double()):.3f}"
        panels.append(Panel(title=name, picture=shown, below=error(shown, true), line=line))
    return panels


def _outline(picture: Tensor) -> Tensor:
    """The object that scores are taken over, bright."""
    from spinecho.metrics.inside import inside

    return picture * (0.35 + 0.65 * inside(picture.double()))


def _upper(folder: Path) -> Head:
    return head(folder, TRUTH)


def _pair(folder: Path) -> tuple[Head, Head]:
    return head(folder, TRUTH, whole=True).at(2.0), head(folder, OTHER, whole=True).at(2.0)


ROWS: dict[str, Callable[[Path], Row]] = {
    "denoise": lambda folder: denoised(_upper(folder)),
    "superres": lambda folder: finer(_upper(folder)),
    "lowfield": lambda folder: lifted(),
    "correct": lambda folder: corrected(_upper(folder)),
    "segment": lambda folder: labelled(head(folder, TRUTH, whole=True)),
    "translate": lambda folder: translated(_upper(folder)),
    "register": lambda folder: aligned(*_pair(folder)),
    "generate": lambda folder: generated(),
}
