"""The page of an image before and after: planes, one window, differences that are told, figures, labels."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.evaluate.image_page import Work, write_image_page
from spinecho.evaluate.image_pictures import (
    bounds_of,
    flat_maps,
    rows_of_pictures,
    shown_maps,
    window_of,
    words_of_windows,
)
from spinecho.evaluate.image_scores import FIGURES, are_whole, figures
from spinecho.evaluate.overlay import edges_of, painted
from spinecho.evaluate.planes import planes

GEOMETRY = Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 4), (10, 40, 30))
WORK = Work(what="denoising", method="wavelet", command="spinecho denoise a.nii -o b.nii", seconds=1.5)


def image(noise: float = 0.0, geometry: Geometry = GEOMETRY) -> Image:
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in geometry.shape], indexing="ij")
    values = 100 * ((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1).float() * (1 + 0.3 * torch.sin(5 * x + 3 * y + z))
    values += noise * torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    return Image(values=values[None], geometries=(geometry,), header=Header(history=("read",)))


def after() -> Image:
    one = image(2.0)
    header = one.header.noted("denoised").warned("outside the card of x: noise")
    return replace(one, header=header, extras={"noise": torch.linspace(1, 3, 30).expand(1, 10, 40, 30)})


def test_figures_are_those_of_the_metrics_and_better_after():
    told = figures(image(10.0), image(2.0), image())
    assert [f.name for f in told] == list(FIGURES)
    (measure, digits) = FIGURES["psnr inside the head, dB"]
    assert told[0].after == f"{measure(image().values[0].double(), image(2.0).values[0].double()):.{digits}f}"
    assert float(told[0].after) > float(told[0].before) and float(told[2].after) < float(told[2].before)


def test_figures_on_another_grid_and_of_series():
    fine = GEOMETRY.resized((20, 80, 60))
    told = figures(image(geometry=GEOMETRY), image(geometry=fine), image(geometry=fine))
    assert told[0].after == "inf" and float(told[0].before) < 60
    series = replace(image(), values=torch.stack([image(2.0).values, image(2.0).values]), axes=("time",))
    assert figures(series, series, image())[0] == figures(image(2.0), image(2.0), image())[0]
    three = replace(image(), values=torch.stack([image().values] * 3), axes=("time",))
    with pytest.raises(DataError, match="the truth has 3 volumes, the result 2 -> give one, or as many"):
        figures(series, series, three)


def test_labels_are_scored_by_their_overlap():
    labels = replace(image(), values=(image().values > 90).to(torch.uint8) + 2 * (image().values > 110).to(torch.uint8))
    assert are_whole(labels) and not are_whole(image())
    told = figures(image(), labels, labels)
    assert [(f.name, f.after) for f in told] == [
        ("mean Dice", "1.000"),
        ("Dice of label 1", "1.000"),
        ("Dice of label 3", "1.000"),
    ]
    shifted = replace(labels, values=labels.values.roll(1, -1).float())
    assert 0.5 < float(figures(image(), labels, shifted)[0].after) < 1


def test_one_window_for_both_and_about_zero_for_signed_values():
    window = window_of(image(1.0))
    assert window.low == 0 and window.high == pytest.approx(130, rel=0.05)
    assert "the same before and after" in words_of_windows(image(1.0), image(1.0), False)
    signed = window_of(replace(image(), values=image().values - 60))
    assert signed.low == -signed.high
    assert float(signed.of(torch.zeros(1))) == 0.5


def test_another_contrast_has_its_own_window_and_no_difference():
    before, made = image(1.0), replace(image(1.0), values=7 * image(1.0).values)
    (alike, *_), (apart, *_) = (rows_of_pictures(before, made, {}, truth=made, other_contrast=c) for c in (False, True))
    assert [p.picture.caption for p in apart.pictures] == ["before", "after", "truth"]
    assert apart.pictures[0].picture.png == apart.pictures[1].picture.png == apart.pictures[2].picture.png
    assert alike.pictures[0].picture.png != alike.pictures[1].picture.png
    words = words_of_windows(before, made, True)
    assert "before, black at 0, white at" in words and "window of its own" in words


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_a_page_knows_no_units(factor):
    rows = [
        rows_of_pictures(replace(b, values=b.values * f), replace(a, values=a.values * f), {})
        for b, a in [(image(9.0), image(2.0))]
        for f in (1.0, factor)
    ]
    for one, other in zip(*rows, strict=True):
        for p, q in zip(one.pictures[:2], other.pictures[:2], strict=True):
            assert len(p.picture.png) == pytest.approx(len(q.picture.png), rel=0.02)


def test_planes_are_upright_with_their_aspect_and_thin_ones_left_out():
    rows = rows_of_pictures(image(9.0), after(), {"noise": "sigma"})
    assert [r.name for r in rows] == ["axial", "coronal", "sagittal"]
    axial, coronal, _ = rows
    assert axial.letters == ("R", "L", "A", "P") and coronal.letters == ("R", "L", "S", "I")
    assert axial.pictures[0].picture.aspect == pytest.approx(30 / 40)
    assert coronal.pictures[0].picture.aspect == pytest.approx(30 / 40)
    assert [p.picture.caption for p in axial.pictures] == [
        *("before", "after", "after less before, in percent of white", "sigma")
    ]
    thin = GEOMETRY.cropped((4, 0, 0), (1, 40, 30))
    flat = Image(values=image().values[:, 4:5], geometries=(thin,))
    assert [r.name for r in rows_of_pictures(flat, flat, {})] == ["axial"]


def test_a_grid_of_another_size_is_shown_beside_the_old_one_at_the_same_place():
    fine = GEOMETRY.resized((40, 40, 30))
    rows = rows_of_pictures(image(), image(geometry=fine), {})
    assert all(r.pictures[0].width == pytest.approx(r.pictures[1].width, abs=12) for r in rows)


def test_the_page_holds_all_and_needs_nothing_else(tmp_path):
    path = tmp_path / "r.html"
    told = figures(image(9.0), after(), image())
    labels = replace(image(), values=(image().values > 90).to(torch.uint8))
    write_image_page(path, image(9.0), after(), WORK, truth=image(), figures=told, labels=labels)
    page = path.read_text()
    assert page.count("data:image/png") == 3 * 6 and not re.search(r'(src|href)="(?!data:)', page)
    for words in (
        "Report: denoising",
        "wavelet: 1.50 s",
        "<li>denoised</li>",
        "outside the card of x: noise",
        told[0].after,
    ):
        assert words in page
    assert page.count("outside the card of x: noise") == 1, "a warning stands at the top, once"


def test_a_page_of_labels_paints_them_and_lists_their_volumes(tmp_path):
    labels = replace(image(), values=(image().values > 90).to(torch.int16) * 17)
    work = replace(WORK, what="segmentation", names={17: "hippocampus"})
    write_image_page(tmp_path / "r.html", image(), labels, work, truth=labels, figures=figures(image(), labels, labels))
    page = (tmp_path / "r.html").read_text()
    ml = int((labels.values == 17).sum()) * 4 / 1000
    assert f'17 hippocampus</td><td class="n">{ml:.2f}' in page and "labels, over the image" in page
    assert "in percent of white" not in page and "Dice of label 17" in page


def test_maps_take_the_volume_that_is_shown_and_constant_ones_have_bounds():
    values = torch.stack([image().values * k for k in (1, 2, 3)])
    series = replace(image(), values=values, axes=("time",), extras={"each": values, "csm": torch.zeros(2, 2, 2, 2)})
    maps = shown_maps(series)
    assert list(maps) == ["each"] and torch.equal(maps["each"].values, values[1])
    low, high = bounds_of(torch.full((5,), 3.0))
    assert low < 3 < high and bounds_of(torch.zeros(4)) == (0.0, 1.0)
    low, high = bounds_of(torch.full((5,), -3.0))
    assert low < -3 < high


def test_colours_of_labels_are_their_own_and_edges_lie_between():
    labels = torch.zeros(8, 8, dtype=torch.int64)
    labels[:, 4:] = 5
    assert edges_of(labels.float()).nonzero()[:, 1].unique().tolist() == [3]
    picture = painted(torch.ones(8, 8), 1.0, labels, "x", (2.0, 1.0))
    assert picture.aspect == 2.0 and painted(torch.ones(8, 8), 1.0, labels, "x", (2.0, 1.0)).png == picture.png


def test_planes_pass_through_the_point():
    for plane in planes(GEOMETRY, (0.0, 0.0, 0.0)):
        near = plane.slice.to_voxel((0, 0, 0))
        assert min(abs(v - round(v)) for v in near) < 1e-6 and 1 in plane.slice.shape


def test_a_map_that_is_the_same_everywhere_is_said_as_a_number(tmp_path):
    values = after().values
    made = replace(after(), extras={"noise": torch.full_like(values, 23.68), "gain": values.abs()})
    assert flat_maps(made) == {"noise": pytest.approx(23.68)}
    write_image_page(tmp_path / "r.html", image(), made, replace(WORK, maps={"noise": "level of the noise"}))
    page = (tmp_path / "r.html").read_text()
    assert "level of the noise" in page and "23.68 everywhere" in page
    with_gain = [len(row.pictures) for row in rows_of_pictures(image(), made, {})]
    plain = replace(after(), extras={})
    without = [len(row.pictures) for row in rows_of_pictures(image(), plain, {})]
    assert with_gain == [n + 1 for n in without], "one picture more: that of the map which varies"
