"""What is reconstructed: a case is one undersampled slice with its truth; a new case is one entry of CASES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.io.nifti.read import read_volume
from spinecho.metrics.inside import inside
from spinecho.ops.coils import mix_coils, root_sum_of_squares, whitening
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.mask_spec import parse
from spinecho.sim.noise import noise, object_mean, sample_covariance
from spinecho.sim.scan import Scan, simulate_brain
from spinecho.sim.splits import split


@dataclass(frozen=True, kw_only=True)
class Case:
    """One slice.

    Parameters
    ----------
    kind
        `real` (measured k-space, undersampled afterwards) or `simulated`.
    samples
        (coil, k1, k0) complex64, zeros where the mask is False, unit maximum, white noise.
    mask
        (k1,) bool.
    truth
        (y, x) float32: root sum of squares of all samples, noise-free where simulated.
    """

    name: str
    kind: str
    samples: np.ndarray
    mask: np.ndarray
    truth: np.ndarray
    n_centre: int

    @property
    def inside(self) -> np.ndarray:
        """Pixels of the object."""
        return inside(torch.from_numpy(self.truth)).numpy()

    def kspace(self) -> KSpace:
        """As spinecho takes it."""
        shape = (1, *self.truth.shape)
        return KSpace(
            samples=torch.from_numpy(self.samples)[:, None],
            mask=torch.from_numpy(self.mask)[None, None, :, None],
            encoding=Encoding.cartesian(shape),
            geometries=(Geometry.unknown(shape),),
        )


Full = tuple[str, torch.Tensor, torch.Tensor]
"""Kind, all samples (coil, 1, k1, k0), truth (y, x)."""


def real_brain(shared: Path) -> Full:
    """The in-vivo 7-coil slice; its lines run along x, which becomes k1. The truth is its own noisy image."""
    coils = np.load(shared / "data/kspace/brain_t1_7coil_images.npz")["arr_0"].transpose(2, 1, 0)
    images = torch.from_numpy(np.ascontiguousarray(coils))[:, None]
    return "real", fft(images), root_sum_of_squares(images)[0, 0]


def simulated_brain(shared: Path, n_coils: int, label: str, seed: int) -> Full:
    """A test subject's label map rendered as T1, 320x320, SNR 40; coil noise is correlated and then whitened."""
    volume = read_volume(shared / f"data/label_maps/labels_{label}.nii.gz")
    labels = torch.from_numpy(volume.values.reshape(volume.values.shape[-3:]).round().astype(np.int32))
    scan = Scan(n_coils=n_coils, sampling="full", snr=float("inf"), seed=seed)
    clean = simulate_brain(labels, volume.geometry, scan).kspace.samples
    rng = torch.Generator().manual_seed(1000 + seed)
    sigma = object_mean(root_sum_of_squares(ifft(clean))) / 40
    covariance = sample_covariance(n_coils, rng) * sigma**2
    W = whitening(covariance)
    noisy = clean + noise(tuple(clean.shape), covariance, rng)
    return "simulated", mix_coils(noisy, W), root_sum_of_squares(ifft(mix_coils(clean, W)))[0, 0]


SOURCES: dict[str, Callable[[Path], Full]] = {
    "brain7": real_brain,
    "sim8": lambda shared: simulated_brain(shared, 8, split("label_maps", "test")[0], 1),
    "sim16": lambda shared: simulated_brain(shared, 16, split("label_maps", "test")[1], 2),
}

CASES: dict[str, tuple[str, str]] = {
    f"{source}-{kind}-R{R}": (source, f"{kind}:{R}:{n_centre}:{seed}")
    for source, seed in (("brain7", 7), ("sim8", 8), ("sim16", 9))
    for kind in ("random", "equispaced")
    for R, n_centre in ((4, 24), (8, 12))
}
"""Name -> (source, mask). Random masks serve the iterative methods, equispaced ones grappa."""


def build(name: str, shared: Path, work: Path) -> Case:
    """The case, from its file under `work` or made and kept there."""
    path = work / f"{name}.npz"
    if not path.exists():
        source, spec = CASES[name]
        kind, full, truth = SOURCES[source](shared)
        drawn = parse(spec)
        mask = drawn.draw((1, *truth.shape))
        samples = full * mask
        scale = float(samples.abs().max())
        work.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            kind=kind,
            samples=(samples / scale)[:, 0].numpy(),
            mask=mask[0, 0, :, 0].numpy(),
            truth=(truth / scale).numpy(),
            n_centre=int(drawn.centre),
        )
    return load(path)


def load(path: Path) -> Case:
    """A case from its file."""
    with np.load(path) as f:
        return Case(
            name=path.stem,
            kind=str(f["kind"]),
            samples=f["samples"],
            mask=f["mask"],
            truth=f["truth"],
            n_centre=int(f["n_centre"]),
        )
