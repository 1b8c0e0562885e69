"""One self-contained HTML page on an image and what was made of it: pictures, figures, what was done, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup

from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.evaluate.image_pictures import flat_maps, rows_of_pictures, what_is_shown, words_of_windows
from spinecho.evaluate.image_scores import PROTOCOL, PROTOCOL_LABELS, Figure, are_whole
from spinecho.evaluate.template import part, write_framed
from spinecho.io.describe import one_line, times

_MOST_LABELS = 200


@dataclass(frozen=True, kw_only=True)
class Work:
    """What was done, for the page.

    Parameters
    ----------
    what, method
        Of the task and the method, for people: "denoising", "wavelet".
    command
        What makes the page again.
    settings
        Of the method.
    seconds
        The work took.
    maps, names
        What the result's maps and labels are called, by their keys; those that are absent keep their keys.
    other_contrast
        The result is in another contrast: it has a window of its own, and no difference is shown.
    """

    what: str
    method: str
    command: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = float("nan")
    maps: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    other_contrast: bool = False


def write_image_page(
    path: Path,
    before: Image,
    after: Image,
    work: Work,
    *,
    truth: Image | None = None,
    figures: Sequence[Figure] = (),
    labels: Image | None = None,
) -> None:
    """Write the page; it needs no other file and no network.

    Parameters
    ----------
    path
        The .html file; replaced only when the new page is complete.
    before, after
        As read and as made.
    work
        What was done.
    truth, figures
        What the result should be, and what was measured against it.
    labels
        To be drawn over the result.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    body = sections(before, after, work, truth=truth, figures=figures, labels=labels)
    write_framed(path, f"{work.what} report", f"Report: {work.what}", body, work.command)


def sections(
    before: Image,
    after: Image,
    work: Work,
    *,
    truth: Image | None = None,
    figures: Sequence[Figure] = (),
    labels: Image | None = None,
) -> Markup:
    """The page's sections, for pages that hold more than these; parameters as for `write_image_page`."""
    earlier = before.header.history
    n = len(earlier)
    values = {
        "work": work,
        "took": f"{work.seconds:.2f} s" if work.seconds == work.seconds else "",
        "flags": after.header.flags,
        "warnings": after.header.warnings,
        "rows": rows_of_pictures(before, after, work.maps, labels, truth, work.other_contrast),
        "window": words_of_windows(before, after, work.other_contrast),
        "shown": what_is_shown(after),
        "facts": [("before", *_fact(before)), ("after", *_fact(after)), *_flat(after, work.maps)],
        "scanner": _scanner(before),
        "figures": figures,
        "protocol": PROTOCOL_LABELS if are_whole(after) else PROTOCOL,
        "regions": _regions(after, work.names) if are_whole(after) else [],
        "read": _told(earlier),
        "steps": _told(after.header.history[n:] if after.header.history[:n] == earlier else after.header.history),
    }
    return part("spinecho.evaluate", "image.html.j2", values)


def _told(history: Sequence[str]) -> list[str]:
    """Steps but for the warnings, which stand at the top."""
    return [step for step in history if not step.startswith(WARNING)]


def _fact(image: Image) -> tuple[str, str]:
    """What an image is, and the size of its voxels."""
    g = image.volume().geometry
    known = "" if g.oriented else ", orientation unknown"
    return one_line(image), f"voxels of {times(f'{v:.3g}' for v in g.voxel_mm)} mm (x, y, z){known}"


def _flat(after: Image, maps: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Maps that are one number."""
    return [("map", maps.get(name, name), f"{value:.4g} everywhere") for name, value in flat_maps(after).items()]


def _scanner(image: Image) -> list[tuple[str, str]]:
    """Where the image came from, as far as it is known."""
    h = image.header
    rows = [
        ("file", Path(h.source).name),
        ("scanner", f"{h.vendor} {h.model}".strip()),
        ("field", f"{h.field_t:.3g} T" if h.field_t else ""),
        ("protocol", h.protocol),
    ]
    return [(label, value) for label, value in rows if value]


def _regions(labels: Image, names: Mapping[int, str]) -> list[tuple[str, str]]:
    """Each label with its volume in millilitres; of a series the volume that is shown first."""
    values = labels.volume().values
    voxel_ml = torch.tensor(labels.volume().geometry.voxel_mm).prod().item() / 1e3
    ids, counts = torch.unique(values.reshape(-1, *values.shape[-3:])[0], return_counts=True)
    rows = [
        (f"{label} {names.get(label, '')}".strip(), f"{n * voxel_ml:.2f}")
        for label, n in zip(ids.tolist(), counts.tolist(), strict=True)
        if label
    ]
    return rows[:_MOST_LABELS]
