"""Whole evaluations on small scans: what is scored, what is kept, what is shown, and what is never mixed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho import DataError, read, recon, write
from spinecho.evaluate.judge import judge_of
from spinecho.evaluate.markdown import section_text
from spinecho.evaluate.methods import contenders
from spinecho.evaluate.page import write_page
from spinecho.evaluate.rows import Kept, Row
from spinecho.evaluate.run import Evaluation, evaluate
from spinecho.evaluate.tables import breakdowns, tables
from spinecho.evaluate.worst import worst
from spinecho.io.options import ReadOptions
from spinecho.metrics.inside import inside
from spinecho.sim.mask_spec import MaskSpec
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge import demo
from spinecho.tasks.recon.judge.protocol import figures, fitted, floor_of, truth_of
from spinecho.tasks.recon.judge.scans import cases_of
from spinecho.tasks.recon.judge.sources import SimOptions, case_list, sources
from spinecho.tasks.recon.judge.truth import OWN_MASK, Source, load_truth

SAMPLE = Path(demo.__file__).parents[3] / "samples" / "cartesian_r4.mrd.h5"
SPECS = (MaskSpec("random", 2, 8, 0), MaskSpec("random", 2, 8, 1))
JUDGE = judge_of("recon")


def full_scan(n_coils: int = 3, n: int = 48):
    return simulate_phantom(Scan(matrix=(1, n, n), sampling="full", n_coils=n_coils, snr=30)).kspace


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full scan as an array, of which nothing says that it is simulated."""
    path = tmp_path_factory.mktemp("scans") / "scan.npy"
    np.save(path, full_scan().samples[:, 0].numpy())
    return path


def evaluation_of(data, methods=("zero_filled", "cg_sense"), specs=SPECS, more=()) -> Evaluation:
    sim = SimOptions(matrix=(48, 48), coils=(2,))
    scans = sources([str(d) for d in data], ReadOptions(axes="coil k1 k0"), sim) if data else ()
    cases = cases_of([*scans, *more], specs, torch.device("cpu"))
    return Evaluation(judge=JUDGE, cases=cases, contenders=contenders(JUDGE, methods))


def rows_of(evaluation: Evaluation, report: Path) -> list[Row]:
    return [s.row for s in evaluate(evaluation, Kept(report)) if s.row]


@pytest.fixture(scope="module")
def mixed(measured, tmp_path_factory) -> tuple[Evaluation, list[Row], dict]:
    evaluation = evaluation_of([measured, "sim:2"], more=sources([str(SAMPLE)], ReadOptions()))
    states = list(evaluate(evaluation, Kept(tmp_path_factory.mktemp("mixed") / "r.html")))
    return evaluation, [s.row for s in states if s.row], {s.case.name: s.case for s in states if s.case}


def test_scores_are_those_of_the_protocol(measured, tmp_path):
    row = next(r for r in rows_of(evaluation_of([measured]), tmp_path / "r.html") if r.method == "cg_sense")
    kspace = read(measured, ReadOptions(axes="coil k1 k0"))
    mask = SPECS[0].draw((1, 48, 48))
    x = recon(replace(kspace, samples=kspace.samples * mask, mask=mask), "cg_sense").values.abs()[0].double()
    truth = truth_of(kspace)
    object_ = inside(truth)
    factor = (x * truth)[object_].sum() / x[object_].square().sum()
    own = (factor * x - truth)[object_].square().mean()
    assert row.figure("psnr_inside") == pytest.approx(float(10 * torch.log10(truth.max() ** 2 / own)), abs=1e-3)
    x = (x.square() + floor_of(replace(kspace, samples=kspace.samples * mask, mask=mask), "real") ** 2).sqrt()
    factor = (x * truth).sum() / x.square().sum()
    error = (factor * x - truth).square().mean()
    assert row.figure("psnr") == pytest.approx(float(10 * torch.log10(truth.max() ** 2 / error)), abs=1e-3)
    assert row.figure("nmse") == pytest.approx(
        float((factor * x - truth).square().sum() / truth.square().sum()), rel=1e-3
    )


def test_the_fit_is_least_squares_and_scale_does_not_matter(rng):
    truth, x = torch.rand(1, 20, 20, generator=rng).double(), torch.rand(1, 20, 20, generator=rng).double()
    f = fitted(truth, x)
    assert float(((f - truth) * x).sum()) == pytest.approx(0, abs=1e-9)
    shape = (1, 1, 20, 20)
    assert figures(truth, x.view(shape)) == pytest.approx(figures(truth, (1e-7 * x).view(shape)))
    assert not fitted(truth, torch.zeros_like(truth)).any()


def test_the_noise_floor_counts_over_the_whole_image_and_not_inside(rng):
    truth = torch.zeros(1, 32, 32, dtype=torch.float64)
    truth[:, 8:24, 8:24] = 1
    noisy = (truth.square() + 0.1**2).sqrt()
    plain, floored = (figures(noisy, truth.view(1, 1, 32, 32), floor) for floor in (0.0, 0.1))
    assert plain["psnr_inside"] == floored["psnr_inside"] and floored["psnr"] > 100 > plain["psnr"]


def test_kinds_and_what_is_known_of_the_cases(mixed):
    _, rows, _ = mixed
    assert {(r.scan.partition(":")[0], r.kind) for r in rows} == {
        ("scan.npy", "real"),
        ("sim 0", "simulated"),
        ("sim 1", "simulated"),
        (SAMPLE.name, "simulated"),
    }
    assert all((r.facts["ceiling"] is not None) == (r.kind == "real") for r in rows)
    own = {(r.facts["mask"], r.facts["accel"]) for r in rows if r.scan == SAMPLE.name}
    assert len(own) == 1 and next(iter(own))[0] == OWN_MASK, "it was undersampled when it was made"
    assert {r.facts["coils"] for r in rows if r.scan.startswith("sim")} == {"2"}


def test_real_and_simulated_never_share_a_table(mixed):
    _, rows, _ = mixed
    made = tables(rows, JUDGE, "zero_filled")
    assert [t.title for t in made if t.is_whole] == ["R = 2, random, 8 central lines", "All of these together"]
    for table in made:
        scans = {r.scan for r in rows if r.kind == table.kind}
        assert {r.kind for r in table.rows} == {table.kind} and table.n_scans <= len(scans)
        assert all(set(b.values) <= scans for b in breakdowns(table) if b.name == "source")
        assert set(worst(table, "cg_sense")) <= {r.case for r in rows if r.kind == table.kind}
    assert {line.n for line in made[0].lines} == {2}
    text = section_text(rows, JUDGE, "zero_filled", "spinecho evaluate")
    first, second = text.split("### Simulated")
    assert "scan.npy" in first and "sim 0" not in first and "scan.npy" not in second
    assert "Noise ceiling" in first and "Noise ceiling" not in second, "simulated truths have no noise"


def test_what_cases_are_broken_down_by(mixed):
    _, rows, _ = mixed
    simulated = tables(rows, JUDGE, "zero_filled")[-1]
    assert {"source", "noise", "coils", "mask", "acceleration"} <= {b.name for b in breakdowns(simulated)}


def test_gains_are_paired_with_the_baseline(mixed):
    _, rows, _ = mixed
    table = tables(rows, JUDGE, "zero_filled")[0]
    lines = {line.method: line for line in table.lines}
    assert [m.name for m in table.measures] == ["psnr_inside", "ssim_inside", "psnr", "ssim", "nmse", "hfen"]
    assert table.leading.name == "psnr_inside"
    for name in ("psnr_inside", "ssim_inside"):
        mine, base = (
            {r.case: r.figure(name) for r in table.rows if r.method == m} for m in ("cg_sense", "zero_filled")
        )
        gain = lines["cg_sense"].gains[name].mean
        assert gain == pytest.approx(sum(mine[c] - base[c] for c in mine) / 2)
    assert lines["zero_filled"].gains == {}


def test_an_interrupted_run_continues(measured, tmp_path, monkeypatch):
    report = tmp_path / "r.html"
    states = evaluate(evaluation_of([measured]), Kept(report))
    while True:
        state = next(states)
        if state.row and state.done == 3:
            break
    states.close()
    kept = report.with_suffix(".cases.jsonl")
    assert len(kept.read_text().splitlines()) == 3
    with kept.open("a") as f:
        f.write('{"key": "cut by a ki')
    again = list(evaluate(evaluation_of([measured]), Kept(report)))
    assert [s.resumed for s in again if s.row] == [True, True, True, False], "only the fourth was still to do"
    third = [s for s in evaluate(evaluation_of([measured]), Kept(report)) if s.row]
    assert [s.row for s in third] == [s.row for s in again if s.row] and all(s.resumed for s in third)


def test_rows_are_not_taken_for_another_scan_or_mask(measured, tmp_path):
    report = tmp_path / "r.html"
    first = rows_of(evaluation_of([measured], specs=SPECS[:1]), report)
    other = tmp_path / "scan.npy"
    np.save(other, 2 * np.load(measured) + 1e-3)
    states = list(evaluate(evaluation_of([other], specs=SPECS[:1]), Kept(report)))
    assert not any(s.resumed for s in states)
    assert {s.row.key for s in states if s.row}.isdisjoint({r.key for r in first})


def test_a_method_that_cannot_take_a_scan_is_told(measured, tmp_path):
    rows = rows_of(evaluation_of([measured], methods=("zero_filled", "nufft_cg"), specs=SPECS[:1]), tmp_path / "r.html")
    refused = next(r for r in rows if r.method == "nufft_cg")
    assert refused.refused and math.isnan(refused.figure("psnr"))
    assert "not run: `nufft_cg`" in section_text(rows, JUDGE, "zero_filled", "")


def test_scans_without_a_truth_are_left_out(tmp_path):
    kspace = full_scan()
    cut = replace(kspace, samples=kspace.samples * SPECS[0].draw((1, 48, 48)), target=None)
    cut = replace(cut, mask=SPECS[0].draw((1, 48, 48)))
    write(cut, tmp_path / "cut.h5")
    scans = sources([str(tmp_path / "cut.h5")], ReadOptions())
    states = list(evaluate(evaluation_of([], ["zero_filled"], more=scans), Kept(tmp_path / "r.html")))
    assert [s.row for s in states if s.row] == []
    left_out = states[-1].left_out
    assert left_out and "no truth" in left_out.why and "cut.h5" in left_out.why and states[-1].total == 0


def test_the_page(mixed, tmp_path):
    evaluation, rows, cases = mixed
    page = tmp_path / "r.html"
    write_page(page, rows, JUDGE, cases, evaluation.contenders, "zero_filled", "spinecho evaluate --data <x>")
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and "&lt;x&gt;" in text
    assert "Real scans" in text and "Simulated scans" in text and "least gain of cg_sense" in text
    assert text.count("data:image/png") > 8
    assert (
        "By source: psnr inside, dB" in text
        and "lowest psnr inside" in text
        and "of all samples" in text
        and "error, 5 x brighter" in text
    )


def test_case_lists(measured, tmp_path):
    entry = {"path": str(measured), "axes": "coil k1 k0", "name": "mine", "anatomy": "head", "kind": "simulated"}
    file = tmp_path / "list.json"
    file.write_text(json.dumps([entry]))
    truth = load_truth(case_list(file)[0], 0)
    assert (truth.scan, truth.anatomy, truth.kind, truth.ceiling) == ("mine", "head", "simulated", None)
    for bad, words in (
        ([{**entry, "colour": 1}], "colour"),
        ([{**entry, "kind": "maybe"}], "maybe"),
        ({"path": "x"}, "not a list"),
        ([{"axes": "x"}], "not a list"),
    ):
        file.write_text(json.dumps(bad))
        with pytest.raises(DataError, match=words):
            case_list(file)
    file.write_text("[")
    with pytest.raises(DataError, match="not JSON"):
        case_list(file)


def test_folders_pass_over_what_is_no_raw_data(measured, tmp_path):
    write(full_scan(), tmp_path / "a.h5")
    (tmp_path / "readme.txt").write_text("nothing")
    assert [s.name for s in sources([str(tmp_path)], ReadOptions())] == ["a.h5"]
    (tmp_path / "a.h5").unlink()
    with pytest.raises(DataError, match="no raw data"):
        sources([str(tmp_path)], ReadOptions())


def test_simulated_scans_are_the_same_each_time_and_differ_among_each_other():
    options = SimOptions(matrix=(32, 32), coils=(2,))
    one, two, other = (sources(["sim:2"], ReadOptions(), o) for o in (options, options, replace(options, seed=1)))
    digests = [[load_truth(s, 0).digest for s in group] for group in (one, two, other)]
    assert digests[0] == digests[1] and len({*digests[0], *digests[2]}) == 4


def test_simulated_scans_are_test_subjects_only(shared_data, tmp_path):
    names = [s.name for s in sources(["sim:8"], ReadOptions(), SimOptions(labels=shared_data / "label_maps"))]
    assert {re.search(r"labels_(\d+)", n)[1] for n in names} == {"17", "18", "19", "20"}
    with pytest.raises(DataError, match="test subject"):
        sources(["sim"], ReadOptions(), SimOptions(labels=tmp_path))


def test_no_method_is_judged_with_a_floor_of_its_own(measured, tmp_path):
    with pytest.raises(DataError, match="names no method"):
        contenders(JUDGE, ["l1_wavelet+floor"])
    real, asked = (
        rows_of(evaluation_of([measured], [word], SPECS[:1]), tmp_path / "r.html")[0]
        for word in ("unet", "unet:noise_floor=True")
    )
    assert real.figure("psnr_inside") > 5 and "without a noise floor" in asked.refused


def test_settings_are_taken_as_in_every_task(measured, tmp_path):
    one, many = rows_of(evaluation_of([measured], ("cg_sense:n_iters=1", "cg_sense"), SPECS[:1]), tmp_path / "r.html")
    assert one.method == "cg_sense:n_iters=1" and one.figure("psnr") < many.figure("psnr")


def scans_in(folder, n: int, n_slices: int = 1):
    """Files of one name in n folders, of other people each."""
    for i in range(n):
        parts = [
            simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="full", fineness=1, seed=10 * i + z)).kspace
            for z in range(n_slices)
        ]
        (folder / f"site{i}").mkdir()
        samples = torch.stack([k.samples[:, 0] for k in parts])
        np.save(folder / f"site{i}" / "scan.npy", samples.numpy())
    return [str(folder / f"site{i}") for i in range(n)]


def test_files_of_one_name_in_two_folders_are_two_scans(tmp_path):
    options = ReadOptions(axes="slice coil k1 k0")
    found = sources(scans_in(tmp_path, 2), options, SimOptions())
    assert [s.name for s in found] == ["site0/scan.npy", "site1/scan.npy"]
    assert [s.name for s in sources([str(tmp_path / "site0")], options, SimOptions())] == ["scan.npy"]


def test_slices_of_one_file_are_one_scan(tmp_path):
    [folder] = scans_in(tmp_path, 1, n_slices=3)
    [source] = sources([folder], ReadOptions(axes="slice coil k1 k0"), SimOptions())
    made = list(cases_of([source], SPECS[:1], torch.device("cpu")).each)
    assert [c.scan for c in made] == ["scan.npy"] * 3 and len({c.name for c in made}) == 3


def test_another_noise_level_is_another_case(tmp_path):
    scan = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="full", fineness=1)).kspace
    assert scan.noise_cov is not None
    louder = replace(scan, noise_cov=16 * scan.noise_cov)
    digests = {load_truth(Source(name="x", n_slices=1, load=lambda _, k=k: k), 0).digest for k in (scan, louder)}
    assert len(digests) == 2
