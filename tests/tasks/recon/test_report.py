"""The report: one page that needs nothing else, with the right pictures, and pictures with the right pixels."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from spinecho import DataError, Encoding, Geometry, Image, KSpace
from spinecho.evaluate import pictures
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.judge.case import Case, Result, flat_slices, run_all, run_method, score_image
from spinecho.tasks.recon.judge.columns import columns
from spinecho.tasks.recon.judge.overview import write_overview
from spinecho.tasks.recon.judge.report import facts, write_report


def scan(*, undersampled: bool = True, n_coils: int = 3) -> KSpace:
    """A disc with a mark in the upper left corner, through smooth coils."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 40), indexing="ij")
    disc = ((x**2 + y**2) < 0.6).float() + 2.0 * ((x + 0.7).abs() < 0.1) * ((y + 0.7).abs() < 0.1)
    centres = torch.linspace(-1, 1, n_coils)
    coils = torch.stack([torch.exp(-((x - c) ** 2) + 1j * c * y) for c in centres])[:, None]
    images = coils * disc
    mask = torch.zeros(1, 1, 32, 1, dtype=torch.bool)
    mask[:, :, ::2] = True
    mask[:, :, 10:22] = True
    mask |= not undersampled
    return KSpace(
        samples=fft(images) * mask,
        mask=mask,
        encoding=Encoding.cartesian((1, 32, 40)),
        geometries=(Geometry.unknown((1, 32, 40)),),
        target=root_sum_of_squares(images),
    )


def pictures_in(page: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    return [np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(f)))) for f in found]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "out.html"
    kspace = scan()
    kspace = replace(kspace, header=kspace.header.flagged("simulated"))
    results = tuple(run_method(kspace, name) for name in ("zero_filled", "cg_sense"))
    case = Case(title="disc <b>", kspace=kspace, results=results, refused={"nufft_cg": "it is Cartesian"})
    write_report(path, [case], command="spinecho recon disc.npy")
    return path.read_text()


def test_the_page_stands_alone(page):
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "disc &lt;b&gt;" in page, "titles are escaped"


@pytest.mark.parametrize(
    "words", ["simulated", "zero_filled", "cg_sense", "psnr", "window", "it is Cartesian", "residual on the measured"]
)
def test_the_page_says(page, words):
    assert words in page


def test_the_first_picture_is_the_truth_upright(page):
    truth = pictures_in(page)[0]
    assert truth.shape == (32, 40)
    assert truth[4:6, 5:7].min() > 250 and truth[26, 33] < 10, "the mark lies in the upper left corner"


def test_the_mask_is_shown_as_it_is(page):
    expected = scan().mask[0, 0].expand(32, 40).numpy()
    assert any(p.shape == (32, 40) and ((p > 127) == expected).all() for p in pictures_in(page))


def test_scores_are_those_of_the_image():
    kspace = scan()
    result = run_method(kspace, "zero_filled")
    assert result.scores == score_image(kspace, result.image)
    assert run_method(scan(undersampled=False), "zero_filled").scores.whole.psnr > 80
    assert score_image(replace(kspace, target=None), result.image) is None


def test_prewhitened_scans_are_scored_on_the_scale_of_the_truth():
    kspace = scan(undersampled=False)
    kspace = replace(kspace, noise_cov=1e-4 * torch.eye(3, dtype=torch.complex64))
    assert run_method(kspace, "zero_filled").scores.whole.psnr > 80


def test_every_method_runs_or_says_why_not():
    last = list(run_all(scan(), "disc"))[-1]
    ran = {r.method for r in last.results}
    assert {"zero_filled", "cg_sense", "l1_wavelet"} <= ran
    assert "nufft_cg" in last.refused and not ran & set(last.refused)


def test_facts_name_the_acceleration_and_the_voxel():
    listed = dict(facts(scan()))
    assert listed["net acceleration"] == "1.45" and listed["coils"] == "3" and listed["voxel (x, y, z)"].endswith("mm")


def test_an_unwritable_place_is_one_error(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        write_report(tmp_path / "absent" / "out.html", [Case(title="t", kspace=scan(), results=())])


def test_a_window_ignores_few_bright_voxels():
    x = torch.ones(100, 100)
    x[0, 0] = 1e4
    assert pictures.upper_window(x) == pytest.approx(1.0)
    assert pictures.upper_window(torch.zeros(4, 4)) == 1.0


def test_log_magnitude_is_bounded():
    log, bounds = pictures.log_magnitude(torch.tensor([[1e-9, 1e-20], [0.0, 1e-10]]))
    assert bounds == (-4.0, 0.0)
    assert log.flatten().tolist() == pytest.approx([0.0, -4.0, -4.0, -1.0])


def test_tiles_keep_every_slice():
    sheet = pictures.tiles([torch.full((2, 3), float(i)) for i in range(1, 4)], columns=2)
    assert sheet.shape == (4, 6)
    assert sheet[0, 3] == 2 and sheet[2, 0] == 3 and sheet[2, 3] == 0


def test_pictures_have_the_voxels_shape():
    assert pictures.grey(torch.ones(10, 20), 1.0, "", (1.0, 2.0)).aspect == pytest.approx(1.0)


def test_flat_slices_combine_channels():
    assert flat_slices(torch.full((2, 4, 1, 3, 3), 1j)).shape == (2, 3, 3)
    assert flat_slices(torch.full((2, 4, 1, 3, 3), 1j)).max() == pytest.approx(2.0)


def test_seconds_that_nobody_knows_are_not_shown():
    one = run_method(scan(), "zero_filled")
    made, unknown = (
        columns(Case(title="disc", kspace=scan(), results=(r,)))[-1] for r in (one, replace(one, seconds=nan))
    )
    assert made.line == f"{one.seconds:.2f} s · {unknown.line}" and unknown.line.startswith("inside ")


def test_the_overview_shows_truth_methods_and_errors(tmp_path: Path):
    kspace = scan()
    case = Case(title="disc", kspace=kspace, results=(run_method(kspace, "zero_filled"),))
    write_overview(tmp_path / "o.png", case)
    sheet = np.asarray(PillowImage.open(tmp_path / "o.png").convert("L"))
    left, right = np.array_split(sheet, 2, axis=1)
    assert right[-40:].max() > 60, "the error of zero_filled is seen"
    assert np.median(left[-40:]) == 0, "no blank panel stands under the truth"
    words = left[left.shape[0] // 2 :]
    assert words.max() > 100 and (words > 100).mean() < 0.1, "but a few words that say what the others are"


def test_a_full_mask_and_two_coils(tmp_path):
    kspace = scan(undersampled=False, n_coils=2)
    write_report(tmp_path / "out.html", [Case(title="d", kspace=kspace, results=(run_method(kspace, "cg_sense"),))])
    page = (tmp_path / "out.html").read_text()
    assert "measured samples: all of them, k0 to the right" in page, "a white picture says why"
    uri = re.findall(r'base64,([A-Za-z0-9+/=]+)"[^<]*alt=""><figcaption[^<]*>coil maps', page)
    width, height = PillowImage.open(io.BytesIO(base64.b64decode(uri[0]))).size
    assert width < 3.2 * height, "two maps of 40 x 32 and their bar, no empty places beside them"


def test_the_bar_of_a_broad_map_has_its_numbers():
    shown = pictures.coloured(torch.zeros(32, 160), (0.0, 1.0), "broad")
    grey = np.asarray(PillowImage.open(io.BytesIO(shown.png)).convert("L"))
    assert grey[:, -8:].min() > 200, "nothing is cut off at the right"


def test_a_series_is_a_film_of_all_its_frames_in_one_window():
    series = KSpace.joined([scan(), scan(), scan()])
    series = replace(series, axes=tuple("time" if a == "example" else a for a in series.axes))
    assert series.target is not None
    brighter = torch.tensor([1.0, 2.0, 4.0])
    samples, target = (v * brighter.view(3, *[1] * (v.ndim - 1)) for v in (series.samples, series.target))
    series = replace(series, samples=samples, target=target)
    result = run_method(series, "zero_filled")
    case = Case(title="", kspace=series, results=(result,))
    truth, shown = columns(case, film=True)
    assert shown.below is not None
    for picture in (truth.image, shown.image, shown.below):
        with PillowImage.open(io.BytesIO(picture.png)) as film:
            assert film.n_frames == 3 and film.info["duration"] == 100
        assert picture.caption.endswith("film of 3 frames")
    with PillowImage.open(io.BytesIO(truth.image.png)) as film:
        sizes = []
        for k in range(3):
            film.seek(k)
            sizes.append(float(np.asarray(film.convert("L"), float).mean()))
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.05) and sizes[2] > 1.7 * sizes[1]
    still = columns(case)[0].image
    with PillowImage.open(io.BytesIO(still.png)) as one:
        assert getattr(one, "n_frames", 1) == 1
        assert float(np.asarray(one, float).mean()) == pytest.approx(sizes[1], rel=0.02)
    assert "film" not in still.caption


def test_a_long_film_ends_early_and_says_so():
    image = Image(values=torch.rand(70, 1, 1, 8, 8), geometries=(Geometry.unknown((1, 8, 8)),), axes=("time",))
    series = replace(scan(), target=None)
    (shown,) = columns(
        Case(title="", kspace=series, results=(Result(method="a", image=image, seconds=1.0),)), film=True
    )
    assert shown.image.caption.endswith("film of 64 frames of 70")
    with PillowImage.open(io.BytesIO(shown.image.png)) as film:
        assert film.n_frames == 64
