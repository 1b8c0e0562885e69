"""Panels side by side on black, each with its name above, its figures below, and its error under the picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spinecho.io.atomic import replacing

Pixels = npt.NDArray[np.uint8]
GAIN = 5
"""Errors are shown this many times as bright as images"""
QUALITY = 80
_ACROSS = (3, 4, 5)
_LINE, _GAP, _SIZE = 17, 6, 13
"""Height of a line of text, distance between panels, size of letters; pixels"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """One picture.

    Parameters
    ----------
    picture
        (y, x), black at 0 and white at 1; or colours (y, x, 3) from 0 to 1.
    below
        What is shown beneath, in the same way; by `error` for the distance from a truth.
    line
        Figures, short.
    """

    title: str
    picture: Tensor
    below: Tensor
    line: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One picture of the gallery, and what is said of it.

    Parameters
    ----------
    name
        Of the file, without its ending.
    text
        What is seen, in Markdown; the figures are in the panels, and in the table.
    left_out
        Methods that are not shown, and why.
    """

    name: str
    heading: str
    text: str
    panels: Sequence[Panel]
    columns: int = 0
    """Panels side by side; 0: as many as leave the fewest places empty"""
    left_out: dict[str, str] = field(default_factory=dict[str, str])

    def across(self) -> int:
        """Panels side by side."""
        n = len(self.panels)
        return self.columns or (n if n <= _ACROSS[0] else min(_ACROSS, key=lambda c: (-n % c, -c)))

    def entry(self) -> Entry:
        """What the page says of it."""
        figures = {p.title: p.line for p in self.panels}
        return Entry(name=self.name, heading=self.heading, text=self.text, figures=figures, left_out=self.left_out)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row without its pixels: what is kept beside its picture."""

    name: str
    heading: str
    text: str
    figures: dict[str, str]
    left_out: dict[str, str]

    def plain(self) -> dict[str, object]:
        """As JSON holds it."""
        return asdict(self)


def error(image: Tensor, truth: Tensor) -> Tensor:
    """The distance of two pictures in colours, dark where they agree, brightest at 1 / `GAIN` of white."""
    from matplotlib import colormaps

    distance = (GAIN * (image - truth).abs()).clamp(0, 1)
    return distance.new_tensor(colormaps["inferno"](distance.numpy())[..., :3])


def write(path: Path, row: Row, width: int = 250) -> None:
    """Write the row as a WebP file, each panel `width` pixels wide."""
    from PIL import Image

    picture = Image.fromarray(drawn(row, width))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=6)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def drawn(row: Row, width: int) -> Pixels:
    """The row as pixels (y, x, 3)."""
    cells = [_cell(panel, width) for panel in row.panels]
    height = max(len(cell) for cell in cells)
    across = row.across()
    cells += [_scale(height, width)] * (-len(cells) % across)
    cells = [np.pad(cell, ((0, height - len(cell)), (0, _GAP), (0, 0))) for cell in cells]
    rows = [np.concatenate(cells[i : i + across], 1) for i in range(0, len(cells), across)]
    return np.concatenate([np.pad(r, ((0, _GAP), (0, 0), (0, 0))) for r in rows])[:, :-_GAP]


def _cell(panel: Panel, width: int) -> Pixels:
    parts = [_text(panel.title, width, 255), _pixels(panel.picture, width), _pixels(panel.below, width)]
    return np.concatenate([*parts, _text(panel.line, width, 200)])


def _scale(height: int, width: int) -> Pixels:
    """What colours of errors mean, in place of a panel."""
    ramp = error(torch.linspace(0, 1 / GAIN, width)[None].expand(_LINE, width), torch.zeros(_LINE, width))
    words = [_text("errors: from 0", width, 200), _pixels(ramp, width), _text(f"to 1/{GAIN} of white", width, 200)]
    bar = np.concatenate(words)
    above = (height - len(bar)) // 2
    return np.pad(bar, ((above, height - len(bar) - above), (0, 0), (0, 0)))


def _pixels(picture: Tensor, width: int) -> Pixels:
    from PIL import Image

    colours = picture if picture.ndim == 3 else picture[..., None].expand(*picture.shape, 3)
    whole = (colours.double().clamp(0, 1) * 255).round().byte().numpy()
    height = round(width * whole.shape[0] / whole.shape[1])
    return np.asarray(Image.fromarray(whole).resize((width, height), Image.Resampling.BICUBIC))


def _text(words: str, width: int, grey: int) -> Pixels:
    """One line, in smaller letters where it would not fit."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("RGB", (width, _LINE))
    for size in range(_SIZE, 6, -1):
        font = ImageFont.load_default(size)
        if font.getlength(words) <= width - 2:
            break
    ImageDraw.Draw(line).text((1, 1), words, fill=(grey, grey, grey), font=font)
    return np.asarray(line)


def markdown(entries: Sequence[Entry], made_by: str) -> str:
    """The page: heading, text, picture, figures and what is left out, for each row."""
    parts = [_HEAD.format(gain=GAIN, made_by=made_by)]
    for one in entries:
        parts += [f"## {one.heading}", one.text, f"![{one.heading}: {', '.join(one.figures)}](gallery/{one.name}.webp)"]
        if scored := {k: v for k, v in one.figures.items() if v and not v.startswith("below")}:
            rows = "".join(f"| `{title}` | {line.partition('; below')[0]} |\n" for title, line in scored.items())
            parts.append(f"| | inside the object |\n|---|---|\n{rows}".rstrip())
        if one.left_out:
            parts.append("Not shown: " + "; ".join(f"`{name}` ({why})" for name, why in one.left_out.items()) + ".")
    return "\n\n".join(parts) + "\n"


_HEAD = """# Gallery

Every method on the same slice, in the same grey window, with its error beneath: dark is right, bright yellow is an
error of 1/{gain} of white or more. Each section says where its data come from. psnr is in dB, ssim from 0 to 1; both
are taken inside the object. Single slices show what a method does, not how good it is: for that see
[Results](results.md).

`{made_by}` makes this page and its pictures."""
