"""ITK's transforms as numbers: a type's name, parameters and fixed parameters; to and from the package's own.

Source: the class documentation of ITK 5 (matrix offset, Euler, versor, similarity, scale, translation, displacement
field). All of them map points of the fixed image to points of the moving image in LPS mm, as ours do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine, Composite, Displacement, Rigid, Transform, Velocity
from spinecho.io.transform.matrix import SHIFTS, linear_part
from spinecho.io.transform.rectangular import is_sheared, rectangular

Numbers = npt.NDArray[np.float64]
COMPOSITE = "CompositeTransform"
FIELD = "DisplacementFieldTransform"
_FIELDS = (FIELD, "GaussianSmoothingOnUpdateDisplacementFieldTransform", "BSplineSmoothingOnUpdate" + FIELD)
_IDENTITY = "IdentityTransform"


@dataclass(frozen=True, eq=False)
class Part:
    """One transform of a file.

    Parameters
    ----------
    kind
        ITK's class, without the precision and dimensions behind it.
    parameters, fixed
        As ITK orders them; parameters of a field may be float32.
    """

    kind: str
    parameters: npt.NDArray[Any]
    fixed: Numbers


def split_type(text: str) -> str:
    """`AffineTransform_double_3_3` -> `AffineTransform`.

    Raises
    ------
    DataError
        If it is not a name of ITK's, or one of a transform between other than 3-D points.
    """
    name, *rest = text.strip().split("_")
    if not name.endswith(("Transform", "TransformBase")) or len(rest) != 3 or rest[0] not in ("double", "float"):
        raise DataError(f"{text[:80]!r} is no name of a transform of ITK", do="write the file again with its software")
    if rest[1:] != ["3", "3"]:
        raise DataError(f"{text} is a transform in {rest[1]}-D, but it must be in 3-D", do="register volumes")
    return name


def from_parts(parts: Sequence[Part]) -> Transform:
    """The transform that a file's parts make: one, or a composite and its members, the last of which acts first.

    Raises
    ------
    DataError
        If a part cannot be used, or several stand side by side without a composite.
    """
    if not parts:
        raise DataError("it holds no transform", do="write it again with its software")
    if parts[0].kind == COMPOSITE:
        members = tuple(from_part(part) for part in parts[1:])
        if not members:
            raise DataError("it holds a composite transform without members", do="write it again with its software")
        return members[0] if len(members) == 1 else Composite(members)
    if len(parts) > 1:
        fault = f"it holds {len(parts)} transforms and does not say in which order they act"
        raise DataError(fault, do="write them as one CompositeTransform, or each to its own file")
    return from_part(parts[0])


def from_part(part: Part) -> Transform:
    """One transform.

    Raises
    ------
    DataError
        For kinds that are neither linear nor a displacement field, and for wrong numbers.
    """
    if not np.isfinite(part.fixed).all() or not np.isfinite(part.parameters).all():
        raise DataError(f"its {part.kind} holds NaN or infinite numbers", do="write it again with its software")
    if part.kind in _FIELDS:
        return _field(part)
    if part.kind == _IDENTITY:
        return Rigid(np.eye(4))
    if part.kind not in SHIFTS:
        do = f"known are {', '.join((*sorted(SHIFTS), FIELD, COMPOSITE))}"
        if "BSpline" in part.kind:
            do = "turn it into a displacement field first (transformix -def all, or TransformToDisplacementFieldFilter)"
        raise DataError(f"it holds a {part.kind}, which spinecho cannot use", do=do)
    linear, shift = linear_part(part.kind, part.parameters.astype(np.float64), part.fixed)
    centre = part.fixed[:3] if len(part.fixed) >= 3 else np.zeros(3)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, centre + shift - linear @ centre
    return Affine(matrix)


def to_parts(transform: Transform) -> list[Part]:
    """The parts to write; the first is the composite where there are several or a field is among them.

    A velocity becomes its flow. Raises DataError for kinds of transform that no file holds.
    """
    chain = transform.parts if isinstance(transform, Composite) else (transform,)
    members = [member for each in chain for member in _member(each)]
    if len(members) == 1 and members[0].kind != FIELD:
        return members
    return [Part(COMPOSITE, np.zeros(0), np.zeros(0)), *members]


def _member(transform: Transform) -> list[Part]:
    if isinstance(transform, Composite):
        return [member for each in transform.parts for member in _member(each)]
    if isinstance(transform, (Affine, Rigid)):
        matrix = transform.matrix
        return [Part("AffineTransform", np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]]), np.zeros(3))]
    if isinstance(transform, Velocity):
        return _member(transform.as_displacement)
    if not isinstance(transform, Displacement):
        raise DataError(f"a {type(transform).__name__} has no place in a transform file", do="write its displacement")
    field, g = transform.field, transform.geometry
    if is_sheared(g):  # a gantry's tilt: ITK has no word for it
        g = rectangular(g)
        field = transform.displacement(g)
    size = [float(n) for n in reversed(g.shape)]
    fixed = np.array([*size, *g.affine[:3, 3], *g.voxel_mm, *g.directions.ravel()])
    values = field.detach().cpu().movedim(0, -1).contiguous().numpy()
    return [Part(FIELD, values.astype(np.float32, copy=False).ravel(), fixed)]


def _field(part: Part) -> Displacement:
    if len(part.fixed) != 18:
        raise DataError(f"its field has {len(part.fixed)} fixed parameters instead of 18", do="write it again")
    size, origin, spacing, directions = (part.fixed[a:b] for a, b in ((0, 3), (3, 6), (6, 9), (9, 18)))
    whole = np.rint(size)
    if np.abs(size - whole).max() > 0 or whole.min() < 1 or whole.prod() * 3 != len(part.parameters):
        fault = f"its field says it has {size.tolist()} voxels (x, y, z), and holds {len(part.parameters)} numbers"
        raise DataError(fault, do="the file is damaged: write it again with its software")
    nx, ny, nz = (int(n) for n in whole)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.reshape(3, 3) * spacing, origin
    values = np.ascontiguousarray(part.parameters.reshape(nz, ny, nx, 3).transpose(3, 0, 1, 2), dtype=np.float32)
    return Displacement(torch.from_numpy(values), Geometry((nz, ny, nx), affine))
