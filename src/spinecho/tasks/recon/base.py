"""What a reconstruction method is: KSpace -> Image."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.kspace import KSpace
from spinecho.core.method import Method


class Recon(Method):
    """Reconstruction.

    The scan is prepared: prewhitened, scaled to unit maximum, float32, on one device; batch axes are reconstructed
    together. The scan given to `loss` is prepared alike, and carries `target` on the scale of its samples.
    """

    whole_series: ClassVar[bool] = False
    """True where frames must be seen together (locally low rank), so that a long series is not cut along time."""
    learns_volumes: ClassVar[bool] = False
    """True where the loss takes 3-D encodings; other learned methods are trained on 2-D slices alone."""
    learns_patches: ClassVar[bool] = False
    """True where the loss also takes small series with noise (`parts.series`)."""
    tells: ClassVar[bool] = False
    """True where it says by `tell` how far it is."""
    invents: ClassVar[str] = ""
    """What of its images was not measured, as a sentence for the history; empty for methods that add nothing likely."""
    tell: Bar = staticmethod(lambda done, total: None)
    """Gets the progress of long work."""

    @abstractmethod
    def forward(self, kspace: KSpace) -> Image:
        """Reconstruct; values lie on the encoded grid (`kspace.image(x)` wraps them)."""

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        """Why this method cannot take this scan, as one sentence; None if it can."""
        return None

    @classmethod
    def choice(cls, kspace: KSpace) -> str | None:
        """What the method does with a scan that was sampled like this, one word; None if it cannot take it.

        Slices of which it says different things, since one was cut off for example, are reconstructed apart.
        """
        return "" if cls.refusal(kspace) is None else None

    def no_stages(self) -> str | None:
        """Why `stages` cannot be asked of this method, as one sentence; None if it can."""
        return "it says nothing of its complex images" if type(self).stages is Recon.stages else None

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """In training: the complex image after each learned step, (*batch, 1, z, y, x), with gradients; the last is the
        result. No target is looked at, so that a loss may compare them with samples (`parts.losses`).

        Parameters
        ----------
        csm
            Coil maps (*batch, 1, coil, z, y, x), which may be of more lines than this scan has.
        """
        raise NotImplementedError

    def __call__(self, kspace: KSpace) -> Image:
        return super().__call__(kspace)
