"""What a segmenting method is: a head on a working grid -> scores of each region."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float
from torch import Tensor

from spinecho.core.method import Method


class Segment(Method):
    """Segmentation.

    `run` hands over volumes one by one, along the patient's axes (nearly LPS), at `spacing_mm`, from 0 to 1
    (`parts.seen`), and takes the largest score on the image's own grid.
    """

    @property
    @abstractmethod
    def spacing_mm(self) -> float:
        """Of the grid that it works on."""

    @abstractmethod
    def forward(self, values: Float[Tensor, "1 z y x"]) -> Float[Tensor, "region z y x"]:
        """Scores before softmax, in the order of `parts.names.REGIONS`."""

    @classmethod
    def refusal(cls, values: Float[Tensor, "1 z y x"]) -> str | None:
        """Why this method cannot take this volume, as one sentence; None if it can."""
        return None

    def __call__(self, values: Float[Tensor, "1 z y x"]) -> Float[Tensor, "region z y x"]:
        return super().__call__(values)
