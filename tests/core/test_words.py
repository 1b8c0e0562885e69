"""The library names a setting, the command line an option: one mark in the text, two ways to say it."""

import ast
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import spinecho
from spinecho.cli import main
from spinecho.cli.console import Terminal
from spinecho.core.errors import DataError, plain, setting, typed
from spinecho.core.header import Header
from spinecho.io.options import ReadOptions

PACKAGE = Path(spinecho.__file__).parent
OPTION = re.compile(r"(?<![\w-])--($|[a-z{])")
COMMAND = re.compile(r"\b(spinecho|git|gdcmconv|torchrun)\b[^;]*$")
"""What may stand before an option: a command that somebody types, ours or another program's."""
OTHERS = ("core/errors.py", "train/bundle.py", "train/work.py", "tasks/register/parts/engines/ants.py")
"""Where options are made, where commands stand in a file for people, where those of another program are given to it."""


@pytest.mark.parametrize(
    ("name", "value", "python", "option"),
    [
        ("volume", None, "volume", "--volume"),
        ("voxels", 1000, "voxels=1000", "--voxels 1000"),
        ("spacing_mm", 1.5, "spacing_mm=1.5", "--spacing-mm 1.5"),
        ("rate", 1 / 3, "rate=0.3333333333333333", "--rate 0.3333333333333333"),
        ("points_ras", True, "points_ras=True", "--points-ras"),
        ("search", False, "search=False", "--no-search"),
        ("voxel_mm", (1, 1.0, 3.5), "voxel_mm=(1, 1, 3.5)", "--voxel-mm 1 1 3.5"),
        ("acquire", ("radial:0.3",), "acquire=('radial:0.3',)", "--acquire radial:0.3"),
        ("method", "tv", "method='tv'", "--method tv"),
        ("axes", "k1 k0", "axes='k1 k0'", '--axes "k1 k0"'),
        ("key", "a$b c", "key='a$b c'", "--key 'a$b c'"),
        ("traj", Path("a/t.npy"), "traj='a/t.npy'", "--traj a/t.npy"),
        ("key", "a\x0fb\x1f", r"key='a\x0fb\x1f'", r"--key 'a\x0fb\x1f'"),
    ],
)
def test_a_setting_in_python_and_on_the_command_line(name, value, python, option):
    text = f"leave {setting(name, value)} out"
    assert plain(text) == f"leave {python} out"
    assert typed(text) == f"leave {option} out"


def test_an_error_speaks_python_and_can_be_typed():
    error = DataError(f"{setting('volume', 5)} is too much", do=f"leave {setting('volume')} out")
    assert (error.found, error.do) == ("volume=5 is too much", "leave volume out")
    assert str(error) == "volume=5 is too much -> leave volume out"
    for copy in (error.within("a.nii"), pickle.loads(pickle.dumps(error.within("a.nii")))):
        assert str(copy) == "a.nii: volume=5 is too much -> leave volume out"
        assert copy.typed() == "a.nii: --volume 5 is too much -> leave --volume out"


def test_an_error_made_from_another_keeps_its_settings():
    error = DataError(f"{setting('volume', 5)}", do=f"leave {setting('volume')} out", file="a.nii")
    more = error.but(do=f"{error.marked[1]}; or {setting('on_broken', 'skip')}")
    assert str(more) == "a.nii: volume=5 -> leave volume out; or on_broken='skip'"
    assert more.typed() == "a.nii: --volume 5 -> leave --volume out; or --on-broken skip"
    assert error.but(found="bad", file="b.nii").typed() == "b.nii: bad -> leave --volume out"


def test_the_history_says_settings_as_python_has_them():
    header = Header().noted(f"with {setting('method', 'tv')}").warned(f"compare {setting('method', 'cg_sense')}")
    assert header.history == ("with method='tv'", "warning: compare method='cg_sense'")


def test_the_terminal_shows_options(capsys):
    for speak in (Terminal().say, Terminal().warn, Terminal().fail):
        speak(f"{setting('keep_complex', True)} keeps them")
    shown = capsys.readouterr()
    assert shown.out == "--keep-complex keeps them\n"
    assert shown.err == "warning: --keep-complex keeps them\nerror: --keep-complex keeps them\n"


def test_the_same_refusal_from_the_library_and_from_the_command_line(tmp_path, capsys):
    file = tmp_path / "a.npy"
    np.save(file, np.ones((3, 4), np.complex64))
    with pytest.raises(DataError) as error:
        spinecho.read(file, ReadOptions(axes="k1 k1"))
    assert "--" not in str(error.value)
    assert main(["info", str(file), "--axes", "k1 k1"]) == 2
    assert capsys.readouterr().err == f"error: {error.value.typed()}\n"


def _literals(tree):
    """The text of every string, f-strings as one with {} for what is put in, docstrings left out."""
    parts, bare = set(), {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(value) for value in node.values}
            yield node.lineno, "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | bare:
            yield node.lineno, node.value


def test_no_sentence_of_the_library_names_an_option():
    wrong = []
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE)
        if place.parts[0] == "cli" or "commands" in place.parts or place.as_posix() in OTHERS:
            continue
        for line, text in _literals(ast.parse(file.read_text(encoding="utf-8"))):
            marks = [m for m in OPTION.finditer(text) if not COMMAND.search(text[: m.start()])]
            wrong += [f"{place}:{line} {text[m.start() : m.start() + 20]}" for m in marks]
    assert not wrong, "say it with core.errors.setting: " + "; ".join(wrong)
