"""From answers to figures and pages, on a study small enough to be worked by hand; and the command itself."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace

import pytest
from studies import Client, folders, served

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.serve.study import answers, report, run
from spinecho.serve.study.answers import Entry, Reading
from spinecho.serve.study.manifest import Manifest, Member
from spinecho.serve.study.results import results
from spinecho.serve.study.statistics import wilson

GROUPS = ("real", "synthetic", "real", "synthetic", "real", "synthetic")
MANIFEST = Manifest(
    seed=0,
    digest="d" * 64,
    images=tuple(Member(group=g, file=f"{g}{i}.png", sha256=str(i)) for i, g in enumerate(GROUPS)),
)
# image -> (quality, taken for real): real 5 4 4, synthetic 4 2 1
ANNA = {0: (5, True), 1: (4, True), 2: (4, True), 3: (2, False), 4: (4, False), 5: (1, False)}
BEN = {0: (4, True), 1: (4, True), 2: (3, True), 3: (3, False), 4: (5, True)}


def reading(name: str, said: dict[int, tuple[int, bool]], seconds: float = 2.0) -> Reading:
    empty = answers.new(MANIFEST, name)
    logs = {
        empty.order.index(i): [Entry(quality=q, real=r, seconds=seconds + i, at="2026-11-27T10:00:00.000Z")]
        for i, (q, r) in said.items()
    }
    return replace(empty, logs=logs)


@pytest.fixture
def told():
    return results(MANIFEST, [reading("anna", ANNA), reading("ben", BEN), answers.new(MANIFEST, "nobody")])


def test_one_readers_line_by_hand(told):
    anna = told.lines[0]
    assert [line.name for line in told.lines] == ["anna", "ben"]  # who said nothing has no line
    assert anna.n_answered == 6 and anna.means == (pytest.approx(13 / 3), pytest.approx(7 / 3))
    assert list(anna.real) == [0, 0, 0, 2, 1] and list(anna.synthetic) == [1, 1, 0, 1, 0]
    assert anna.overlap == pytest.approx(1 / 3)
    assert anna.area[0] == pytest.approx((3 + 2 * 2.5) / 9)  # 5 wins thrice, each 4 twice and a half
    assert (anna.synthetic_real.k, anna.synthetic_real.n) == (1, 3)
    assert (anna.real_real.k, anna.real_real.n) == (2, 3)
    assert (anna.right.k, anna.right.n) == (4, 6)
    assert (anna.right.low, anna.right.high) == wilson(4, 6)
    assert anna.seconds == (4.5, 3.25, 5.75)


def test_all_readers_together(told):
    line = told.together
    assert line is not None and told.shares is not None
    assert line.n_answered == 11 and (line.synthetic_real.k, line.synthetic_real.n) == (2, 5)
    assert line.area[0] == pytest.approx((told.lines[0].area[0] + told.lines[1].area[0]) / 2)
    real, synthetic, right = told.shares
    assert real.mean == pytest.approx(5 / 6) and synthetic.mean == pytest.approx(2 / 5)
    assert right.mean == pytest.approx(8 / 11) and right.low <= right.mean <= right.high and right.n == 11


def test_agreement_on_what_both_answered(told):
    (pair,) = told.pairs
    assert pair.names == ("anna", "ben") and pair.n == 5
    # real or not: agree on 4 of 5; by chance 3/5 x 4/5 + 2/5 x 1/5 = .56
    assert pair.real == pytest.approx((0.8 - 0.56) / 0.44)
    a, b = [5, 4, 4, 2, 4], [4, 4, 3, 3, 5]
    chance = sum((x - y) ** 2 for x in a for y in b) / 5
    assert pair.quality == pytest.approx(1 - 4 / chance)


def test_who_fooled_most_comes_first(told):
    said = [(MANIFEST.images[f.image].file, f.n_wrong, f.n) for f in told.fooled]
    assert said == [("synthetic1.png", 2, 2), ("real4.png", 1, 2)]


def test_one_reader_alone_has_no_line_for_all():
    told = results(MANIFEST, [reading("anna", ANNA)])
    assert told.together is None and told.pairs == () and told.shares is None


def test_incomplete_answers_do_not_count():
    half = answers.new(MANIFEST, "half")
    half = replace(half, logs={0: [Entry(quality=4, real=None, seconds=1.0, at="")]})
    assert results(MANIFEST, [half]).lines == ()


def test_one_group_alone_gives_dashes_and_no_error():
    told = results(MANIFEST, [reading("anna", {0: (5, True), 2: (4, True)})])
    (line,) = told.lines
    assert math.isnan(line.overlap) and math.isnan(line.area[0]) and math.isnan(line.synthetic_real.value)
    assert "–" in report.cells(told, line)[3]


def test_lines_that_are_printed(told):
    text = "\n".join(report.told(told))
    low, high = wilson(1, 3)
    assert re.search(rf"synthetic taken for real +1/3 = 33% \[{low:.0%}, {high:.0%}\]", text)
    assert "anna and ben: kappa 0.55 for real or not" in text
    assert "synthetic synthetic1.png: taken for real by 2 of 2" in text
    assert "all readers" in text and re.search(r"answered +11 of 12", text)


def test_the_page_needs_nothing_else_and_escapes_names(tmp_path, told):
    images = (
        replace(MANIFEST.images[0]),
        replace(MANIFEST.images[1], file="<script>alert(1)</script>.png"),
        *MANIFEST.images[2:],
    )
    report.write_page(tmp_path / "r.html", replace(told, manifest=replace(MANIFEST, images=images)), "spinecho study")
    page = (tmp_path / "r.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page and not re.search(r"(src|href)=\"(?!data:)", page)
    for doi in (
        "03610928908830127",
        "radiology.143.1.7063747",
        "01621459.1927.10502953",
        "001316446002000104",
        "h0026256",
    ):
        assert doi in page


@pytest.fixture
def study(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        for reader, shift in (("anna", 0), ("ben", 1)):
            client = Client(server, reader)
            for n in range(1, 8):
                client.answer(n, (n + shift) % 5 + 1, (n + shift) % 3 == 0)
    return tmp_path


def test_the_command_tells_results_without_and_with_pictures(study, capsys):
    out = str(study / "out")
    assert main(["study", "--out", out, "--results"]) == 0
    printed = capsys.readouterr().out
    assert "ROC area" in printed and f"wrote {study / 'out' / 'results.html'}" in printed
    bare = (study / "out" / "results.html").read_text()
    assert "data:image/png" not in bare and "Images that fooled most readers" in bare
    assert main(["study", str(study / "REAL"), str(study / "SYNTHETIC"), "--out", out, "--results"]) == 0
    assert "data:image/png" in (study / "out" / "results.html").read_text()


def test_results_in_a_folder_whose_name_is_no_utf8(study, capsys):
    out = (study / "out").rename(study / os.fsdecode(b"gem\xe4lde"))
    assert main(["study", "--out", str(out), "--results"]) == 0
    assert "gem\\udce4lde" in (out / "results.html").read_text(encoding="utf-8")


def test_the_command_refuses_in_words(study, tmp_path, capsys):
    def refused(*words: str) -> str:
        assert main(["study", *words]) == 2
        return capsys.readouterr().err

    real, synthetic, out = (str(study / name) for name in ("REAL", "SYNTHETIC", "out"))
    assert "there is no study in this folder" in refused("--out", str(tmp_path / "absent"), "--results")
    assert "two folders are needed, 1 given" in refused(real, "--out", out)
    assert "not those that this study was begun with" in refused(synthetic, real, "--out", out, "--results")
    assert "--seed 0" in refused(real, synthetic, "--out", out, "--seed", "4")
    assert "cannot be had" in refused(real, synthetic, "--out", out, "--port", "70000")


def test_results_ask_for_no_seed(tmp_path):
    folders(tmp_path)
    with served(tmp_path, seed=5) as server:
        Client(server, "anna").answer(1, 3, True)
    words = [str(tmp_path / "REAL"), str(tmp_path / "SYNTHETIC"), "--out", str(tmp_path / "out"), "--results"]
    assert main(["study", *words]) == 0


def test_nobody_has_answered_yet(tmp_path, capsys):
    folders(tmp_path)
    with served(tmp_path):
        pass
    assert main(["study", "--out", str(tmp_path / "out"), "--results"]) == 0
    assert "there are no answers yet" in capsys.readouterr().out
    assert "Nobody has answered yet" in (tmp_path / "out" / "results.html").read_text()


def test_a_file_where_the_folder_should_be(tmp_path):
    folders(tmp_path)
    (tmp_path / "out").write_text("x")
    with pytest.raises(DataError, match="a folder is needed"), served(tmp_path):
        pass
    with pytest.raises(DataError, match="does not exist"):
        made, shown = run.gathered([tmp_path / "REAL", tmp_path / "SYNTHETIC"], 0, print, print)
        run.session(tmp_path / "absent" / "out", made, shown)
