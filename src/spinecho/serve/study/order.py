"""In which order each reader sees the images, and how readers are called: from the seed and the name alone."""

from __future__ import annotations

import hashlib
import unicodedata

from spinecho.core.errors import DataError

LONGEST_NAME = 40


def reader_named(text: str) -> str:
    """A name as it stands in file names and addresses: small letters with their marks, digits and single hyphens.

    Raises
    ------
    DataError
        If nothing is left of it.
    """
    folded = unicodedata.normalize("NFKC", text[: 4 * LONGEST_NAME]).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in folded).split()
    name = "-".join(words)[:LONGEST_NAME].strip("-")
    if not name:
        raise DataError("this is not a name", do="give one with letters or digits")
    return name


def order_of(seed: int, reader: str, n: int) -> list[int]:
    """A permutation of 0 to n - 1: sorted by SHA-256 of seed, reader and number, the same on every machine."""
    drawn = [hashlib.sha256(f"{seed}\n{reader}\n{number}".encode()).digest() for number in range(n)]
    return sorted(range(n), key=drawn.__getitem__)
