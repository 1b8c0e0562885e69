"""The contrasts that are translated: their names, pairs of them, and what a file's name or header says of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import combinations
from pathlib import Path

from spinecho.core.errors import DataError, setting
from spinecho.core.header import Header

CONTRASTS = ("t1", "t2", "flair", "pd")
PAIRS = tuple(f"{a}-{b}" for a in CONTRASTS for b in CONTRASTS if a != b)
TOGETHER = tuple(
    f"{'+'.join(given)}-{b}"
    for n in (2, 3)
    for given in combinations(CONTRASTS, n)
    for b in CONTRASTS
    if b not in given
)
"""Of several that are given together, in the order of `CONTRASTS`"""

_WORDS = {
    "t1": "t1 t1w t1wi t1weighted mprage tfl3d bravo spgr t1mprage t1se t1tse t1fse",
    "t2": "t2 t2w t2wi t2weighted t2tse t2fse",
    "flair": "flair t2flair flairt2 t2wflair",
    "pd": "pd pdw protondensity",
}
_UNSAFE = """
gd post t1post t1c t1ce t1gd t1wce ce contrast km agent t2star t2s swi dwi adc bold map t1map t2map pdmap mask seg
labels lesions ratio mp2rage diff error synthetic
"""
"""Words beside which none of the others says what an image is: contrast agent, maps, labels"""
_ENDINGS = re.compile(r"\.(nii|gz|mgz|mgh|dcm|dicom|npy|npz|h5|png)(?=\.|$)", re.IGNORECASE)


def of_words(text: str) -> str | None:
    """The one contrast that a text names; None where it names none, several, or something that makes it unsafe."""
    words = {w for w in re.split(r"[^a-z0-9]+", text.lower()) if w}
    if words & set(_UNSAFE.split()):
        return None
    named = {contrast for contrast, known in _WORDS.items() if words & set(known.split())}
    named = named - {"t2"} if named == {"flair", "t2"} else named
    return named.pop() if len(named) == 1 else None


def of_file(path: Path) -> str | None:
    """The contrast that a file's name says, without its folders."""
    return of_words(_ENDINGS.sub("", path.name))


def head_of(path: Path) -> str:
    """What files of one head share: the folder, and the name without the word for the contrast."""
    return "/".join([*path.absolute().parts[-2:-1], word_of(path)])


def word_of(path: Path, without: str = "") -> str:
    """A file's name without the word for the contrast, and without another word."""
    stem = path.name.partition(".")[0].lower()
    rest = [word for word in re.split(r"[^a-z0-9]+", stem) if word and word != without and of_words(word) is None]
    return "_".join(rest)


def told(header: Header) -> tuple[str, str] | None:
    """The contrast that an image's header names, and where; None if it names none or contradicts itself.

    The name of the file and, of DICOM, that of the protocol count, each alone or both alike.
    """
    name = Path(header.source).name
    places = {
        f"the file's name ({name})": of_file(Path(name)),
        f"its protocol ({header.protocol})": of_words(header.protocol),
    }
    unsafe = set(_UNSAFE.split()) & set(re.split(r"[^a-z0-9]+", f"{name} {header.protocol}".lower()))
    known = {contrast: place for place, contrast in places.items() if contrast}
    return next(iter(known.items())) if len(known) == 1 and not unsafe else None


def asked_for(source: str, to: str, header: Header) -> tuple[str, tuple[str, ...]]:
    """The source's contrast, given or told, and notes on where it comes from; `to` is checked as well.

    Raises
    ------
    DataError
        If one is unknown, the source's is not given, or both are the same.
    """
    if to not in CONTRASTS:
        problem = f"{setting('to')} is {to!r}" if to else "no contrast was asked for"
        raise DataError(problem, do=f"give {setting('to')} one of {', '.join(CONTRASTS)}")
    known = told(header)
    if source and source not in CONTRASTS:
        raise DataError(f"{setting('contrast')} is {source!r}", do=f"give one of {', '.join(CONTRASTS)}")
    if not source and known is None:
        do = f"give {setting('contrast')} one of {', '.join(CONTRASTS)}"
        raise DataError("neither the file's name nor its header says which contrast the image has", do=do)
    notes: tuple[str, ...] = ()
    if not source and known is not None:
        source, notes = known[0], (f"taken as {known[0]}, as {known[1]} says",)
    elif known is not None and known[0] != source:
        notes = (f"taken as {source}, though {known[1]} says {known[0]}",)
    if source == to:
        do = f"give {setting('to')} another contrast"
        raise DataError(f"the image is {source}, and {to} is wanted of it: nothing is to be done", do=do)
    return source, notes


def together(contrasts: Collection[str]) -> str:
    """Contrasts that are given together, as `t1+t2`."""
    return "+".join(name for name in CONTRASTS if name in contrasts)


def sides(pair: str) -> tuple[tuple[str, ...], str]:
    """The contrasts that are given, and the one that is made of them."""
    given, wanted = pair.split("-")
    return tuple(given.split("+")), wanted


def most(pairs: Sequence[str]) -> int:
    """Contrasts that are given together, at most."""
    return max(len(sides(pair)[0]) for pair in pairs)


def checked(pairs: Sequence[str], several: bool = False) -> tuple[str, ...]:
    """Pairs as `t1-t2`, from one contrast to another, or, of `several` together, as `t1+t2-flair`.

    Raises
    ------
    DataError
        If there is none, or one is no such pair.
    """
    strange = [pair for pair in pairs if pair not in PAIRS + TOGETHER]
    if strange or not pairs or len(set(pairs)) < len(pairs):
        problem = f"{setting('pairs')} are {', '.join(pairs) or 'none'}"
        such = "such as t1-t2 or t1+t2-flair" if several else "such as t1-t2"
        raise DataError(problem, do=f"give each once, {such}, of {', '.join(CONTRASTS)}, in this order")
    if not several and most(pairs) > 1:
        problem = f"{setting('pairs')} are {', '.join(pairs)}, and this method sees one contrast"
        raise DataError(problem, do="give pairs such as t1-t2, or train supervised or pix2pix3d")
    return tuple(pairs)
