"""The gallery: how panels are drawn, what its page says, which methods it leaves out; its rows on tiny data."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.gallery import __main__ as command
from benchmarks.gallery import after, heads, scans
from benchmarks.gallery.sheet import GAIN, Entry, Panel, Row, drawn, error, markdown, write

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.methods import registry
from spinecho.sim.scan import Scan, simulate_phantom

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"
MOST_BYTES = 1_500_000


def panel(grey: float = 0.5, line: str = "1 dB", shape: tuple[int, int] = (20, 10), title: str = "one") -> Panel:
    return Panel(title=title, picture=torch.full(shape, grey), below=torch.full(shape, 1 - grey), line=line)


def row(panels: list[Panel], columns: int = 2) -> Row:
    return Row(name="r", heading="A row", text="Says.", panels=panels, columns=columns, left_out={"auto": "it chooses"})


def test_errors_are_dark_where_pictures_agree_and_brightest_from_a_share_of_white():
    truth = torch.tensor([[0.0, 0.5, 1.0]])
    shown = error(truth + torch.tensor([[0.0, 0.5 / GAIN, 3.0 / GAIN]]), truth)
    assert shown.shape == (1, 3, 3)
    light = shown.sum(-1)[0]
    assert light[0] < 0.1 < light[1] < light[2]
    assert torch.equal(shown[0, 2], error(torch.ones(1, 1), torch.zeros(1, 1))[0, 0])


def test_the_sign_of_an_error_does_not_matter():
    a, b = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(error(a, b), error(b, a))


def test_black_and_white_are_the_same_in_every_panel():
    pixels = drawn(row([panel(0.0), panel(1.0), panel(2.0)], columns=3), width=40)
    middle = pixels[17 + 40]
    assert middle[20].tolist() == [0, 0, 0]
    assert middle[46 + 20].tolist() == middle[92 + 20].tolist() == [255, 255, 255]


def test_rows_wrap_and_keep_the_shape_of_the_pictures():
    wide = drawn(row([panel()] * 4, columns=4), width=40)
    square = drawn(row([panel()] * 4, columns=2), width=40)
    assert wide.shape == (2 * 17 + 2 * 80 + 6, 4 * 46 - 6, 3)
    assert square.shape == (2 * wide.shape[0], 2 * 46 - 6, 3)


@pytest.mark.parametrize(
    ("n", "across"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 3), (7, 4), (10, 5), (12, 4), (13, 5)]
)
def test_as_few_places_as_can_be_are_empty(n, across):
    assert row([panel()] * n, columns=0).across() == across
    assert row([panel()] * n, columns=2).across() == 2


def test_an_empty_place_says_what_the_colours_mean():
    pixels = drawn(row([panel(0.0)] * 3, columns=2), width=40)
    last = pixels[pixels.shape[0] // 2 :, 46:]
    assert last.any(), "no blank panel"
    ramp = last[np.flatnonzero(last.any((1, 2))).mean().astype(int)].sum(-1)
    assert ramp[0] < ramp[20] < ramp[-1]


def test_colours_stay():
    red = torch.zeros(8, 8, 3)
    red[..., 0] = 1
    pixels = drawn(row([replace(panel(shape=(8, 8)), picture=red)], columns=1), width=16)
    assert pixels[17 + 8, 8].tolist() == [255, 0, 0]


def test_a_long_title_is_set_smaller_instead_of_cut():
    short, long = (drawn(row([panel(title=t)], columns=1), width=120)[:17] for t in ("W" * 9, "W" * 12))
    assert long.any() and long[:, -1].max() == 0, "nothing touches the edge"
    rows_of = lambda text: int(np.flatnonzero(text.any((1, 2))).size)  # noqa: E731
    assert rows_of(long) < rows_of(short)


def test_a_picture_is_written_and_has_the_size_that_was_drawn(tmp_path):
    shown = row([panel()] * 3, columns=3)
    write(tmp_path / "r.webp", shown, width=30)
    with PillowImage.open(tmp_path / "r.webp") as picture:
        assert picture.format == "WEBP" and picture.size == drawn(shown, 30).shape[1::-1]


def test_the_page_has_heading_picture_figures_and_reasons():
    entry = row([panel(title="truth", line="below: the samples"), panel(title="tv", line="30 dB; below: it")]).entry()
    text = markdown([entry], "make gallery")
    assert text.startswith("# Gallery\n") and "`make gallery` makes" in text
    assert "## A row\n\nSays.\n\n![A row: truth, tv](gallery/r.webp)" in text
    assert "| `tv` | 30 dB |" in text and "`truth` |" not in text
    assert text.endswith("Not shown: `auto` (it chooses).\n")


def test_a_page_without_figures_has_no_table():
    text = markdown([row([panel(line="")]).entry()], "x")
    assert "|" not in text.partition("## A row")[2]


def test_an_entry_survives_its_file():
    entry = row([panel()]).entry()
    assert Entry(**json.loads(json.dumps(entry.plain()))) == entry


@pytest.mark.parametrize("task", registry.tasks())
def test_every_method_is_shown_or_left_out_with_a_reason(task):
    if task == "recon":
        scan = simulate_phantom(Scan(matrix=(1, 48, 48), n_coils=4, sampling="random:2:12:0")).kspace
        names, left_out = scans.offered(scan)
    else:
        names, left_out = after.ready(task, {})
    assert {*names, *left_out} == {o.name for o in registry.offers(task)} and not set(names) & set(left_out)
    assert all(left_out.values())
    assert "auto" not in names


def test_the_simplest_reconstruction_comes_first_and_the_checked_one_last():
    names, left_out = scans.offered(
        simulate_phantom(Scan(matrix=(1, 48, 48), n_coils=4, sampling="random:2:12:0")).kspace
    )
    assert names[0] == "zero_filled" and names[-1] == "checked"
    assert left_out["zero_shot"] == scans.MINUTES and "gridding" in left_out


@pytest.mark.parametrize("sampling", ["random:2:12:0", "radial:20"])
def test_a_row_of_reconstructions(sampling):
    scan = simulate_phantom(Scan(matrix=(1, 48, 48), n_coils=4, sampling=sampling, snr=50)).kspace
    method = "gridding" if scan.mask is None else "zero_filled"
    made = scans.row("r", "h", "t", scan, (method,))
    truth, shown = made.panels
    assert (truth.title, shown.title) == ("truth", method)
    assert truth.picture.shape == truth.below.shape == shown.picture.shape == shown.below.shape[:2]
    assert re.fullmatch(r"\d+\.\d\d dB, 0\.\d{3}", shown.line)
    assert 0 < float((truth.picture > 1).double().mean()) <= 0.006, "white: all but the brightest pixels of the truth"
    assert 0.01 < float(truth.below.mean()) < 0.9, "some samples were measured, some not"


def small_head() -> heads.Head:
    """A ball of white matter in grey matter in fluid."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (24, 40, 36)), indexing="ij")
    r = (z**2 + y**2 + x**2).sqrt()
    labels = torch.where(r < 0.5, 2, torch.where(r < 0.75, 3, torch.where(r < 0.9, 24, 0))).int()
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    return heads.Head(labels=labels, geometry=Geometry(shape=(24, 40, 36), affine=affine))


def test_a_head_in_two_contrasts_on_one_grid():
    head = small_head()
    t1, t2 = head.image("t1"), head.image("t2")
    white, fluid = head.labels == 2, head.labels == 24
    inside = lambda image, at: float(image.values[0][at].median())  # noqa: E731
    assert inside(t1, white) > inside(t1, fluid) and inside(t2, white) < inside(t2, fluid)
    assert t1.geometry.matches(t2.geometry) and float(t1.values.min()) >= 0
    assert "simulated" in t1.header.flags


def test_a_head_without_its_surroundings_is_black_there():
    head = small_head()
    skin = replace(head, labels=torch.where(head.labels == 0, 502, head.labels))
    alone = skin.image("t1", brain_only=True).values[0]
    assert float(alone[0, 0, 0]) == 0 and float(skin.image("t1").values[0, 0, 0, 0]) > 0


def test_the_lowest_slices_and_a_coarser_grid_lie_where_they_were():
    head = small_head()
    assert torch.equal(head.lowest(5).labels, head.labels[:5])
    assert np.allclose(head.lowest(5).geometry.affine, head.geometry.affine)
    coarse = head.at(2.0)
    assert coarse.labels.shape == (12, 20, 18) and coarse.geometry.voxel_mm == (2, 2, 2)
    share = lambda h: float((h.labels == 2).float().mean())  # noqa: E731
    assert share(coarse) == pytest.approx(share(head), rel=0.15)


def test_softening_keeps_the_sum_and_rounds_edges():
    values = torch.zeros(5, 5, 5)
    values[2, 2, 2] = 8.0
    soft = heads.softened(values)
    assert float(soft.sum()) == pytest.approx(8) and float(soft[2, 2, 2]) == pytest.approx(1)


def test_noise_is_rician_and_repeats():
    image = heads.image_of(torch.zeros(8, 30, 30), small_head().geometry.cropped((0, 0, 0), (8, 30, 30)))
    one, again = heads.noisy(image, 0.1), heads.noisy(image, 0.1)
    assert torch.equal(one.values, again.values)
    assert float(one.values.square().mean()) == pytest.approx(2 * 0.01, rel=0.05)


def test_results_are_shown_in_the_window_of_the_truth_with_their_scores():
    truth = small_head().image("t1").values[0]
    panels = after.compared(truth, {"half": truth / 2, "same": truth}, lambda v: v[12])
    assert [p.title for p in panels] == ["truth", "half", "same"]
    assert torch.allclose(panels[1].picture, panels[0].picture / 2)
    assert panels[2].line.startswith("inf dB") and torch.equal(panels[2].below, error(truth[12] * 0, truth[12] * 0))


def test_another_unit_is_taken_out():
    truth = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(after._as_bright(7 * truth, truth), truth)


def test_cut_k_space_keeps_the_brightness_and_the_field():
    fine, cut = after.ringing(small_head())
    assert cut.geometry.shape == (20, 20, 18) and fine.geometry.shape == (20, 40, 36)
    assert cut.geometry.fov_mm == pytest.approx(fine.geometry.fov_mm)
    assert float(cut.values.mean()) == pytest.approx(float(fine.values.mean()), rel=0.05)


def test_labels_are_painted_each_in_its_colour_and_what_has_none_stays_grey():
    labels = torch.tensor([[0, 2, 3, 2]])
    shown = after.painted(torch.full((1, 4), 0.4), labels)[0]
    assert shown[0].tolist() == pytest.approx([0.4] * 3)
    assert torch.equal(shown[1], shown[3]) and not torch.allclose(shown[1], shown[2])


def test_regions_are_scored_by_the_numbers_that_are_written(monkeypatch):
    head = small_head()
    assert set(after.ids(head).unique().tolist()) == {0, 2, 3, 24}
    monkeypatch.setattr(spinecho, "segment", lambda image, *_, **__: replace(image, values=after.ids(head)[None]))
    monkeypatch.setattr(heads.Head, "shown", lambda self, above_mm=0: 12)
    made = after.labelled(head)
    assert {p.line for p in made.panels} == {"mean Dice 1.00; below: the truth"}
    assert all(torch.equal(p.picture, p.below) for p in made.panels)


def test_rows_that_need_no_shared_data(monkeypatch):
    made = after.ROWS["generate"](Path("absent"))
    shown = [name for name in registry.names("generate") if name not in made.left_out]
    assert len(made.panels) == 3 * len(shown) and {"diffusion2d", "gan", "latent", "pca"} <= set(shown)
    assert all(p.picture.shape == p.below.shape for p in made.panels)


def test_denoising_shows_the_noisy_image_beside_every_method(monkeypatch):
    monkeypatch.setattr(spinecho, "denoise", lambda image, name: image)
    head = small_head()
    made = after.denoised(replace(head, labels=head.labels))
    assert [p.title for p in made.panels][:2] == ["truth", "noisy"] and "mppca" in made.left_out
    assert {p.line for p in made.panels[2:]} == {made.panels[1].line}


def test_the_command_draws_what_is_named_and_keeps_the_rest(tmp_path, monkeypatch, capsys):
    made = {"denoise": row([panel()]), "generate": row([panel()])}
    rows = {name: (lambda folder, name=name, one=one: replace(one, name=name)) for name, one in made.items()}
    monkeypatch.setattr(after, "ROWS", rows)
    monkeypatch.setattr(scans, "ROWS", {})
    command.main(["--out", str(tmp_path), "--only", "generate"])
    assert "gallery/denoise" not in (tmp_path / "gallery.md").read_text()
    command.main(["--out", str(tmp_path), "--only", "denoise"])
    text = (tmp_path / "gallery.md").read_text()
    assert text.index("gallery/denoise.webp") < text.index("gallery/generate.webp")
    assert sorted(p.name for p in (tmp_path / "gallery").glob("*.webp")) == ["denoise.webp", "generate.webp"]
    with pytest.raises(SystemExit):
        command.main(["--out", str(tmp_path), "--only", "nonsense"])
    assert "known are denoise, generate" in capsys.readouterr().err


def test_the_gallery_in_the_repository_is_small_and_whole():
    pictures = sorted(PICTURES.glob("*.webp"))
    assert sum(p.stat().st_size for p in pictures) < MOST_BYTES
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\(gallery/(\w+)\.webp\)", text)) == {p.stem for p in pictures}
    assert {p.stem for p in pictures} <= {*scans.ROWS, *after.ROWS}
    for picture in pictures:
        pixels = np.asarray(PillowImage.open(picture).convert("L"))
        assert pixels.std() > 20, f"{picture.name} is nearly blank"
