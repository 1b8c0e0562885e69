"""Linear transforms as text: ITK's own (.tfm, .txt), and a plain 4x4 matrix that says which way it points (.csv)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.transform import Affine
from spinecho.io.transform.parts import COMPOSITE, FIELD, Part, split_type

MAGIC = "#Insight Transform File"
PLAIN = "# fixed to moving, LPS mm"
"""The line that makes a plain matrix mean one thing only."""
_LARGEST = 2**24
_PLAIN_HELP = (
    f"as its first line write {PLAIN!r}, if that is what it is (FLIRT's matrices are not: see c3d_affine_tool)"
)


def read_parts(path: Path) -> list[Part]:
    """The transforms in a text file of ITK, or the one matrix in a plain one.

    Raises
    ------
    DataError
        If it holds anything else; a bare matrix is refused, since its direction and axes are unknown.
    """
    if path.stat().st_size > _LARGEST:
        raise DataError("it is too large for a linear transform in text", do="write fields as .h5")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError("it is not text", do="give a transform file (.h5, .tfm, .mat, .csv)") from None
    if lines and lines[0].startswith(MAGIC):
        return _itk(lines)
    if any(line.startswith("(Transform ") for line in lines):
        do = 'have elastix write ITK\'s format: (ITKTransformOutputFileNameExtension "h5")'
        raise DataError("it is a parameter file of elastix", do=do)
    return [_plain(lines)]


def itk_text(parts: Sequence[Part]) -> str:
    """The file's text; numbers with 17 digits, so that they come back as they were.

    Raises
    ------
    DataError
        For displacement fields.
    """
    lines = [f"{MAGIC} V1.0"]
    for i, part in enumerate(parts):
        if part.kind == FIELD:
            raise DataError("a displacement field does not fit into a text file", do="write .h5, or Warp.nii.gz")
        lines += [f"#Transform {i}", f"Transform: {part.kind}_double_3_3"]
        if part.kind != COMPOSITE:
            lines += [f"Parameters: {_row(part.parameters)}", f"FixedParameters: {_row(part.fixed)}"]
    return "\n".join(lines) + "\n"


def plain_text(transform: Affine) -> str:
    """Four lines of four numbers under the line that says what they are."""
    rows = [", ".join(repr(float(v)) for v in row) for row in transform.matrix]
    return "\n".join([f"{PLAIN}; point (x, y, z, 1) of the fixed image to that of the moving image", *rows]) + "\n"


def _row(numbers: np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in numbers)


def _itk(lines: Sequence[str]) -> list[Part]:
    blocks: list[dict[str, str]] = []
    for line in lines:
        key, colon, value = line.partition(":")
        if line.startswith("#") or not colon:
            continue
        if key == "Transform":
            blocks.append({"Transform": value})
        elif key in ("Parameters", "FixedParameters") and blocks:
            blocks[-1][key] = value
    return [
        Part(
            split_type(one["Transform"]), _numbers(one.get("Parameters", "")), _numbers(one.get("FixedParameters", ""))
        )
        for one in blocks
    ]


def _numbers(text: str) -> np.ndarray:
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError:
        raise DataError(f"{text[:60]!r} are not numbers", do="write the file again with its software") from None


def _plain(lines: Sequence[str]) -> Part:
    told = any(line.startswith(PLAIN) for line in lines)
    rows = [_numbers(line.replace(",", " ")) for line in lines if not line.startswith("#")]
    if [len(row) for row in rows] != [4, 4, 4, 4]:
        raise DataError("it is not a transform file", do="give ITK's (.h5, .tfm, .txt, .mat), or a 4x4 matrix as .csv")
    if not told:
        raise DataError("it holds a matrix, and nothing says which way and in which axes it points", do=_PLAIN_HELP)
    matrix = Affine(np.array(rows)).matrix
    return Part("AffineTransform", np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]]), np.zeros(3))
