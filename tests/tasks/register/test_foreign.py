"""Programs of others behind our interface: what they find is kept exactly, what goes wrong is told."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import engine_of_a_test as fake
import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Composite
from spinecho.tasks.register.base import Stage
from spinecho.tasks.register.methods import ants, elastix, greedy
from spinecho.tasks.register.parts import foreign

ENGINE = Path(fake.__file__)
SHAPE = (5, 6, 7)


def grids() -> dict[str, Geometry]:
    turn = np.linalg.qr(np.array([[1.0, 0.3, -0.2], [-0.3, 1.0, 0.4], [0.2, -0.4, 1.0]]))[0]
    turn *= np.sign(np.linalg.det(turn))
    oblique = Geometry.from_frame((10.0, -20.0, 30.0), turn, (2.0, 3.0, 4.0), SHAPE)
    return {"oblique": oblique, "mirrored": oblique.flipped(2), "unoriented": Geometry.unknown(SHAPE, (2, 3, 4))}


def image(geometry: Geometry, **extras: torch.Tensor) -> Image:
    values = torch.linspace(0, 1, int(np.prod(geometry.shape))).reshape(1, *geometry.shape)
    return Image(values=values, geometries=(geometry,), extras=extras)


def program(play: str, **changed: Any) -> foreign.Program:
    chosen = foreign.Program(
        name="fake", engine=ENGINE, kind="deformable", parameters={"play": play}, threads=3, seed=17
    )
    return replace(chosen, **changed)


def told(chosen: foreign.Program, fixed: Image | None = None) -> list[Stage]:
    fixed = image(grids()["oblique"]) if fixed is None else fixed
    return list(foreign.stages(chosen, fixed, image(grids()["mirrored"])))


@pytest.mark.parametrize("grid", list(grids()))
def test_the_field_moves_voxels_where_the_program_said(grid: str) -> None:
    onto = grids()[grid]
    transform = told(program("well"), image(onto))[-1].transform
    expected = fake.truth(identity_points(onto))
    np.testing.assert_allclose(transform.points(onto).numpy(), expected, atol=1e-4)


def identity_points(onto: Geometry) -> np.ndarray:
    index = np.moveaxis(np.indices(onto.shape), 0, -1)[..., ::-1]
    return onto.to_world(index)


def test_outside_the_fixed_grid_the_matrix_goes_on() -> None:
    transform = told(program("well"))[-1].transform
    assert isinstance(transform, Composite)
    far = torch.tensor([[500.0, 400.0, -300.0]], dtype=torch.float64)
    torch.testing.assert_close(transform(far), Affine(fake.MATRIX)(far))


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_linear_kinds_give_a_matrix(kind: foreign.Kind) -> None:
    transform = told(program("well", kind=kind))[-1].transform
    assert isinstance(transform, Affine)
    np.testing.assert_array_equal(transform.matrix, fake.MATRIX)


def test_stages_begin_and_end_in_order() -> None:
    seen = [(s.name, s.ended) for s in told(program("well"))]
    assert seen == [
        *[("fake import", False), ("fake import", True), ("fake affine", False), ("fake affine", True)],
        ("fake read", True),
    ]
    done = [s.done for s in told(program("well")) if not s.ended]
    assert done == sorted(done) and done[-1] < 1


def test_the_exact_call_is_kept() -> None:
    note = told(program("well"))[-1].note
    assert "fake 1.0" in note and "fake --exactly this" in note and "affine" in note


def test_the_program_gets_what_it_was_promised() -> None:
    onto = grids()["oblique"]
    mask = torch.zeros(1, *SHAPE, dtype=torch.bool)
    mask[0, 1:3, 2:5] = True
    note = told(program("tell"), image(onto, mask=mask))[-1].note
    seen = json.loads(note[note.index("{") :])
    assert seen == {
        "threads": "3",
        "seed": 17,
        "mask": float(mask.sum()),
        "beside": False,
        "torch": False,
        "stands_in": True,
    }
    assert '"mask": null' in told(program("tell"))[-1].note


@pytest.mark.parametrize(
    ("play", "changed", "words"),
    [
        ("absent", {}, ["there_is_no_such_program", "pip install 'spinecho[fake]'", "give python an"]),
        ("crash", {}, ["SIGSEGV", "iteration 7"]),
        ("raise", {}, ["status 1", "images do not overlap"]),
        ("well", {"python": "/nowhere/python"}, ["/nowhere/python", "No such file"]),
        ("nan", {}, ["not finite"]),
        ("small", {}, ["(3, 4, 6, 7)", "(5, 6, 7)"]),
    ],
)
def test_what_goes_wrong_is_told(play: str, changed: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        told(program(play, **changed))
    assert all(word in str(error.value) for word in words)


def test_sheared_grids_are_refused_before_anything_runs() -> None:
    affine = grids()["oblique"].affine.copy()
    affine[:3, 1] += 0.2 * affine[:3, 2]
    with pytest.raises(DataError, match="fixed image's axes are not at right angles"):
        told(program("well"), image(Geometry(SHAPE, affine)))


def test_the_program_ends_with_whoever_listens(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    running: Iterator[Stage] = foreign.stages(
        program("hang", parameters={"play": "hang", "pid": str(note)}), *[image(grids()["oblique"])] * 2
    )
    while next(running).name != "fake affine":
        pass
    while not note.exists() or not note.read_text():
        time.sleep(0.02)
    process = int(note.read_text())
    os.kill(process, 0)
    running.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_bad_iterations_are_refused() -> None:
    for module in (ants, greedy):
        for bad in ((), (10, -1)):
            method = module.Method(module.Config(iterations=bad))
            with pytest.raises(DataError, match="one number for each level"):
                method(image(grids()["oblique"]), image(grids()["oblique"]))


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each real engine file under an interpreter without its program."""
    monkeypatch.setattr(foreign, "_POLL_S", 0.02)
    for module, extra in ((ants, "ants"), (greedy, "greedy"), (elastix, "elastix")):
        method = module.Method(module.Config(python=bare_python()))
        with pytest.raises(DataError, match=rf"{extra} needs the package .* pip install 'spinecho\[{extra}\]'"):
            method(image(grids()["oblique"]), image(grids()["oblique"]))


def bare_python() -> str:
    """An interpreter without any package of ours: the one that made the environment."""
    return str(Path(sys.base_prefix) / "bin" / "python3")
