"""The page on a registration: it is whole, the pictures are the right way up, the figures are those of the measures."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Displacement, Rigid, Velocity, identity
from spinecho.evaluate.overlay import checkerboard, contour_levels
from spinecho.evaluate.planes import planes
from spinecho.tasks.register.judge.pictures import rows_of_pictures
from spinecho.tasks.register.judge.report import SCOPE, knows_inverse, middle, write_report
from spinecho.tasks.register.run import Registration

SHAPE = (20, 24, 28)


def grid(directions: np.ndarray | None = None, oriented: bool = True) -> Geometry:
    made = Geometry.from_frame([0, 0, 0], np.eye(3) if directions is None else directions, (2.0, 2.5, 3.0), SHAPE)
    return made if oriented else Geometry(made.shape, made.affine, oriented=False)


def head(geometry: Geometry) -> Image:
    """Bright towards the patient's left, posterior and superior."""
    z, y, x = np.indices(geometry.shape)
    world = geometry.to_world(np.stack([x, y, z], -1))
    inside = (np.square(world / [22, 24, 24]).sum(-1) < 1) * (1 + 0.3 * np.sign(world).sum(-1) / 3 * 2)
    return Image(values=torch.from_numpy(inside).float()[None].clamp_min(0), geometries=(geometry,))


def shifted(by: tuple[float, float, float]) -> Rigid:
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return Rigid(matrix)


def bent(geometry: Geometry) -> Velocity:
    z, y, x = (np.sin(np.linspace(0, np.pi, n)) for n in geometry.shape)
    bump = torch.from_numpy(z[:, None, None] * y[:, None] * x).float()
    return Velocity(torch.stack([3 * bump, -2 * bump, bump]), geometry)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"), dtype=float)


@pytest.mark.parametrize(
    "directions",
    [np.eye(3), np.diag([-1.0, 1.0, -1.0]), np.eye(3)[:, [1, 2, 0]], np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]])],
)
def test_planes_stand_upright_however_the_volume_is_stored(directions: np.ndarray) -> None:
    geometry = grid(directions)
    found = planes(geometry, [0.0, 0.0, 0.0])
    assert [p.name for p in found] == ["axial", "coronal", "sagittal"]
    assert [p.letters for p in found] == [("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I")]
    image = head(geometry)
    for plane in found:
        shown = plane.shown(identity().warp(image, plane.slice).values[0])
        r, c = shown.shape
        brightness = {
            "right": float(shown[:, c // 2 + 1 :].sum() - shown[:, : c // 2].sum()),
            "bottom": float(shown[r // 2 + 1 :].sum() - shown[: r // 2].sum()),
        }
        assert brightness["right"] > 0  # L, L, P
        assert (brightness["bottom"] > 0) == (plane.name == "axial")  # P; else superior is bright, on top
        across = [p * n for p, n in zip(plane.pixel_mm, (c, r), strict=True)]
        assert all(any(abs(a - f) < 1e-9 for f in geometry.fov_mm) for a in across)
        assert plane.slab.shape[plane.order[0]] == 3


def test_a_volume_without_orientation_is_shown_too() -> None:
    image = head(grid(oriented=False))
    found = rows_of_pictures(image, image, identity(), Affine(np.eye(4)), None, [0.0, 0.0, 0.0])
    assert [plane.name for plane, _ in found] == ["plane"] * 3


def test_the_inverse_is_measured_only_where_it_is_at_hand() -> None:
    field = torch.zeros(3, *SHAPE)
    assert knows_inverse(identity())
    assert knows_inverse(shifted((1, 0, 0)) @ bent(grid()))
    assert not knows_inverse(identity() @ Displacement(field, grid()))
    assert knows_inverse(Displacement(field, grid(), field))


def test_planes_go_through_the_brain_of_a_head_with_its_neck() -> None:
    z = torch.linspace(-150, 90, 241, dtype=torch.float64)
    points = torch.stack([torch.zeros_like(z), torch.zeros_like(z), z], -1)
    assert middle(points)[2] == pytest.approx(15, abs=1)
    assert middle(points[-100:])[2] == pytest.approx(40.5)


def test_squares_by_turns_and_levels_within_the_image() -> None:
    board = checkerboard(torch.zeros(16, 24), torch.ones(16, 24))
    assert board[0, 0] == 0
    assert board[0, 2] == board[2, 0] == 1
    assert float(board.mean()) == pytest.approx(0.5)
    levels = contour_levels(torch.linspace(0, 1, 100).reshape(10, 10), 1.0)
    assert levels == sorted(levels)
    assert 0.1 < levels[0] < levels[1] < 1
    assert contour_levels(torch.zeros(10, 10), 1.0) == []


def test_the_page_is_whole(tmp_path: Path) -> None:
    geometry = grid()
    fixed, moving = head(geometry), head(grid(np.diag([-1.0, -1.0, 1.0])))
    labels = Image(values=(moving.values > 0.5).float() * 7, geometries=moving.geometries)
    transform = shifted((2.0, 0.0, 0.0)) @ bent(geometry)
    seconds = {"affine": 1.5, "velocity at 4 mm": 2.25}
    notes, warnings = {"affine": ("kept",)}, ("the images <hardly> overlap",)
    registration = Registration(transform, "hybrid", {"smoothness": 1.0}, seconds, notes, warnings)
    out = tmp_path / "r.html"
    write_report(out, fixed, moving, registration, "spinecho register a b", labels)
    page = out.read_text()
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert page.count("<img") == 3 * 7
    assert SCOPE.partition(":")[2] in page
    for told in ("spinecho register a b", "3.8 s", "smoothness", "affine: kept", "digital-diffeomorphism"):
        assert told in page
    assert "the images &lt;hardly&gt; overlap" in page
    assert re.search(r"smallest and largest</td><td class=\"n\">0\.\d+, 1\.\d+<", page)
    uris = re.findall(r"data:image/png;base64,[^\"]+", page)
    assert all(pixels(u).std() > 1 for u in uris)
    assert len(page) < 3_000_000


def test_a_linear_transform_has_no_deformation_to_show(tmp_path: Path) -> None:
    image = head(grid())
    registration = Registration(shifted((6.0, 0.0, 0.0)), "rigid", {}, {"rigid": 0.1})
    write_report(tmp_path / "r.html", image, image, registration)
    page = (tmp_path / "r.html").read_text()
    assert "none: the transform is linear" in page
    assert "0.000, 0.000 mm" in page
    assert "SDlogJ" not in page
    assert page.count("<img") == 3 * 4 and "without the affine part" not in page


def test_the_moved_image_is_the_fixed_one_where_the_transform_is_right() -> None:
    fixed = head(grid())
    moving = shifted((6.0, 0.0, 0.0)).inverse().warp(fixed)
    right = shifted((6.0, 0.0, 0.0))
    for transform, alike in ((right, True), (identity(), False)):
        rows = rows_of_pictures(fixed, moving, transform, Affine(np.eye(4)), None, [0.0, 0.0, 0.0])
        _, (target, _, _, board, *_) = rows[0]
        a, b = (np.asarray(PillowImage.open(io.BytesIO(p.png)), dtype=float) for p in (target, board))
        assert (np.abs(a - b).mean() < 3) == alike
