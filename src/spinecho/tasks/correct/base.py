"""The task: an image with what the scanner put into it in, the image without it out."""

from __future__ import annotations

from abc import abstractmethod

from spinecho.core.image import Image
from spinecho.core.method import Method


class Correct(Method):
    """Correction.

    `run` hands over volumes one by one (1, z, y, x), float32 or complex64, the largest magnitude 1, with an extra
    `mask` (1, z, y, x) where a person gave one.
    """

    @abstractmethod
    def forward(self, image: Image) -> Image:
        """The volume on the same grid and of the same kind; maps that were found on the way are its only extras, and
        its history says what was done."""

    @classmethod
    def refusal(cls, image: Image) -> str | None:
        """Why this method cannot take this volume, as one sentence; None if it can."""
        return None

    def __call__(self, image: Image) -> Image:
        return super().__call__(image)
