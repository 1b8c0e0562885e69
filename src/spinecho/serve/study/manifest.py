"""study.json: which images a study is of, who is real, and from which seed orders are drawn; written once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from spinecho.core.errors import DataError, setting
from spinecho.core.version import __version__
from spinecho.io.atomic import replacing
from spinecho.serve.study.alike import Shown, alike
from spinecho.serve.study.images import Source

FILE = "study.json"
Group = Literal["real", "synthetic"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One image of the study; its number is its place in `Manifest.images`, which reveals nothing about its group."""

    group: Group
    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What all readers of a study share.

    Parameters
    ----------
    seed
        Of the orders.
    digest
        SHA-256 over groups and contents of all images; names of files do not enter.
    images
        Sorted by content.
    """

    seed: int
    digest: str
    images: tuple[Member, ...]

    def written(self) -> str:
        """As the file holds it, an image a line."""
        lines = ",\n".join(f"  {json.dumps(asdict(m), ensure_ascii=False)}" for m in self.images)
        head = {"spinecho": __version__, "seed": self.seed, "digest": self.digest}
        fields = "".join(f' "{name}": {json.dumps(value)},\n' for name, value in head.items())
        return f'{{\n{fields} "images": [\n{lines}\n ]\n}}\n'


def composed(real: Sequence[Source], synthetic: Sequence[Source], seed: int) -> tuple[Manifest, Shown]:
    """The manifest of two groups, and the pictures in its order.

    Raises
    ------
    DataError
        If an image is in both groups, by its file or by what is seen of it.
    """
    pairs: list[tuple[Group, Source]] = [*(("real", s) for s in real), *(("synthetic", s) for s in synthetic)]
    pairs.sort(key=lambda pair: (pair[1].sha256, pair[1].name))
    shown = alike([source for _, source in pairs])
    _refuse_shared([source.sha256 for _, source in pairs], pairs)
    _refuse_shared([hashlib.sha256(p.tobytes()).hexdigest() for p in shown.pixels], pairs)
    members = tuple(Member(group=g, file=s.name, sha256=s.sha256) for g, s in pairs)
    lines = "\n".join(f"{m.group} {m.sha256}" for m in members)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    return Manifest(seed=seed, digest=digest, images=members), shown


def _refuse_shared(keys: Sequence[str], pairs: Sequence[tuple[Group, Source]]) -> None:
    """An image that is real and synthetic has no right answer."""
    first: dict[str, tuple[Group, Source]] = {}
    for key, (group, source) in zip(keys, pairs, strict=True):
        other_group, other = first.setdefault(key, (group, source))
        if other_group != group:
            problem = f"{other.name} ({other_group}) and {source.name} ({group}) are the same image"
            raise DataError(problem, do="take it out of one of the folders")


def kept(folder: Path) -> Manifest | None:
    """What a folder's study was begun with; None where there is none.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        text: Any = json.loads(path.read_text(encoding="utf-8"))
        images = tuple(Member(group=m["group"], file=str(m["file"]), sha256=str(m["sha256"])) for m in text["images"])
        manifest = Manifest(seed=int(text["seed"]), digest=str(text["digest"]), images=images)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"it is damaged ({error})", do="restore it, or begin another study", file=path) from None
    if not images or any(m.group not in ("real", "synthetic") for m in images):
        raise DataError("it is damaged (groups)", do="restore it, or begin another study", file=path)
    return manifest


def begun(folder: Path, manifest: Manifest) -> Manifest:
    """The study of a folder, which must be the one that it was begun as; a new one is written.

    Raises
    ------
    DataError
        If images or seed are not those it was begun with.
    """
    old = kept(folder)
    if old is None:
        with replacing(folder / FILE) as temporary:
            temporary.write_text(manifest.written(), encoding="utf-8")
        return manifest
    if old.digest != manifest.digest:
        raise DataError(
            f"the images are not those that this study was begun with: {_change(old, manifest)}",
            do=f"restore them, or begin another study with another {setting('out')}",
            file=folder,
        )
    if old.seed != manifest.seed:
        problem = f"this study was begun with {setting('seed', old.seed)}"
        raise DataError(problem, do=f"give that, or another {setting('out')}", file=folder)
    return manifest


def _change(old: Manifest, new: Manifest) -> str:
    """`2 are missing (a.png, b.png), 1 is new (c.png)`."""
    before = {(m.group, m.sha256): m.file for m in old.images}
    now = {(m.group, m.sha256): m.file for m in new.images}
    parts: list[str] = []
    for what, here, there in (("missing", before, now), ("new", now, before)):
        names = [name for key, name in here.items() if key not in there]
        if names:
            more = ", ..." if len(names) > 3 else ""
            parts.append(f"{len(names)} {what} ({', '.join(names[:3])}{more})")
    return ", ".join(parts) or f"{len(old.images)} images were, {len(new.images)} are given"
