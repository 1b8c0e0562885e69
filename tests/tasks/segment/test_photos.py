"""Real heads with labels: image and labels stay together, greys change and places do not; training beside maps."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from rendered import balls, head, write_map

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import header_of, metadata_of
from spinecho.tasks.segment.examples.drawn import Drawn
from spinecho.tasks.segment.examples.heads import entry_of, head_of
from spinecho.tasks.segment.examples.photos import in_other_greys, looked_at, photo_entry, photo_of
from spinecho.tasks.segment.parts.names import REGIONS, classes_of

MUSE = {24: 1, 3: 100, 2: 81, 10: 59, 4: 49}
"""MUSE's id for each of FreeSurfer's in the balls"""


def muse_of(labels):
    other = torch.zeros_like(labels)
    for ours, theirs in MUSE.items():
        other[labels == ours] = theirs
    return other


def write_photo(folder, name, labels, atlas="freesurfer", voxel_mm=2.0):
    """An image and, below `labels`, what it shows, x to the right."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    values = head(labels).values[0]
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    nib.save(nib.Nifti1Image(1000 * values.numpy().transpose(2, 1, 0), affine), folder / name)
    write_map(folder / "labels" / name, labels if atlas == "freesurfer" else muse_of(labels), voxel_mm)
    return folder / name, folder / "labels" / name


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    labels = balls((52, 60, 56))
    return photo_of(photo_entry(*write_photo(tmp_path_factory.mktemp("real"), "a.nii.gz", labels), "freesurfer"))


def test_a_photo_is_read_along_the_patient(one):
    assert one.values.shape == one.classes.shape and one.voxel_mm.tolist() == [2, 2, 2]
    assert float(one.values.min()) >= 0 and float(one.values.max()) <= 1
    thalamus = (one.classes == 6).nonzero().float().mean(0)
    assert thalamus[2] < one.centre[2] - 0.5, "x to the right in the file, to the left in LPS"
    inside = one.classes == 1
    assert float(one.values[inside].std()) < 0.01, "labels lie where the picture has them"


@pytest.mark.parametrize("atlas", ["freesurfer", "muse"])
def test_both_atlases_give_the_same_regions(tmp_path, atlas):
    labels = balls()
    photo = photo_of(photo_entry(*write_photo(tmp_path, "a.nii.gz", labels, atlas), atlas))
    names = {REGIONS[i].name for i in photo.classes.unique().tolist()}
    assert names == {REGIONS[i].name for i in classes_of(labels).unique().tolist()}
    assert bool((photo.also != torch.arange(len(REGIONS))).any()) == (atlas == "muse")


def test_places_on_the_grid_give_the_photo_itself(one):
    at = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in one.values.shape), indexing="ij"))
    values, classes = looked_at(one, at)
    torch.testing.assert_close(values, one.values, atol=1e-4, rtol=0)
    assert torch.equal(classes, one.classes)
    away, none = looked_at(one, at + 1000)
    assert not bool(away.any()) and not bool(none.any())


def test_between_voxels_it_is_linear(one):
    at = torch.stack(torch.meshgrid(*(torch.arange(5.0) + 20 for _ in range(3)), indexing="ij"))
    half = at.clone()
    half[1] += 0.5
    whole = one.values[20:25, 20:26, 20:25]
    torch.testing.assert_close(looked_at(one, half)[0], (whole[:, :-1] + whole[:, 1:]) / 2, atol=1e-4, rtol=0)


def test_curves_keep_air_dark_and_everything_finite():
    values = torch.linspace(0, 1, 101)[None, None]
    rng = torch.Generator().manual_seed(1)
    curves = [in_other_greys(values, rng, 1.0)[0, 0] for _ in range(40)]
    assert all(float(c[0]) <= 0.05 and float(c.min()) >= 0 and float(c.max()) <= 1.5 for c in curves)
    assert any(torch.equal(c, values[0, 0]) for c in curves) and any(float(c[-1]) < float(c[40]) for c in curves)


def test_a_curve_is_one_grey_for_one_grey():
    rng = torch.Generator().manual_seed(3)
    values = torch.randint(5, (4, 5, 6), generator=rng).float() / 4
    for _ in range(10):
        changed = in_other_greys(values, rng, 1.0)
        assert all(float(changed[values == v].std()) < 1e-6 for v in values.unique())


def test_drawn_photos_repeat_and_differ(one):
    draw = Drawn((), (one,), 2.0, 40, seed=0)
    a, again, b = draw(4, 0), draw(4, 0), draw(5, 0)
    assert torch.equal(a.image, again.image) and torch.equal(a.classes, again.classes)
    assert a.image.shape != b.image.shape or not torch.equal(a.image, b.image)
    for step in range(8):
        example = draw(step, 0)
        assert bool(torch.isfinite(example.image).all()) and float(example.image.min()) >= 0
        assert example.image.shape[2:] == example.classes.shape[1:] and int(example.classes.max()) > 0


def test_maps_and_photos_are_drawn_alike_often(one, tmp_path):
    maps = (head_of(entry_of(write_map(tmp_path / "m.nii.gz", balls()))),)
    seen = []
    draw = Drawn(maps, (one,), 2.0, 24, seed=0)
    original = Drawn._real
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawn, "_real", lambda self, s, rng: (seen.append(1), original(self, s, rng))[1])
        for step in range(40):
            draw(step, 0)
    assert 10 < len(seen) < 30


def test_evenness_fades_and_starts_trained_at_none(one):
    values = [float(Drawn((), (one,), 2.0, 24, 0, ease=100)(step, 0).evenness) for step in (0, 100, 150, 200, 900)]
    assert values == pytest.approx([0.5, 0.5, 0.25, 0, 0])
    assert float(Drawn((), (one,), 2.0, 24, 0)(0, 0).evenness) == 0


def test_labels_on_another_grid_or_of_another_atlas(tmp_path):
    image, labels = write_photo(tmp_path, "a.nii.gz", balls())
    other = write_map(tmp_path / "other.nii.gz", balls((30, 30, 30)))
    with pytest.raises(DataError, match="another grid"):
        photo_entry(image, other, "freesurfer")
    with pytest.raises(DataError, match="no region of freesurfer"):
        photo_entry(image, write_map(labels, 599 * (balls() > 0).int()), "freesurfer")


def test_it_trains_on_maps_and_photos(tmp_path, capsys):
    maps, real = tmp_path / "maps", tmp_path / "real"
    maps.mkdir()
    for i in range(5):
        write_map(maps / f"person{i}.nii.gz", balls((50 + i, 52, 48)))
        write_photo(tmp_path / "photos", f"man{i}.nii.gz", balls((46, 50 + i, 44)), "muse")
    real.mkdir()
    for file in (tmp_path / "photos").glob("*.nii.gz"):
        file.rename(real / file.name)
    out = tmp_path / "run"
    command = ["train", "segment/regions", "--data", str(maps), str(real), "--out", str(out), "--largest", "32"]
    command += ["--channels", "4", "6", "--batch", "1", "--threads", "1", "--steps", "2", "--validate-every", "2"]
    command += ["--labels", str(tmp_path / "photos" / "labels"), "--atlas", "muse", "--validation-examples", "2"]
    assert main(command) == 0
    assert "4 heads to train" in capsys.readouterr().out
    assert metadata_of(header_of(out / "weights.safetensors"))[0]["trained"]["facts"]["atlas"] == "muse"


@pytest.mark.parametrize(("option", "says"), [("--labels", "no such folder"), ("--ease", "give 0 or more")])
def test_options_that_cannot_be(tmp_path, capsys, option, says):
    (tmp_path / "m").mkdir()
    write_map(tmp_path / "m" / "a.nii.gz", balls())
    command = ["train", "segment/regions", "--data", str(tmp_path / "m"), "--out", str(tmp_path / "o"), "--steps", "1"]
    assert main([*command, option, "nowhere" if option == "--labels" else "-1"]) == 2
    assert says in capsys.readouterr().err
