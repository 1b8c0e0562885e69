"""Noise2Inverse: the measured lines are dealt out to subsets, and each subset's image is predicted from the others.

Source: Hendriksen, Pelt and Batenburg 2020, arXiv:2001.11801. The noise of one subset knows nothing of the others', so
that a network which predicts a reconstruction of it from them learns the object and no noise. With y_J the samples of
subset J, A_J their forward model, R_J x = S^H F^-1 (x / P) the linear reconstruction (P: local density of the lines),
and f(y without y_J) the network's image,

    loss = mean over J of |R_J (A_J f - y_J)| / |R_J y_J|.

How we differ: they compare f with R_J y_J itself, which a full scan allows; undersampled lines do not determine an
image, so both are seen through the subset's lines. Calibration lines are seen by all. `--loss-share` says how many
subsets: 0.4 and more two, 0.33 three, ... The lines are divided as in `ssdu`, but that all of them are compared in each
step, and that errors count in the image: what is said of `ssdu` and its patent may hold for this, too.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.division import Divided, deal, indivisible
from spinecho.tasks.recon.parts.losses import How, ssdu


def refusal(kspace: KSpace) -> str | None:
    """As ssdu."""
    return indivisible(kspace)


def drawn(kspace: KSpace, rng: torch.Generator, how: How) -> Divided:
    """The scan with its outer lines dealt out."""
    return deal(kspace, max(2, round(1 / how.share)), rng, weighted=how.weighted)


def loss(method: Recon, example: Divided) -> Tensor:
    """Mean over the subsets."""
    csm = ssdu.maps_of(example.kspace)
    parts = [ssdu.prediction(method, example, csm, i, distance)[0] for i in range(len(example.left))]
    return torch.stack(parts).mean()


def distance(x: Tensor, csm: Tensor, example: Divided, i: int) -> Float[Tensor, "*batch"]:
    """|R_J (A_J x - y_J)| / |R_J y_J| of subset i; of errors as they are where the example is not weighted."""
    mask = example.kspace.mask
    assert mask is not None
    S = Coils(csm)
    left = (example.left[i] & mask) * (example.weight if example.weighted else 1.0)
    error, samples = (S.adjoint(ifft(v * left)) for v in (fft(S(x)) - example.kspace.samples, example.kspace.samples))
    one = torch.ones_like(example.weight)
    return ssdu.norm(error, one) / ssdu.norm(samples, one).clamp_min(torch.finfo(one.dtype).tiny)
