"""Several contrasts in, one out: names, examples, networks, the command, the judge."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from two_contrasts import head, image, saved

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.state import save_state
from spinecho.tasks.translate.base import Ask
from spinecho.tasks.translate.examples.drawn import Drawn
from spinecho.tasks.translate.examples.heads import Gathered
from spinecho.tasks.translate.judge import Options
from spinecho.tasks.translate.judge.heads import cases, columns, run
from spinecho.tasks.translate.limits import outside
from spinecho.tasks.translate.methods import cyclegan, lookup, pix2pix3d, supervised
from spinecho.tasks.translate.parts import planes
from spinecho.tasks.translate.parts.contrasts import TOGETHER, checked, most, sides, together
from spinecho.tasks.translate.run import translate
from spinecho.train.first import first

PAIRS = ("t1-flair", "t1+t2-flair")
SMALL = {
    "supervised": (supervised, {"channels": (6, 8), "blocks": (1, 1), "neighbours": 1}),
    "pix2pix3d": (pix2pix3d, {"channels": (4, 6), "critic_channels": 2}),
}
each = pytest.mark.parametrize("name", SMALL)


def small(name: str, pairs: tuple[str, ...] = PAIRS):
    module, options = SMALL[name]
    torch.manual_seed(0)
    method = module.Method(module.Config(pairs=pairs, **options))
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng))
    return method


@pytest.fixture
def weights(tmp_path) -> Path:
    path = tmp_path / "weights.safetensors"
    method = small("supervised")
    told = {"task": "translate", "method": "supervised", "config": asdict(method.config), "card": {}, "trained": {}}
    save_state(path, method.state_dict(), told)
    return path


def heads(*contrasts: str) -> tuple[dict[str, np.ndarray], ...]:
    return ({c: head(c, (12, 44, 40), i).numpy().astype(np.float16) for i, c in enumerate(contrasts)},)


def drawn(gathered: Gathered, pairs: tuple[str, ...] = PAIRS, **options) -> Drawn:
    return Drawn(gathered, pairs, (3, 24, 24), 12, 0, **options)


# --- names


def test_names_of_several():
    assert "t1+t2-flair" in TOGETHER and len(TOGETHER) == 16 and together({"t2", "t1"}) == "t1+t2"
    assert sides("t1+t2-flair") == (("t1", "t2"), "flair") and sides("t1-t2") == (("t1",), "t2")
    assert checked(PAIRS, several=True) == PAIRS and most(PAIRS) == 2 and most(("t1-t2",)) == 1
    for strange in ("t2+t1-flair", "t1+t1-t2", "t1+t2-t2", "t1+-t2", "+-t1"):
        with pytest.raises(DataError, match="in this order"):
            checked((strange,), several=True)


@pytest.mark.parametrize("config", [cyclegan.Config(pairs=PAIRS), lookup.Config(pairs=PAIRS)])
def test_methods_that_see_one_say_so(config):
    module = cyclegan if isinstance(config, cyclegan.Config) else lookup
    with pytest.raises(DataError, match=r"sees one contrast.*supervised or pix2pix3d"):
        module.Method(config)


# --- examples


def test_examples_are_of_one_place_in_all_contrasts():
    lesson = drawn(Gathered(heads("t1", "t2", "flair"), ()))(0, 0)
    assert lesson.beside is not None and lesson.given.shape == (12, 2, 3, 24, 24)
    alone = lesson.pairs == 0
    assert bool(alone.any()) and not bool(alone.all())
    assert float(lesson.beside[alone].abs().max()) == 0, "a pair of one contrast has nothing beside it"
    t1, t2, flair = lesson.seen[~alone], lesson.beside[~alone, 0], lesson.wanted[~alone]
    for x in (t2, flair):
        assert float(((x > 0) == (t1 > 0)).float().mean()) > 0.97
    fluid = (t1 > 0) & (t1 < 0.15)
    assert float(t2[fluid].median()) > 1 and float(flair[fluid].median()) < 0.15


def test_heads_without_all_contrasts_are_not_drawn():
    assert drawn(Gathered(heads("t1", "flair"), ())).absent() == ["t1+t2-flair"]
    assert drawn(Gathered(heads("t1", "t2", "flair"), ())).absent() == []


def test_label_maps_show_all_contrasts():
    ball = (head("t1", (40, 40, 40)).numpy() > 0).astype(np.uint8)
    lesson = drawn(Gathered((), (ball,)), pairs=("t1+t2+pd-flair",))(0, 0)
    assert lesson.given.shape == (12, 3, 3, 24, 24) and float(lesson.given.amax((0, 2, 3, 4)).min()) > 0.1


def test_lessons_with_more_join_thin_and_move():
    one = drawn(Gathered(heads("t1", "t2", "flair"), ()))(0, 0)
    both = type(one).joined([one, one]).thinned(1).to(torch.device("cpu"))
    assert both.given.shape == (24, 2, 1, 24, 24)
    torch.testing.assert_close(both.given[:12, :, 0], one.given[:, :, 1])


# --- networks


@each
@pytest.mark.parametrize("pair", PAIRS)
def test_tiles_are_the_whole(name, pair, monkeypatch):
    method = small(name)
    ask = Ask(*pair.split("-"))
    values = torch.stack([head(c, (6, 41, 36)) for c in ask.source.split("+")])
    with torch.inference_mode():
        whole = method(values, ask).values
        monkeypatch.setattr(planes, "AT_ONCE", 16**2)
        monkeypatch.setattr(pix2pix3d, "_CORE", 8)
        parts = method(values, ask).values
    assert whole.shape == (1, 6, 41, 36)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


@each
def test_use_is_as_in_training(name):
    """A block through `forward` is what `estimate` makes of it: contrasts and neighbours in the same places."""
    method = small(name)
    values = torch.stack([head(c, (8, 16, 16)) for c in ("t1", "t2")])
    lesson = drawn(Gathered(heads("t1", "t2", "flair"), ()))(0, 0)
    block = type(lesson)(values[None, 0], values[None, 0], torch.tensor([1]), values[None, 1:])
    with torch.inference_mode():
        made = method(values, Ask("t1+t2", "flair")).values[0]
        taught = method.estimate(block)[0]
    middle = (8 - method.depth) // 2 + method.depth // 2
    expected = taught if len(taught) > 1 else taught[0]
    torch.testing.assert_close(made if len(taught) > 1 else made[middle], expected, rtol=1e-4, atol=1e-5)


@each
def test_both_contrasts_count(name):
    method = small(name)
    values = torch.stack([head(c, (6, 24, 20)) for c in ("t1", "t2")])
    ask = Ask("t1+t2", "flair")
    with torch.inference_mode():
        made = method(values, ask).values
        for i in range(2):
            other = values.clone()
            other[i] *= 1.3
            assert float((method(other, ask).values - made).abs().max()) > 1e-3


@each
def test_it_learns_from_several(name):
    method = small(name)
    method.loss(drawn(Gathered(heads("t1", "t2", "flair"), ()))(0, 0)).backward()
    first = next(p for p in method.parameters() if p.ndim > 2)
    assert bool((first.grad.abs().flatten(2).amax(2).amax(0) > 0).all()), "every channel that enters"


def test_one_contrast_alone_is_as_before():
    """Weights for single pairs have no more channels than they had."""
    alone = small("supervised", ("t1-t2", "t2-t1"))
    assert next(alone.network.parameters()).shape[1] == 4 * (3 + 2), "pixels of 2 x 2: three slices and two pairs"


# --- the whole task


def two(**options) -> dict[str, Image]:
    return {c: image(500 * head(c), f"{c}.nii.gz", **options) for c in ("t1", "t2")}


def test_which_of_them_is_the_image_matters_to_the_units_alone(weights):
    t1, t2 = two().values()
    one = translate(t1, "supervised", to="flair", beside={"t2": t2}, weights=weights)
    other = translate(t2, "supervised", to="flair", beside={"t1": t1}, weights=weights)
    ratio = float(one.values.max() / other.values.max())
    torch.testing.assert_close(one.values, ratio * other.values, rtol=1e-4, atol=1e-2)
    assert "cycle" not in one.extras and bool((one.extras["spread"] > 0).any())
    told = "\n".join(one.header.history)
    assert "flair translated from t1+t2" in told and "guessed from T1 and T2, never measured" in told
    alone = translate(t1, "supervised", to="flair", weights=weights)
    assert float((alone.values - one.values).abs().max()) > 1


@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_units_of_what_lies_beside_change_nothing(weights, gain):
    t1, t2 = two().values()
    louder = image(gain * 500 * head("t2"), "t2.nii.gz")
    one, other = (translate(t1, "supervised", to="flair", beside={"t2": x}, weights=weights) for x in (t2, louder))
    torch.testing.assert_close(one.values, other.values, rtol=1e-4, atol=1e-2)


def refused(beside: dict[str, Image], said: str, method: str = "auto", **options) -> None:
    t1 = options.pop("given", image(head("t1"), "t1.nii.gz"))
    with pytest.raises(DataError, match=said):
        translate(t1, method, to="flair", beside=beside, **options)


def test_what_cannot_lie_beside():
    t2 = image(head("t2"))
    refused({"dwi": t2}, "there is no contrast 'dwi'")
    refused({"t1": t2}, "t1 is given, and the image itself shows it")
    refused({"flair": t2}, "flair is given, and it is what is wanted")
    refused({"t2": image(head("t2", (12, 40, 34)))}, "t2 has the grid 34 x 40 x 12, the image 36 x 40 x 12")
    refused({"t2": image(head("t2")[None].expand(2, 1, -1, -1, -1))}, "a series goes with no other contrasts")
    refused({"pd": t2}, "no method has trained weights for flair of t1\\+pd.*--pairs t1\\+pd-flair")
    refused({"pd": t2}, "not flair of t1 and pd", "supervised")
    refused({"t2": image(torch.zeros(12, 40, 36))}, "t2 has nothing in it")
    bad = image(head("t2").index_fill(0, torch.tensor([3]), float("nan")))
    refused({"t2": bad}, "NaN")


def test_cards_name_pairs_of_several():
    ask = Ask("t1+t2", "flair")
    assert outside({"pairs": ["t1+t2-flair"]}, ask) == [] and outside({}, ask) == []
    assert outside({"pairs": ["t1-flair"]}, ask) == ["pair t1+t2-flair (card: t1-flair)"]


def test_from_training_to_use_by_command(tmp_path, capsys):
    for i in range(5):
        names = {"t1": "t1", "t2": "t2", "flair": "flair"}
        saved(tmp_path / "people" / f"person{i}", names, (20, 32, 28), 0.1 * i)
    out, people = tmp_path / "run", tmp_path / "people"
    command = ["train", "translate/pix2pix3d", "--data", str(people), "--out", str(out), "--pairs", *PAIRS]
    command += ["--batch", "1", "--steps", "2", "--patch", "16", "--patches", "3", "--channels", "3", "4"]
    assert main([*command, "--critic-channels", "2", "--validate-every", "2", "--threads", "1"]) == 0
    folder = people / "person0"
    use = ["translate", str(folder / "t1.nii.gz"), "--t2", str(folder / "t2.nii.gz"), "--to", "flair"]
    use += ["--weights", str(out / "weights.safetensors"), "-o", str(tmp_path / "flair.nii.gz")]
    capsys.readouterr()
    assert main(use) == 0 and nib.load(tmp_path / "flair.nii.gz").shape == (28, 32, 20)
    assert "guessed from T1 and T2, never measured" in "".join(capsys.readouterr())
    wrong = [*use[:2], "--t1", str(folder / "t2.nii.gz"), *use[4:]]
    assert main(wrong) == 2
    assert "--t1 is given, and the image itself shows it" in capsys.readouterr().err


def test_it_is_judged(tmp_path, weights):
    names = {"t1": "t1", "t2": "t2", "flair": "flair", "lesions": "lesions"}
    folder = saved(tmp_path / "person", names, (16, 60, 56), mm=2.0)
    options = Options(heads=(folder,), pairs=PAIRS, slices=0, lesions=2)
    one, both = cases(options, torch.device("cpu")).each
    assert both.name == "person, flair of t1 and t2" and one.name == "person, flair of t1"
    assert one.digest != both.digest
    inputs = both.load()
    assert list(inputs.beside) == ["t2"] and inputs.lesions is not None
    outcome = run(inputs, "supervised", {"weights": weights})
    assert outcome.result.with_lesions is not None
    assert [c.name for c in columns(inputs, {"supervised": outcome.result})] == ["t1", "t2", "flair", "supervised"]


# --- more pairs for weights that there are


def test_weights_learn_further_pairs_from_where_they_are():
    """With nothing beside, each pair of both gives what it gave; a new one what its first contrast alone gives."""
    before = small("supervised", ("t1-flair", "t2-flair"))
    config = supervised.Config(pairs=("t2-flair", "t1+t2-flair", "t1-flair", "pd-t1"))
    after = supervised.Method.begun(config, before)
    assert after.config.channels == (6, 8) and after.config.neighbours == 1 and after.pairs == config.pairs
    t1, t2 = (head(c, (4, 24, 20))[None] for c in ("t1", "t2"))
    with torch.inference_mode():
        for x, ask in ((t1, Ask("t1", "flair")), (t2, Ask("t2", "flair"))):
            torch.testing.assert_close(after(x, ask).values, before(x, ask).values)
        both = after(torch.cat([t1, t2]), Ask("t1+t2", "flair")).values
        torch.testing.assert_close(both, before(t1, Ask("t1", "flair")).values)
        again = supervised.Method.begun(supervised.Config(pairs=("t1-flair", "t2-flair")), after)
        torch.testing.assert_close(again(t1, Ask("t1", "flair")).values, before(t1, Ask("t1", "flair")).values)


def test_other_sizes_do_not_begin_from_them():
    config = supervised.Config(pairs=PAIRS, channels=(6, 9))
    with pytest.raises(DataError, match=r"trained with channels \(6, 8\) \(asked for: \(6, 9\)\) -> leave out"):
        supervised.Method.begun(config, small("supervised"))


def test_a_run_begins_from_weights_of_fewer_pairs(weights):
    begun = first("translate", "supervised", supervised.Config(pairs=(*PAIRS, "t2-flair")), str(weights), 0)
    assert begun.pairs == (*PAIRS, "t2-flair") and all(p.requires_grad for p in begun.parameters())
    same = first("translate", "supervised", supervised.Config(), str(weights), 0)
    assert same.pairs == PAIRS, "with no pairs asked for, the weights' own"
