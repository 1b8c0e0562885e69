"""KSpace and Image: what they refuse, how they are cut, and how slices become a volume."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import spinecho
from spinecho import DataError, Encoding, Geometry, Header, Image, KSpace

FOV = (5.0, 240.0, 240.0)


def scan(n_slices: int = 3, n_frames: int = 2, n_coils: int = 4) -> KSpace:
    samples = torch.randn(n_slices, n_frames, n_coils, 1, 6, 8, dtype=torch.complex64)
    geometries = tuple(Geometry.from_frame([0, 0, 5.0 * i], np.eye(3), (1, 1, 5), (1, 6, 8)) for i in range(n_slices))
    return KSpace(
        samples=samples,
        mask=torch.ones(n_slices, 1, 1, 1, 6, 1, dtype=torch.bool),
        encoding=Encoding.cartesian((1, 6, 8)),
        geometries=geometries,
        axes=("slice", "time"),
    )


def test_a_part_keeps_its_axis_and_its_geometry():
    part = scan().part("slice", 2)
    assert part.samples.shape == (1, 2, 4, 1, 6, 8)
    assert part.mask is not None and part.mask.shape[0] == 1
    assert part.geometries[0].to_world([4, 3, 0])[2] == pytest.approx(10.0)
    frames = scan().narrow("time", 1, 2)
    assert frames.samples.shape[:2] == (3, 1) and len(frames.geometries) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": ("slice",)}, "name each one"),
        ({"geometries": ()}, "3 slices and 0 geometries"),
        ({"mask": None}, "mask .* or a trajectory"),
        ({"encoding": Encoding.cartesian((1, 6, 9))}, "encoded matrix"),
        ({"noise_cov": torch.eye(3, dtype=torch.complex64)}, "noise_cov has 3 coils, k-space 4"),
    ],
)
def test_scans_that_contradict_themselves_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        replace(scan(), **change)


def test_a_volume_is_ordered_by_position():
    k = scan()
    values = torch.arange(3.0).reshape(3, 1, 1, 1, 1, 1).expand(3, 2, 1, 1, 6, 8)
    shuffled = Image(values=values, geometries=k.geometries[::-1], axes=k.axes, extras={"gfactor": values})
    volume = shuffled.volume()
    assert volume.values.shape == (2, 1, 3, 6, 8) and volume.axes == ("time",)
    assert volume.values[0, 0, :, 0, 0].tolist() == [2.0, 1.0, 0.0]
    assert volume.extras["gfactor"].shape == (2, 1, 3, 6, 8)
    assert volume.geometry.voxel_mm == pytest.approx((1, 1, 5))


def test_magnitude_combines_what_is_apart():
    values = torch.tensor([3.0 + 0j, 4.0j]).reshape(2, 1, 1, 1)
    image = Image(values=values, geometries=(Geometry.unknown((1, 1, 1)),))
    assert image.magnitude().values.item() == pytest.approx(5.0)


def test_the_geometry_of_many_slices_is_not_one():
    k = scan()
    with pytest.raises(DataError, match="volume"):
        _ = k.image(torch.zeros(3, 2, 1, 1, 6, 8)).geometry


def test_an_encoding_tells_the_crop_from_the_interpolation():
    e = Encoding(matrix=(1, 160, 256), recon_matrix=(1, 256, 256), fov_mm=FOV, recon_fov_mm=FOV)
    assert e.cropped_matrix == (1, 160, 256) and e.origin == (0, 80, 128)


def test_what_auto_took_is_named_beside_it():
    header = Header().noted("read", "auto took llr: frames", "auto took cg_sense: lines")
    assert (header.by("auto"), header.by("llr"), Header().by("auto")) == ("auto (cg_sense)", "llr", "auto")


def test_a_header_adds_flags_once_and_history_in_order():
    header = Header().flagged("simulated").flagged("simulated", "orientation=unknown").noted("a").noted("b")
    assert header.flags == ("simulated", "orientation=unknown") and header.history == ("a", "b")


def test_an_error_says_what_where_and_what_to_do():
    error = DataError("csm has 8 coils, k-space 12", do="compress both or neither").within("scan.h5")
    assert str(error) == "scan.h5: csm has 8 coils, k-space 12 -> compress both or neither"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_public_names_are_all_and_sorted():
    assert spinecho.__all__ == sorted(spinecho.__all__)
    for name in spinecho.__all__:
        assert getattr(spinecho, name).__doc__, f"{name} has no docstring"


def test_importing_spinecho_imports_no_torch():
    code = "import sys, spinecho; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_header_can_be_pickled_whatever_it_keeps():
    import pickle

    for header in (Header(), Header(patient={"name": "A"}, kept={"dtype": "u1"}, history=("read",), te_ms=(3.0,))):
        assert pickle.loads(pickle.dumps(header)) == header
