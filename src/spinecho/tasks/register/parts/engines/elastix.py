"""elastix: rigid, affine and B-spline registration by its default parameter maps; see `work.py` for the contract."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

STAGES = {"rigid": ("rigid",), "affine": ("affine",), "deformable": ("affine", "bspline")}


def register(job: dict[str, Any], stage: Callable[[str], Any]) -> dict[str, Any]:
    """Parameters: overrides, a map from stage (rigid, affine, bspline) to elastix parameters (lists of texts)."""
    with stage("import"):
        itk = importlib.import_module("itk")
        numpy = importlib.import_module("numpy")
        itk.ElastixRegistrationMethod  # noqa: B018  (itk loads a module when it is first touched)
    itk.set_nthreads(job["threads"])
    fixed, moving = (itk.imread(job[name], itk.F) for name in ("fixed", "moving"))
    calls, chain = [], itk.ParameterObject.New()
    for name in STAGES[job["kind"]]:
        chosen = dict(chain.GetDefaultParameterMap(name)) | job["parameters"]["overrides"].get(name, {})
        chosen |= {"RandomSeed": [str(job["seed"])], "WriteResultImage": ["false"]}
        chain.AddParameterMap(chosen)
        calls.append(f"elastix {name}: " + "; ".join(f"{k} {' '.join(v)}" for k, v in sorted(chosen.items())))
    method = itk.ElastixRegistrationMethod.New(fixed, moving)
    if job.get("mask"):
        method.SetFixedMask(itk.imread(job["mask"], itk.UC))
    method.SetParameterObject(chain)
    method.SetNumberOfThreads(job["threads"])
    method.SetLogToConsole(False)
    with stage(job["kind"]):
        method.Update()
    transforms = method.GetTransformParameterObject()
    version = importlib.import_module("importlib.metadata").version("itk-elastix")
    result: dict[str, Any] = {"matrix": _matrix(transforms, numpy), "calls": calls, "version": f"itk-elastix {version}"}
    if job["kind"] == "deformable":
        with stage("field"):
            field = itk.transformix_deformation_field(moving, transforms)
            result["field"] = itk.array_view_from_image(field).transpose(3, 0, 1, 2)
    return result


def _matrix(transforms: Any, numpy: Any) -> list[list[float]]:
    """4x4 of the first stage, y = A (x - centre) + centre + translation."""
    first = transforms.GetParameterMap(0)
    numbers = numpy.array([float(v) for v in first["TransformParameters"]])
    centre = numpy.array([float(v) for v in first["CenterOfRotationPoint"]])
    linear = numbers[:9].reshape(3, 3) if len(numbers) == 12 else _euler(*numbers[:3], numpy=numpy)
    matrix = numpy.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, centre + numbers[-3:] - linear @ centre
    return matrix.tolist()


def _euler(x: float, y: float, z: float, numpy: Any) -> Any:
    """Rotation by angles about the axes as ITK's Euler3DTransform has it: Rz Rx Ry."""

    def about(axis: int, angle: float) -> Any:
        i, j = [k for k in range(3) if k != axis]
        turn = numpy.eye(3)
        sign = -1.0 if axis != 1 else 1.0
        turn[i, i] = turn[j, j] = numpy.cos(angle)
        turn[i, j], turn[j, i] = sign * numpy.sin(angle), -sign * numpy.sin(angle)
        return turn

    return about(2, z) @ about(0, x) @ about(1, y)
