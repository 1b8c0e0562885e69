"""What the library does is said to the log, once, and nowhere else."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from heads_of_a_test import head

import spinecho
from spinecho.core import log
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.sim.scan import Scan, simulate_phantom


def image(*history: str) -> Image:
    values = torch.randn(1, 2, 24, 24, generator=torch.Generator().manual_seed(0)) + 100
    geometry = Geometry.from_frame((0, 0, 0), torch.eye(3).numpy(), (1.0, 1.0, 1.0), (2, 24, 24))
    return Image(values=values, geometries=(geometry,), header=Header(history=history))


def scan(sampling: str) -> spinecho.KSpace:
    return simulate_phantom(Scan(matrix=(1, 32, 24), n_coils=2, snr=30.0, fineness=1, sampling=sampling)).kspace


def said(caplog: pytest.LogCaptureFixture, part: str) -> list[tuple[str, str]]:
    """Level and words of what a part said."""
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == f"spinecho.{part}"]


@log.logged("toy")
def toy(image: Image, method: str = "usual", *, path: Path = Path("a.b"), **settings: object) -> Image:
    """A function of a task."""
    header = image.header.noted("read: again", f"{method} was taken").warned("it is doubtful", "it is doubtful")
    return Image(values=image.values, geometries=image.geometries, header=header)


def test_what_was_asked_for_what_is_new_and_how_long_it_took(caplog):
    caplog.set_level(logging.DEBUG, "spinecho")
    toy(image("read: again", "warning: known before"), "other", strength=2, image_of=image())
    first, *middle, last = said(caplog, "toy")
    assert first[0] == "DEBUG" and first[1] == ("begins: method='other', path='a.b', strength=2")
    assert middle == [("INFO", "other was taken"), ("WARNING", "it is doubtful")]
    assert last[0] == "INFO" and last[1].partition(" s: ")[2] == first[1].removeprefix("begins: ")
    assert float(last[1].partition(" s: ")[0]) < 60


def test_the_function_stays_what_it_was(caplog):
    assert toy.__name__ == "toy" and toy.__doc__ == "A function of a task."
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        toy()  # type: ignore[call-arg]
    logging.getLogger("spinecho").setLevel(logging.CRITICAL)
    try:
        assert toy(image()).header.warnings == ("it is doubtful",) and not caplog.records
    finally:
        logging.getLogger("spinecho").setLevel(logging.NOTSET)


def test_what_has_warnings_and_no_history_says_those(caplog):
    @dataclass
    class Result:
        warnings: tuple[str, ...]

    @log.logged("toy")
    def made(method: str) -> Result:
        return Result(("far apart",))

    made("a")
    assert said(caplog, "toy") == [("WARNING", "far apart")]


def test_per_cent_signs_are_words(caplog):
    log.say(log.logger("toy"), ["warning: 12 % of %s fold"])
    assert said(caplog, "toy") == [("WARNING", "12 % of %s fold")]


def test_nobody_hears_it_who_does_not_listen(capfd):
    assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("spinecho").handlers)
    scan = simulate_phantom(
        Scan(matrix=(1, 32, 24), n_coils=2, snr=30.0, fineness=1, sampling="equispaced:2:12")
    ).kspace
    spinecho.recon(scan, "cg_sense")
    toy(image())
    assert capfd.readouterr() == ("", "")


def test_a_reconstruction_says_which_method_was_taken_and_why(caplog):
    caplog.set_level(logging.DEBUG, "spinecho")
    measured = scan("full")
    made = spinecho.recon(measured)
    words = said(caplog, "recon")
    assert words[0] == ("DEBUG", "begins: method='auto'") and words[-1][1].endswith(" s: method='auto'")
    (chosen,) = [step for step in made.header.history if step.startswith("auto took ")]
    assert ("INFO", chosen) in words and chosen.count(":") >= 1
    new = [step for step in made.header.history if step not in measured.header.history]
    assert [text for _, text in words[1:-1]] == list(dict.fromkeys(s.removeprefix("warning: ") for s in new))


def test_a_pipeline_says_each_step_once(caplog, tmp_path):
    caplog.set_level(logging.INFO, "spinecho")
    spinecho.write(image(), tmp_path / "in.nii.gz")
    spinecho.denoise(spinecho.read(tmp_path / "in.nii.gz"), "wavelet", sigma=1.0)
    each = [(part, text) for part in ("write", "read", "denoise") for _, text in said(caplog, part)]
    steps = [text for _, text in each]
    assert len(set(each)) == len(each)
    assert said(caplog, "read")[-1][1].endswith(f" s: path='{tmp_path}/in.nii.gz'")
    (seconds,) = [text for text in steps if "method='wavelet', sigma=1.0" in text]
    assert " s: " in seconds and any(text.startswith("denoised by wavelet") for text in steps)


def test_stages_of_a_registration_have_their_times(caplog):
    caplog.set_level(logging.INFO, "spinecho")
    spinecho.register(head(0), head(1), "affine", finest_mm=6.0)
    told = said(caplog, "register")
    stages = [text for level, text in told[:-1] if level == "INFO" and re.match(r"[^:]+: \d+\.\d\d s", text)]
    whole = float(told[-1][1].partition(" s: ")[0])
    assert stages and told[-1][1].endswith(" s: method='affine'"), told
    assert sum(float(re.findall(r": (\d+\.\d\d) s", text)[0]) for text in stages) <= whole + 0.01 * len(stages)


def test_shown_writes_lines_and_leaves_nothing_behind(capsys):
    root = logging.getLogger("spinecho")
    before = list(root.handlers), root.level
    with log.shown():
        toy(image())
    assert (root.handlers, root.level) == before
    lines = capsys.readouterr().err.splitlines()
    assert "spinecho.toy: it is doubtful" in lines and not any("begins" in line for line in lines)
    with log.shown(logging.DEBUG):
        toy(image())
    assert "spinecho.toy: begins: method='usual', path='a.b'" in capsys.readouterr().err
