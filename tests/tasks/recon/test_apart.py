"""One bad slice, contrast or frame does not spoil the others, gets what can be made of it, and is told by name."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho import DataError, DoubtfulResult, KSpace, recon
from spinecho.calib.centre import find_centre
from spinecho.calib.csm import estimate_csm
from spinecho.cli import main
from spinecho.io.write import write
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon import apart

N, SHAPE = 4, (1, 48, 40)
LOST = {"the centre": range(22, 27), "two lines at the centre": (22, 26), "the second half": range(25, 48)}


def stack(sampling: str = "full", axes: tuple[str, ...] = ("slice",), n_coils: int = 6, **more) -> KSpace:
    """Four slices (or contrasts, frames) of a phantom with noise, none with a noise scan."""
    scans = [
        simulate_phantom(
            Scan(matrix=SHAPE, sampling=sampling, n_coils=n_coils, fineness=1, offset_mm=4.0 * i, **more)
        ).kspace
        for i in range(N)
    ]
    first, samples = scans[0], torch.stack([k.samples for k in scans])
    assert first.mask is not None
    mask = first.mask.expand(1, 1, 48, 1).expand(N, 1, 1, 48, 1).clone()
    places = [first.geometries[0].affine + 4.0 * i * np.outer([0, 0, 1, 0], [0, 0, 0, 1]) for i in range(N)]
    geometries = tuple(replace(first.geometries[0], affine=a) for a in (places if axes == ("slice",) else places[:1]))
    samples, mask = (t.reshape(*[1] * (len(axes) - 1), *t.shape) for t in (samples, mask))
    return KSpace(samples=samples * mask, mask=mask, encoding=first.encoding, geometries=geometries, axes=axes)


def without(kspace: KSpace, entry: int, lines) -> KSpace:
    """The scan with lines (k1) of one entry of its last batch axis lost."""
    assert kspace.mask is not None
    mask = kspace.mask.clone()
    mask[..., entry, :, :, list(lines), :] = False
    return replace(kspace, samples=kspace.samples * mask, mask=mask)


def told(kspace: KSpace, method: str, match: str):
    with pytest.warns(DoubtfulResult, match=match):
        return recon(kspace, method)


def others(values: torch.Tensor, bad: int, axis: int = 0) -> torch.Tensor:
    return values.index_select(axis, torch.tensor([i for i in range(N) if i != bad])).abs()


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("bad", [0, 2, 3])
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("method", ["auto", "cg_sense", "l1_wavelet", "zero_filled"])
def test_whole_slices_are_as_if_the_bad_one_were_not_there(method, lost, bad):
    kspace = stack()
    image = told(without(kspace, bad, LOST[lost]), method, f"slice {bad + 1} of 4")
    good = recon(apart.select(kspace, "slice", [i for i in range(N) if i != bad]), method)
    assert distance(others(image.values, bad), good.values.abs()) < 0.01
    assert torch.isfinite(image.values).all() and image.values[bad].abs().max() > 0.1 * good.values.abs().max()


@pytest.mark.parametrize("method", ["grappa", "cg_sense", "tv", "auto"])
def test_undersampled_slices_too(method):
    kspace = stack("equispaced:2:16")
    image = told(without(kspace, 1, range(18, 30)), method, "slice 2 of 4: no calibration lines")
    good = recon(apart.select(kspace, "slice", [0, 2, 3]), method)
    assert distance(others(image.values, 1), good.values.abs()) < 0.01


def test_borrowed_maps_are_better_than_none_and_told():
    kspace = stack("equispaced:2:16")
    bare = without(kspace, 1, [i for i in range(16, 32) if i % 2])
    image = told(bare, "cg_sense", "slice 2 of 4: .*by cg_sense with the coil maps of slice [13]; the other slices are")
    truth, plain = recon(kspace, "cg_sense").values[1].abs(), recon(bare.part("slice", 1), "zero_filled").values[0]
    assert distance(image.values[1].abs(), truth) < 0.3 * distance(plain, truth)


def test_compressed_coils_borrow_no_maps():
    """Each slice has virtual coils of its own."""
    bare = without(stack("equispaced:2:16", n_coils=14), 1, [i for i in range(16, 32) if i % 2])
    image = told(bare, "cg_sense", "slice 2 of 4: .*zero-filled root sum of squares is shown")
    assert image.values[1].abs().max() > 0 and (image.extras["csm"][1] == 0).all()


@pytest.mark.parametrize("axes", [("contrast",), ("slice", "contrast")])
def test_contrasts(axes):
    kspace = stack(axes=axes)
    image = told(without(kspace, 3, LOST["the centre"]), "cg_sense", "contrast 4 of 4: no calibration lines")
    good = recon(apart.select(kspace, "contrast", [0, 1, 2]), "cg_sense")
    assert distance(others(image.values, 3, len(axes) - 1), good.values.abs()) < 0.01


@pytest.mark.parametrize("axis", ["time", "repetition"])
def test_a_bad_frame_harms_no_full_series(axis):
    kspace = stack(axes=(axis,))
    image = told(without(kspace, 1, LOST["the second half"]), "auto", f"{axis} 2 of 4")
    assert distance(others(image.values, 1), others(recon(kspace).values, 1)) < 1e-5


def test_frames_share_their_calibration_lines():
    kspace = stack("equispaced:2:16", axes=("time",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = recon(without(kspace, 1, range(18, 30)), "cg_sense")
    assert (image.extras["csm"][0] == image.extras["csm"][1]).all()


def test_partial_fourier_slices_keep_their_method():
    kspace = stack("partial:0.7")
    assert kspace.mask is not None
    lines = kspace.mask[0, 0, 0, :, 0].nonzero()[:, 0].tolist()
    image = told(without(kspace, 0, [n for n in lines if not 21 <= n <= 26]), "pocs", "slice 1 of 4")
    good = recon(apart.select(kspace, "slice", [1, 2, 3]), "pocs")
    assert distance(others(image.values, 0), good.values) < 1e-5


def test_calibration_lines_apart_of_one_slice_are_missing():
    kspace = stack("equispaced:2:16")
    calib = kspace.samples[..., 16:32, :].clone()
    bare = replace(without(kspace, 2, []), calib=calib)
    calib[2] = 0
    image = told(bare, "cg_sense", "slice 3 of 4: no calibration lines")
    good = recon(apart.select(bare, "slice", [0, 1, 3]), "cg_sense")
    torch.testing.assert_close(
        others(image.values, 2), good.values.abs(), rtol=0, atol=0.01 * float(good.values.abs().max())
    )


def test_maps_of_a_slice_are_those_it_has_alone():
    bare = without(stack(), 0, range(34, 48))
    torch.testing.assert_close(estimate_csm(bare)[2], estimate_csm(bare.part("slice", 2))[0])


def test_direct_callers_hear_which_slice_it_is():
    with pytest.raises(DataError, match="slice 4 of 4: no calibration lines"):
        estimate_csm(without(stack(), 3, LOST["the centre"]))


def test_nothing_good_is_refused_as_before():
    kspace = stack()
    kspace = replace(kspace, encoding=replace(kspace.encoding, centre=(0, 24, 20)))
    for i in range(N):
        kspace = without(kspace, i, range(20 + i, 29))
    with pytest.raises(DataError, match="no calibration lines"):
        recon(kspace, "cg_sense")


@pytest.mark.parametrize("bad", range(N))
def test_the_centre_is_that_of_most_slices(bad):
    kspace = stack()
    centre = find_centre(kspace)
    assert find_centre(without(kspace, bad, LOST["the centre"])) == centre
    spike = kspace.samples.clone()
    spike[bad, :, 0, 15, 12] = 1e3 * spike.abs().max()
    assert find_centre(replace(kspace, samples=spike)) == centre


def test_slices_with_random_lines_of_their_own_go_together(monkeypatch):
    kspace = stack()
    mask = torch.rand(N, 1, 1, 48, 1, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[..., 14:34, :] = True
    for i in range(N):  # as many each
        mask[i, ..., :14, :] = mask[0, ..., :14, :].roll(i, -2)
        mask[i, ..., 34:, :] = mask[0, ..., 34:, :].roll(i, -2)
    runs = []
    image, _ = apart.in_groups(
        replace(kspace, samples=kspace.samples * mask, mask=mask),
        lambda scan: runs.append(scan.samples.shape[0]) or scan.image(scan.samples[:, :1]),
        lambda scan: "",
    )
    assert runs == [N] and image.header.warnings == ()


def test_an_empty_slice_is_nothing_special():
    kspace = stack()
    kspace.samples[0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = recon(kspace, "cg_sense")
    assert (image.values[0] == 0).all() and torch.isfinite(image.values).all()


def test_command_line_and_strict(tmp_path, capsys):
    file, out = tmp_path / "scan.mrd.h5", tmp_path / "out.npy"
    write(without(stack(), 3, LOST["the second half"]), file)
    arguments = ["recon", str(file), "-o", str(out), "--method", "cg_sense"]
    assert main(arguments) == 0
    warned = capsys.readouterr().err
    assert "warning: slice 4 of 4: " in warned and "DoubtfulResult" not in warned
    out.unlink()
    assert main([*arguments, "--strict"]) == 3 and out.exists()
    assert "--strict was given -> look at" in capsys.readouterr().err
    write(stack(), file)
    assert main([*arguments, "--strict"]) == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize("bad", [0, 2])
def test_slice_by_slice(tmp_path, capsys, bad):
    """A step that holds nothing but the bad slice does not end the others' work."""
    file, out = tmp_path / "scan.mrd.h5", tmp_path / "out.npy"
    write(without(stack(), bad, LOST["the centre"]), file)
    arguments = ["recon", str(file), "-o", str(out), "--at-once", "1", "--strict"]
    assert main([*arguments, "--method", "cg_sense"]) == 3 and out.exists()
    warned = [w for w in capsys.readouterr().err.splitlines() if w.startswith("warning: ")]
    assert all(w.startswith(f"warning: slice {bad + 1} of 4: ") for w in warned)
    assert "90 % of the others' samples" in warned[0] and "auto was taken there" in warned[-1]


def test_slices_are_counted_in_the_whole_scan(tmp_path, capsys):
    file, out = tmp_path / "scan.mrd.h5", tmp_path / "out.npy"
    write(without(stack(), 3, LOST["the centre"]), file)
    assert main(["recon", str(file), "-o", str(out), "--at-once", "2", "--method", "cg_sense"]) == 0
    assert "warning: slice 4 of 4: no calibration lines: reconstructed by cg_sense with the coil maps of slice 3" in (
        capsys.readouterr().err
    )
