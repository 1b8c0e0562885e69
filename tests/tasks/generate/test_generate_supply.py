"""What generation learns from: who trains, which slices, held-out scores in words, packs, runs that go on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from phantom_heads import folder_of_heads, head, slices
from PIL import Image as PillowImage

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.io.write import write
from spinecho.tasks.generate.examples import Options, gather
from spinecho.tasks.generate.examples.drawn import Drawn, moved
from spinecho.tasks.generate.examples.validation import Validation, held_out, told
from spinecho.tasks.generate.methods.pca import Config, Method
from spinecho.tasks.generate.parts.pictures import Pictures
from spinecho.tasks.generate.parts.slices import FINE, N_LEVELS, mid_axial
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team

QUICK = Settings(validate_every=1, validation_examples=2)


def context(method: Method | None = None, settings: Settings = QUICK, said: list[str] | None = None) -> Context:
    return Context(
        method=method or Method(Config(size=32, components=4)),
        task="generate",
        name="pca",
        settings=settings,
        device=torch.device("cpu"),
        team=Team(),
        on_broken="skip",
        say=(said if said is not None else []).append,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return folder_of_heads(tmp_path_factory.mktemp("heads"), 6)


def test_people_are_held_out_and_nobody_is_in_both_parts(folder):
    said: list[str] = []
    supply = gather([folder], Options(pictures=3), context(said=said))
    assert isinstance(supply.train, Drawn) and isinstance(supply.held_out, Validation)
    assert supply.train.slices.shape == (5 * N_LEVELS, FINE, FINE) and supply.train.slices.dtype == np.float16
    assert any("5 heads to train" in line for line in said) and any("1 heads to validate" in line for line in said)
    assert supply.facts == {"pictures": 3} and supply.train(1, 0).values.shape == (3, 32, 32)
    own = {one.tobytes() for one in supply.train.slices}
    others = gather([folder], Options(), context()).held_out
    assert isinstance(others, Validation) and len(own) == 5 * N_LEVELS


def test_the_method_is_prepared_with_all_training_slices(folder):
    method = Method(Config(size=32, components=4))
    before = method.components.detach().clone()
    supply = gather([folder], Options(), context(method))
    assert isinstance(supply.train, Drawn)
    small = torch.from_numpy(supply.train.slices).float().unflatten(1, (32, 4)).unflatten(3, (32, 4)).mean((2, 4))
    whole = torch.where(small < 0.03, 0.0, small).mean(0)
    expected = (whole + whole.flip(-1)) / 2
    torch.testing.assert_close(method.mean.detach().unflatten(0, (32, 32)), expected, atol=1e-3, rtol=0)
    assert not torch.equal(before, method.components)


def test_with_few_people_nobody_is_held_out_and_that_is_said(tmp_path):
    said: list[str] = []
    supply = gather([folder_of_heads(tmp_path / "few", 2)], Options(), context(said=said))
    assert supply.held_out is not None and any("too few people" in line for line in said)


def test_files_that_are_no_heads_are_left_out_by_name(tmp_path):
    folder, said = folder_of_heads(tmp_path / "mixed", 2), []
    np.save(folder / "array.npy", np.zeros((4, 4)))
    (folder / "broken.nii").write_bytes(b"nothing")
    supply = gather([folder], Options(), context(said=said))
    assert isinstance(supply.train, Drawn) and len(supply.train.slices) == 2 * N_LEVELS
    assert sum("left out" in line for line in said) >= 2
    with pytest.raises(DataError, match="nothing to train on"):
        empty = tmp_path / "empty"
        empty.mkdir()
        (empty / "broken.nii").write_bytes(b"nothing")
        gather([empty], Options(), context())


def test_nobody_of_the_test_part_trains(tmp_path):
    for person in ("IXI013", "IXI451", "IXI568"):  # trains, validates, tests
        write(head(int(person[3:]), 6.0, (30, 38, 34)), tmp_path / f"{person}.nii")
    said: list[str] = []
    supply = gather([tmp_path], Options(), context(said=said))
    assert isinstance(supply.train, Drawn) and len(supply.train.slices) == N_LEVELS
    mine = torch.from_numpy(supply.train.slices).float()
    torch.testing.assert_close(mine, mid_axial(head(13, 6.0, (30, 38, 34))), atol=1e-3, rtol=0)
    assert any("1 files are for judging" in line for line in said)


def test_every_slice_is_drawn_and_brightness_stays():
    stock = np.stack([np.full((128, 128), k / 10) for k in range(1, 9)]).astype(np.float16)
    draw = Drawn(stock, 32, 400, seed=1)
    middle = draw(1, 0).values[:, 12:20, 12:20].mean((1, 2))
    nearest = (middle * 10).round().long()
    assert set(range(1, 9)) <= set(nearest.tolist()) <= set(range(1, 10))
    for k in range(1, 8):
        few = middle[(middle * 10 - k).abs() < 0.35]
        assert float(few.mean()) == pytest.approx(k / 10, rel=0.02) and float(few.std()) < 0.05 * k / 10 + 0.01


def test_half_are_mirrored():
    one = torch.zeros(300, 128, 128)
    one[:, :, :64] = 1
    shaken = moved(one, torch.Generator().manual_seed(0))
    left = shaken[:, 40:88, 20:50].mean((1, 2)) > 0.5
    assert 0.4 < float(left.float().mean()) < 0.6


def test_held_out_scores_are_relative_and_zero_for_the_same():
    real = Pictures(slices(12, 32))

    class Echo(Method):
        def forward(self, draws):
            return real.values * scale

    method = Echo(Config(size=32, components=2)).train()
    for scale in (1.0, 0.9, 2.0):
        scores = Validation(real).scores(method)
        assert scores["mean"] == pytest.approx(abs(scale - 1), abs=1e-5)
        assert scores["detail"] == pytest.approx(abs(scale - 1), abs=1e-5)
    assert method.training, "it trains on afterwards"
    assert told({"mean": 0.123, "detail": 0.4}) == "off by 12.3 % in the mean picture, 40.0 % in detail"


def test_a_validation_leaves_a_picture_and_the_method_as_it_was(tmp_path):
    method = Method(Config(size=32, components=4))
    before = {k: v.clone() for k, v in method.state_dict().items()}
    Validation(Pictures(slices(6, 32))).picture(method, tmp_path / "a.png")
    with PillowImage.open(tmp_path / "a.png") as picture:
        assert picture.size[0] == 1200
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_no_validation_where_none_is_wanted():
    draw = Drawn(slices(4, 128).numpy(), 32, 3, 0, "validate")
    assert held_out(draw, context(settings=Settings(validate_every=0))) is None
    assert held_out(draw, context(settings=Settings(validation_examples=0))) is None
    few = held_out(draw, context(settings=Settings(validation_examples=2)))
    assert few is not None and len(few.real.values) == 6


def test_a_run_goes_on_as_if_it_had_not_stopped(folder, tmp_path):
    common = ["--data", str(folder), "--size", "32", "--pictures", "2", "--batch", "1", "--threads", "1"]
    common += ["--noise", "4", "--width", "2", "--most", "4", "--validate-every", "0", "--save-every", "1"]
    command = ["train", "generate/gan", *common, "--steps"]
    assert main([*command, "2", "--decay", "0", "--out", str(tmp_path / "whole")]) == 0
    assert main([*command, "1", "--decay", "0", "--out", str(tmp_path / "parts")]) == 0
    assert main([*command, "2", "--decay", "0", "--out", str(tmp_path / "parts")]) == 0
    whole, parts = (load_state(tmp_path / n / "weights.safetensors")[0] for n in ("whole", "parts"))
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_bundle_holds_what_the_files_gave(folder, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    command = ["train", "generate/pca", "--data", str(folder), "--size", "32", "--components", "3", "--steps", "1"]
    assert main([*command, "--bundle", str(bundle)]) == 0
    assert "packed to train: 5 of 5" in capsys.readouterr().out
    assert json.loads((bundle / "order.json").read_text())
    supplies = [gather([place], Options(), context()) for place in (folder, bundle / "pack")]
    drawn = [s.train(3, 1).values for s in supplies if isinstance(s.train, Drawn)]
    assert len(drawn) == 2 and torch.equal(drawn[0], drawn[1])


def test_no_pictures_in_an_example_are_refused(folder):
    with pytest.raises(DataError, match="pictures=0"):
        gather([folder], Options(pictures=0), context())


def test_how_much_slices_are_moved(folder):
    supply = gather([folder], Options(pictures=3, moved=0.25), context())
    assert isinstance(supply.train, Drawn) and supply.train.moved == 0.25 and supply.facts["moved"] == 0.25
    x = slices(4, 32).float()
    off: list[float] = []
    for share in (0.0, 0.25, 1.0):
        made = moved(x, torch.Generator().manual_seed(2), share)
        off.append(float(torch.minimum(*((made - y).abs().mean((1, 2)) for y in (x, x.flip(-1)))).mean()))
    assert off[0] < 1e-4 and off[0] < off[1] < off[2], "unmoved: as they are, or mirrored"
    with pytest.raises(DataError, match=r"moved=1\.5 -> give 0 to 1"):
        gather([folder], Options(moved=1.5), context())


def test_the_less_is_moved_the_less_is_mirrored():
    """Heads have a left and a right: what is mirrored as often as not is told from scans by that alone."""
    marked = torch.zeros(400, 32, 32)
    marked[:, 4:28, 4:10] = 1.0
    shares = {}
    for share in (0.0, 0.2, 1.0):
        seen = moved(marked, torch.Generator().manual_seed(0), share)
        shares[share] = float((seen[..., 16:].mean((1, 2)) > seen[..., :16].mean((1, 2))).float().mean())
    assert shares[0.0] == 0 and 0.06 < shares[0.2] < 0.14 and 0.43 < shares[1.0] < 0.57
    torch.testing.assert_close(moved(marked, torch.Generator().manual_seed(0), 0.0), marked)


def test_air_is_nothing_in_what_is_learned():
    faint = np.full((4, FINE, FINE), 0.02, np.float16)
    faint[:, 40:80, 40:80] = 0.5
    values = Drawn(faint, 64, 6, 0, moved=0.0)(0, 0).values
    assert float(values[:, :16].abs().max()) == 0 and float(values[:, 24:36, 24:36].min()) > 0.4
