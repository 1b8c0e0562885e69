"""One grammar for --methods in every task."""

from __future__ import annotations

from pathlib import Path

import pytest

from spinecho.core.errors import DataError
from spinecho.evaluate.judge import judge_of
from spinecho.evaluate.methods import asked, contenders


@pytest.mark.parametrize(
    ("word", "name", "settings"),
    [
        ("tv", "tv", {}),
        ("tv:weight=0.01", "tv", {"weight": 0.01}),
        ("hybrid:time_budget=60,smoothness=2", "hybrid", {"time_budget": 60, "smoothness": 2}),
        ("hybrid:search=off,levels=(1, 2)", "hybrid", {"search": "off", "levels": (1, 2)}),
        ("varnet=a/b-c.safetensors", "varnet", {"weights": Path("a/b-c.safetensors")}),
        ("varnet=C:\\w.st", "varnet", {"weights": Path("C:\\w.st")}),
        ("varnet=w.st:n_iters=3", "varnet", {"weights": Path("w.st"), "n_iters": 3}),
        ("varnet=a=b+c.st", "varnet", {"weights": Path("a=b+c.st")}),
    ],
)
def test_what_a_word_says(word: str, name: str, settings: dict) -> None:
    wanted = asked(word)
    assert (wanted.word, wanted.name, wanted.settings) == (word, name, settings)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("affine:nonsense", "sets nothing"),
        ("", "names no method"),
        ("two words", "names no method"),
        ("varnet=", "names no method"),
        ("affine+floor", "names no method"),
        ("affine:finest_mm=fine", "give a number"),
        ("hybrid:search=off", "the search of hybrid is 'off' -> give True or False"),
        ("affine:nonsense=1", "no setting"),
        ("nobody", "no register method"),
    ],
)
def test_words_that_say_nothing(word: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        contenders(judge_of("register"), [word])


def test_the_same_grammar_in_every_task() -> None:
    for task, word in (("recon", "tv:weight=0.01"), ("register", "affine:finest_mm=4")):
        (one,) = contenders(judge_of(task), [word, word])
        assert one.name == word and not one.is_oracle


def test_weights_of_another_method_are_refused_before_the_work() -> None:
    from spinecho.methods.registry import WEIGHTS

    with pytest.raises(DataError, match="weights of the method modl"):
        contenders(judge_of("recon"), [f"varnet={WEIGHTS / 'recon/modl.safetensors'}"])


def test_two_contenders_of_one_name(tmp_path: Path) -> None:
    words = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        words.append(f"external:SyN={tmp_path / name}")
    with pytest.raises(DataError, match="two contenders are called SyN"):
        contenders(judge_of("register"), words)
