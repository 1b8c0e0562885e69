"""Each file of the data set has the part that its README fixes, by person, wherever it lies and however it is named."""

from __future__ import annotations

import random
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from spinecho.core.errors import DataError
from spinecho.sim.splits import CHEST, PARTS, SETS, Task, goes_along, part, person, split
from spinecho.train.cases import cases

TASKS: tuple[Task, ...] = ("recon", "image", "maps")

FIXED = [
    ("ixi_2mm/t1/IXI013.nii.gz", "train", "train"),
    ("ixi_2mm/t1/IXI448.nii.gz", "train", "train"),
    ("ixi_2mm/t1/IXI451.nii.gz", "validate", "validate"),
    ("ixi_2mm/labels/IXI567.nii.gz", "validate", "validate"),
    ("ixi_2mm/labels/IXI568.nii.gz", "test", "test"),
    ("label_maps/labels_14.nii.gz", "train", "train"),
    ("label_maps/labels_15.nii.gz", "validate", "validate"),
    ("label_maps/labels_17.nii.gz", "test", "test"),
    ("ms_1mm/patient07/lesions.nii.gz", "train", "train"),
    ("ms_1mm/patient19/t1post.nii.gz", "test", "test"),
    ("anatomy_hd/lesjak_p01_s1_T1W.nii.gz", "train", "train"),
    ("anatomy_hd/lesjak_p04_s1_FLAIR.nii.gz", "train", "train"),
    ("anatomy_hd/MR_Gd.nii.gz", "train", "train"),
    ("anatomy_hd/skyra_t2_tse_30.npz", "train", "train"),
    ("anatomy_hd/knees_axial_21.npz", "train", "train"),
    ("anatomy_hd/lesjak_p20_s2_T1W.nii.gz", "train", "validate"),
    ("anatomy_hd/chris_PD.nii.gz", "train", "validate"),
    ("anatomy_hd/skyra_mprage_0p86mm.nii.gz", "train", "test"),
    ("complex/heart_multiecho_05.npz", "train", "train"),
    ("tumour/pat5/flair.nii.gz", "train", "train"),
    ("tumour/pat6/t1c.nii.gz", "test", "test"),
    ("kspace_train/headneck_2coil_32slices.npz", "train", "train"),
    ("kspace_train/coil_maps_32.npz", "train", "train"),
    ("lowfield_0p055T/patient2.npz", "train", "train"),
    ("lowfield_0p055T/patient3.npz", "validate", "validate"),
    ("lowfield_0p055T/patient4.npz", "test", "test"),
    ("kspace/brain_t2_4coil_images.npz", "test", "test"),
    ("kspace/brain_t1_7coil_images.npz", "test", "test"),
    ("kspace/liver_4coil_echo0.npz", "test", "test"),
    ("kspace/liver_4coil_echo1.npz", "test", "test"),
    ("kspace/siemens_gre.dat", "test", "test"),
    ("kspace/brain_8coil_poisson.npy", "test", "test"),
    ("dicom/t1_defaced_0p67mm/1.dcm", "test", "test"),
    ("chest/slices_100.npz", "by slice", "by slice"),
]


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def is_text(path: Path) -> bool:
    """What holds no data, by its name."""
    return path.name in ("README.md", "ABOUT.txt") or path.parent.name == "licences"


@pytest.mark.parametrize(("name", "recon", "image"), FIXED)
@pytest.mark.parametrize("root", ["/elsewhere", "/elsewhere/shared/data", "rel/ative"])
def test_the_parts_that_were_fixed(name, recon, image, root):
    assert part(Path(root) / name) == part(Path(root) / name, "recon") == recon
    assert part(Path(root) / name, "image") == image


def test_coil_maps_of_two_raw_scans_may_train():
    chosen = {
        name for name in SETS["kspace"].people["test"].split() if part(Path(f"kspace/{name}.h5"), "maps") != "test"
    }
    assert chosen == {"siemens_gre", "brain_8coil_poisson"}
    assert part(Path("kspace/siemens_gre.dat"), "maps") == "train"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dataset", [*SETS, "chest"])
def test_parts_do_not_overlap_and_leave_nobody_out(dataset, task):
    people = {p: set(split(dataset, p, task)) for p in PARTS}
    assert all(not people[a] & people[b] for a, b in combinations(PARTS, 2))
    assert set().union(*people.values()) == {who for p in PARTS for who in split(dataset, p)}


def test_how_many():
    assert [len(split("ixi_2mm", p)) for p in PARTS] == [83, 20, 20]
    assert [len(split("label_maps", p)) for p in PARTS] == [14, 2, 4]
    assert [len(split("chest", p)) for p in PARTS] == [80, 10, 10]
    assert CHEST["validate"] == range(81, 91)
    assert split("ms_1mm", "test") == ["patient19"] and split("ixi_2mm", "test")[0] == "IXI568"
    with pytest.raises(DataError, match="no data set"):
        split("brats", "train")


def test_every_file_of_the_data_set_has_a_part(shared_data):
    without = [p for p in files(shared_data) if not is_text(p) and any(part(p, task) is None for task in TASKS)]
    assert without == []
    assert [p for p in files(shared_data) if is_text(p) and part(p) is not None] == []


def test_ixi_is_split_by_sorted_id(shared_data):
    ids = sorted(p.name.partition(".")[0] for p in (shared_data / "ixi_2mm/t1").iterdir())
    assert [split("ixi_2mm", p) for p in PARTS] == [ids[:83], ids[83:103], ids[103:]]


@pytest.mark.parametrize("task", TASKS)
def test_no_person_has_two_parts_within_a_task(shared_data, task):
    parts: dict[str, set[str]] = {}
    for path in (p for p in files(shared_data) if not is_text(p)):
        if (who := person(path)) is not None:
            parts.setdefault(who, set()).add(str(part(path, task)))
    assert len(parts) > 180 and {who: p for who, p in parts.items() if len(p) > 1} == {}


def spellings(path: Path, tmp_path: Path, rng: random.Random) -> list[Path]:
    """Other names of a file: moved with its folder, in capitals, linked, relative, through `..`, with words added."""
    end = Path(*path.parts[-2:])
    name, dot, suffix = path.name.partition(".")
    moved = tmp_path / f"{rng.randrange(10**9)}"
    link = moved / "blob"
    moved.mkdir()
    link.symlink_to(path.resolve())
    return [
        moved / end,
        moved / str(end).upper(),
        moved / path.parent.name / f"{name}_copy{dot}{suffix}",
        moved / path.parent.name / f"{name}.mrd.h5" if ".npz" not in path.name else moved / end,
        link,
        Path("some/where") / end,
        path.parent / ".." / end,
    ]


@pytest.mark.parametrize("task", TASKS)
def test_a_file_keeps_its_part_wherever_it_lies(shared_data, tmp_path, task):
    rng = random.Random(20261127)
    data = [p for p in files(shared_data) if not is_text(p) and p.parts[-3] != "dicom"]
    for path in rng.sample(data, 60):
        assert {part(p, task) for p in spellings(path, tmp_path, rng)} == {part(path, task)}, path
        assert all(goes_along(p) == goes_along(path) for p in spellings(path, tmp_path, rng)[:2]), path


def test_a_link_with_a_false_name_gets_the_more_guarded_part(tmp_path):
    (tmp_path / "labels_17.nii.gz").touch()
    (tmp_path / "labels_01.nii.gz").symlink_to(tmp_path / "labels_17.nii.gz")
    (tmp_path / "stored").touch()
    (tmp_path / "labels_18.nii.gz").symlink_to(tmp_path / "stored")
    assert part(tmp_path / "labels_01.nii.gz") == "test"
    assert part(tmp_path / "labels_18.nii.gz") == "test"


@pytest.mark.parametrize(
    "name",
    [
        "kspace/new_brain.npz",
        "tumour/pat7/flair.nii.gz",
        "tumour/new.nii.gz",
        "ixi_2mm/t1/IXI999.nii.gz",
        "label_maps/labels_21.nii.gz",
        "ms_1mm/patient03/t1.nii.gz",
        "anatomy_hd/lesjak_p07_s1_T1W.nii.gz",
        "lowfield_0p055T/patient5.npz",
        "dicom/new_vendor/1.dcm",
        "chest/more.npz",
        "complex/liver.npz",
        "a_new_set/scan.nii.gz",
    ],
)
def test_a_new_file_of_the_data_set_is_an_error(shared_data, tmp_path, name):
    for folder in (p for p in shared_data.rglob("*") if p.is_dir()):
        (tmp_path / folder.relative_to(shared_data)).mkdir()
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="no rule says whether it trains"):
        part(tmp_path / name)
    for end in ("README.md", "complex/ABOUT.txt", "licences/x.txt"):
        assert part(tmp_path / end) is None


def test_a_new_file_beside_known_ones_is_an_error(tmp_path):
    folder = tmp_path / "kspace"
    folder.mkdir()
    (folder / "mine.npz").touch()
    assert part(folder / "mine.npz") is None
    (folder / "knee_1coil.mat").touch()
    with pytest.raises(DataError, match="no rule says"):
        part(folder / "mine.npz")


@pytest.mark.parametrize("new", ["patient19/t2star.nii.gz", "patient19/x/seg.nii.gz"])
def test_new_files_of_a_known_person_are_that_persons(new):
    assert part(Path("/data/ms_1mm") / new) == "test"


@pytest.mark.parametrize(
    "name",
    [
        "kspace/scan.h5",
        "dicom/sub-01/t1.nii.gz",
        "label_maps/subject_a.nii.gz",
        "patient01/t1.nii.gz",
        "pat12/flair.nii.gz",
        "labels.nii.gz",
        "labels_100.nii.gz",
        "my_slices.npz",
        "patient19.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "siemens_green.dat",
        "README.md",
    ],
)
def test_files_of_other_people_are_left_to_them(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert part(tmp_path / name) is None and person(tmp_path / name) is None and not goes_along(tmp_path / name)


def test_a_copied_folder_answers_like_the_first(shared_data, tmp_path):
    shutil.copytree(shared_data / "lowfield_0p055T", tmp_path / "x")
    assert [part(p) for p in files(tmp_path / "x")] == ["train", "train", "validate", "test"]


def test_coil_maps_of_an_array_are_found_where_scans_train(shared_data):
    names = [case.path.name for case in cases(shared_data / "kspace_train", "train")]
    assert "coil_maps_32.npz" in names
