"""Drawn heads: the same by number, labels where the picture has them, every look finite; training and its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rendered import balls, untrained, write_map

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import header_of, metadata_of
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.segment.examples import drawn as module
from spinecho.tasks.segment.examples import places
from spinecho.tasks.segment.examples.drawn import Drawn
from spinecho.tasks.segment.examples.heads import entry_of, head_of
from spinecho.tasks.segment.examples.looks import brightness, degraded, thick
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.names import also_right, classes_of


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "person.nii.gz"
    return head_of(entry_of(write_map(path, balls((60, 64, 62)), 2.0)))


def test_a_head_is_read_along_the_patient(one):
    assert one.codes.dtype == torch.uint8 and one.voxel_mm.tolist() == [2, 2, 2]
    assert int(one.codes[0].max()) == 0 == int(one.codes[..., -1].max()), "the rim is air"
    assert set(one.ids.tolist()) == {0, 507, 24, 3, 2, 10, 4}
    middle = (torch.tensor(one.codes.shape) - 1) / 2
    assert float((one.centre - middle).abs().max()) < 1.5
    thalamus = (one.codes == one.ids.tolist().index(10)).nonzero().float().mean(0)
    assert thalamus[2] < middle[2] - 0.5, "x to the right in the file, to the left in LPS"


def test_a_number_gives_the_same_head_and_another_number_others(one):
    draw = Drawn((one,), (), 2.0, 48, seed=1)
    a, again, b = draw(1, 0), draw(1, 0), draw(1, 1)
    assert torch.equal(a.image, again.image) and torch.equal(a.classes, again.classes)
    assert a.image.shape != b.image.shape or not torch.equal(a.image, b.image)
    assert not torch.equal(draw(2, 0).classes, Drawn((one,), (), 2.0, 48, 1, "validate")(2, 0).classes) or (
        draw(2, 0).classes.shape != Drawn((one,), (), 2.0, 48, 1, "validate")(2, 0).classes.shape
    )


@pytest.mark.parametrize("step", range(12))
def test_every_look_is_finite_and_from_0_to_1(one, step):
    example = Drawn((one,), (), 2.0, 40, seed=0)(step, 0)
    assert bool(torch.isfinite(example.image).all())
    assert float(example.image.min()) >= 0 and float(example.image.max()) <= 1
    assert example.image.shape[2:] == example.classes.shape[1:]
    assert all(n % 8 == 0 and 24 <= n <= 40 for n in example.classes.shape[1:])


def test_without_turns_the_labels_are_those_of_the_map(one, monkeypatch):
    for name in ("_TURN_DEG", "_STRETCH", "_SHEAR", "_SHIFT_MM", "_BEND_MM"):
        monkeypatch.setattr(places, name, 0.0)
    for step in range(4):
        classes = Drawn((one,), (), 2.0, 48, seed=0)(step, 0).classes[0]
        truth = classes_of(one.ids)[one.codes.long()]
        first = [round(float(c) - (n - 1) / 2) for c, n in zip(one.centre, classes.shape, strict=True)]
        cut = truth[tuple(slice(a, a + n) for a, n in zip(first, classes.shape, strict=True))]
        same = max(float((classes == t).float().mean()) for t in (cut, cut.flip(-1)))
        assert same > 0.93


def test_the_picture_shows_the_labels(one, monkeypatch):
    """Rendered plainly, each region has one brightness where the labels say it lies."""
    monkeypatch.setattr(module, "degraded", lambda image, mm, rng: image)
    monkeypatch.setattr(module, "_kept", lambda image, brain, rng: image)
    flat = lambda ids, rng, strange: (torch.arange(len(ids)) / 10.0, torch.zeros(len(ids)))  # noqa: E731
    monkeypatch.setattr(module, "brightness", flat)
    example = Drawn((one,), (), 2.0, 48, seed=0)(3, 0)
    for region in torch.unique(example.classes).tolist():
        inside = example.image[0][example.classes == region]
        if region and len(inside) > 200:
            middle = inside.median()
            assert float(((inside - middle).abs() < 0.05).float().mean()) > 0.4


def test_brightness_is_dark_in_air_and_repeats(one):
    rng = lambda: torch.Generator().manual_seed(5)  # noqa: E731
    values, spread = brightness(one.ids, rng())
    assert values[0] == 0 and spread[0] == 0 and bool((values >= 0).all())
    assert torch.equal(values, brightness(one.ids, rng())[0])


def test_training_begins_with_contrasts_that_are_alike(one):
    """Early steps look T1-weighted; later ones, and all that validate, do not."""

    def apart(step, part="train"):
        supply = Drawn((one,), (), 2.0, 48, seed=0, part=part, ease=2000)
        usual = brightness(one.ids, torch.Generator().manual_seed(0), 0.0)[0]
        seen: list[float] = []

        def spy(ids, rng, strangeness):
            values, spread = brightness(ids, rng, strangeness)
            seen.append(float((values - usual).abs().mean()))
            return values, spread

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "brightness", spy)
            for index in range(4):
                supply(step, index)
        return sum(seen) / len(seen)

    assert apart(0) < 0.5 * apart(4000)
    assert apart(0, "validate") > 2 * apart(0)


def test_degrading_keeps_zeros_dark_and_changes_the_rest():
    rng = torch.Generator().manual_seed(0)
    image = torch.zeros(24, 24, 24)
    image[6:18, 6:18, 6:18] = 1
    for _ in range(6):
        shown = degraded(image, 2.0, rng)
        assert bool(torch.isfinite(shown).all()) and float(shown.min()) >= 0
        assert float(shown[9:15, 9:15, 9:15].mean()) > 3 * float(shown[:3].mean())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_keep_the_mean_and_lose_detail(axis):
    image = torch.rand(24, 24, 24, generator=torch.Generator().manual_seed(1))
    rng = torch.Generator().manual_seed(4)
    blurred = thick(image, axis, 2.0, rng)
    assert blurred.shape == image.shape and float(blurred.mean()) == pytest.approx(float(image.mean()), abs=0.02)
    others = [a for a in range(3) if a != axis]
    assert float(blurred.diff(dim=axis).std()) < 0.8 * float(blurred.diff(dim=others[0]).std())


def test_examples_join_by_size():
    a = Example(torch.rand(1, 1, 8, 8, 8), torch.zeros(1, 8, 8, 8).byte(), torch.zeros(1), also_right("muse")[None])
    b = Example.joined([a, a])
    assert a.bucket == b.bucket and all(part.shape[0] == 2 for part in (b.image, b.classes, b.evenness, b.also))


def test_files_that_are_no_label_maps(tmp_path):
    with pytest.raises(DataError, match=r"labels \[1002\] have no tissue"):
        entry_of(write_map(tmp_path / "a.nii.gz", balls() + 999 * (balls() == 3)))
    with pytest.raises(DataError, match="no brain"):
        entry_of(write_map(tmp_path / "b.nii.gz", 507 * (balls() > 0)))


def test_it_trains_resumes_and_segments(tmp_path, capsys):
    maps = tmp_path / "maps"
    maps.mkdir()
    for i in range(5):
        write_map(maps / f"person{i}.nii.gz", balls((50 + i, 52, 48)))
    (maps / "note.nii.gz").write_bytes(b"nothing")
    out = tmp_path / "run"
    command = ["train", "segment/regions", "--data", str(maps), "--out", str(out), "--largest", "32", "--batch", "1"]
    command += ["--channels", "4", "6", "--validate-every", "2", "--validation-examples", "2", "--threads", "1"]
    assert main([*command, "--steps", "2"]) == 2, "a broken file ends it"
    assert "note.nii.gz" in capsys.readouterr().err
    command += ["--on-broken", "skip"]
    assert main([*command, "--steps", "2", "--save-every", "1"]) == 0
    assert "held-out mean Dice" in capsys.readouterr().out
    assert main([*command, "--steps", "3"]) == 0 and "goes on after step 2" in capsys.readouterr().out
    assert next((out / "pictures").glob("*.png")).read_bytes()[:4] == b"\x89PNG"
    assert open_learned("segment", out / "weights.safetensors").config.channels == (4, 6)
    image = write_map(tmp_path / "head.nii.gz", balls())
    assert (
        main(["segment", str(image), "-o", str(tmp_path / "l.nii.gz"), "--weights", str(out / "weights.safetensors")])
        == 0
    )


def test_options_that_cannot_be(tmp_path, capsys):
    maps = tmp_path / "m"
    maps.mkdir()
    write_map(maps / "a.nii.gz", balls())
    command = ["train", "segment/regions", "--data", str(maps), "--out", str(tmp_path / "o"), "--steps", "1"]
    assert main([*command, "--largest", "8"]) == 2 and "at least 24" in capsys.readouterr().err
    command += ["--channels", "4", "6", "--largest", "24", "--batch", "1", "--validate-every", "0", "--threads", "1"]
    for words in (["--side", "32"], ["--blocks", "3"], ["--rendered", "0.5"]):
        assert main([*command, *words]) == 2
        assert f"{' '.join(words)} has no effect on a method that finds regions" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_ease_and_labels_only(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "labels").mkdir()
    write_map(tmp_path / "m" / "a.nii.gz", balls())
    ran = ["train", "segment/regions", "--data", str(tmp_path / "m"), "--largest", "24", "--batch", "1"]
    ran += ["--channels", "4", "6", "--validate-every", "0", "--save-every", "1", "--threads", "1", "--out"]
    usual, own = ([*ran, str(tmp_path / name)] for name in ("usual", "own"))
    own += ["--ease", "100", "--labels", str(tmp_path / "labels")]
    for command, facts in ((usual, {}), (own, {"ease": 100, "labels": str(tmp_path / "labels")})):
        assert main([*command, "--steps", "1"]) == 0
        trained = metadata_of(header_of(Path(command[command.index("--out") + 1]) / "weights.safetensors"))[0][
            "trained"
        ]
        assert {name: trained["facts"].get(name) for name in ("ease", "labels")} == {
            "ease": None,
            "labels": None,
        } | facts
        assert main([*command, "--steps", "2"]) == 0 and "goes on after step 1" in capsys.readouterr().out
        assert main([*command, "--steps", "3", "--ease", "300"]) == 2
        assert "give the same options to continue" in capsys.readouterr().err


def test_untrained_weights_open(tmp_path):
    assert open_learned("segment", untrained(tmp_path / "w.safetensors")).spacing_mm == 2.0
