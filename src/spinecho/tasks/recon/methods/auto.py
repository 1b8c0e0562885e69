"""Auto: looks at how the scan was sampled, chooses a suitable method, and says which and why.

The image's history records the choice ("auto took l1_wavelet: irregular lines, 4.0-fold undersampled, 24 calibration
lines, 8 coils"). If the first choice cannot handle the scan, for example without calibration lines, the next is tried,
down to the plain inverse transform.

Trained weights come first: for series on a grid those of `varnet_kt`, which sees all frames (then `llr`), otherwise as
candidates of `checked`, which weights them and the classical image by samples left out; without a denoiser's weights
`varnet` alone. Unchecked, networks only work inside their model cards: a scan outside, or an image that contradicts the
measured samples, goes to the classical methods, and the history says why. Within `checked` the samples left out decide.
Of trajectories only single slices with few points are handed to them; it takes some thirty times as long as `nufft_cg`.
If the image of one of these does not explain the samples, the next is tried, and a warning says so.

Source: no paper; among methods for undersampled scans the order is that of psnr on one real brain slice, equispaced
lines, R = 3 and 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from spinecho.calib.object_noise import outer_half_is_air
from spinecho.calib.pattern import Pattern, patterns
from spinecho.core.errors import DataError
from spinecho.core.header import TOOK
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.method import Method as AnyMethod
from spinecho.methods import registry
from spinecho.methods.pretrained import built, refusal
from spinecho.ops.sampling import acceleration
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.guard import compared
from spinecho.tasks.recon.limits import outside
from spinecho.tasks.recon.slices import is_out_of_memory

_SERIES = ("time", "repetition")
_DENSE = 1.5
"""Points for each pixel: spokes that fill k-space have pi / 2, twice that with an oversampled readout"""


@dataclass(frozen=True, kw_only=True)
class Config:
    pass


class Method(Recon):
    config: Config
    whole_series: ClassVar[bool] = True  # it may take methods for series
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("recon", "*"), ("denoise", "unet"))

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        refused = {name: refusal("recon", name, kspace) for name in choices(kspace)[0]}
        if all(refused.values()):
            return "no method takes it: " + "; ".join(f"{name}: {why}" for name, why in refused.items())
        return None

    @classmethod
    def choice(cls, kspace: KSpace) -> str | None:
        able = (name for name in choices(kspace)[0] if refusal("recon", name, kspace) is None)
        return next((name for name in able if not _strange(built("recon", name, {}, kspace.device), kspace)), None)

    def forward(self, kspace: KSpace) -> Image:
        names, why = choices(kspace)
        passed: list[str] = []
        doubts: list[str] = []
        for name in names:
            reason = refusal("recon", name, kspace)
            if doubts and name in _UNCHECKED:
                reason = "it leans on the same calibration lines"
            try:
                if reason is None:
                    image, reason, doubt = _attempt(name, kspace)
                    doubts += [f"{name}: {doubt}"] if doubt else []
                    if not reason or (doubt and name == names[-1]):
                        note = "".join(f"; not {p}" for p in passed)
                        header = image.header.warned(*doubts).noted(f"{TOOK}{name}: {why}{note}")
                        return replace(image, header=header.noted(_AIR) if outer_half_is_air(kspace) else header)
            except DataError as error:
                reason = error.found
            passed.append(f"{name}, since {reason}")
        raise DataError("no method takes this scan: " + "; ".join(passed), do="see `spinecho info FILE`")


_AIR = (
    "the outer half of the readout is air, as of twofold oversampling that the file does not record; read with an "
    "oversampling of 2, the image would be cut to the middle half"
)


def _strange(runner: AnyMethod, kspace: KSpace) -> list[str]:
    """The ways in which a scan lies outside a network's card."""
    return outside(runner.card, kspace) if runner.learned else []


def _attempt(name: str, kspace: KSpace) -> tuple[Image, str | None, str]:
    """A method's image, why it is better not taken, and what of that a person must hear of."""
    runner = built("recon", name, {}, kspace.device)
    if strange := _strange(runner, kspace):
        raise DataError(f"the scan is outside its card: {', '.join(strange)}")
    try:
        image = runner(kspace)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DataError("there is not enough memory for it") from None
    checked, verdict = compared(image, kspace)
    if verdict.unexplained.any() and not verdict.unexplained.all():
        return image, verdict.contradiction, ""  # `recon` compares again, and rescues some slices
    told = verdict.sentences(image.axes)
    if runner.learned or not told:
        return checked, verdict.contradiction if runner.learned else None, ""
    return checked, told[0], told[0]


def choices(kspace: KSpace) -> tuple[tuple[str, ...], str]:
    """Names of methods, best first, and what of the scan decided the order."""
    coils = f"{kspace.n_coils} coil{'s' * (kspace.n_coils > 1)}"
    if not kspace.is_cartesian:
        return _along_trajectory(kspace, coils)
    sampled = patterns(kspace)
    names, sampling = _for_pattern(sampled[0])
    if names == ("zero_filled",) and any(_for_pattern(p)[0] != names for p in sampled):
        names, sampling = _UNDERSAMPLED, "some frames or slices undersampled"
    if names is not _UNDERSAMPLED:
        return names, f"{sampling}, {coils}"
    series = [kspace.samples.shape[i] for i, a in enumerate(kspace.axes) if a in _SERIES]
    frames = max(series, default=1)
    lines = " x ".join(str(n) for n in sampled[0].calibration_size if n > 1) or "no"
    if kspace.calib is not None:
        lines = "separate"
    assert kspace.mask is not None
    factor = f"{acceleration(kspace.mask):.1f}-fold undersampled"
    facts = f"{sampling}, {factor}, {lines} calibration lines, {coils}"
    names = (*trained(), *names)
    return ((*_of_series(), *names), f"{frames} frames, {facts}") if frames > 1 else (names, facts)


def _of_series() -> tuple[str, ...]:
    """Methods that see all frames."""
    return ("varnet_kt", "llr") if registry.offer("recon", "varnet_kt").is_ready else ("llr",)


def _along_trajectory(kspace: KSpace, coils: str) -> tuple[tuple[str, ...], str]:
    """Learned candidates where single slices have few points; volumes, series and dense scans take the classical."""
    assert kspace.traj is not None
    matrix, points = kspace.encoding.matrix, math.prod(kspace.traj.shape[-4:-1])
    share = points / math.prod(matrix)
    facts = f"{kspace.encoding.trajectory} trajectory, {share:.2g} points for each pixel, {coils}"
    is_series = any(kspace.samples.shape[i] > 1 for i, axis in enumerate(kspace.axes) if axis in _SERIES)
    learned = trained() if share < _DENSE and matrix[0] == 1 and not is_series else ()
    return (*learned, "nufft_cg", "gridding"), facts


def trained() -> tuple[str, ...]:
    """What learned methods are tried before all classical ones, as far as their weights are in the package.

    With a denoiser that is `checked`, which takes trained reconstructions, too, and answers for them.
    """
    if registry.offer("denoise", "unet").is_ready:
        return ("checked",)
    return tuple(name for name in _LEARNED if name in registry.weights_names("recon"))


_UNCHECKED = ("grappa",)
"""Methods whose image has no coil maps to compare it with the samples by."""
_LEARNED = ("varnet",)
_UNDERSAMPLED = ("l1_wavelet", "cg_sense", "grappa", "zero_filled")


def _for_pattern(pattern: Pattern) -> tuple[tuple[str, ...], str]:
    lattice = pattern.lattice
    full = lattice is not None and lattice.acceleration == 1 and bool(pattern.readout[slice(*pattern.extent[2])].all())
    if full and pattern.one_sided:
        axes = " and ".join(("k2", "k1", "k0")[a] for a in pattern.one_sided)
        return ("pocs", "homodyne", "zero_filled"), f"partial Fourier along {axes}"
    if full:
        return ("zero_filled",), "fully sampled"
    return _UNDERSAMPLED, f"regular phase encodes, {lattice}" if lattice is not None else "irregular phase encodes"
