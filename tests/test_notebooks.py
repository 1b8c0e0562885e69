"""Notebooks made of the examples: valid, their code is the scripts' code, and they run."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tools import make_notebooks
from tools.make_notebooks import EXAMPLES, alone, notebook, pieces

SCRIPTS = sorted(EXAMPLES.glob("*.py"))
TOY = '''"""What it does.

python examples/toy.py A

How long: no time.
"""

import sys

# One remark,
# of two lines.

x = [
    1,
# a comment in brackets at the margin

    2,
]
# a comment above its code stays there
y = """
# no comment at all

"""

# The last remark.

print(x, y, sys.argv)
'''


def code_of(cells) -> list[str]:
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_the_code_cells_are_the_script_s_code(path):
    source = path.read_text(encoding="utf-8")
    typed, *code = code_of(notebook(path.stem, source)["cells"])
    for text in (typed, *code):
        compile(text, path.stem, "exec")
    script, cells = ast.parse(source), ast.parse("\n".join(code))
    script.body.pop(0)
    assert ast.dump(script) == ast.dump(cells), "but for the docstring, which is the first cell"
    kept = [line for line in "\n".join(code).splitlines() if line.strip()]
    own = [line for line in source.splitlines() if line.strip()]
    assert [line for line in own if line in set(kept)][-len(kept) :] == kept, (
        "lines stand as they stood, in their order"
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_a_notebook_has_what_the_format_asks_for(path):
    made = json.loads(json.dumps(notebook(path.stem, path.read_text(encoding="utf-8"))))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert made["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids) and all(i.replace("-", "").isalnum() and len(i) < 65 for i in ids)
    for cell in made["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        wanted |= {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == wanted and cell["cell_type"] in ("code", "markdown")
        assert all(line.endswith("\n") for line in cell["source"][:-1]) and not cell["source"][-1].endswith("\n")
    first, typed, *_ = made["cells"]
    assert "".join(first["source"]).startswith("# ") and "sys.argv" in "".join(typed["source"])


def test_remarks_that_stand_alone_become_text_and_no_others():
    made = list(pieces(TOY))
    assert [kind for kind, _ in made] == ["markdown", "code", "markdown", "code", "markdown", "code"]
    texts = [text for kind, text in made if kind == "markdown"]
    assert texts[0].startswith("# What it does.\n\n    python examples/toy.py A\n") and "How long: no time." in texts[0]
    assert texts[1:] == ["One remark,\nof two lines.", "The last remark."]
    assert list(alone(TOY)) == [10, 11, 25]
    code = made[3][1]
    assert code.startswith("x = [") and "# a comment in brackets" in code and "# no comment at all" in code
    assert "# a comment above its code" in code


def test_the_first_code_cell_says_what_is_typed():
    typed = code_of(notebook("toy", TOY)["cells"])[0]
    space: dict = {}
    kept = sys.argv
    try:
        exec(typed, space)
        assert sys.argv == ["examples/toy.py"]
    finally:
        sys.argv = kept


def test_one_command_writes_them_all(tmp_path):
    command = [sys.executable, make_notebooks.__file__, "--out", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{len(SCRIPTS)} notebooks" in done.stdout
    assert {p.stem for p in (tmp_path / "made").iterdir()} == {p.stem for p in SCRIPTS}
    for path in (tmp_path / "made").iterdir():
        assert json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_none_is_kept_by_hand():
    tracked = subprocess.run(["git", "ls-files", "*.ipynb"], cwd=EXAMPLES, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("no git repository here")
    assert not tracked.stdout and not list(Path(EXAMPLES).glob("*.ipynb"))


def test_a_notebook_runs(tmp_path, monkeypatch, capsys):
    """Cell by cell, as a notebook does it; without words it takes the sample."""
    pytest.importorskip("SimpleITK", reason="pip install SimpleITK")
    path = EXAMPLES / "nibabel_and_simpleitk.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kernel", "-f", "kernel.json"])
    space: dict = {"__name__": "__main__"}
    for code in code_of(notebook(path.stem, path.read_text(encoding="utf-8"))["cells"]):
        exec(compile(code, path.stem, "exec"), space)
    assert "three files that agree" in capsys.readouterr().out
    assert len(list((tmp_path / "three_hands").glob("by_*.nii.gz"))) == 3
