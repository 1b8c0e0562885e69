"""The scripts that call other people's programs, with stand-ins for those: what is asked, and what is made of it."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from heads import grid, head
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.tasks.register.parts.engines import ants, elastix, greedy, work

HEAD = head(geometry=grid(12, 12.0))
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MATRIX = np.array([[1.02, 0.1, 0, 5.0], [-0.1, 0.97, 0.05, -7.0], [0, 0.02, 1.1, 11.0], [0, 0, 0, 1]])
FIELD = np.random.default_rng(0).normal(size=(4, 5, 6, 3)).astype(np.float32)
"""(z, y, x, component), as ITK has it"""


class Told:
    """Stages as they begin, and calls as they are made."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.calls: list[Any] = []

    @contextmanager
    def stage(self, name: str):
        self.stages.append(name)
        yield


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"antspyx": "7", "itk-elastix": "8"}.get(name, "9"))
    return Told()


def job(tmp_path: Path, kind: str, mask: str | None = None, **parameters: Any) -> dict[str, Any]:
    return {
        "fixed": "/f.nii",
        "moving": "/m.nii",
        "mask": mask,
        "kind": kind,
        "out": str(tmp_path),
        "threads": 3,
        "seed": 42,
        "parameters": parameters,
    }


def value_of(arguments: list[str], option: str) -> list[str]:
    return [arguments[i + 1] for i, word in enumerate(arguments) if word == option]


ANTS = {"metric": "CC", "detail": 2, "step": 0.2, "iterations": "30x20", "shrink": "2x1", "smooth": "1x0"}


@pytest.fixture
def fake_ants(told: Told, monkeypatch: pytest.MonkeyPatch) -> Told:
    module = ModuleType("ants")
    module.registration = lambda arguments, nothing: told.calls.append(arguments)  # type: ignore[attr-defined]
    place = lambda p: tuple((MATRIX @ [*p, 1])[:3])  # noqa: E731
    module.read_transform = lambda path: SimpleNamespace(apply_to_point=place)  # type: ignore[attr-defined]
    volume = SimpleNamespace(numpy=lambda: FIELD.transpose(2, 1, 0, 3))  # ANTs' arrays are (x, y, z, component)
    module.image_read = lambda path: volume  # type: ignore[attr-defined]
    module.apply_transforms = lambda fixed, moving, transformlist, compose: told.calls.append(transformlist) or compose  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ants", module)
    return told


@pytest.mark.parametrize(("kind", "stages"), [("rigid", ["Rigid[0.1]"]), ("affine", ["Rigid[0.1]", "Affine[0.1]"])])
def test_ants_linear_stages_are_those_asked_for_and_its_matrix_comes_back(fake_ants, tmp_path, kind, stages):
    result = ants.register(job(tmp_path, kind, **ANTS), fake_ants.stage)
    np.testing.assert_allclose(result["matrix"], MATRIX, atol=1e-12)
    (arguments,) = fake_ants.calls
    assert value_of(arguments, "--transform") == stages
    assert value_of(arguments, "--random-seed") == ["42"] and "--masks" not in arguments
    assert value_of(arguments, "--initial-moving-transform") == ["[/f.nii,/m.nii,1]"]
    assert len(value_of(arguments, "--metric")) == len(value_of(arguments, "--convergence")) == len(stages)
    assert result["calls"] == ["antsRegistration " + " ".join(arguments)] and result["version"] == "antspyx 7"
    assert "field" not in result and fake_ants.stages == ["import", "affine"]


def test_ants_syn_begins_with_the_matrix_and_its_field_has_the_components_first(fake_ants, tmp_path):
    result = ants.register(job(tmp_path, "deformable", "/mask.nii", **ANTS), fake_ants.stage)
    linear, syn, chain = fake_ants.calls
    assert all(value_of(a, "--masks") == ["[/mask.nii,NULL]"] for a in (linear, syn))
    assert value_of(syn, "--initial-moving-transform") == [f"{tmp_path}/linear0GenericAffine.mat"]
    assert value_of(syn, "--transform") == ["SyN[0.2,3,0]"] and value_of(syn, "--metric") == ["CC[/f.nii,/m.nii,1,2]"]
    assert value_of(syn, "--convergence") == ["[30x20,1e-6,10]"] and value_of(syn, "--smoothing-sigmas") == ["1x0vox"]
    assert chain == [f"{tmp_path}/syn1Warp.nii.gz", f"{tmp_path}/linear0GenericAffine.mat"]
    np.testing.assert_array_equal(result["field"], FIELD.transpose(3, 0, 1, 2))
    assert fake_ants.stages == ["import", "affine", "deformable", "field"]


GREEDY = {
    "linear_start": "-ia-moments 1",
    "linear_metric": "NMI",
    "linear_iterations": "9x8",
    "metric": "WNCC 2x2x2",
    "iterations": "7x6",
    "smooth": "1.5vox 0.5vox",
}


@pytest.fixture
def fake_greedy(told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Told:
    def execute(words: str) -> None:
        told.calls.append(words)
        if " -a " in words:
            np.savetxt(tmp_path / "affine.mat", RAS @ MATRIX @ RAS)  # greedy writes RAS
        if " -rf " in words:
            sitk.WriteImage(sitk.GetImageFromArray(FIELD, isVector=True), str(tmp_path / "total.mha"))

    module = ModuleType("picsl_greedy")
    module.Greedy3D = lambda: SimpleNamespace(execute=execute)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picsl_greedy", module)
    return told


@pytest.mark.parametrize(("kind", "dof"), [("rigid", 6), ("affine", 12)])
def test_greedys_matrix_is_turned_from_ras_to_lps(fake_greedy, tmp_path, kind, dof):
    result = greedy.register(job(tmp_path, kind, **GREEDY), fake_greedy.stage)
    np.testing.assert_allclose(result["matrix"], MATRIX, atol=1e-12)
    (call,) = fake_greedy.calls
    wanted = f"-d 3 -threads 3 -i /f.nii /m.nii -a -dof {dof} -ia-moments 1 -m NMI -n 9x8 -o {tmp_path}/affine.mat"
    assert call == wanted and result["calls"] == [f"greedy {wanted}"] and result["version"] == "picsl_greedy 9"


def test_greedys_warp_follows_its_matrix_and_the_field_holds_both(fake_greedy, tmp_path):
    result = greedy.register(job(tmp_path, "deformable", "/mask.nii", **GREEDY), fake_greedy.stage)
    linear, warp, total = fake_greedy.calls
    assert " -gm /mask.nii" in linear and " -gm /mask.nii" in warp
    assert f"-it {tmp_path}/affine.mat -m WNCC 2x2x2 -n 7x6 -s 1.5vox 0.5vox -o {tmp_path}/warp.mha" in warp
    assert total.endswith(f"-rf /f.nii -r {tmp_path}/warp.mha {tmp_path}/affine.mat -rc {tmp_path}/total.mha")
    np.testing.assert_array_equal(result["field"], FIELD.transpose(3, 0, 1, 2))


class FakeItk(ModuleType):
    """As much of itk-elastix as the script touches; `first` is the map of the first stage's result."""

    F, UC = "float", "mask"

    def __init__(self, told: Told, first: dict[str, list[str]]) -> None:
        super().__init__("itk")
        self.told, self.first, self.maps = told, first, list[dict[str, list[str]]]()
        chain = SimpleNamespace(
            GetDefaultParameterMap=lambda name: {"Transform": (name,), "RandomSeed": ("0",)},
            AddParameterMap=self.maps.append,
        )
        self.ParameterObject = SimpleNamespace(New=lambda: chain)
        found = SimpleNamespace(GetParameterMap=lambda i: first)
        names = ("SetFixedMask", "SetParameterObject", "SetNumberOfThreads", "SetLogToConsole", "Update")
        calls = {name: (lambda *a, name=name: told.calls.append((name, *a))) for name in names}
        method = SimpleNamespace(GetTransformParameterObject=lambda: found, **calls)
        self.ElastixRegistrationMethod = SimpleNamespace(New=lambda fixed, moving: method)
        self.array_view_from_image = lambda image: image
        self.transformix_deformation_field = lambda moving, found: FIELD

    def set_nthreads(self, n: int) -> None:
        self.told.calls.append(("set_nthreads", n))

    def imread(self, path: str, kind: str) -> tuple[str, str]:
        return path, kind


def texts(values: Any) -> list[str]:
    return [repr(float(v)) for v in values]


def elastix_map(numbers: Any, centre: Any) -> dict[str, list[str]]:
    return {"TransformParameters": texts(numbers), "CenterOfRotationPoint": texts(centre)}


OVERRIDES = {"bspline": {"FinalGridSpacingInPhysicalUnits": ["10"]}, "affine": {"NumberOfSpatialSamples": ["7"]}}


def test_elastix_gets_its_default_maps_with_our_changes_the_seed_and_the_mask(told, tmp_path, monkeypatch):
    itk = FakeItk(told, elastix_map([1, 0, 0, 0, 1, 0, 0, 0, 1, 4, 5, 6], [1, 2, 3]))
    monkeypatch.setitem(sys.modules, "itk", itk)
    result = elastix.register(job(tmp_path, "deformable", "/mask.nii", overrides=OVERRIDES), told.stage)
    affine, spline = itk.maps
    assert affine["Transform"] == ("affine",) and affine["NumberOfSpatialSamples"] == ["7"]
    assert spline["Transform"] == ("bspline",) and spline["FinalGridSpacingInPhysicalUnits"] == ["10"]
    assert all(m["RandomSeed"] == ["42"] and m["WriteResultImage"] == ["false"] for m in itk.maps)
    assert ("SetFixedMask", ("/mask.nii", "mask")) in told.calls and ("set_nthreads", 3) in told.calls
    assert ("SetNumberOfThreads", 3) in told.calls and told.calls[-1] == ("Update",)
    assert result["calls"][1].startswith("elastix bspline: FinalGridSpacingInPhysicalUnits 10; RandomSeed 42; ")
    np.testing.assert_array_equal(result["field"], FIELD.transpose(3, 0, 1, 2))
    np.testing.assert_allclose(result["matrix"], [[1, 0, 0, 4], [0, 1, 0, 5], [0, 0, 1, 6], [0, 0, 0, 1]], atol=1e-12)
    assert told.stages == ["import", "deformable", "field"] and result["version"] == "itk-elastix 8"


NUMBERS = st.floats(-3, 3)
CENTRES = st.tuples(*[st.floats(-200, 200)] * 3)


@given(st.tuples(*[NUMBERS] * 3), st.tuples(*[st.floats(-90, 90)] * 3), CENTRES)
@settings(max_examples=40, deadline=None)
def test_elastix_angles_are_those_of_itks_euler_transform(angles, shift, centre):
    theirs = sitk.Euler3DTransform(centre, *angles, shift)
    ours = elastix._matrix(SimpleNamespace(GetParameterMap=lambda i: elastix_map([*angles, *shift], centre)), np)
    points = np.random.default_rng(1).normal(size=(5, 3)) * 80
    wanted = [theirs.TransformPoint(p.tolist()) for p in points]
    np.testing.assert_allclose(points @ np.array(ours)[:3, :3].T + np.array(ours)[:3, 3], wanted, atol=1e-9)


@given(st.tuples(*[NUMBERS] * 9), st.tuples(*[st.floats(-90, 90)] * 3), CENTRES)
@settings(max_examples=40, deadline=None)
def test_elastix_twelve_numbers_are_those_of_itks_affine_transform(linear, shift, centre):
    theirs = sitk.AffineTransform(linear, shift, centre)
    ours = elastix._matrix(SimpleNamespace(GetParameterMap=lambda i: elastix_map([*linear, *shift], centre)), np)
    points = np.random.default_rng(2).normal(size=(5, 3)) * 80
    wanted = [theirs.TransformPoint(p.tolist()) for p in points]
    np.testing.assert_allclose(points @ np.array(ours)[:3, :3].T + np.array(ours)[:3, 3], wanted, atol=1e-8)


@pytest.mark.parametrize("name", ["ants", "elastix", "greedy"])
@pytest.mark.parametrize("kind", ["rigid", "affine", "deformable"])
def test_the_methods_of_other_peoples_programs_name_what_their_scripts_read(name, kind, monkeypatch):
    """Every parameter that a script looks up is given, and the settings of the command line arrive in them."""
    module, seen = registry.load("register", name), list[Any]()
    monkeypatch.setattr(module, "stages", lambda program, fixed, moving: iter(seen.append(program) or ()))
    config = module.Config(kind=kind, threads=5, python="/somewhere/python")
    list(module.Method(config).stages(HEAD, HEAD))
    (program,) = seen
    assert (program.name, program.kind, program.threads, program.python) == (name, kind, 5, "/somewhere/python")
    script = program.engine.read_text()
    assert program.engine.name == f"{name}.py" and all(
        f"['{key}']" in script or f'["{key}"]' in script for key in program.parameters
    )
    json.dumps(dict(program.parameters))


@pytest.mark.parametrize("iterations", [(9,), (9, 8), (5, 4, 3, 2)])
def test_ants_levels_halve_the_resolution_and_end_at_full(iterations, monkeypatch):
    module, seen = registry.load("register", "ants"), list[Any]()
    monkeypatch.setattr(module, "stages", lambda program, fixed, moving: iter(seen.append(program) or ()))
    list(module.Method(module.Config(iterations=iterations, metric="mi", radius=4)).stages(HEAD, HEAD))
    p = seen[0].parameters
    shrink, smooth = ([int(v) for v in p[key].split("x")] for key in ("shrink", "smooth"))
    assert len(shrink) == len(smooth) == len(iterations) and shrink[-1] == 1 and smooth[-1] == 0
    assert all(a == 2 * b for a, b in pairwise(shrink)) and [2**s for s in smooth] == shrink
    assert p["iterations"].split("x") == [str(n) for n in iterations]
    assert (p["metric"], p["detail"]) == ("MI", 32)  # bins, not the radius of a window


@pytest.mark.parametrize("name", ["ants", "greedy"])
@pytest.mark.parametrize("iterations", [(), (10, -1)])
def test_levels_that_cannot_be_are_refused_before_the_program_starts(name, iterations):
    module = registry.load("register", name)
    with pytest.raises(DataError, match="iterations are"):
        next(module.Method(module.Config(iterations=iterations)).stages(HEAD, HEAD))


def test_a_file_that_is_no_python_is_no_engine(tmp_path):
    (tmp_path / "engine.txt").write_text("register = 1")
    with pytest.raises(ImportError, match="is no Python file"):
        work.load(str(tmp_path / "engine.txt"))


def test_an_engine_file_does_not_hide_the_package_it_wraps():
    before = set(sys.modules)
    assert work.load(str(Path(ants.__file__))).LINEAR_ITERATIONS == ants.LINEAR_ITERATIONS
    assert not {name for name in set(sys.modules) - before if "ants" in name}
