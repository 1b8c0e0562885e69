"""What networks for findings learn from: files by their names, planted lesions, blocks, and a training that learns."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from marked import SHAPE, flair, patient, truth, volume
from rendered import balls, write_map

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.write import write
from spinecho.sim.blobs import smooth
from spinecho.tasks.segment.examples.blocks import Blocks, scanned
from spinecho.tasks.segment.examples.brains import GREYS, Brain, _brain, _entries
from spinecho.tasks.segment.examples.planted import planted
from spinecho.tasks.segment.methods import pix2pix3d
from spinecho.tasks.segment.parts.files import file_beside, images_beside, stem, truth_beside
from spinecho.train.cases import Case

BOTH = ("flair", "t1")
PLAIN = torch.tensor([-0.3, 1.0, 0.6])


def even(n: int = 32) -> torch.Tensor:
    """White matter alone, in the units of networks."""
    return PLAIN[:, None, None, None].expand(3, n, n, n).clone()


def drawn(seed: int, n: int = 32, white: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    where = torch.ones(n, n, n, dtype=torch.uint8) if white is None else white
    return planted(even(n), BOTH, where, 1.0, torch.Generator().manual_seed(seed))


def lesson_brain(tissue: bool = False) -> Brain:
    white = torch.ones(SHAPE, dtype=torch.uint8)
    seen = even(8)[:, :1, :1, :1].expand(3, *SHAPE).clone()
    if not tissue:
        return Brain(seen, truth(), white)
    return Brain(seen[-1:], torch.zeros_like(truth()), white, torch.ones(SHAPE, dtype=torch.uint8))


def test_lesions_are_bright_in_flair_and_dark_in_t1():
    rows = [drawn(seed) for seed in range(12)]
    rows = [(seen, where) for seen, where in rows if bool(where.any())]
    assert len(rows) >= 9, "most blocks have some"
    for seen, where in rows:
        inside = where > 0
        assert float(seen[0][inside].mean()) > 0.4 and float(seen[0][inside].min()) >= -0.3 - 1e-5
        assert float(seen[1][inside].mean()) < 0.99 and float(seen[1].max()) <= 1 + 1e-5
        assert torch.equal(seen[2], even()[2]), "the depth stays"
    sizes = sorted(int(where.sum()) for _, where in rows)
    assert sizes[-1] > 5 * sizes[0], "small and large loads"


def test_the_border_is_half_way():
    """Where the truth begins FLAIR is about half way between white matter and the lesion."""
    seen, where = next(r for r in (drawn(s) for s in range(20)) if 500 < int(r[1].sum()) < 8000)
    pool = torch.nn.functional.max_pool3d
    rim = (pool(where[None].float(), 3, 1, 1)[0] > 0) & (where == 0)
    inner = (pool(1 - where[None].float(), 3, 1, 1)[0] > 0) & (where > 0)
    core = where.bool() & ~inner
    low, high = -0.3, float(seen[0][core].median())
    assert float(seen[0][rim].median()) < (low + high) / 2 < float(seen[0][inner].median())


def test_nothing_is_planted_in_fluid_or_without_white_matter():
    seen, where = even(), torch.ones(32, 32, 32, dtype=torch.uint8)
    seen[1, :, :16] = -4.0
    rows = [planted(seen, BOTH, where, 1.0, torch.Generator().manual_seed(seed)) for seed in range(4)]
    assert any(bool(lesions.any()) for _, lesions in rows)
    for made, lesions in rows:
        assert not bool(lesions[:, :16].any()) and torch.equal(made[:, :, :16], seen[:, :, :16])
    same, none = planted(seen, BOTH, torch.zeros_like(where), 1.0, torch.Generator().manual_seed(3))
    assert same is seen and not bool(none.any())


def test_half_lie_close_to_the_ventricles():
    white = torch.ones(32, 32, 32, dtype=torch.uint8)
    white[14:18, 14:18, 14:18] = 2
    shares = [drawn(s, white=white)[1][12:20, 12:20, 12:20].float().mean() for s in range(12)]
    assert float(torch.stack(shares).mean()) > 0.3, "a thousandth of the places has half of them"


def test_smooth_noise_has_a_scale():
    noise = smooth(torch.Size((40, 40, 40)), 10, torch.Generator().manual_seed(0))
    assert float((noise[1:] - noise[:-1]).abs().mean()) < 0.25 < float(noise.std()) + 0.05
    assert float(noise.abs().max()) <= 2


@pytest.mark.parametrize("tissue", [False, True])
def test_blocks_are_the_same_again_and_others_elsewhere(tissue):
    blocks = Blocks((lesson_brain(tissue),), BOTH, 16, 2, 1.0, seed=0)
    one, again, other = blocks(3, 1), blocks(3, 1), blocks(3, 2)
    assert torch.equal(one.image, again.image) and torch.equal(one.classes, again.classes)
    assert not torch.equal(one.image, other.image) and one.image.shape == (2, 3, 16, 16, 16)
    assert one.bucket == other.bucket and bool(torch.isfinite(one.image).all())


def test_real_lesions_keep_their_labels():
    blocks = Blocks((lesson_brain(),), BOTH, 24, 2, 1.0, seed=0, plants=False)
    shares = [float((blocks(step, 0).classes > 0).float().mean()) for step in range(6)]
    assert 0.005 < sum(shares) / 6 < 0.3


def test_rendered_brains_look_like_real_ones():
    blocks = Blocks((lesson_brain(tissue=True),), BOTH, 24, 4, 1.0, seed=0)
    seen = torch.cat([blocks(step, 0).image for step in range(4)])
    given = seen[:, 1].flatten(1).abs().sum(1) > 0
    inside = (seen[given][:, 2] > 0) & (seen[given][:, 0] < 1)
    assert abs(float(seen[given][:, 0][inside].median()) - GREYS["white matter"][0]) < 0.6
    assert bool((~given).any()) or bool(given.all())


def test_a_scan_changes_greys_and_not_the_depth():
    rng = torch.Generator().manual_seed(0)
    seen = even(24)
    seen[:, :4] = 0
    made = scanned(seen, 1.0, rng)
    assert torch.equal(made[2], seen[2]) and not bool(made[:, :4].any())
    assert not torch.equal(made[0], seen[0])
    absent = [bool(scanned(seen, 1.0, rng)[1].any()) for _ in range(30)]
    assert 0 < absent.count(False) < 15


def test_files_of_one_head_are_known_by_their_last_word(tmp_path):
    folder = tmp_path / "heads"
    folder.mkdir()
    for name in ("a_flair", "a_t1", "b_flair", "a-lesions", "a_lesions", "b_T1"):
        write(flair(), folder / f"{name}.nii.gz")
    first = folder / "a_flair.nii.gz"
    assert stem(first) == "flair" and stem(Path("x/T1c.NII")) == "t1c"
    assert file_beside(first, ("t1",)) == folder / "a_t1.nii.gz" and file_beside(first, ("t2",)) is None
    assert file_beside(first, ("lesions", "labels")) == folder / "a_lesions.nii.gz"
    assert file_beside(folder / "b_flair.nii.gz", ("t1",)) == folder / "b_T1.nii.gz"
    assert set(images_beside(first, ("flair", "t1", "t2"))) == {"flair", "t1"}
    with pytest.raises(DataError, match="it has no truth -> put it beside"):
        truth_beside(folder / "b_flair.nii.gz")


def test_a_patient_becomes_an_entry(tmp_path, monkeypatch):
    first = patient(tmp_path / "one")
    method = pix2pix3d.Method(pix2pix3d.Config(finding="tumour", inputs=BOTH, channels=(4, 6)))
    shutil.move(first.with_name("lesions.nii.gz"), first.with_name("labels.nii.gz"))
    entries = [e for f in sorted(first.parent.iterdir()) for e in _entries(Case(f), method)]
    assert [e.kind for e in entries] == ["real"]
    brain = _brain(entries[0])
    assert brain.seen.shape[1:] == brain.truth.shape and int(brain.truth.sum()) == int(truth().sum())
    assert float(brain.seen[0][brain.truth > 0].median()) > 1.5 > float(brain.seen[0][brain.truth == 0].median()), (
        "the truth lies where FLAIR is bright"
    )
    with pytest.raises(DataError, match="label maps are of no use"):
        list(_entries(Case(write_map(tmp_path / "map.nii.gz", balls())), method))
    write(volume(9 * truth()), first.with_name("labels.nii.gz"))
    with pytest.raises(DataError, match="up to 9 -> give 0 to 4"):
        list(_entries(Case(first), method))


def test_a_label_map_becomes_an_entry(tmp_path):
    method = pix2pix3d.Method(pix2pix3d.Config(channels=(4, 6)))
    (entry,) = _entries(Case(write_map(tmp_path / "map.nii.gz", balls())), method)
    brain = _brain(entry)
    assert brain.tissue is not None and brain.seen.shape == (1, *brain.tissue.shape)
    names = [list(GREYS)[i - 1] for i in torch.unique(brain.tissue).tolist() if i]
    assert {"white matter", "grey matter", "csf", "thalamus"} == set(names)
    assert set(torch.unique(brain.white).tolist()) <= {0, 1, 2} and bool(brain.white.any())
    assert int(brain.white.bool().sum()) == int((brain.tissue == 1).sum())
    np.testing.assert_allclose(float(brain.seen.max()), min(1, 20 / 20), atol=0.02)


def test_training_reads_plants_and_learns(tmp_path, capsys):
    (tmp_path / "maps").mkdir()
    write_map(tmp_path / "maps" / "a.nii.gz", balls((30, 32, 31)))
    command = ["train", "segment/pix2pix3d", "--data", str(tmp_path / "maps"), "--out", str(tmp_path / "run")]
    command += ["--channels", "4", "6", "--side", "16", "--blocks", "2", "--steps", "4", "--batch", "1"]
    command += ["--validate-every", "4", "--validation-examples", "2", "--threads", "1"]
    assert main(command) == 0
    assert (tmp_path / "run" / "weights.safetensors").is_file() and list((tmp_path / "run" / "pictures").iterdir())
    assert "too few people to hold any out" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--side", "8"], "at least 16 voxels"),
        (["--rendered", "2"], "a share from 0 to 1"),
        (["--ease", "100"], "--ease 100 has no effect on a method that finds lesions -> leave it out"),
        (["--atlas", "muse"], "--atlas muse has no effect"),
        (["--labels", "folder"], "--labels folder has no effect"),
    ],
)
def test_options_that_cannot_be(words, told, tmp_path, capsys):
    write_map(tmp_path / "a.nii.gz", balls((20, 22, 21)))
    command = ["train", "segment/pix2pix3d", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *words]
    assert main([*command, "--channels", "4", "6", "--steps", "1", "--validate-every", "0", "--threads", "1"]) == 2
    assert told in capsys.readouterr().err
