"""An image before and after some work in pictures: three planes, one window, the difference, maps, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.transform import identity
from spinecho.evaluate.image_scores import are_whole
from spinecho.evaluate.overlay import edges_of, lined, painted
from spinecho.evaluate.pictures import Picture, coloured, grey, upper_window
from spinecho.evaluate.planes import Plane, planes
from spinecho.io.display import upright_geometry
from spinecho.io.one_volume import n_volumes

_LEAST_VOXELS = 8
"""Planes that are thinner than this are not shown"""
_TALLEST, _WIDEST = 260.0, 250.0
"""Of a picture on the page, pixels of the screen"""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture with its width on the page, pixels."""

    picture: Picture
    width: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One plane: its name, what lies at the left and the top, and its pictures."""

    name: str
    letters: tuple[str, str, str, str]
    pictures: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Values shown black and white."""

    low: float
    high: float

    @property
    def words(self) -> str:
        """For people."""
        return f"black at {self.low:.4g}, white at {self.high:.4g}"

    def of(self, values: Tensor) -> Tensor:
        """0 where black, 1 where white."""
        return (values - self.low) / (self.high - self.low)


def window_of(before: Image) -> Window:
    """From 0 to the 99.5th percentile; about 0 where much of the image is negative."""
    values = shown_volume(before).values
    top = upper_window(values)
    signed = float(values.min()) < 0 and upper_window(values.clamp_max(0)) > 0.1 * top
    return Window(low=-top if signed else 0.0, high=top)


def words_of_windows(before: Image, after: Image, other_contrast: bool) -> str:
    """What is black and what is white in the pictures, for people."""
    first = window_of(before).words.capitalize()
    if other_contrast and not are_whole(after):
        own = window_of(after).words
        return f"{first} before, {own} after (99.5th percentiles): another contrast has a window of its own"
    return f"{first} (the 99.5th percentile before), the same before and after"


def shown_volume(image: Image) -> Image:
    """The one volume of a series that is shown, as float32: the middle one; the first component."""
    image = replace(image.as_stored(), extras={}).volume()
    values = image.combined().values
    flat = values.reshape(-1, *values.shape[-4:])
    one = flat[len(flat) // 2, :1].float().nan_to_num(0.0, 0.0, 0.0)
    return replace(image, values=one, axes=())


def shown_maps(after: Image) -> dict[str, Image]:
    """The maps that a method handed over, of the volume that is shown."""
    made: dict[str, Image] = {}
    for name, values in after.extras.items():
        lacking = after.values.ndim - values.ndim
        if lacking < 0 or tuple(values.shape[-3:]) != tuple(after.values.shape[-3:]):
            continue
        whole = values[(None,) * lacking].expand(*after.values.shape[:-4], *values.shape[-4:])
        numbers = whole.abs() if whole.is_complex() else whole.float()
        made[name] = shown_volume(replace(after, values=numbers))
    return made


def flat_maps(after: Image) -> dict[str, float]:
    """The maps that are one and the same everywhere: a number says as much as a picture."""
    return {
        name: float(one.values.flatten()[0])
        for name, one in shown_maps(after).items()
        if bool((one.values == one.values.flatten()[0]).all())
    }


def what_is_shown(after: Image) -> str:
    """Which of several volumes; empty for one."""
    n = n_volumes(after)
    return f"volume {n // 2} (from 0) of {n} is shown" if n > 1 else ""


def rows_of_pictures(
    before: Image,
    after: Image,
    maps: Mapping[str, str],
    labels: Image | None = None,
    truth: Image | None = None,
    other_contrast: bool = False,
) -> list[Row]:
    """For each plane through the middle: before, after, difference, truth, varying maps; labels over the image.

    Parameters
    ----------
    before, after
        As read and as made; the grid of the result may be another.
    maps
        What the maps of the result are, by their names.
    labels
        Drawn in outline over the result.
    truth
        Of the result.
    other_contrast
        Values before and after cannot be compared: each has a window of its own, and no difference is shown.
    """
    window, images = window_of(before), (shown_volume(before), shown_volume(after))
    flat = flat_maps(after)
    extras = {name: one for name, one in shown_maps(after).items() if name not in flat}
    labels, truth = (None if one is None else shown_volume(one) for one in (labels, truth))
    bound = _bound(images) if not (are_whole(after) or other_contrast) else 0.0
    middle = [(n - 1) / 2 for n in reversed(images[1].geometry.shape)]
    at_mm = images[1].geometry.to_world(middle).tolist()
    rows: list[Row] = []
    theirs = {plane.name: plane for plane in planes(images[0].geometry, at_mm)}
    for plane in _worth_showing(planes(images[1].geometry, at_mm)):
        own = theirs.get(plane.name, plane) if images[0].geometry.oriented else plane
        draw = _Draw(plane, own if images[1].geometry.oriented else plane, None if other_contrast else window)
        pictures = draw.labelled(images, truth) if are_whole(after) else draw.compared(images, bound, truth, labels)
        pictures += [draw.map(extras[name], maps.get(name, name)) for name in extras]
        rows.append(Row(name=plane.name, letters=plane.letters, pictures=tuple(pictures)))
    return rows


@dataclass(frozen=True)
class _Draw:
    """The pictures of one plane; `own` is the same plane of the grid before, `window` that of all images, if one is."""

    plane: Plane
    own: Plane
    window: Window | None

    def compared(
        self, images: tuple[Image, Image], bound: float, truth: Image | None, labels: Image | None
    ) -> list[Shown]:
        before, after = images
        plane = self.plane
        made = [self.grey(before, self.own, "before"), self.grey(after, plane, "after")]
        if truth is not None:
            made.append(self.grey(truth, plane, "truth"))
        if self.window is not None:
            change = self.window.of(_on(after, plane)) - self.window.of(_on(before, plane))
            caption = "after less before, in percent of white"
            picture = coloured_in(plane, 100 * change, (-bound, bound), caption, "RdBu_r", "percent")
            made.append(_sized(picture, plane, True))
        if labels is not None:
            made.append(self.outlined(after, labels, "after, with the labels in outline"))
        return made

    def labelled(self, images: tuple[Image, Image], truth: Image | None) -> list[Shown]:
        before, after = images
        made = [self.grey(before, self.own, "before")]
        for labels, name in ((after, "labels"), (truth, "truth")):
            if labels is not None:
                values = _on(labels, self.plane, "nearest").round().to(torch.int64)
                under = self.seen(before, self.plane)
                made.append(
                    _sized(painted(under, 1.0, values, f"{name}, over the image", self.plane.pixel_mm), self.plane)
                )
        return made

    def grey(self, image: Image, plane: Plane, name: str) -> Shown:
        return _sized(grey(self.seen(image, plane), 1.0, name, plane.pixel_mm), plane)

    def seen(self, image: Image, plane: Plane) -> Tensor:
        """0 where black, 1 where white."""
        return (self.window or window_of(image)).of(_on(image, plane))

    def outlined(self, image: Image, labels: Image, caption: str) -> Shown:
        edge = edges_of(_on(labels, self.plane, "nearest"))
        under = self.seen(image, self.plane)
        return _sized(lined(under, 1.0, [(edge, [0.5], "#ff5c8a")], caption, self.plane.pixel_mm), self.plane)

    def map(self, image: Image, words: str) -> Shown:
        low, high = bounds_of(image.values)
        return _sized(
            coloured_in(self.plane, _on(image, self.plane), (low, high), words, "viridis", ""), self.plane, True
        )


def bounds_of(values: Tensor) -> tuple[float, float]:
    """From the 1st to the 99.5th percentile of a map; apart, where it is the same everywhere."""
    low, high = (float(v) for v in np.percentile(values.float().cpu().numpy(), (1, 99.5)))
    if high > low:
        return low, high
    return (low - abs(low) / 2, low + abs(low) / 2) if low else (0.0, 1.0)


def coloured_in(
    plane: Plane, values: Tensor, bounds: tuple[float, float], caption: str, colours: str, unit: str
) -> Picture:
    """A map with its bar; of a flat plane a lower picture, so that letters stay legible."""
    rows, columns = values.shape
    aspect = columns * plane.pixel_mm[0] / (rows * plane.pixel_mm[1])
    inches = min(3.2, max(1.3, 3.6 / aspect))
    return coloured(values, bounds, caption, colours=colours, pixel_mm=plane.pixel_mm, unit=unit, inches=inches)


def _bound(images: Sequence[Image]) -> float:
    """Largest difference with its own colour, percent of white: the 99.5th percentile of all, at least a hundredth."""
    before, after = images
    grid = after.geometry
    middle = grid.cropped((grid.shape[0] // 2, 0, 0), (1, *grid.shape[1:]))
    one, other = (identity().warp(image, middle).values for image in (before, after))
    window = window_of(before)
    return max(0.01, 100 * upper_window(window.of(other) - window.of(one)))


def _worth_showing(made: list[Plane]) -> list[Plane]:
    """Planes that are no mere line; the widest one always."""
    areas = [np.prod(plane.slice.shape) for plane in made]
    kept = [p for p in made if sorted(p.slice.shape)[1] >= _LEAST_VOXELS]
    return kept or [made[int(np.argmax(areas))]]


def _on(image: Image, plane: Plane, mode: str = "linear") -> Tensor:
    return plane.shown(identity().warp(image, plane.slice, "nearest" if mode == "nearest" else "linear").values)[0]


def _sized(picture: Picture, plane: Plane, has_bar: bool = False) -> Shown:
    """Its width on the page: all pictures of a plane are of one height, with a bar or without."""
    _, rows, columns = upright_geometry(plane.slice.permuted(plane.order)).shape
    aspect = columns * plane.pixel_mm[0] / (rows * plane.pixel_mm[1])
    height = min(_TALLEST, _WIDEST / aspect)
    return Shown(picture=picture, width=round(height * (picture.aspect if has_bar else aspect)))
