"""The demo: what it says before it begins, the page it leaves, and that the page's figures are those of its results."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spinecho.cli import main
from spinecho.cli.commands import demo as command
from spinecho.core.image import Image
from spinecho.demo import pair, story, work
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge import demo
from spinecho.tasks.recon.judge.case import Case, run_method

ROOT = Path(__file__).parents[2]
FEW = {"network": "none", "hqs_net": "none", "denoiser": "none", "folds": 1}


@pytest.fixture(scope="module")
def case() -> Case:
    scan = simulate_phantom(Scan(matrix=(1, 40, 36), n_coils=4, sampling="equispaced:3:10", snr=30, fineness=1)).kspace
    made = [run_method(scan, name) for name in story.FOUR]
    return Case(title="tiny (simulated)", kspace=scan, results=(*made, run_method(scan, "checked", **FEW)))


def small(head: Image) -> Image:
    grid = head.geometry
    onto = grid.resized(tuple(n // 3 for n in grid.shape))
    return pair.identity().warp(head, onto=onto)


@pytest.fixture(scope="module")
def told(case, tmp_path_factory) -> tuple[list[tuple[str, Path | None]], Path]:
    """What the demo says of one tiny scan and a small head that is aligned by its affine part, and where all lies."""
    out = tmp_path_factory.mktemp("demo") / "new" / "out"
    head = small(pair.sample_head())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "sample_names", lambda: ["tiny.mrd.h5"])
        patch.setattr(demo, "read_sample", lambda name: case.kspace)
        patch.setattr(demo, "run_all", lambda kspace, title: iter([replace(case, title=title)]))
        patch.setattr(work, "sample_head", lambda: head)
        plain = pair.run
        patch.setattr(pair, "run", lambda fixed, moving: plain(fixed, moving, "affine"))
        return list(work.run_demo(out)), out


@pytest.fixture(scope="module")
def page(told) -> str:
    return (told[1] / "report.html").read_text(encoding="utf-8")


def test_all_that_is_named_is_there_and_the_report_comes_last(told):
    said, out = told
    assert said[-1] == ("report", out / "report.html")
    assert all(path is None or path.is_file() for _, path in said)
    files = {p.name for p in out.iterdir()}
    visits = {f"visit_{name}.nii.gz" for name in ("first", "second", "second_aligned")}
    assert visits | {"denoised.nii.gz", "tiny.png", "tiny_checked.nii.gz", "tiny_varnet.png"} <= files
    assert next(words for words, path in said if path is None).startswith(
        "tiny.mrd.h5, simulated: 40 x 36 pixels, 4 coils"
    )


def test_the_page_opens_with_the_story_and_has_the_details_behind(page):
    titles = ["One scan", "Four methods", "One checked result", "One aligned pair", "One denoised image"]
    places = [page.index(f"{i}. {title}</h2>") for i, title in enumerate(titles, 1)]
    details = [page.index(f"<summary>{t}</summary>") for t in ("tiny.mrd.h5 (simulated): all methods",)]
    details += [page.index(f"<summary>{t}</summary>") for t in ("The aligned pair", "The denoised image")]
    assert places == sorted(places) and max(places) < page.index("Details</h2>") < min(details)
    assert page.count("<h1>") == 1 and page.count("<!doctype html>") == 1
    assert page.count("<details") == page.count("</details>") and page.count("<section") == page.count("</section>")


def test_the_page_needs_no_other_file_and_no_network(page):
    assert not re.search(r"""(src|href)=["'](?!data:image/png;base64,)""", page)
    assert "for research, not for diagnosis" in page and "spinecho demo" in page
    pictures = page.count("<img ")
    assert pictures == page.count("alt=") and pictures > 18


def test_the_commands_on_the_page_exist(page, capsys):
    for line in work.COMMANDS:
        assert line in page
        name, _, *words = line.split()[1:]
        with pytest.raises(SystemExit):
            raise SystemExit(main([name, "--help"]))
        assert all(word in capsys.readouterr().out or word == "-o" for word in words[-2:-1])


def test_the_scan_s_chapter_counts_its_lines(case):
    chapter = story.chapters_of_scan(case)[0]
    mask = case.kspace.mask[0, 0, :, 0]
    n = int(mask.sum())
    assert f"{n} of 40 lines, heard by 4 coils" in chapter.words[1] and f"{n / 40:.0%}" in chapter.words[1]
    assert [c.name for c in chapter.columns] == ["measured lines", "what the coils heard", "the right answer"]


def test_each_method_has_its_figure_and_its_error(case):
    chapter = story.chapters_of_scan(case)[1]
    assert [c.name for c in chapter.columns] == list(story.FOUR)
    for column in chapter.columns:
        score = story.named(case, column.name).scores
        assert column.line == f"{score.psnr_inside:.1f} dB: {story.FOUR[column.name]}" and column.below is not None
    assert chapter.words[0].startswith("Four of the 5 methods")


def test_the_check_says_where_another_is_nearer(case):
    checked = story.named(case, "checked")

    def words(psnr: float) -> str:
        scores = replace(checked.scores, psnr_inside=psnr)
        others = tuple(r for r in case.results if r.method != "checked")
        chapter = story.chapters_of_scan(replace(case, results=(*others, replace(checked, scores=scores))))[2]
        assert f"{psnr:.1f} dB" in [c.line for c in chapter.columns]
        return " ".join(chapter.words)

    best = max(story.named(case, name).scores.psnr_inside for name in story.FOUR)
    assert "nearer still" not in words(best + 1)
    assert "zero_filled and cg_sense and l1_wavelet and varnet alone is nearer" in words(-5.0).replace(",", " and")
    assert story.chapters_of_scan(case)[2].remark.startswith("checked: ")


def test_the_command_says_what_it_does_before_torch_is_imported(tmp_path):
    code = """
import sys, types
from spinecho.cli import main
fake = types.ModuleType("spinecho.demo.work")
when = lambda: "late" if "torch" in sys.modules else "early"
fake.run_demo = lambda out: iter([(when(), None), ("report", out / "r.html")])
sys.modules["spinecho.demo.work"] = fake
sys.exit(main(["demo"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[:2] == command.WHAT.format(out="spinecho-demo").splitlines() and "early" in lines
    assert "one to two minutes" in lines[1] and lines[-1].endswith("r.html in a browser")


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["demo", "--out", str(tmp_path / "file" / "out")]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ") and not shown.out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_says_what_it_will_do_before_the_set_up(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }  # not in make
    done = subprocess.run(["make", "demo", "PY=false"], cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode != 0, "there is no Python to set it up with"
    first = done.stdout.splitlines()[0]
    assert "set-up" in first and "one to two minutes" in first and "demo-out/report.html" in first


def test_faint_values_are_made_visible_whatever_the_scale(case):
    image = story.named(case, "cg_sense").image
    for scale in (1e-6, 1.0, 1e6):
        picture, times = story.brightened(image.values.abs() * scale / 50, replace(image, values=image.values * scale))
        assert (
            times == pytest.approx(50, rel=0.02) and picture.png == story.brightened(image.values.abs(), image)[0].png
        )
    assert torch.is_complex(image.values)
