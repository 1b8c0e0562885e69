"""Reports and overviews of more than one flat slice: cases, slices, frames, volumes, trajectories; and the demo."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from spinecho import DataError, Encoding, Geometry, Image, KSpace
from spinecho.evaluate import pictures
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge import demo
from spinecho.tasks.recon.judge.case import Case, Result, run_method, score_image
from spinecho.tasks.recon.judge.columns import columns, middle_slice
from spinecho.tasks.recon.judge.overview import write_overview
from spinecho.tasks.recon.judge.report import facts, write_report

TINY = Scan(matrix=(1, 24, 20), n_coils=3, sampling="equispaced:2:8", snr=50, fineness=1)


def decoded(png: bytes) -> np.ndarray:
    return np.asarray(PillowImage.open(io.BytesIO(png)))


def images_in(page: str) -> list[np.ndarray]:
    return [decoded(base64.b64decode(f)) for f in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)]


def report_of(tmp_path: Path, *cases: Case) -> str:
    write_report(tmp_path / "r.html", cases)
    return (tmp_path / "r.html").read_text(encoding="utf-8")


def case_of(kspace: KSpace, *methods: str, title: str = "case") -> Case:
    return Case(title=title, kspace=kspace, results=tuple(run_method(kspace, m) for m in methods))


def result(values: torch.Tensor, axes: tuple[str, ...] = (), geometries: tuple[Geometry, ...] = (), **extras) -> Result:
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    geometries = geometries or (Geometry.unknown(shape),)
    image = Image(values=values, geometries=geometries, axes=axes, extras=extras)
    return Result(method="made", image=image, seconds=1.234)


def plain(shape: tuple[int, int, int], axes: tuple[str, ...] = (), batch: tuple[int, ...] = (), **facts) -> KSpace:
    n = batch[axes.index("slice")] if "slice" in axes else 1
    return KSpace(
        samples=torch.randn(*batch, 2, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)),
        mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
        encoding=Encoding.cartesian(shape),
        geometries=(Geometry.unknown(shape),) * n,
        axes=axes,
        **facts,
    )


def test_every_case_has_its_section_in_order(tmp_path):
    kspace = simulate_phantom(TINY).kspace
    page = report_of(tmp_path, case_of(kspace, "zero_filled", title="first"), case_of(kspace, title="second & last"))
    assert page.count("<section>") == 2
    assert page.index("<h2>first</h2>") < page.index("<h2>second &amp; last</h2>")
    assert "made by" not in page, "no command was given"


def test_a_time_series_shows_its_middle_frame_and_counts_the_frames(tmp_path):
    kspace = simulate_phantom(replace(TINY, sampling="kt:2:6", n_frames=4)).kspace
    case = case_of(kspace, "zero_filled")
    page = report_of(tmp_path, case)
    assert "number of time entries" in page and "psnr, dB" in page
    truth = columns(case)[0].image
    shown = decoded(truth.png)
    top = pictures.upper_window(kspace.target)
    # The geometry is oriented (axial), so that the picture is the frame as it is.
    wanted = (kspace.target[2, 0, 0] / top * 255).clamp(0, 255).numpy().astype(np.uint8)
    np.testing.assert_array_equal(shown, wanted)


def test_a_trajectory_is_drawn_instead_of_a_mask(tmp_path):
    kspace = simulate_phantom(replace(TINY, matrix=(1, 16, 16), sampling="radial:3")).kspace
    page = report_of(tmp_path, case_of(kspace, "gridding"))
    assert "radial, 3 readouts" in page and "net acceleration" not in page
    (drawing,) = [p for p in images_in(page) if p.shape == (400, 400)]
    assert drawing[199:201, 199:201].max() == 255 and drawing[:3, :3].max() == 0
    wanted = {tuple(((k[:2] / 8 + 1) / 2 * 399).round().int().tolist()) for k in kspace.traj.reshape(-1, 3)}
    assert int((drawing > 0).sum()) == len(wanted)


def test_a_volume_shows_its_middle_slice_and_its_phase_encodes(tmp_path):
    kspace = plain((6, 9, 8), target=torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 9, 8))
    values = kspace.target + 0.5
    case = Case(title="volume", kspace=kspace, results=(result(values),))
    truth, made = columns(case)
    assert decoded(truth.image.png).shape == (9, 8)
    assert int(decoded(truth.image.png).max()) == int(3 / 5 * 255)
    assert made.below is not None and int(decoded(made.below.png).max()) == int(0.5 / (5 / 5) * 255)
    page = report_of(tmp_path, case)
    assert "k1 to the right, k2 down" in page
    assert any(p.shape == (6, 9) and p.min() == 255 for p in images_in(page)), "the mask over (k2, k1)"


def test_slices_are_shown_by_their_middle_with_their_own_geometry():
    voxel = (1.0, 2.0, 5.0)
    geometries = tuple(Geometry.from_frame([0, 0, 5.0 * i], np.eye(3), voxel, (1, 4, 6)) for i in range(3))
    values = torch.arange(3.0).view(3, 1, 1, 1, 1).expand(3, 1, 1, 4, 6)
    rows, size = middle_slice(values, result(values, ("slice",), geometries).image)
    assert rows.shape == (4, 6) and bool((rows == 1).all()) and size == (1.0, 2.0)
    assert pictures.grey(rows, 1.0, "", size).aspect == pytest.approx(6 / 8)


def test_maps_without_batch_axes_are_shown_beside_a_series():
    image = result(torch.rand(4, 1, 1, 5, 6), ("time",)).image
    gfactor = torch.rand(1, 1, 5, 6)
    rows, _ = middle_slice(gfactor, image)
    assert torch.equal(rows, gfactor[0, 0])


@pytest.mark.parametrize("turn", [(0, 1, 2), (0, 2, 1), (1, 0, 2)])
def test_pictures_of_unoriented_scans_are_turned_as_they_were_stored(turn):
    stored = torch.arange(60.0).view(1, 3, 4, 5)
    geometry = Geometry.unknown((3, 4, 5)).permuted(turn)
    inside = stored.permute(0, *(1 + t for t in turn))
    image = result(inside, (), (geometry,), csm=inside[None].to(torch.complex64)).image
    again = image.as_stored()
    assert torch.equal(again.values, stored) and torch.equal(again.extras["csm"].real[0], stored)
    assert again.geometry.matches(Geometry.unknown((3, 4, 5)))
    rows, _ = middle_slice(inside, image)
    assert torch.equal(rows, stored[0, 1])


def test_methods_without_a_truth_have_windows_of_their_own(tmp_path):
    kspace = plain((1, 8, 8))
    dim = result(torch.full((1, 1, 8, 8), 1e-9))
    bright = replace(dim, method="bright", image=replace(dim.image, values=torch.full((1, 1, 8, 8), 1e9)))
    case = Case(title="no truth", kspace=kspace, results=(dim, bright))
    shown = columns(case)
    assert [c.name for c in shown] == ["made", "bright"] and all(c.below is None for c in shown)
    assert all(decoded(c.image.png).min() == 255 for c in shown)
    assert "1e-09" in shown[0].image.caption and "1e+09" in shown[1].image.caption
    page = report_of(tmp_path, case)
    assert "psnr" not in page and "1.23 s" in page
    write_overview(tmp_path / "o.png", case)
    sheet = decoded((tmp_path / "o.png").read_bytes())
    assert sheet.shape[1] == pytest.approx(2 * sheet.shape[0], rel=0.3), "two images, one row"


def test_a_case_without_results_says_only_what_the_scan_is(tmp_path):
    case = Case(title="none", kspace=plain((1, 8, 8)), results=(), refused={"tv": "it is <too> small"})
    assert columns(case) == []
    page = report_of(tmp_path, case)
    assert "it is &lt;too&gt; small" in page and "8 x 8" in page


def test_maps_are_shown_once_and_g_factors_for_each(tmp_path):
    csm = torch.ones(1, 5, 1, 8, 8, dtype=torch.complex64)
    values = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    one = result(values, csm=csm, gfactor=torch.full((1, 1, 8, 8), 1.2), residual=torch.zeros(1, 1, 8, 8))
    other = replace(one, method="other")
    page = report_of(tmp_path, Case(title="maps", kspace=plain((1, 8, 8)), results=(one, other)))
    assert page.count("coil maps of made") == 1 and "coil maps of other" not in page
    assert "g-factor of made" in page and "g-factor of other" in page
    assert "what made leaves of the measured samples" in page


def test_the_steps_and_settings_of_each_method_are_listed(tmp_path):
    made = result(torch.ones(1, 1, 8, 8))
    header = made.image.header.noted("lines <averaged>", "cut to the field of view")
    made = replace(made, image=replace(made.image, header=header), settings={"l2": 0.01, "iterations": 7})
    page = report_of(tmp_path, Case(title="steps", kspace=plain((1, 8, 8)), results=(made,)))
    assert "made: l2 0.01, iterations 7" in page and "<li>lines &lt;averaged&gt;</li>" in page
    assert page.index("lines &lt;") < page.index("cut to the field of view")


def test_facts_leave_out_what_nobody_knows():
    listed = dict(facts(plain((2, 8, 6), ("slice", "average"), (3, 2))))
    assert listed["number of slice entries"] == "3" and listed["number of average entries"] == "2"
    assert listed["net acceleration"] == "1.00" and listed["noise scan"] == "no"
    assert not {"file", "format", "scanner", "field"} & set(listed)


def test_an_empty_first_slice_spoils_no_report(tmp_path):
    kspace = plain((1, 8, 8), ("slice",), (2,))
    samples = kspace.samples.clone()
    samples[0] = 0
    report_of(tmp_path, Case(title="empty", kspace=replace(kspace, samples=samples), results=()))
    log, bounds = pictures.log_magnitude(torch.zeros(3, 4))
    assert bool((log == bounds[0]).all()), "zeros lie at the lower bound"


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_pictures_do_not_depend_on_the_scale(scale):
    x = torch.rand(9, 11, generator=torch.Generator().manual_seed(1))
    top = pictures.upper_window(x * scale)
    assert top == pytest.approx(scale * pictures.upper_window(x), rel=1e-5)
    difference = decoded(pictures.grey(x * scale, top, "").png).astype(int) - decoded(
        pictures.grey(x, pictures.upper_window(x), "").png
    )
    assert abs(difference).max() <= 1
    log, _ = pictures.log_magnitude(x * scale)
    torch.testing.assert_close(log, pictures.log_magnitude(x)[0])


def test_grey_clips_and_a_mostly_dark_picture_is_not_lost():
    assert decoded(pictures.grey(torch.tensor([[-1.0, 0.5, 2.0]]), 1.0, "").png).tolist() == [[0, 127, 255]]
    x = torch.zeros(100, 100)
    x[3, 4] = 7.0
    assert pictures.upper_window(x) == 7.0


@pytest.mark.parametrize("colours", ["magma", "turbo"])
def test_coloured_maps_keep_their_shape(colours):
    x = torch.linspace(0, 3, 200).view(10, 20)
    picture = pictures.coloured(x, (1.0, 2.0), "map", colours=colours, pixel_mm=(1.0, 2.0), unit="x")
    shown = decoded(picture.png)
    assert picture.aspect == pytest.approx(shown.shape[1] / shown.shape[0], rel=0.01)
    left, right = shown[20:-20, 3, :3].mean(0), shown[-20, :, :3]
    assert abs(left - right.mean(0)).max() > 5, "values are told apart"


def test_scores_compare_magnitudes_of_all_frames():
    target = torch.rand(2, 1, 1, 9, 9, generator=torch.Generator().manual_seed(2)) + 0.1
    kspace = plain((1, 9, 9), ("time",), (2,), target=target)
    turned = target * torch.polar(torch.ones(1), torch.tensor([2.0]))
    found = score_image(kspace, result(turned, ("time",)).image)
    assert found is not None and found.whole.psnr > 100 and found.ssim_inside == pytest.approx(1)
    half = score_image(kspace, result(0.5 * turned, ("time",)).image)
    assert half is not None and half.whole.nmse == pytest.approx(0.25, rel=1e-4), "no scale is fitted"
    assert half.psnr_inside == pytest.approx(found.psnr_inside, rel=0.1), "inside it is"


def test_a_method_that_does_not_exist_is_named():
    with pytest.raises(DataError, match="no_such"):
        run_method(plain((1, 8, 8)), "no_such")


def test_the_demo_writes_each_method_and_reports_all(tmp_path, monkeypatch):
    scans = {
        "flat.mrd.h5": simulate_phantom(TINY).kspace,
        "series.mrd.h5": simulate_phantom(replace(TINY, sampling="kt:2:8", n_frames=2)).kspace,
    }
    from spinecho.tasks.recon.judge import case as cases

    monkeypatch.setattr(demo, "sample_names", lambda: list(scans))
    monkeypatch.setattr(demo, "read_sample", scans.__getitem__)
    monkeypatch.setattr(cases.registry, "names", lambda kind: ["auto", "cg_sense", "gridding", "zero_filled"])
    monkeypatch.setattr(cases.registry, "weights_names", lambda task: [])
    made: list[Case] = []

    def listened():
        made.extend((yield from demo.reconstruct_samples(tmp_path)))

    said = list(listened())
    files = {p.name for p in tmp_path.iterdir()}
    methods = ("zero_filled", "cg_sense")
    assert {f"{s}_{m}{e}" for s in ("flat", "series") for m in methods for e in (".nii.gz", ".png")} <= files
    assert "flat.png" in files and "series.png" not in files, "the overview is for single images"
    assert all(path is None or path.is_file() for _, path in said)
    headings = [words for words, path in said if path is None]
    assert "24 x 20 pixels, 3 coils" in headings[0] and "2 frames of 24 x 20 pixels" in headings[1]
    assert [sorted(r.method for r in case.results) for case in made] == [sorted(methods)] * 2
    page = report_of(tmp_path, *made)
    assert len(headings) == 2 and page.count('"name">gridding</td>') == 2, "what was not run stands on the page"
    assert "flat.mrd.h5 (simulated)" in page and "series.mrd.h5 (simulated)" in page


def test_what_a_scan_is_in_a_few_words():
    half = demo.what_it_is(simulate_phantom(replace(TINY, sampling="equispaced:2:0")).kspace)
    assert half == "24 x 20 pixels, 3 coils, 50% of the samples of a full scan"
    spokes = demo.what_it_is(simulate_phantom(replace(TINY, matrix=(1, 24, 24), sampling="radial:9")).kspace)
    assert spokes == "24 x 24 pixels, 3 coils, 9 readouts (radial)"


def test_the_samples_of_the_demo_are_those_in_the_package():
    names = demo.sample_names()
    assert names == sorted(names) and names and all(n.endswith(".mrd.h5") for n in names)
    with pytest.raises(DataError):
        demo.read_sample("absent.h5")
