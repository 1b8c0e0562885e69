"""Plain arrays: axes in any order give the same samples, pictures come back as stored, errors say the command."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.array.write import named_array
from spinecho.io.formats import arrays
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.recon.run import recon


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def scan(path: Path, **options) -> KSpace:
    item = arrays.read(path, ReadOptions(**options))
    assert isinstance(item, KSpace)
    return item


def picture(kspace: KSpace) -> Image:
    return kspace.image(root_sum_of_squares(ifft(kspace.samples)))


@given(order=st.permutations(["slice", "coil", "k1", "k0"]))
@settings(max_examples=12, deadline=None)
def test_any_order_of_axes_gives_the_same_samples(tmp_path_factory, order: list[str]) -> None:
    path = tmp_path_factory.mktemp("a") / "scan.npy"
    samples = noise(2, 3, 6, 8)
    np.save(path, samples.transpose([["slice", "coil", "k1", "k0"].index(n) for n in order]))
    kspace = scan(path, axes=" ".join(order))
    assert kspace.axes == ("slice",) and kspace.samples.shape == (2, 3, 1, 6, 8)
    np.testing.assert_array_equal(kspace.samples[:, :, 0].numpy(), samples)
    image = picture(kspace)
    array, names = named_array(image, " ".join(order))
    assert sorted(names) == ["slice", "x", "y"]
    assert array.shape == tuple({"slice": 2, "k1": 6, "k0": 8}[n] for n in order if n != "coil")


@pytest.mark.parametrize("axes", [" ".join(p) for p in permutations(["y", "x", "coil"])])
@pytest.mark.parametrize("readout", ["x", "y"])
def test_coil_images_are_shown_as_stored_whatever_the_readout(tmp_path: Path, axes: str, readout: str) -> None:
    images = noise(6, 8, 3)
    names = axes.split()
    stored = images.transpose([["y", "x", "coil"].index(n) for n in names])
    np.savez(tmp_path / "i.npz", stored)
    kspace = scan(tmp_path / "i.npz", axes=axes, domain="coil-images", readout=readout)
    assert kspace.samples.shape == ((3, 1, 6, 8) if readout == "x" else (3, 1, 8, 6))
    shown = picture(kspace).as_stored()
    np.testing.assert_allclose(shown.values[0, 0], np.linalg.norm(images, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(shown.geometry.affine[:3, :3], np.eye(3))
    array, _ = named_array(picture(kspace), axes)
    np.testing.assert_allclose(array, np.linalg.norm(stored, axis=names.index("coil")), rtol=1e-5)


def test_k0_named_first_runs_down_the_picture_and_voxel_sizes_follow(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", noise(4, 8, 6))
    kspace = scan(tmp_path / "s.npy", axes="coil k0 k1", voxel_mm=(2.0, 3.0, 5.0))
    assert kspace.samples.shape == (4, 1, 6, 8)
    assert kspace.geometries[0].voxel_mm == (3.0, 2.0, 5.0) and kspace.encoding.fov_mm == (5.0, 12.0, 24.0)
    shown = picture(kspace).as_stored()
    assert shown.values.shape == (1, 1, 8, 6) and shown.geometry.voxel_mm == (2.0, 3.0, 5.0)
    assert not shown.geometry.oriented and "orientation=unknown" in shown.header.flags


def test_slices_stack_in_their_own_order(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", noise(3, 8, 6))
    kspace = scan(tmp_path / "s.npy", axes="slice k0 k1", voxel_mm=(1, 1, 4))
    volume = picture(kspace).volume().as_stored()
    assert volume.geometry.voxel_mm == (1, 1, 4) and volume.values.shape == (1, 3, 8, 6)
    part = scan(tmp_path / "s.npy", axes="slice k0 k1", voxel_mm=(1, 1, 4), slices=(1, 3))
    assert torch.equal(part.samples, kspace.samples[1:])
    for a, b in zip(part.geometries, kspace.geometries[1:], strict=True):
        assert a.matches(b)
    assert arrays.slice_count(tmp_path / "s.npy", ReadOptions(axes="slice k0 k1")) == 3
    with pytest.raises(DataError, match="the array has 3"):
        scan(tmp_path / "s.npy", axes="slice k0 k1", slices=(2, 5))


@pytest.mark.parametrize("kind", ["npy", "npz", "mat", "pairs", "fields", "matlab73", "complex128", "int"])
def test_every_way_of_storing_complex_numbers(tmp_path: Path, kind: str) -> None:
    samples = np.round(noise(3, 6, 8) * 50)
    pairs = np.stack([samples.real, samples.imag], -1)
    path, axes = tmp_path / "s.h5", "coil k1 k0"
    if kind in ("npy", "complex128", "int"):
        path = tmp_path / "s.npy"
        np.save(path, {"npy": samples, "complex128": samples.astype(complex), "int": pairs.astype(np.int16)}[kind])
    elif kind == "npz":
        path = tmp_path / "s.npz"
        np.savez(path, a=samples, b=np.zeros(3))
    elif kind == "mat":
        path = tmp_path / "s.mat"
        savemat(path, {"k": samples, "note": "text", "fov": 220.0})
    elif kind == "pairs":
        with h5py.File(path, "w") as f:
            f["deep/samples"] = pairs
    else:
        stored = samples.T if kind == "matlab73" else samples
        fields = np.zeros(stored.shape, [("real", "<f8"), ("imag", "<f8")])
        fields["real"], fields["imag"] = stored.real, stored.imag
        with h5py.File(path, "w", userblock_size=512 if kind == "matlab73" else 0) as f:
            f["k"] = fields
            if kind == "matlab73":
                f["k"].attrs["MATLAB_class"] = np.bytes_("double")
        if kind == "matlab73":
            with path.open("r+b") as f:
                f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    kspace = scan(path, axes=axes)
    np.testing.assert_array_equal(kspace.samples[:, 0], samples)


def test_unmeasured_samples_are_zeros(tmp_path: Path) -> None:
    samples = noise(3, 16, 20)
    lines = np.arange(16) % 2 == 0
    np.save(tmp_path / "lines.npy", samples * lines[:, None])
    mask = scan(tmp_path / "lines.npy", axes="coil k1 k0").mask
    assert mask is not None and mask.shape == (1, 1, 16, 1) and mask.flatten().numpy().tolist() == lines.tolist()
    points = np.random.default_rng(0).random((16, 20)) < 0.3
    np.save(tmp_path / "points.npy", samples * points)
    mask = scan(tmp_path / "points.npy", axes="coil k1 k0").mask
    assert mask is not None and (mask[0, 0].numpy() == points).all()
    echo = samples * (np.arange(20) >= 6)
    echo[:, 3, 9] = 0
    np.save(tmp_path / "echo.npy", echo)
    mask = scan(tmp_path / "echo.npy", axes="coil k1 k0").mask
    assert mask is not None and (mask[0, 0].numpy() == (np.arange(20) >= 6)).all()


@pytest.mark.parametrize("shape", [(16,), (16, 1), (1, 16), (16, 20), (1, 16, 1), (3, 16, 20)])
def test_masks_of_any_sensible_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    samples, lines = noise(3, 16, 20), np.arange(16) % 3 == 0
    np.save(tmp_path / "s.npy", samples)
    mask = np.broadcast_to(lines[:, None] if len(shape) > 1 and shape[-1] in (1, 20) else lines, shape)
    np.save(tmp_path / "m.npy", mask.astype(np.float32))
    kspace = scan(tmp_path / "s.npy", axes="coil k1 k0", mask=tmp_path / "m.npy")
    assert kspace.mask is not None and kspace.mask.flatten().numpy().tolist() == lines.tolist()
    assert "retrospectively undersampled" in kspace.header.flags
    np.testing.assert_array_equal(kspace.samples[:, 0], samples * lines[:, None])


def test_a_frame_by_frame_mask_and_slices_of_it(tmp_path: Path) -> None:
    lines = np.random.default_rng(1).random((4, 16)) < 0.5
    np.save(tmp_path / "s.npy", noise(4, 3, 16, 20) * lines[:, None, :, None])
    np.save(tmp_path / "m.npy", lines)
    options = {"axes": "slice coil k1 k0", "mask": tmp_path / "m.npy"}
    kspace = scan(tmp_path / "s.npy", **options)
    assert kspace.mask is not None and (kspace.mask[:, 0, 0, :, 0].numpy() == lines).all()
    assert "retrospectively undersampled" not in kspace.header.flags
    part = scan(tmp_path / "s.npy", **options, slices=(1, 3))
    assert part.mask is not None and torch.equal(part.mask, kspace.mask[1:3])


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", noise(3, 16, 20) * (np.arange(16) % 2 == 0)[:, None])
    options = {"axes": "coil k1 k0", "mask": tmp_path / "m.npy"}
    np.save(tmp_path / "m.npy", np.ones(20))
    with pytest.raises(DataError, match=r"shape \(20,\).*wanted.*\(16,\) \(k1\)"):
        scan(tmp_path / "s.npy", **options)
    np.save(tmp_path / "m.npy", np.arange(20)[None] % 2)
    with pytest.raises(DataError, match="the mask has shape"):
        scan(tmp_path / "s.npy", **options)
    np.save(tmp_path / "m.npy", np.arange(16) % 2 == 1)
    with pytest.raises(DataError, match="disagree: 160 of 160"):
        scan(tmp_path / "s.npy", **options)
    np.save(tmp_path / "m.npy", np.zeros(16))
    with pytest.raises(DataError, match="zero everywhere"):
        scan(tmp_path / "s.npy", **options)
    with pytest.raises(DataError, match="no such file"):
        scan(tmp_path / "s.npy", axes="coil k1 k0", mask=tmp_path / "none.npy")


def test_averages_count_only_where_measured(tmp_path: Path) -> None:
    samples, measured = noise(2, 3, 16, 20), np.ones((2, 16), bool)
    measured[1, ::2] = False
    np.save(tmp_path / "s.npy", samples * measured[:, None, :, None])
    kspace = scan(tmp_path / "s.npy", axes="average coil k1 k0")
    wanted = np.where(measured[1][:, None], samples.mean(0), samples[0])
    assert kspace.axes == () and kspace.mask is not None and kspace.mask.all()
    np.testing.assert_allclose(kspace.samples[:, 0], wanted, rtol=1e-6)


def test_oversampling_is_cropped_in_image_space(tmp_path: Path) -> None:
    image = np.zeros((3, 1, 16, 40), np.complex64)
    image[..., 10:30] = noise(3, 1, 16, 20)
    full = fft(torch.from_numpy(image))
    np.save(tmp_path / "s.npy", full.numpy()[:, 0])
    kspace = scan(tmp_path / "s.npy", axes="coil k1 k0", oversampling=2)
    assert kspace.encoding.matrix == (1, 16, 20)
    torch.testing.assert_close(ifft(kspace.samples), torch.from_numpy(image[..., 10:30]), atol=1e-5, rtol=1e-5)
    points = np.random.default_rng(0).random((16, 40)) < 0.5
    np.save(tmp_path / "p.npy", full.numpy()[:, 0] * points)
    kspace = scan(tmp_path / "p.npy", axes="coil k1 k0", oversampling=2)
    assert kspace.encoding.matrix == (1, 16, 40) and kspace.encoding.recon_matrix == (1, 16, 20)
    with pytest.raises(DataError, match="out of range"):
        scan(tmp_path / "s.npy", axes="coil k1 k0", oversampling=0.5)


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (noise(8, 64, 60), {}, r'spinecho recon s.npy --axes "coil k1 k0"'),
        (noise(64, 60, 8), {}, r'--axes "k0 k1 coil"'),
        (noise(20, 8, 64, 60), {}, r'--axes "slice coil k1 k0"'),
        (noise(64, 60, 8), {"domain": "coil-images"}, r'--axes "y x coil" --domain coil-images'),
        (noise(8, 64, 60), {"axes": "k1 k0"}, r"names 2 axes, the array has 3: \(8, 64, 60\).*'coil k1 k0'"),
        (noise(8, 64, 60), {"axes": "coil kx ky"}, "unknown name 'kx'"),
        (noise(8, 64, 60), {"axes": "coil k1 k1"}, "k1 twice"),
        (noise(8, 64, 60), {"axes": "coil k1 x"}, "mixes"),
        (noise(8, 64, 60), {"axes": "coil y x"}, "domain='coil-images'"),
        (noise(8, 64, 60), {"axes": "coil k1 k0", "domain": "coil-images"}, "needs image axes"),
        (noise(2, 64, 60), {"axes": "map k1 k0"}, "map axis"),
        (noise(8, 64, 60).real, {"axes": "coil k1 k0"}, r"must be complex; found float32 of shape \(8, 64, 60\)"),
        (np.array(["a", "b"]), {"axes": "k0"}, "no array of at least two axes"),
        (np.array([object()]), {}, "pickle"),
    ],
)
def test_a_wrong_shape_is_answered_with_the_command_that_works(
    tmp_path: Path, array: np.ndarray, options: dict, said: str
) -> None:
    np.save(tmp_path / "s.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=said):
        arrays.read(tmp_path / "s.npy", ReadOptions(**options))


def test_several_variables_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", first=noise(6, 8), second=noise(8, 8))
    with pytest.raises(DataError, match=r"first \(6, 8\) complex64; second .* --key second"):
        scan(tmp_path / "s.npz")
    assert scan(tmp_path / "s.npz", key="first").samples.shape == (1, 1, 6, 8)
    with pytest.raises(DataError, match="there is no variable 'third'"):
        scan(tmp_path / "s.npz", key="third")


@pytest.mark.parametrize("suffix", ["npy", "npz", "mat", "h5"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    {"npy": np.save, "npz": np.savez}.get(suffix, lambda p, a: savemat(p, {"a": a}))(path, noise(32, 32))
    if suffix == "h5":
        path.unlink()
        with h5py.File(path, "w") as f:
            f["a"] = noise(32, 32)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError):
        scan(path)


def test_a_small_npy_that_declares_a_terabyte(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", noise(4, 4))
    content = (tmp_path / "s.npy").read_bytes().replace(b"(4, 4), }" + b" " * 16, b"(400000, 400000), }" + b" " * 6)
    (tmp_path / "s.npy").write_bytes(content)
    with pytest.raises(DataError):
        scan(tmp_path / "s.npy")


def test_images_and_their_arrays(tmp_path: Path) -> None:
    values = np.abs(noise(5, 6, 8))
    np.save(tmp_path / "i.npy", values[0])
    image = arrays.read(tmp_path / "i.npy", ReadOptions())
    assert isinstance(image, Image) and torch.equal(image.values[0, 0], torch.from_numpy(values[0]))
    np.save(tmp_path / "v.npy", values)
    image = arrays.read(tmp_path / "v.npy", ReadOptions(axes="slice y x", voxel_mm=(1, 2, 3)))
    assert isinstance(image, Image) and image.volume().geometry.voxel_mm == (1, 2, 3)
    arrays.write(image, tmp_path / "o.npy", WriteOptions(input_axes="slice y x"))
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), values)
    arrays.write(image, tmp_path / "o.mat", WriteOptions(input_axes="x y slice"))
    again = arrays.read(tmp_path / "o.mat", ReadOptions(axes="x y slice"))
    assert isinstance(again, Image) and torch.equal(again.values, image.values)


@pytest.mark.parametrize(
    ("name", "options", "matrix", "stored"),
    [
        (
            "brain_t1_7coil_images.npz",
            {"axes": "y x coil", "domain": "coil-images", "readout": "y"},
            (216, 256),
            (256, 216),
        ),
        ("knee_1coil.mat", {"oversampling": 2}, (332, 320), (332, 320)),
        ("brain_sagittal_1coil.mat", {}, (256, 256), (256, 256)),
        ("brain_8coil_poisson.npy", {"axes": "coil k1 k0"}, (230, 180), (230, 180)),
    ],
)
def test_the_real_slices(
    shared_data: Path, tmp_path: Path, name: str, options: dict, matrix: tuple, stored: tuple
) -> None:
    kspace = scan(shared_data / "kspace" / name, **options)
    assert kspace.encoding.matrix == (1, *matrix) and kspace.mask is not None
    assert (kspace.mask.shape[-1] == 1) == (name != "brain_8coil_poisson.npy")
    image = recon(kspace, "zero_filled")
    arrays.write(image, tmp_path / "o.npy", WriteOptions(input_axes=options.get("axes")))
    shown = np.load(tmp_path / "o.npy")
    assert shown.shape == stored and shown.dtype == np.float32
    np.testing.assert_allclose(shown, plain_picture(shared_data / "kspace" / name), rtol=1e-3, atol=1e-4 * shown.max())


def plain_picture(path: Path) -> np.ndarray:
    """Root sum of squares as a few lines of numpy make it, in the file's own order of axes."""
    if path.suffix == ".npz":
        return np.linalg.norm(np.load(path)["arr_0"], axis=-1)
    samples = np.load(path) if path.suffix == ".npy" else next(v for k, v in loadmat(path).items() if k[0] != "_")[None]
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(samples, (-2, -1)), norm="ortho"), (-2, -1))
    return np.linalg.norm(images[..., 160:480] if images.shape[-1] == 640 else images, axis=0)
