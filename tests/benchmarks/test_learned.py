"""The benchmarks of learned methods: how cases are drawn, kept and counted. Networks and peers are not needed."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.ledger import Entry, Outcome, fill, read
from benchmarks.robustness import BASELINE, by_property, card, report, summary, worst
from benchmarks.scoring import against
from benchmarks.sections import table, write_section
from benchmarks.specs import parse_method, usable, weights_digest
from benchmarks.subjects import FINER, NATIVE, Subject, _axial, fov_mm, scanned, subject_names, suitable
from benchmarks.unlike import ACCELS, COILS, MASKS, MATRICES, NOISE, draw, restored

from benchmarks import ledger, simulated
from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.sim.mask_spec import parse
from spinecho.sim.scan import Scan, simulate_phantom


def names(dataset: str) -> list[str]:
    return [f"{dataset}-{i}" for i in range(3)]


def entry(index: int, **psnr: float) -> Entry:
    case = json.loads(json.dumps(asdict(draw(index + 1, names)[-1])))
    return Entry(case=case, outcomes={m: Outcome(psnr=v, ssim=0.5) for m, v in psnr.items()})


def test_a_case_depends_on_its_number_alone_and_survives_json():
    few, many = draw(5, names), draw(40, names)
    assert few == many[:5]
    assert len({d.seed for d in many}) == 40
    assert [restored(json.loads(json.dumps(asdict(d)))) for d in few] == few


def test_cases_are_spread_evenly_over_all_properties():
    cases = draw(200, names)
    for options, of in (
        (MATRICES, "matrix"), (COILS, "n_coils"), (ACCELS, "accel"), (MASKS, "mask"), (NOISE, "noise"),
    ):  # fmt: skip
        counts = Counter(getattr(d, of) for d in cases)
        assert set(counts) == set(options)
        assert min(counts.values()) > 0.7 * 200 / len(options)
    combinations = {(d.matrix, d.n_coils, d.accel, d.mask, d.noise) for d in cases}
    assert len(combinations) == 200
    assert any(n % 2 for d in cases for n in d.matrix)


def test_noise_is_a_fourth_of_the_cards_or_within_it():
    for d in draw(60, names, snr_of_card=8.0):
        assert d.snr == 2.0 if d.noise == 4 else 8.0 <= d.snr <= 60.0
        assert ("noise x4" in d.beyond) == (d.noise == 4)
        assert ("R = 16" in d.beyond) == (d.accel == 16 and d.mask != "equispaced")


def test_every_mask_can_be_drawn_and_has_a_centre():
    small = {(d.matrix, d.accel, d.mask): d for d in draw(288, names) if d.matrix[0] < 200}
    assert len(small) == 2 * 2 * 4
    for (matrix, accel, kind), d in small.items():
        mask = parse(d.sampling).draw((1, *matrix))[0, 0]
        measured = float(mask.expand(matrix).float().mean())
        if kind != "equispaced":
            assert measured == pytest.approx(1 / accel, rel=0.1)
        y, x = (n // 2 for n in matrix)
        assert mask[y - 2 : y + 2, min(x, mask.shape[1] - 1)].all()


def test_interpolated_slices_are_no_truth():
    assert suitable((512, 400)) == ["label_maps"]
    assert set(suitable((96, 80))) == set(NATIVE)
    for matrix in MATRICES:
        for name in suitable(matrix):
            native = NATIVE[name]
            assert native is None or all(n >= FINER * m for n, m in zip(native, matrix, strict=True))
    for d in draw(288, names):
        assert d.dataset in suitable(d.matrix)
    _, y, x = fov_mm((321, 257))
    assert y / 321 == pytest.approx(x / 257)


def test_volumes_are_turned_to_head_up_front_first(tmp_path):
    import nibabel

    x, y, z = np.meshgrid(np.arange(5), np.arange(6), np.arange(7), indexing="ij")  # towards R, A, S
    values = (100 * z + 10 * y + x).astype(np.float32)
    path = tmp_path / "v.nii"
    turned = nibabel.Nifti1Image(values[::-1].transpose(2, 0, 1), np.array(
        [[0, -1, 0, 4], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float))  # fmt: skip
    nibabel.save(turned, path)
    planes = _axial(path)
    assert planes.shape == (7, 6, 5)
    assert planes[6, 0, 0] > planes[0, 0, 0], "the head's top is last"
    assert planes[3, 0, 2] > planes[3, 5, 2], "the front is the first row"
    assert planes[3, 3, 0] > planes[3, 3, 4], "the right side is the first column"


@pytest.mark.parametrize(("dataset", "matrix"), [("chest", (96, 80)), ("ixi_2mm", (95, 81)), ("ms_1mm", (96, 80))])
def test_magnitude_slices_become_scans_with_a_truth(shared_data, dataset, matrix):
    subject = Subject(dataset=dataset, name=subject_names(dataset)[0], at=0.5)
    scan = Scan(matrix=(1, *matrix), fov_mm=fov_mm(matrix), n_coils=2, sampling="random:3:10:1", snr=20, seed=3)
    kspace = scanned(shared_data, subject, scan)
    again = scanned(shared_data, subject, scan)
    assert torch.equal(kspace.samples, again.samples)
    assert kspace.samples.shape == (2, 1, *matrix) and kspace.target is not None
    assert kspace.target.shape == (1, 1, *matrix)
    middle = kspace.target[0, 0, matrix[0] // 4 : -matrix[0] // 4, matrix[1] // 4 : -matrix[1] // 4]
    assert middle.mean() > 0.04 * kspace.target.max()


def test_only_test_subjects_are_scanned(shared_data):
    assert subject_names("label_maps") == ["17", "18", "19", "20"]
    assert subject_names("chest")[0] == "91"
    assert len(subject_names("ixi_2mm")) == 20
    assert {n.partition("/")[0] for n in subject_names("ms_1mm")} == {"patient19"}


def test_scale_does_not_matter_and_a_black_image_has_a_score():
    truth = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    noisy = truth + 0.1 * torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert against(truth, 1e-6 * noisy).psnr == pytest.approx(against(truth, noisy).psnr)
    assert math.isfinite(against(truth, torch.zeros_like(truth)).psnr)


class Counting:
    """Makes a small scan and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, case: dict) -> object:
        self.calls += 1
        return simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="full", seed=case["seed"])).kspace


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    path, make = tmp_path / "deep/cases.jsonl", Counting()
    cases = [{"seed": i, "matrix": (32, 32)} for i in range(3)]
    first = next(fill(path, cases, ["zero_filled"], make))
    assert make.calls == 1 and first.outcomes["zero_filled"].psnr > 20
    path.write_text(path.read_text() + '{"case": {"seed": 1')  # killed while it wrote
    done = list(fill(path, cases, ["zero_filled"], make))
    assert make.calls == 3 and len(read(path)) == 3
    assert done[0].outcomes == first.outcomes
    more = list(fill(path, cases, ["zero_filled", "cg_sense(n_iters=2)"], make))
    assert make.calls == 6 and set(more[2].outcomes) == {"zero_filled", "cg_sense(n_iters=2)"}
    list(fill(path, cases, ["cg_sense(n_iters=2)"], make))
    assert make.calls == 6


def test_other_weights_are_run_again(tmp_path, monkeypatch):
    path, make = tmp_path / "cases.jsonl", Counting()
    for digest, calls in (("a", 1), ("a", 1), ("b", 2)):
        monkeypatch.setattr(ledger, "weights_digest", lambda spec, digest=digest: digest)
        list(fill(path, [{"seed": 0}], ["zero_filled"], make))
        assert make.calls == calls


def test_what_goes_wrong_is_part_of_the_result(tmp_path, monkeypatch):
    (done,) = fill(tmp_path / "cases.jsonl", [{"seed": 0}], ["grappa(nothing=1)"], Counting())
    assert "nothing" in done.outcomes["grappa(nothing=1)"].failed

    def strange(kspace, name, **settings):
        header = Header().noted("outside the card of varnet: 64 coils", "note: outside the card of varnet: noise 1")
        return replace(kspace.image(kspace.target), header=header)

    monkeypatch.setattr(ledger, "recon", strange)
    (done,) = fill(tmp_path / "others.jsonl", [{"seed": 0}], ["varnet"], Counting())
    assert done.outcomes["varnet"].outside == "64 coils; noise 1"
    assert done.outcomes["varnet"].psnr > 100


def test_the_share_below_zero_filling_counts_cases_without_an_image():
    nan = float("nan")
    gains = [3.0, 1.0, -0.004, -0.5, nan]
    entries = [entry(i, zero_filled=20.0, m=20.0 + g) for i, g in enumerate(gains)]
    found = summary(entries, "m")
    assert (found.n, found.below, found.failed) == (5, 2, 1)
    assert found.mean == pytest.approx(3.496 / 4) and found.least == pytest.approx(-0.5)
    assert worst(entries, "m", 2)[0][0] == "4", "cases without an image come first"
    assert worst(entries, "m", 2)[1][0] == "3"
    assert math.isnan(summary([], "m").mean)


def test_tables_by_property_count_every_case_once():
    entries = [entry(i, zero_filled=20.0, m=21.0) for i in range(24)]
    counts = Counter()
    for name, _, n, *_ in by_property(entries, "m"):
        counts[name] += int(n)
    assert set(counts.values()) == {24} and len(counts) == 6
    assert "| m | 24 | 0 (0.0 %) | 0 | +1.00" in report(entries, ["m"])


def test_the_card_counts_the_reason_itself():
    case = next(d for d in draw(288, names) if d.beyond == ["64 coils", "noise x4"])
    told = Outcome(psnr=20.0, outside="64 coils (card: 1 to 32)")
    found = Entry(case=asdict(case), outcomes={BASELINE: Outcome(psnr=19.0), "m": told})
    text = card([found], "m")
    assert "64 coils 1 of 1" in text and "noise x4 0 of 1" in text and "R = 16 0 of 0" in text


def test_simulated_slices_are_the_same_at_every_acceleration():
    cases = simulated.draw(4, ["17", "18", "19", "20"])
    assert [c.subject for c in cases[::3]] == ["17", "18", "19", "20"]
    for i in range(0, 12, 3):
        alike = {(c.at, c.scan.seed, c.scan.matrix, c.scan.contrast, c.scan.snr) for c in cases[i : i + 3]}
        assert len(alike) == 1
        assert [c.accel for c in cases[i : i + 3]] == list(simulated.GOALS)
    for c in cases:
        mask = parse(c.scan.sampling)
        assert mask.accel == c.accel and mask.centre == pytest.approx(0.32 / c.accel, abs=1e-4)
        assert c.scan.n_coils == 8 and all(256 <= n <= 320 for n in c.scan.matrix[1:])
        assert simulated.restored(json.loads(json.dumps(asdict(c)))) == c


def test_simulated_gains_are_paired():
    both = lambda base, gain: {  # noqa: E731
        "l1_wavelet": Outcome(psnr=base, ssim=0.8),
        "checked": Outcome(psnr=base + gain, ssim=0.9),
    }
    entries = [Entry(case={"accel": 4}, outcomes=both(*pair)) for pair in ((20.0, 2.0), (40.0, 4.0))]
    base, ours, *rest = simulated.lines(entries, ["l1_wavelet", "checked"])
    assert base[:4] == ["4", "l1_wavelet", "30.00", "0.8000"]
    assert ours == ["4", "checked", "33.00", "0.9000", "+3.00 +- 1.00", "+2.00", "+0.1000", "+1.5"]
    assert all(r[2] == "-" for r in rest), "other accelerations have no cases"
    assert simulated.with_error([1.0, float("nan")]).endswith("(1 without image)")


def test_methods_are_named_with_their_settings(tmp_path, capsys):
    assert parse_method("varnet") == ("varnet", {})
    assert parse_method("varnet(n=3, c=(1, 2), w='x')") == ("varnet", {"n": 3, "c": (1, 2), "w": "x"})
    for wrong in ("", "a b", "f(1)", "f(x=g())", "a.b"):
        with pytest.raises(DataError):
            parse_method(wrong)
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"1")
    first = weights_digest(f"varnet(weights={str(weights)!r})")
    weights.write_bytes(b"2")
    assert first and weights_digest(f"varnet(weights={str(weights)!r})") != first
    assert weights_digest("zero_filled") == ""
    assert weights_digest("varnet") and weights_digest("varnet") != weights_digest("modl")  # those in the package
    assert usable(["zero_filled", "nothing_of_that_name"]) == ["zero_filled"]
    assert "nothing_of_that_name is left out" in capsys.readouterr().err


def test_a_section_replaces_its_own_text_only(tmp_path):
    page = tmp_path / "R.md"
    write_section(page, "one", "first")
    write_section(page, "two", "second")
    write_section(page, "one", "third")
    text = page.read_text()
    assert "first" not in text and text.index("third") < text.index("second")
    assert text.count("<!-- one -->") == text.count("<!-- /one -->") == 1
    page.write_text(text.replace("<!-- /two -->", ""))
    with pytest.raises(RuntimeError, match="two"):
        write_section(page, "two", "fourth")
    assert table(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
