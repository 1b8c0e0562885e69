"""Lesions and tumours in a head whose truth is known: methods, contrasts, storage, what is refused, the command."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from marked import dice, flair, geometry, patient, t1, truth, volume

import spinecho
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.state import save_state
from spinecho.methods import registry
from spinecho.tasks.segment.parts.findings import LABELS, NAMES, TARGETS, is_any
from spinecho.tasks.segment.run import brain_of, segment
from spinecho.tasks.segment.task import NAMES as names_of

CLASSICAL = ("threshold", "grown")


def enhanced() -> Image:
    """T1 with contrast agent: the middle of each lesion lights up."""
    image = t1()
    z, y, x = torch.meshgrid(*[torch.arange(n) for n in truth().shape], indexing="ij")
    core = (z - 22).square() + (y - 24).square() + (x - 34).square() < 9
    return replace(image, values=torch.where(core, 1200.0, image.values))


@pytest.mark.parametrize("method", CLASSICAL)
def test_lesions_are_found_and_nothing_else(method):
    result = segment(flair(), method)
    assert dice(result.values, truth()) > 0.85 and result.values.dtype == torch.int16
    assert set(torch.unique(result.values).tolist()) == {0, 1}
    assert result.extras["probability"].shape == result.values.shape
    assert f"lesions by {method}, brain: what is not 0, 3 pieces" in result.header.history[-1]
    healthy = segment(flair(lesions=False), method)
    assert int(healthy.values.sum()) <= 12


@pytest.mark.parametrize("method", CLASSICAL)
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_no_unit_matters(method, factor):
    image = flair()
    scaled = replace(image, values=factor * image.values)
    assert torch.equal(segment(scaled, method).values, segment(image, method).values)


@pytest.mark.parametrize("method", CLASSICAL)
def test_storage_does_not_matter(method):
    image = flair()
    turned = replace(
        image, values=image.values.permute(0, 3, 1, 2).flip(2), geometries=(geometry().permuted((2, 0, 1)).flipped(1),)
    )
    expected = segment(image, method).values.permute(0, 3, 1, 2).flip(2)
    assert torch.equal(segment(turned, method).values, expected)


def test_one_threshold_is_what_it_says():
    low, high = (int(segment(flair(), "threshold", level=level).values.sum()) for level in (1.5, 6.0))
    assert low > int(segment(flair(), "threshold").values.sum()) >= high


def test_seeds_decide_what_grows():
    assert not bool(segment(flair(), "grown", seed=50.0).values.any())
    few = segment(flair(), "grown", least_mm3=150.0)
    assert "2 pieces" in few.header.history[-1], "the smallest has too few seeds"


def test_what_enhances_lies_in_the_tumour():
    big, agent = (replace(i, geometries=(geometry(3.0),)) for i in (flair(), enhanced()))
    mask = replace(big, values=(big.values > 0).to(torch.uint8))
    asked = {"finding": "tumour", "smooth_mm": 2.0, "grid_mm": 3.0, "brain": mask}
    made = segment(big, "threshold", **asked, beside={"t1c": agent})
    lit, dark = (agent.values > 900) & (made.values > 0), (agent.values < 550) & (made.values > 0)
    assert int(lit.sum()) > 50 and float(is_any(made.values[lit], (4,)).float().mean()) > 0.9
    assert float(is_any(made.values[dark], (2,)).float().mean()) > 0.7
    assert set(torch.unique(made.values).tolist()) == {0, 2, 4} and "enhancing" in made.header.history[-1]
    alone = segment(big, "threshold", **asked)
    assert torch.equal(alone.values > 0, made.values > 0) and not bool((alone.values == 4).any())
    assert any("was not given t1c" in line for line in alone.header.history)


def test_small_pieces_are_no_tumour():
    assert not bool(segment(flair(), "threshold", finding="tumour", level=4.0).values.any())


def test_a_mask_of_the_brain_is_taken():
    image = flair()
    whole = replace(image, values=image.values + 40 * (image.values == 0))
    brain = volume((image.values[0] > 0).to(torch.uint8))
    assert torch.equal(segment(whole, "threshold", brain=brain).values, segment(image, "threshold").values)
    with pytest.raises(DataError, match=r"no brain.*brain"):
        segment(image, "threshold", brain=volume(torch.zeros_like(brain.values[0])))


def test_a_head_is_stripped_by_regions(monkeypatch):
    image = flair()
    head = replace(image, values=image.values + 40 * (image.values == 0))
    from spinecho.tasks.segment import run

    asked: list[dict[str, object]] = []

    def only_brain(one: Image, method: str, **settings: object) -> Image:
        asked.append({"method": method, **settings})
        return replace(one, values=(image.values > 0).to(torch.int16))

    monkeypatch.setattr(run, "segment", only_brain)
    mask, by = brain_of(head)
    assert by == "by regions" and asked == [{"method": "regions", "only": "brain", "sides": False}]
    assert torch.equal(mask, image.values[0] > 0)


def test_ringing_about_a_mask_is_no_brain():
    image = flair()
    ringing = torch.where(image.values == 0, -1e-3, image.values)
    ringing[:, :12] = 0
    inside = image.values.clone()
    inside[:, :12] = 0
    both = [segment(replace(image, values=v), "threshold").values for v in (ringing, inside)]
    assert torch.equal(*both)


def test_series_are_done_volume_by_volume():
    image = flair()
    series = replace(image, values=torch.stack([image.values, flair(lesions=False).values]), axes=("time",))
    made = segment(series, "grown")
    assert made.values.shape == series.values.shape and int(made.values[1].sum()) <= 12 < int(made.values[0].sum())
    with pytest.raises(DataError, match="series goes with no other contrasts"):
        segment(series, "threshold", finding="tumour", beside={"t1c": t1()})


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("threshold", {"beside": {"pet": t1()}}, "no contrast 'pet' -> known are flair"),
        ("threshold", {"only": "brain"}, "threshold finds lesions, no brain"),
        ("lesions", {"beside": {"t1": flair()}}, "t1 has the same content as the image"),
        ("threshold", {"beside": {"t1": t1(), "t1c": t1()}}, "t1 and t1c have the same content"),
        ("grown", {"sides": False}, "grown finds lesions, no regions -> leave out sides=False$"),
        ("grown", {"greys": False, "sides": False}, "-> leave out sides=False and greys=False"),
        ("regions", {"beside": {"t1": t1()}}, "regions looks at one image alone -> leave out t1"),
        ("regions", {"brain": t1()}, "regions looks at one image alone -> leave out brain"),
        ("threshold", {"finding": "tumour", "beside": {"t1c": volume(t1().values[0] * np.nan)}}, "t1c holds NaN"),
    ],
)
def test_what_cannot_be_is_told(method, given, words):
    with pytest.raises(DataError, match=words):
        segment(flair(), method, **given)


def test_other_grids_are_to_be_registered_first():
    other = replace(t1(), geometries=(geometry(1.2),))
    with pytest.raises(DataError, match=r"t1c has the grid.*spinecho register"):
        segment(flair(), "threshold", finding="tumour", beside={"t1c": other})


def test_names_fit_the_method():
    assert names_of("threshold") == dict(NAMES) and names_of("regions")[17] == "hippocampus"
    for finds, targets in TARGETS.items():
        assert set(LABELS[finds]) - {0} == set(next(iter(targets.values()))) <= set(NAMES)
    assert is_any(torch.tensor([0, 1, 4, 2]), (1, 4)).tolist() == [False, True, True, False]


def network(path, **settings):
    """Weights that nobody trained."""
    module = registry.load("segment", "pix2pix3d")
    torch.manual_seed(0)
    method = module.Method(module.Config(channels=(4, 6), adversarial=0, **settings))
    meta = {"task": "segment", "method": "pix2pix3d", "config": dataclasses.asdict(method.config), "card": {}}
    save_state(path, method.state_dict(), {**meta, "trained": {}})
    return path


def test_the_command_takes_contrasts_by_name(tmp_path, capsys):
    image = patient(tmp_path / "one")
    weights = network(tmp_path / "w.safetensors")
    words = ["segment", str(image), "--t1", str(image.with_name("t1.nii.gz")), "--weights", str(weights)]
    assert (
        main([*words, "-o", str(tmp_path / "les.nii.gz"), "--report", str(tmp_path / "r.html"), "--threads", "1"]) == 0
    )
    made = nib.load(tmp_path / "les.nii.gz")
    assert made.shape == nib.load(image).shape and set(np.unique(made.dataobj)) <= {0, 1}
    assert "was not given" not in capsys.readouterr().err and (tmp_path / "r.html").exists()
    assert main([*words[:2], "--weights", str(weights), "-o", str(tmp_path / "b.nii.gz"), "--threads", "1"]) == 0
    assert "was not given t1" in capsys.readouterr().err
    assert main([*words, "-o", str(image.with_name("t1.nii.gz"))]) == 2
    assert "it is an input" in capsys.readouterr().err


def test_the_command_tells_of_other_grids(tmp_path, capsys):
    image = patient(tmp_path / "one")
    affine = np.diag([1.1, 1, 1, 1])
    nib.save(nib.Nifti1Image(np.ones((30, 30, 30), np.float32), affine), tmp_path / "t1c.nii.gz")
    words = ["segment", str(image), "--method", "threshold", "--finding", "tumour", "-o", str(tmp_path / "o.nii.gz")]
    assert main([*words, "--t1c", str(tmp_path / "t1c.nii.gz")]) == 2
    said = capsys.readouterr().err
    assert "--t1c has the grid 30 x 30 x 30" in said and "spinecho register" in said


def test_released_lesion_weights_find_these():
    clear = replace(flair(), values=flair().values + 60 * truth())
    made = spinecho.segment(clear, "lesions", beside={"t1": t1()})
    assert dice(made.values, truth()) > 0.5
