"""No task knows another, not even by name: what the import contract cannot see, since it would be imported late."""

from __future__ import annotations

import re

import pytest

from spinecho.methods import registry

TASKS = registry.tasks()
PACKAGE = registry.TASKS.parent
ENGINES = ("core", "ops", "metrics", "nets", "solve", "io", "sim", "calib", "methods", "evaluate", "train", "cli")


def sources(folder: str) -> list[tuple[str, str]]:
    return [(p.relative_to(PACKAGE).as_posix(), p.read_text()) for p in sorted((PACKAGE / folder).rglob("*.py"))]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_names_no_module_of_another(task):
    others = "|".join(t for t in TASKS if t != task)
    for name, text in sources(f"tasks/{task}"):
        assert not re.search(rf"spinecho[./]tasks[./]({others})\b", text), name


@pytest.mark.parametrize("task", TASKS)
def test_a_task_loads_methods_of_others_as_methods_only(task):
    """Through `registry.load` or `pretrained.built`: then what goes over is what the other task's method takes."""
    others = "|".join(t for t in TASKS if t != task)
    for name, text in sources(f"tasks/{task}"):
        for call in re.findall(rf"(\w+)\(\s*\"({others})\"", text):
            assert call[0] in ("load", "built", "load_learned", "offer", "refusal"), f"{name}: {call[0]}"


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_know_no_task(engine):
    """But for the command line's default of one command, and words about files from before tasks had folders."""
    for name, text in sources(engine):
        code = re.sub(r'""".*?"""|#.*', "", text, flags=re.DOTALL)
        assert not re.search(r"spinecho\.tasks\.(?!\{)\w+", code), name
        quoted = {t for t in TASKS if re.search(rf'"{t}"', code)}
        allowed = {
            "cli/commands/evaluate.py": {"recon"},
            "sim/splits.py": {"recon"},
            "train/cases.py": {"recon"},
            "io/array/ask.py": {"recon"},
        }
        assert quoted <= allowed.get(name, set()), f"{name}: {quoted}"
