"""Whole evaluations on small scans: what is scored, what is kept, what is shown, and what is never mixed."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spinecho import DataError, read, recon, write
from spinecho.evaluate.markdown import write_section
from spinecho.io.options import ReadOptions
from spinecho.metrics.image import psnr_fastmri
from spinecho.sim.mask_spec import MaskSpec
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge import run as running
from spinecho.tasks.recon.judge.evaluation import write_evaluation
from spinecho.tasks.recon.judge.markdown import section_text
from spinecho.tasks.recon.judge.protocol import fitted, judge, psnr_inside, truth_of
from spinecho.tasks.recon.judge.rows import Row, Rows, write_csv
from spinecho.tasks.recon.judge.run import Plan, evaluate
from spinecho.tasks.recon.judge.sources import SimOptions, case_list, sources
from spinecho.tasks.recon.judge.tables import breakdowns, tables
from spinecho.tasks.recon.judge.truth import OWN_MASK, load_truth
from spinecho.tasks.recon.judge.worst import worst

SAMPLE = Path(running.__file__).parents[1] / "samples" / "cartesian_r4.mrd.h5"
SPECS = (MaskSpec("random", 2, 8, 0), MaskSpec("random", 2, 8, 1))


def full_scan(n_coils: int = 3, n: int = 48):
    return simulate_phantom(Scan(matrix=(1, n, n), sampling="full", n_coils=n_coils, snr=30)).kspace


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full scan as an array, of which nothing says that it is simulated."""
    path = tmp_path_factory.mktemp("scans") / "scan.npy"
    np.save(path, full_scan().samples[:, 0].numpy())
    return path


def plan_of(data, methods=("zero_filled", "cg_sense"), specs=SPECS) -> Plan:
    found = sources([str(d) for d in data], ReadOptions(axes="coil k1 k0"), SimOptions(matrix=(48, 48), coils=(2,)))
    return Plan(sources=found, specs=specs, methods=methods, device=torch.device("cpu"))


def rows_of(plan: Plan, report: Path) -> list[Row]:
    return [s.row for s in evaluate(plan, Rows(report)) if s.row]


@pytest.fixture(scope="module")
def mixed(measured, tmp_path_factory) -> tuple[Plan, list[Row]]:
    plan = plan_of([measured, "sim:2", SAMPLE])
    plan = replace(plan, sources=(*plan.sources[:-1], sources([str(SAMPLE)], ReadOptions())[0]))
    return plan, rows_of(plan, tmp_path_factory.mktemp("mixed") / "r.html")


def test_scores_are_those_of_the_protocol(measured, tmp_path):
    row = next(r for r in rows_of(plan_of([measured]), tmp_path / "r.html") if r.method == "cg_sense")
    kspace = read(measured, ReadOptions(axes="coil k1 k0"))
    mask = SPECS[0].draw((1, 48, 48))
    x = recon(replace(kspace, samples=kspace.samples * mask, mask=mask), "cg_sense").values.abs()[0].double()
    truth = truth_of(kspace)
    factor = (x * truth).sum() / x.square().sum()
    error = (factor * x - truth).square().mean()
    assert row.psnr == pytest.approx(float(10 * torch.log10(truth.max() ** 2 / error)), abs=1e-3)
    assert row.nmse == pytest.approx(float((factor * x - truth).square().sum() / truth.square().sum()), rel=1e-3)


def test_the_fit_is_least_squares_and_scale_does_not_matter(rng):
    truth, x = torch.rand(1, 20, 20, generator=rng).double(), torch.rand(1, 20, 20, generator=rng).double()
    f = fitted(truth, x)
    assert float(((f - truth) * x).sum()) == pytest.approx(0, abs=1e-9)
    shape = (1, 1, 20, 20)
    assert judge(truth, x.view(shape))[0].psnr == pytest.approx(judge(truth, (1e-7 * x).view(shape))[0].psnr)
    assert not fitted(truth, torch.zeros_like(truth)).any()


def test_psnr_inside_leaves_out_the_air(rng):
    truth = torch.zeros(1, 32, 32, dtype=torch.float64)
    truth[:, 8:24, 8:24] = 1
    noisy_air = torch.where(truth > 0, truth, 0.1)
    assert psnr_inside(truth, noisy_air) > 100 > psnr_fastmri(truth, noisy_air)
    assert math.isnan(psnr_inside(torch.zeros(1, 8, 8).double(), torch.zeros(1, 8, 8).double()))


def test_kinds_and_what_is_known_of_the_cases(mixed):
    _, rows = mixed
    assert {(r.scan.partition(":")[0], r.kind) for r in rows} == {
        ("scan.npy", "real"),
        ("sim 0", "simulated"),
        ("sim 1", "simulated"),
        (SAMPLE.name, "simulated"),
    }
    assert all((r.ceiling is not None) == (r.kind == "real") for r in rows)
    own = {(r.mask, r.accel) for r in rows if r.scan == SAMPLE.name}
    assert len(own) == 1 and next(iter(own))[0] == OWN_MASK, "it was undersampled when it was made"
    assert {r.n_coils for r in rows if r.scan.startswith("sim")} == {2}


def test_real_and_simulated_never_share_a_table(mixed):
    _, rows = mixed
    for kind in ("real", "simulated"):
        scans = {r.scan for r in rows if r.kind == kind}
        for table in tables(rows, kind, "zero_filled"):
            assert table.kind == kind and table.n_scans <= len(scans)
        assert all(set(b.values) <= scans for b in breakdowns(rows, kind, "zero_filled") if b.name == "scan")
        assert set(worst(rows, kind, "cg_sense", "zero_filled")) <= {r.case for r in rows if r.kind == kind}
    real = tables(rows, "real", "zero_filled")[0]
    assert {line.n for line in real.lines} == {2}
    text = section_text(rows, "zero_filled", "spinecho evaluate")
    first, second = text.split("### Simulated")
    assert "scan.npy" in first and "sim 0" not in first and "scan.npy" not in second


def test_gains_are_paired_with_the_baseline(mixed):
    _, rows = mixed
    table = tables(rows, "real", "zero_filled")[0]
    gain = next(line.psnr_gain for line in table.lines if line.method == "cg_sense")
    mine = {r.case: r.psnr for r in rows if r.method == "cg_sense" and r.kind == "real"}
    base = {r.case: r.psnr for r in rows if r.method == "zero_filled" and r.kind == "real"}
    assert gain is not None and gain.mean == pytest.approx(sum(mine[c] - base[c] for c in mine) / 2)
    assert next(line for line in table.lines if line.method == "zero_filled").psnr_gain is None


def test_an_interrupted_run_continues(measured, tmp_path, monkeypatch):
    report = tmp_path / "r.html"
    plan = plan_of([measured])
    states = evaluate(plan, Rows(report))
    while True:
        state = next(states)
        if state.row and state.done == 3:
            break
    states.close()
    kept = report.with_suffix(".cases.jsonl")
    assert len(kept.read_text().splitlines()) == 3
    with kept.open("a") as f:
        f.write('{"key": "cut by a ki')
    made = []
    measure = running.measure
    monkeypatch.setattr(running, "measure", lambda *a: made.append(a[2]) or measure(*a))
    rows = rows_of(plan, report)
    assert len(rows) == 4 and made == ["cg_sense"], "only the fourth was still to do"
    again = [s for s in evaluate(plan, Rows(report)) if s.row]
    assert [s.row for s in again] == rows and all(s.resumed for s in again) and made == ["cg_sense"]


def test_rows_are_not_taken_for_another_scan_or_mask(measured, tmp_path):
    report = tmp_path / "r.html"
    first = rows_of(plan_of([measured], specs=SPECS[:1]), report)
    other = tmp_path / "scan.npy"
    np.save(other, 2 * np.load(measured) + 1e-3)
    states = list(evaluate(plan_of([other], specs=SPECS[:1]), Rows(report)))
    assert not any(s.resumed for s in states)
    assert {s.row.key for s in states if s.row}.isdisjoint({r.key for r in first})


def test_rows_of_another_version_are_refused(tmp_path):
    (tmp_path / "r.cases.jsonl").write_text('{"key": "x", "colour": "blue"}\n')
    with pytest.raises(DataError, match="line 1 is no row of this version"):
        Rows(tmp_path / "r.html")


def test_a_method_that_cannot_take_a_scan_is_told(measured, tmp_path):
    rows = rows_of(plan_of([measured], methods=("zero_filled", "nufft_cg"), specs=SPECS[:1]), tmp_path / "r.html")
    refused = next(r for r in rows if r.method == "nufft_cg")
    assert refused.refused and math.isnan(refused.psnr)
    assert "not run: `nufft_cg`" in section_text(rows, "zero_filled", "")


def test_scans_without_a_truth_are_left_out(tmp_path):
    kspace = full_scan()
    cut = replace(kspace, samples=kspace.samples * SPECS[0].draw((1, 48, 48)), target=None)
    cut = replace(cut, mask=SPECS[0].draw((1, 48, 48)))
    write(cut, tmp_path / "cut.h5")
    states = list(evaluate(_plan(tmp_path / "cut.h5"), Rows(tmp_path / "r.html")))
    assert [s.row for s in states if s.row] == []
    assert "no truth" in states[-1].skipped and "cut.h5" in states[-1].skipped and states[-1].total == 0


def _plan(path: Path) -> Plan:
    return Plan(
        sources=sources([str(path)], ReadOptions()), specs=SPECS, methods=("zero_filled",), device=torch.device("cpu")
    )


def test_the_page_and_the_tables(mixed, tmp_path):
    plan, rows = mixed
    page = tmp_path / "r.html"
    write_evaluation(page, rows, plan, "zero_filled", "spinecho evaluate --data <x>")
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and "&lt;x&gt;" in text
    assert "Real raw data" in text and "Simulated acquisitions" in text and "least gain of cg_sense" in text
    assert text.count("data:image/png") > 8
    write_csv(tmp_path / "r.csv", rows)
    with (tmp_path / "r.csv").open() as f:
        table = list(csv.DictReader(f))
    assert len(table) == len(rows) and float(table[0]["psnr"]) == pytest.approx(rows[0].psnr)


def test_sections_are_replaced_one_by_one(tmp_path):
    path = tmp_path / "results.md"
    write_section(path, "one", r"first \1")
    write_section(path, "two", "second")
    path.write_text(path.read_text().replace("# Results", "# Results\n\nBy hand."))
    write_section(path, "one", "third")
    text = path.read_text()
    assert "By hand." in text and "second" in text and "third" in text and "first" not in text
    assert text.index("third") < text.index("second")
    path.write_text(text.replace("<!-- end: two -->", ""))
    with pytest.raises(DataError, match="markers"):
        write_section(path, "two", "x")


def test_case_lists(measured, tmp_path):
    entry = {"path": str(measured), "axes": "coil k1 k0", "name": "mine", "anatomy": "head", "kind": "simulated"}
    file = tmp_path / "list.json"
    file.write_text(json.dumps([entry]))
    truth = load_truth(case_list(file)[0], 0)
    assert (truth.scan, truth.anatomy, truth.kind, truth.ceiling) == ("mine", "head", "simulated", None)
    for bad, words in (
        ([{**entry, "colour": 1}], "colour"),
        ([{**entry, "kind": "maybe"}], "maybe"),
        ({"path": "x"}, "no list"),
        ([{"axes": "x"}], "no list"),
    ):
        file.write_text(json.dumps(bad))
        with pytest.raises(DataError, match=words):
            case_list(file)
    file.write_text("[")
    with pytest.raises(DataError, match="no JSON"):
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


def test_plus_floor_adds_the_noise_of_all_coils_to_a_classical_method_only():
    from spinecho.core.errors import DataError
    from spinecho.tasks.recon.judge.run import named

    assert named("l1_wavelet+floor") == ("l1_wavelet", {}, True)
    assert named("varnet=a/b.safetensors")[2] is False
    with pytest.raises(DataError, match="no method"):
        named("l1_wavelet+flour")
    with pytest.raises(DataError, match="have the noise floor already"):
        named("varnet+floor")
