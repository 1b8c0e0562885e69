"""What a segmenting method is: a head on a working grid -> scores of each region, or of what is found in the brain."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from spinecho.core.method import Method

Finds = Literal["regions", "lesions", "tumour"]


class Segment(Method):
    """Segmentation.

    `run` hands over volumes one by one, along the patient's axes (nearly LPS), at `spacing_mm`, and takes the largest
    score on the image's own grid. A method that finds regions gets one image of any contrast, from 0 to 1
    (`parts.seen`); another gets `contrasts` in that order, the brain alone, as `parts.several` has them.
    """

    @property
    @abstractmethod
    def spacing_mm(self) -> float:
        """Of the grid that it works on."""

    @property
    def finds(self) -> Finds:
        """What its scores are of: `parts.names.REGIONS`, or `parts.findings.LABELS`."""
        return "regions"

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Of the images that it takes: the first must be given, others may."""
        return ()

    @abstractmethod
    def forward(self, values: Float[Tensor, "contrast z y x"]) -> Float[Tensor, "label z y x"]:
        """Scores before softmax, in the order of what it finds."""

    @classmethod
    def refusal(cls, values: Float[Tensor, "contrast z y x"]) -> str | None:
        """Why this method cannot take this volume, as one sentence; None if it can."""
        return None

    def __call__(self, values: Float[Tensor, "contrast z y x"]) -> Float[Tensor, "label z y x"]:
        return super().__call__(values)
