"""The deep cascade: what published weights compute, measured samples kept, any coils; weights from ordered arrays."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from drawn import drawn, nrmse, slices
from numpy.typing import NDArray
from scipy.signal import convolve2d, correlate2d

from spinecho.calib.csm import estimate_csm
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.array.ordered import read_ordered
from spinecho.methods.pretrained import open_learned
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.methods.cascade import Config, Method, peak
from spinecho.tasks.recon.methods.varnet import Method as Other
from spinecho.tasks.recon.parts.refinement import relative_noise

SMALL = {"n_cascades": 2, "n_convs": 3, "channels": 5}


def layout(n_cascades: int = 2, n_convs: int = 3, channels: int = 5, seed: int = 0) -> list[NDArray[np.float32]]:
    """Random kernels and biases in the order of the network."""
    rng = np.random.default_rng(seed)
    sizes = [2, *[channels] * (n_convs - 1), 2]
    arrays: list[NDArray[np.float32]] = []
    for _ in range(n_cascades):
        for n_in, n_out in pairwise(sizes):
            arrays.append(rng.normal(0, 0.3 / n_in**0.5, (n_out, n_in, 3, 3)).astype(np.float32))
            arrays.append(rng.normal(0, 0.02, n_out).astype(np.float32))
    return arrays


def plain(kspace: NDArray[np.complex64], mask: NDArray[np.bool_], arrays: list, n_convs: int, flipped: bool) -> NDArray:
    """The published network as loops: uncentred Fourier transform, zero padding, measured samples put back."""
    slide = convolve2d if flipped else correlate2d
    x = np.fft.ifft2(kspace, norm="ortho")
    for first in range(0, len(arrays), 2 * n_convs):
        stack = np.stack([x.real, x.imag])
        for i in range(n_convs):
            kernel, bias = arrays[first + 2 * i], arrays[first + 2 * i + 1]
            made = [
                sum(slide(stack[j], kernel[k, j], mode="same") for j in range(len(stack))) for k in range(len(bias))
            ]
            stack = np.stack(made) + bias[:, None, None]
            stack = np.maximum(stack, 0) if i < n_convs - 1 else stack
        z = x + stack[0] + 1j * stack[1]
        x = np.fft.ifft2(np.where(mask, kspace, np.fft.fft2(z, norm="ortho")), norm="ortho")
    return x


@pytest.mark.parametrize("flipped", [True, False])
@pytest.mark.parametrize("shape", [(20, 18), (21, 16)])
def test_published_weights_compute_what_they_computed(flipped, shape):
    """One coil: the centred transform changes phases of k-space alone, which putting samples back does not see."""
    kspace = drawn(1, shape, seed=2)
    arrays = layout()
    method = Method.imported(arrays, flip_kernels=flipped)
    with torch.no_grad():
        x = method.images(kspace, torch.ones_like(kspace.samples).unsqueeze(-5))
    mask = np.broadcast_to(kspace.mask[0, 0].numpy(), shape)
    corner = lambda a: np.fft.ifftshift(a)  # noqa: E731
    start = np.fft.fftshift(np.fft.ifft2(corner(kspace.samples[0, 0].numpy()), norm="ortho"))
    unit = np.abs(start).max()
    uncentred = np.where(corner(mask), np.fft.fft2(start / unit, norm="ortho"), 0)
    wanted = unit * plain(uncentred, corner(mask), arrays, 3, flipped)
    np.testing.assert_allclose(x[-1].squeeze().numpy(), wanted, atol=2e-5 * unit)
    assert np.abs(wanted - start).max() > 0.05 * unit, "it must have done something"


def test_hard_consistency_keeps_the_samples():
    kspace = drawn(1, seed=1)
    csm = torch.ones_like(kspace.samples).unsqueeze(-5)
    method = Method.imported(layout(), flip_kernels=False)
    with torch.no_grad():
        x = method.images(kspace, csm)[-1]
        left = CartesianSense(kspace.mask, csm)(x) - kspace.samples
    assert float(left.abs().max()) < 1e-5 * float(kspace.samples.abs().max())


def test_untrained_it_is_least_squares_from_the_start():
    kspace = drawn(4)
    csm = estimate_csm(kspace)
    method = Method(Config(n_cascades=1, cg_iters=60))
    with torch.no_grad():
        start, x = method.images(kspace, csm)
        A = CartesianSense(kspace.mask, csm)
        w = torch.exp(method.log_weight[0] + method.log_power * relative_noise(kspace, peak(start)).log())
        assert nrmse(A.adjoint(A(x)) + w * x, A.adjoint(kspace.samples) + w * start) < 1e-3
        assert float((A(x) - kspace.samples).norm()) < float((A(start) - kspace.samples).norm())


def test_the_scale_does_not_matter_though_there_are_biases():
    kspace = drawn(4, seed=3)
    csm = estimate_csm(kspace)
    method = shaken()
    larger = replace(kspace, samples=1e3 * kspace.samples, noise_cov=1e6 * kspace.noise_cov)
    with torch.no_grad():
        assert nrmse(method.images(larger, csm)[-1], 1e3 * method.images(kspace, csm)[-1]) < 1e-4


def shaken() -> Method:
    """With weights that change the image."""
    method = Method(Config(**SMALL))
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in method.chains.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=rng))
    return method


def test_slices_stand_alone():
    method, scan = shaken(), slices(drawn(4, seed=0), drawn(4, seed=0, width=0.6))
    with torch.no_grad():
        both = method(scan).values
        alone = method(slices(drawn(4, seed=0), drawn(4, seed=0))).values
    assert nrmse(both[0], alone[0]) < 1e-4 < nrmse(both[1], alone[1])


def test_several_coils_and_hard_consistency_do_not_go_together():
    method = Method.imported(layout(), flip_kernels=False)
    with pytest.raises(DataError, match="for one coil, the scan has 4"):
        method(drawn(4))


def test_the_peak_is_each_image_its_own():
    x = torch.zeros(2, 1, 1, 4, 4, dtype=torch.complex64)
    x[1, 0, 0, 2, 2] = 3j
    assert peak(x)[1].item() == pytest.approx(3) and peak(x)[0].item() > 0


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ([], "there are 0 arrays"),
        (layout()[:-1], "there are 11 arrays"),
        (layout()[:-2], "no cascades can be recognised in 10 arrays"),
        ([layout()[1], layout()[0]], "no cascades"),
        ([*layout()[:6], *layout(channels=6)[6:]], "array 6 has shape"),
    ],
)
def test_arrays_that_do_not_fit(arrays, words):
    with pytest.raises(DataError, match=words):
        Method.imported(arrays, flip_kernels=False)


def test_other_methods_know_no_layout():
    with pytest.raises(DataError, match="no published layout"):
        Other.imported(layout(), flip_kernels=False)


@pytest.mark.parametrize(("n_cascades", "n_convs"), [(0, 5), (5, 1)])
def test_sizes_that_cannot_be(n_cascades, n_convs):
    with pytest.raises(DataError, match="at least 1 and at least 2"):
        Config(n_cascades=n_cascades, n_convs=n_convs)


def test_the_command_makes_a_weights_file(tmp_path, capsys):
    source, out = tmp_path / "published.npz", tmp_path / "cascade.safetensors"
    np.savez(source, *layout(5, 5, 64))
    assert main(["weights", "import", str(source), "-o", str(out), "--flip-kernels"]) == 0
    assert "50 arrays as recon/cascade" in capsys.readouterr().out
    method = open_learned("recon", out)
    assert method.config == Config(consistency="hard")
    first = method.chains[0].convolutions[0].weight
    np.testing.assert_array_equal(first.detach().numpy(), layout(5, 5, 64)[0][..., ::-1, ::-1])


def test_the_command_refuses_in_a_sentence(tmp_path, capsys):
    source = tmp_path / "a.npz"
    np.savez(source, *layout())
    for words, told in (
        (["import", str(source)], "say where the weights go"),
        (["import", str(source), "-o", str(tmp_path / "x.txt")], "not a weights file"),
        (["import", str(source), "-o", str(tmp_path / "x.safetensors"), "--method", "recon/varnet"], "no published"),
        (["import", str(tmp_path / "absent.npz"), "-o", str(tmp_path / "x.safetensors")], "no such file"),
    ):
        assert main(["weights", *words]) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_ordered_arrays(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, *[np.full(2, i) for i in range(12)])
    assert [int(a[0]) for a in read_ordered(path)] == list(range(12))
    for arrays, words in (
        ({"arr_0": np.zeros(1), "arr_2": np.zeros(1)}, "arr_1 is missing"),
        ({"weights": np.zeros(1)}, "has no number"),
        ({"arr_0": np.array([np.nan])}, "NaN"),
        ({"arr_0": np.array(["text"])}, "no.* real numbers|real numbers"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=words):
            read_ordered(path)
    np.savez(path, np.array([object()], dtype=object))
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        read_ordered(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        read_ordered(path)
