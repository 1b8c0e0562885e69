"""Examples by number, for slices, volumes and label maps; training, packing and use from the command line."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from fine_heads import head

from spinecho.cli import main
from spinecho.methods.pretrained import open_learned
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.superres.examples import rendered, slices, volumes
from spinecho.tasks.superres.methods import to_t1
from spinecho.tasks.superres.parts.agree import disagreement
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation
from spinecho.train.label_maps import head_box

SMALL = {
    "multiscale": ["--channels", "6", "--width", "3", "--blocks", "1", "--patch", "32", "--patches", "4"],
    "srgan3d": ["--channels", "4", "--blocks", "1", "--critic-channels", "2", "--patch", "16", "--patches", "1"],
    "to_t1": ["--channels", "3", "4", "--patch", "24"],
}


def stack(n: int = 5, size: int = 72) -> np.ndarray:
    return head((n, size, size)).numpy().astype(np.float16)


def labels(size: int = 56) -> np.ndarray:
    """Shells of skin, bone, fluid, grey and white matter, (z, y, x)."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    radius = np.sqrt((x / 0.9) ** 2 + (y / 0.95) ** 2 + z**2)
    return np.select([radius < r for r in (0.5, 0.7, 0.75, 0.85, 0.95)], [2, 3, 24, 515, 511], 0).astype(np.int32)


def tissues() -> np.ndarray:
    names = list(TISSUES)
    table = {0: "air", 2: "white matter", 3: "grey matter", 24: "csf", 515: "bone", 511: "skin"}
    return np.vectorize(lambda i: names.index(table[i]))(labels()).astype(np.uint8)


SUPPLIES = {
    "slices": lambda seed=0, part="train": slices.Drawn((stack(), stack(3)), 32, 8, seed, part),
    "volumes": lambda seed=0, part="train": volumes.Drawn((stack(60, 64),), 16, 2, seed, part),
    "rendered": lambda seed=0, part="train": rendered.Drawn((tissues(),), 24, 1, seed, part),
}
each = pytest.mark.parametrize("supply", SUPPLIES.values(), ids=SUPPLIES)


@each
def test_a_number_gives_the_same_example_and_another_number_another(supply):
    drawn = supply()
    torch.manual_seed(3)
    one, again, other = drawn(1, 0), drawn(1, 0), drawn(1, 1)
    for name in ("low", "interpolated", "high", "conditions"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    assert not torch.equal(one.high, other.high) and not torch.equal(one.high, supply(seed=1)(1, 0).high)
    assert not torch.equal(one.high, supply(part="validate")(1, 0).high)


@each
def test_examples_are_finite_bright_and_of_one_shape(supply):
    drawn = supply()
    for step in range(6):
        lesson = drawn(step, 0)
        assert lesson.interpolated.shape == lesson.high.shape == drawn(1, 1).high.shape
        for x in (lesson.low, lesson.interpolated, lesson.high, lesson.conditions):
            assert bool(torch.isfinite(x).all()) and x.dtype == torch.float32
        assert float(lesson.high.max()) > 0.02 and float(lesson.high.abs().max()) < 3


def test_slices_lose_detail_along_one_axis_or_both_by_every_kind():
    drawn = SUPPLIES["slices"]()
    told = torch.cat([drawn(step, 0).conditions for step in range(40)])
    assert not told[:, 0].any(), "nothing across slices"
    both = (told[:, 1:, 0] > 0).all(1).float().mean()
    assert 0.1 < float(both) < 0.7
    lost = told[:, 1:].amax(1)
    assert float(lost[:, 0].min()) > 0.4 and float(lost[:, 0].max()) < 2.3
    assert all(bool((lost[:, 1 + i] > 0).any()) for i in range(len(NAMES)))


def test_interpolated_slices_are_near_the_truth_but_not_the_truth():
    lesson = SUPPLIES["slices"]()(1, 0)
    error = (lesson.interpolated - lesson.high).square().mean().sqrt()
    assert 1e-4 < float(error) < 0.5 * float(lesson.high.square().mean().sqrt())


def test_dark_slices_do_not_stop_it():
    drawn = slices.Drawn((np.zeros((3, 48, 48), np.float16),), 32, 4, 0)
    assert not drawn(1, 0).high.any()


def test_volumes_lie_on_grids_that_share_their_edges():
    """The coarse block is the fine one degraded, but for what comes from beyond its edges."""
    drawn = volumes.Drawn((stack(80, 80),), 24, 1, 0)
    for step in range(8):
        lesson = drawn(step, 0)
        assert lesson.low.shape == (1, 12, 12, 12) and lesson.high.shape == (1, 24, 24, 24)
        row = lesson.conditions[0, 0]
        kind = NAMES[int(row[1:].argmax())]
        left = disagreement(lesson.high, lesson.low, (Degradation(kind, float(row[1:].max())),) * 3)
        assert left < 0.12 and float(row[0]) == 1


def test_small_volumes_are_filled_up():
    drawn = volumes.Drawn((stack(20, 30),), 16, 2, 0)
    assert drawn(1, 0).high.shape == (2, 16, 16, 16)


def test_label_maps_become_any_contrast_and_one_t1():
    drawn = SUPPLIES["rendered"]()
    lessons = [drawn(step, 0) for step in range(12)]
    signs = [np.corrcoef(le.interpolated.flatten(), le.high.flatten())[0, 1] for le in lessons]
    assert min(signs) < 0.4 < max(signs), "contrasts differ from T1, some are like it"
    factors = torch.cat([lesson.conditions[..., 0] for lesson in lessons])
    assert float(factors.max()) > 1 and bool((factors == 0).any())


def test_some_heads_have_no_skull(monkeypatch):
    """There is more air in blocks that are all stripped than in those that are never."""
    shares: list[float] = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(rendered, "_STRIPPED", share)
        drawn = SUPPLIES["rendered"]()
        shares.append(np.mean([float((drawn(step, 0).high == 0).float().mean()) for step in range(8)]))
    assert shares[1] > shares[0] + 0.02


def test_training_knows_no_units_of_the_label_maps_grid():
    box = head_box(torch.from_numpy(np.pad(tissues(), 5)))
    assert [s.stop - s.start for s in box] == [s.stop - s.start for s in head_box(torch.from_numpy(tissues()))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people").mkdir()
    for i in range(6):
        values = head((40, 44, 48), 4 + i).numpy().T
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "people" / f"person{i}.nii.gz")
    return tmp_path / "people"


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    (tmp_path / "maps").mkdir()
    for i in range(6):
        shape = np.roll(labels(), i, 2)
        nib.save(nib.Nifti1Image(shape.T, np.diag([-1, 1, 1, 1.0])), tmp_path / "maps" / f"head{i}.nii.gz")
    return tmp_path / "maps"


@pytest.mark.parametrize("name", SMALL)
def test_it_trains_and_its_weights_are_used(name, folder, maps, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    where = maps if name == "to_t1" else folder
    command = ["train", f"superres/{name}", "--data", str(where), "--out", str(out), *SMALL[name], "--batch", "1"]
    command += ["--steps", "2", "--validate-every", "2", "--validation-examples", "2", "--threads", "1"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "psnr" in said and "B-spline" in said and (out / "pictures" / "step_000002.png").exists()
    weights = out / "weights.safetensors"
    assert open_learned("superres", weights).learned
    given, made = folder / "person0.nii.gz", tmp_path / "fine.nii.gz"
    monkeypatch.setattr(to_t1, "of_regions", lambda image: (torch.ones(image.geometry.shape),) * 2)
    extra = ["--factor", "2"] if name != "to_t1" else []
    assert main(["superres", str(given), "-o", str(made), "--weights", str(weights), *extra]) == 0
    assert nib.load(made).shape == ((48, 44, 40) if name == "to_t1" else (96, 88, 80))
    said = "".join(capsys.readouterr())
    assert ("guessed" if name == "to_t1" else "finding may rest on it") in said


def test_options_that_make_no_example_are_refused(folder, tmp_path, capsys):
    command = ["train", "superres/multiscale", "--data", str(folder), "--out", str(tmp_path / "run"), "--steps", "1"]
    assert main([*command, "--patch", "8"]) == 2
    assert "give at least 32 voxels and 1 patch" in capsys.readouterr().err
    thick = tmp_path / "thick"
    thick.mkdir()
    nib.save(nib.Nifti1Image(head((20, 40, 40)).numpy().T, np.diag([1, 1, 5.0, 1])), thick / "a.nii.gz")
    np.save(thick / "b.npy", stack())
    command[1], command[3] = "superres/srgan3d", str(thick)
    assert main(command) == 2
    assert "nothing to train on" in capsys.readouterr().err


def test_what_is_no_label_map_is_refused(folder, tmp_path, capsys):
    command = ["train", "superres/to_t1", "--data", str(folder / "person0.nii.gz"), "--out", str(tmp_path / "run")]
    assert main([*command, "--steps", "1"]) == 2
    assert "not a label map" in capsys.readouterr().err
