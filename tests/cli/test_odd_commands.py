"""Commands of a tired person: nothing is overwritten, what makes no sense is refused, what is not used is told."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.outputs import check_outputs
from spinecho.sim.scan import Scan, simulate_phantom

AXES = ["--axes", "coil k1 k0"]


@pytest.fixture
def kspace(tmp_path) -> Path:
    path = tmp_path / "k.npy"
    np.save(
        path,
        simulate_phantom(Scan(matrix=(1, 48, 40), n_coils=4, sampling="full", fineness=1)).kspace.samples[:, 0].numpy(),
    )
    return path


def image(path: Path, values: np.ndarray | None = None, kind: type = nib.Nifti1Image) -> Path:
    y, x, z = np.mgrid[-1:1:24j, -1:1:20j, -1:1:16j]
    values = (np.hypot(np.hypot(y, x), z) < 0.8) * 100.0 if values is None else values
    nib.save(kind(values.astype(np.float32), np.diag([3.0, 3, 3, 1])), path)
    return path


def refused(capsys, *arguments: object) -> str:
    assert main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("read", ["p.img", "p.hdr"])
def test_no_half_of_a_pair_is_overwritten(tmp_path, capsys, read):
    image(tmp_path / "p.img", kind=nib.Nifti1Pair)
    before = (tmp_path / "p.hdr").read_bytes()
    for command in (["convert"], ["denoise", "-o"]):
        assert "input" in refused(capsys, command[0], tmp_path / read, *command[1:], tmp_path / "p.cfl")
    assert (tmp_path / "p.hdr").read_bytes() == before


def test_a_report_is_called_one(tmp_path, capsys, kspace):
    precious = image(tmp_path / "precious.nii.gz")
    before = precious.read_bytes()
    told = refused(capsys, "recon", kspace, *AXES, "-o", tmp_path / "x.nii.gz", "--report", precious)
    assert "give a name that ends in .html" in told and precious.read_bytes() == before


def test_no_series_is_written_into_the_folder_of_another(tmp_path):
    folder = tmp_path / "d0"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(b"")
    with pytest.raises(DataError, match="lies in the input folder"):
        check_outputs([folder / "new_dicom"], [folder])
    check_outputs([tmp_path / "new_dicom", folder / "a.nii.gz"], [folder])


def test_there_is_no_brain_where_all_is_alike(tmp_path, capsys):
    empty = image(tmp_path / "zeros.nii.gz", np.zeros((20, 20, 20)))
    assert main(["segment", str(empty), "-o", str(tmp_path / "s.nii.gz")]) == 0
    assert "the same value everywhere" in "".join(capsys.readouterr())
    assert not np.asarray(nib.load(tmp_path / "s.nii.gz").dataobj).any()


@pytest.mark.parametrize("value", ["-1", "nan"])
def test_settings_that_make_no_sense(tmp_path, capsys, value):
    head, out = image(tmp_path / "h.nii.gz"), tmp_path / "x.nii.gz"
    told = refused(capsys, "denoise", head, "-o", out, "--method", "wavelet", "--strength", value)
    assert "strength" in told and not out.exists()


def test_fewer_iterations_than_none(tmp_path, capsys, kspace):
    told = refused(capsys, "recon", kspace, *AXES, "-o", tmp_path / "x.npy", "--method", "cg_sense", "--n-iters", "-3")
    assert "n_iters" in told or "n-iters" in told


def test_weights_of_another_method(tmp_path, capsys, kspace):
    from spinecho.methods.pretrained import weights_file

    given = ["--method", "varnet", "--weights", weights_file("recon", "hqs_net"), "-o", tmp_path / "x.npy"]
    assert "they are weights of the method hqs_net" in refused(capsys, "recon", kspace, *AXES, *given)


@pytest.mark.parametrize("channels", [["4"], ["0", "4", "4"]])
def test_levels_of_a_network_that_do_not_fit(tmp_path, capsys, channels):
    head = image(tmp_path / "h.nii.gz")
    told = refused(capsys, "train", "denoise/unet", "--data", head, "--out", tmp_path / "r", "--channels", *channels)
    assert "channels (" in told and "blocks (" in told and "denoise/unet --help" in told


def test_arrays_in_no_archive(tmp_path, capsys, kspace):
    out = tmp_path / "w.safetensors"
    assert "give an .npz" in refused(capsys, "weights", "import", kspace, "-o", out)
    np.savez(tmp_path / "w.npz", np.zeros(3))
    told = refused(capsys, "weights", "import", tmp_path / "w.npz", "-o", out, "--method", "foo")
    assert "recon/cascade" in told


def test_two_voxel_sizes(tmp_path, capsys, kspace):
    np.savetxt(tmp_path / "a.txt", np.diag([1.0, 1, 2, 1]))
    given = ["--affine", tmp_path / "a.txt", "--voxel-mm", "2", "2", "3", "-o", tmp_path / "x.nii.gz"]
    assert "voxel sizes" in refused(capsys, "recon", kspace, *AXES, *given)


def test_what_is_not_used_is_told(tmp_path, capsys):
    y, x, z = np.mgrid[-1:1:24j, -1:1:20j, -1:1:16j]
    brain = (np.hypot(np.hypot(y, x), z) < 0.8) * (100 + 5 * np.random.default_rng(0).standard_normal(y.shape))
    flair, t1, out = image(tmp_path / "f.nii.gz", brain), image(tmp_path / "t.nii.gz", 2 * brain), tmp_path / "l.nii.gz"
    assert main(["segment", str(flair), "--method", "threshold", "--t1", str(t1), "-o", str(out)]) == 0
    assert "not used: t1 (threshold looks at flair)" in "".join(capsys.readouterr())


def test_a_magnitude_has_nothing_complex_to_keep(tmp_path, capsys, kspace):
    given = ["--method", "zero_filled", "--keep-complex", "-o", tmp_path / "x.npy"]
    assert main([str(a) for a in ["recon", kspace, *AXES, *given]]) == 0
    assert "zero_filled makes a magnitude" in "".join(capsys.readouterr())


def test_an_array_as_the_mask_of_a_cfl_file(tmp_path, capsys, kspace):
    assert main(["convert", str(kspace), str(tmp_path / "k.cfl"), *AXES]) == 0
    np.save(tmp_path / "m.npy", np.ones((48, 40)))
    told = refused(capsys, "recon", tmp_path / "k.cfl", "--mask", tmp_path / "m.npy", "-o", tmp_path / "x.npy")
    assert "mask" in told and "cfl" in told and "m.npy.hdr" not in told


def test_one_scan_with_a_number_that_is_none_spoils_no_evaluation(tmp_path, capsys, kspace):
    folder = tmp_path / "scans"
    folder.mkdir()
    samples = np.load(kspace)
    np.save(folder / "good.npy", samples)
    samples[0, 3, 3] = np.nan
    np.save(folder / "bad.npy", samples)
    given = ["--data", folder, *AXES, "--methods", "zero_filled", "--accel", "2", "--out", tmp_path / "t.csv"]
    main([str(a) for a in ["evaluate", *given]])
    told = "".join(capsys.readouterr())
    assert "bad.npy" in told and "bug in spinecho" not in told


def test_training_leaves_out_a_scan_with_a_number_that_is_none(tmp_path, capsys, kspace):
    samples = np.load(kspace)
    samples[0, 3, 3] = np.nan
    np.save(tmp_path / "bad.npy", samples)
    given = ["--data", tmp_path / "bad.npy", *AXES, "--out", tmp_path / "r", "--steps", "1"]
    told = refused(capsys, "train", "recon/unet", *given)
    assert "bad.npy" in told and "NaN" in told


def test_blank_spokes_are_told(tmp_path, capsys):
    radial = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="radial:20", fineness=1)).kspace
    samples, points = radial.samples[:, 0].numpy().copy(), radial.traj[0].numpy()
    samples[:, ::2] = 0
    np.save(tmp_path / "s.npy", samples)
    np.save(tmp_path / "t.npy", points)
    given = [tmp_path / "s.npy", *AXES, "--traj", tmp_path / "t.npy", "--method", "gridding", "-o", tmp_path / "x.npy"]
    assert main([str(a) for a in ["recon", *given]]) == 0
    assert "10 of 20 readouts are zero" in "".join(capsys.readouterr())


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_slice_without_signal_leaves_the_others(tmp_path, capsys, kspace, value):
    slices = np.stack([np.load(kspace)] * 3)
    slices[1] = value
    np.save(tmp_path / "s.npy", slices)
    given = ["--data", tmp_path / "s.npy", "--axes", "slice coil k1 k0", "--methods", "zero_filled", "--accel", "2"]
    assert main([str(a) for a in ["evaluate", *given, "--out", tmp_path / "t.csv"]]) == 0
    table = (tmp_path / "t.csv").read_text()
    assert "slice 0" in table and "slice 2" in table and "slice 1" not in table
    assert "s.npy" in "".join(capsys.readouterr())


def test_complex_coil_images_are_advised_only_where_the_option_is_taken(tmp_path, capsys):
    np.save(tmp_path / "i.npy", np.ones((24, 20), np.float32))
    nib.save(nib.Nifti1Image(np.ones((24, 20, 4), np.complex64), np.eye(4)), tmp_path / "i.nii.gz")
    for name, advised in (("i.npy", True), ("i.nii.gz", False)):
        assert main(["recon", str(tmp_path / name), "-o", str(tmp_path / "o.nii.gz")]) == 2
        assert ("--domain coil-images" in capsys.readouterr().err) == advised


def series(folder: Path, n: int = 3, **facts) -> Path:
    """A DICOM series that spinecho wrote, its patient lying as usual."""
    image(folder.with_suffix(".nii.gz"), np.random.default_rng(n).random((12, 10, n)))
    assert main(["convert", str(folder.with_suffix(".nii.gz")), str(folder)]) == 0
    return folder


@pytest.mark.parametrize("name", ["quiet_dicom", "quiet.v2_dicom", "quiet.dcm"])
def test_dicom_is_never_written_into_the_series_it_is_made_of(name, tmp_path, capsys):
    source = series(tmp_path / "a_dicom")
    assert main(["denoise", str(source), "--method", "wavelet", "-o", str(source / name)]) == 2
    assert "it lies in the input folder" in capsys.readouterr().err


def test_the_series_that_lends_its_patient_is_left_alone(tmp_path, capsys):
    like = series(tmp_path / "a_dicom")
    for target in (like, like / "new_dicom"):
        assert main(["convert", str(tmp_path / "a_dicom.nii.gz"), str(target), "--like", str(like)]) == 2
        assert "input" in capsys.readouterr().err


def test_one_file_for_many_slices_is_refused_before_the_work(tmp_path, capsys):
    image(tmp_path / "i.nii.gz")
    outputs = ["-o", str(tmp_path / "o.dcm"), "-o", str(tmp_path / "o.nii.gz")]
    assert main(["denoise", str(tmp_path / "i.nii.gz"), *outputs]) == 2
    told = capsys.readouterr()
    assert "16 slices and frames, a .dcm file holds one" in told.err and "noise" not in told.out
