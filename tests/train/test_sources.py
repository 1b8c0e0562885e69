"""Paths become scans: every kind of file, the splits, broken files, and never what is for judging."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.write import write
from spinecho.sim.drawn.bucket import Ranges
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.draws import Draws
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.raw import RawFile, RawScans
from spinecho.tasks.recon.examples.simulated import Mixed, Simulated
from spinecho.tasks.recon.examples.sources import Ways, sources
from spinecho.train.cases import cases
from spinecho.train.draw import generator

DRAWS = Draws(matrix=(32, 40), coils=(1, 4), masks=("random", "equispaced"), accel=(1.5, 3.0))
RANGES = Ranges(matrix=(32, 40), coils=(1, 4), accel=(1.5, 3.0))
CPU = torch.device("cpu")


def nifti(path: Path, values: np.ndarray, voxel=(1.0, 1.0, 1.0)) -> Path:
    z, y, x = values.shape
    geometry = Geometry.from_frame([0, 0, 0], np.eye(3), voxel, (z, y, x))
    write(Image(values=torch.from_numpy(values)[None], geometries=(geometry,)), path)
    return path


def picture(path: Path, voxel=(1.0, 1.0, 1.0)) -> Path:
    return nifti(path, toy.disc((34, 36, 38)).numpy(), voxel)


def labels(path: Path) -> Path:
    values = np.zeros((34, 36, 38), np.float32)
    values[4:30, 4:30, 4:30], values[8:26, 8:26, 8:26], values[12:20, 12:20, 12:20] = 3, 2, 4
    return nifti(path, values)


@cache
def scan(sampling: str):
    return simulate_phantom(Scan(matrix=(1, 36, 40), n_coils=4, sampling=sampling, fineness=1)).kspace


def raw(path: Path, sampling: str = "full") -> Path:
    write(scan(sampling), path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with one file of each kind."""
    picture(tmp_path / "image.nii.gz")
    labels(tmp_path / "labels.nii.gz")
    raw(tmp_path / "raw.mrd.h5")
    np.savez(tmp_path / "stack.npz", images=(np.random.default_rng(0).random((3, 40, 40)) * 255).astype(np.uint8))
    return tmp_path


def found(paths, on_broken="stop") -> tuple[Mixed, list[str]]:
    told: list[str] = []
    train, _ = sources(paths, Ways(draws=DRAWS, ranges=RANGES), toy.context(told.append, on_broken))
    assert isinstance(train, Mixed)
    return train, told


def test_a_mixed_folder_gives_scans_of_all_kinds(folder):
    source, told = found([folder])
    assert told[0] == f"{folder}: 1 raw scans, 1 label maps, 2 image files to train"
    assert [type(s) for s in source.sources] == [RawScans, Simulated]
    assert source.weights == (0.25, 0.75)
    store = source.sources[1].drawing.store
    assert set(store.values) == {"labels", "pictures"} and len(store.weights.unique()) > 1
    draw = Seeded(source, 0)
    flags = set()
    for step in range(12):
        kspace = draw(step, 0)
        flags |= set(kspace.header.flags)
        assert kspace.target is not None and torch.isfinite(kspace.target).all() and kspace.target.any()
        assert kspace.mask is not None and not kspace.mask.all()
        both = draw.batch(step, [1, 0], "cpu")
        assert both.axes[0] == "example" and torch.equal(both.samples[1], kspace.samples)
    assert {"simulated", "retrospectively undersampled"} <= flags


def test_complex_stacks_are_objects_with_their_phase(tmp_path):
    turn = np.exp(1j * np.linspace(0, 2, 40)).astype(np.complex64)
    np.savez(tmp_path / "hearts.npz", images=toy.disc((3, 40, 40)).numpy() * turn, te_s=np.arange(3))
    source, told = found([tmp_path])
    assert told[0] == f"{tmp_path}: 1 complex image files to train"
    assert set(source.sources[0].drawing.store.values) == {"complex"}


def test_paths_weigh_alike(tmp_path, folder):
    other = tmp_path / "other"
    other.mkdir()
    picture(other / "a.nii.gz")
    source, _ = found([other, folder / "raw.mrd.h5"])
    assert source.weights == (1.0, 1.0)
    store = found([other, folder])[0].sources[1].drawing.store
    assert float(store.weights.sum()) == pytest.approx(1.75), "the image alone as much as all in the folder"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("cut.nii.gz", "damaged"),
        ("mask.nii.gz", "a mask"),
        ("flat.nii.gz", "square pixels"),
        ("under.mrd.h5", "full scan"),
        ("noise.npz", "cannot be read"),
    ],
)
def test_a_broken_file_is_named_and_stops_or_is_left_out(tmp_path, broken, told):
    good, path = picture(tmp_path / "good.nii.gz"), tmp_path / broken
    if broken == "cut.nii.gz":
        path.write_bytes(good.read_bytes()[:200])
    elif broken == "mask.nii.gz":
        nifti(path, np.eye(40, dtype=np.float32)[None].repeat(34, 0))
    elif broken == "flat.nii.gz":
        picture(path, (1.0, 2.0, 5.0))
    elif broken == "under.mrd.h5":
        raw(path, "equispaced:2:12")
    else:
        path.write_bytes(b"noise")
    with pytest.raises(DataError, match=rf"{broken}: .*{told}.*on_broken='skip'") as error:
        found([tmp_path])
    assert error.value.file == str(path)
    source, said = found([tmp_path], "skip")
    assert len(source.sources) == 1
    assert any(line.startswith(f"left out: {path}") for line in said)


def test_nothing_to_train_on_is_told(tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        found([tmp_path / "absent"])
    with pytest.raises(DataError, match="holds no files"):
        found([tmp_path])
    (tmp_path / "a.npy").write_bytes(b"x")
    with pytest.raises(DataError, match="nothing to train on"):
        found([tmp_path], "skip")


def test_a_tenth_of_the_subjects_is_held_out(tmp_path):
    for i in range(12):
        (tmp_path / f"sub-{i:02}").mkdir()
        for name in ("t1.nii.gz", "t2.nii.gz"):
            (tmp_path / f"sub-{i:02}" / name).touch()
    train, held_out = ({c.path.parent.name for c in cases(tmp_path, part)} for part in ("train", "validate"))
    assert len(train) == 11 and held_out == {"sub-04"}
    assert cases(tmp_path, "test") == []
    assert [c.path.name for c in cases(tmp_path / "sub-04", "train")] == ["t1.nii.gz", "t2.nii.gz"]


def test_the_projects_data_sets_follow_its_splits(shared_data):
    def names(folder: str, part) -> list[str]:
        return [c.path.name for c in cases(shared_data / folder, part)]

    assert names("label_maps", "train") == [f"labels_{i:02}.nii.gz" for i in range(1, 15)]
    assert names("label_maps", "validate") == ["labels_15.nii.gz", "labels_16.nii.gz"]
    assert len(names("ixi_2mm", "train")) == 83 and len(names("ixi_2mm/t1", "validate")) == 20
    assert not set(names("ixi_2mm", "train")) & set(names("ixi_2mm", "validate"))
    patients = {c.path.parent.name for c in cases(shared_data / "ms_1mm", "train")}
    assert patients == {"patient07"} and "lesions.nii.gz" not in names("ms_1mm", "train")
    assert [c.slices for c in cases(shared_data / "chest", "train")] == [range(80)]
    assert [c.slices for c in cases(shared_data / "chest" / "slices_100.npz", "validate")] == [range(80, 90)]
    for place in ("kspace", "kspace/knee_1coil.mat", "ixi_2mm/labels"):
        with pytest.raises(DataError, match="for judging, they never train"):
            cases(shared_data / place, "train")
    assert all("kspace" not in c.path.parts for c in cases(shared_data, "train"))


def test_raw_scans_of_series_and_refused_kinds(tmp_path, folder):
    source, _ = found([folder / "raw.mrd.h5"])
    (scans,) = source.sources
    assert isinstance(scans, RawScans)
    kspace = scans.batch(generator(1), [generator(2), generator(3)], CPU)
    assert kspace.samples.shape[:2] == (2, 4) and not torch.equal(*kspace.samples)
    assert kspace.n_coils == 4 and kspace.target is not None
    assert "retrospectively undersampled" in kspace.header.flags
    volume = simulate_phantom(Scan(matrix=(4, 36, 40), fov_mm=(40.0, 240.0, 240.0), n_coils=2, sampling="full"))
    write(volume.kspace, tmp_path / "volume.mrd.h5")
    with pytest.raises(DataError, match="3-D encoding"):
        found([tmp_path / "volume.mrd.h5"])


def test_a_raw_file_that_breaks_during_a_run_stops_it_or_is_left_out(tmp_path):
    good, bad = raw(tmp_path / "good.mrd.h5"), raw(tmp_path / "bad.mrd.h5")
    strict, lenient = (RawScans((RawFile(good, 1), RawFile(bad, 1)), DRAWS, skip) for skip in (False, True))
    bad.write_bytes(good.read_bytes()[:3000])
    seed = next(i for i in range(20) if torch.randint(2, (1,), generator=generator(i)) == 1)
    with pytest.raises(DataError, match=r"bad\.mrd\.h5"):
        strict.batch(generator(seed), [generator(0)], CPU)
    with pytest.warns(UserWarning, match=r"left out: .*bad\.mrd\.h5"):
        kspace = lenient.batch(generator(seed), [generator(0)], CPU)
    with pytest.warns(UserWarning):
        assert torch.equal(kspace.samples, lenient.batch(generator(seed), [generator(0)], CPU).samples)


def test_measured_coil_maps_are_taken_along(tmp_path):
    """They are no objects; only what trains sees them."""
    picture(tmp_path / "a.nii.gz")
    turn = np.random.default_rng(0).standard_normal((2, 9, 16, 16))
    np.savez(tmp_path / "coil_maps_9.npz", maps=(turn[0] + 1j * turn[1]).astype(np.complex64))
    told: list[str] = []
    train, validate = sources([tmp_path], Ways(draws=DRAWS, ranges=RANGES), toy.context(told.append))
    assert told[0] == f"{tmp_path}: 1 image files to train" and validate is train
    maps = train.sources[0].drawing.store.maps
    assert maps.shape == (9, 16, 16)
    assert 1 <= steps_that_differ(train.sources[0].drawing) <= 10


def steps_that_differ(drawing: Drawing) -> int:
    """Of 24, from those drawn without measured maps."""
    plain = Drawing(replace(drawing.store, maps=None), drawing.ranges)
    scans = [[d.batch(generator(i), [generator(i, 0)], CPU).samples for d in (drawing, plain)] for i in range(24)]
    return sum(not torch.equal(*both) for both in scans)
