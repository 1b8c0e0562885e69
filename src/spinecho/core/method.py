"""What every method is, whatever its task: settings, perhaps trained weights, a reason to refuse, perhaps a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn

from spinecho.core.errors import DataError


class Method(nn.Module, ABC):
    """A method of some task: the task's own base class says what `forward` takes and gives back.

    A method is one file under `tasks/TASK/methods`, whose module docstring says what it does and names its source, with
    a frozen dataclass `Config` and a final class `Method`.
    """

    config: Any
    learned: ClassVar[bool] = False
    """True where the method is nothing without trained weights: it has a `loss`."""
    tunable: ClassVar[tuple[str, ...]] = ()
    """Fields of `Config` that may be set beside trained weights: they change no weight's shape or sense."""
    begins_from: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(task, name) of other methods whose trained weights can be its first ones: `begun` then makes it from them."""
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(task, name) of weights in the package, beside its own, that results may depend on; name * for all of a task."""
    judges: ClassVar[tuple[str, ...]] = ()
    """Modules that training alone uses (a critic): files of weights may lack them, and a training that begins from such
    a file begins with an untrained judge."""
    aims: ClassVar[tuple[str, ...]] = ()
    """Fields of `Config` that only say what is learned from now on (against what, with which weight): a training that
    begins from a file has them as asked for, not as that file was trained."""
    card: Mapping[str, Any] = MappingProxyType({})
    """Limits and words of the weights' model card; empty without weights."""
    weights: str = ""
    """Name or path of the trained weights; empty without any."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, *inputs: Any) -> Any:
        """What the task's base class says."""

    @classmethod
    def begun(cls, config: Any, other: Method) -> Method:
        """One to be trained whose first weights are those of a method among `begins_from`.

        Raises
        ------
        DataError
            If the settings do not fit those weights.
        """
        raise NotImplementedError

    @classmethod
    def imported(cls, arrays: Sequence[Any], *, flip_kernels: bool) -> Method:
        """One with weights from elsewhere: arrays in the order of a published network that it has the layout of.

        Raises
        ------
        DataError
            If it knows no such layout, or the arrays do not fit.
        """
        raise DataError("this method knows no published layout", do="train it, or name a method that has one")

    @classmethod
    def refusal(cls, *inputs: Any) -> str | None:
        """Why this method cannot take these inputs, as one sentence; None if it can."""
        return None

    def loss(self, example: Any) -> Tensor:
        """A scalar to train on; of examples that were joined (`train.buckets.Joins`) the mean of what each has alone.

        Raises
        ------
        DataError
            If the method is not trained.
        """
        raise DataError(f"{type(self).__module__.rpartition('.')[2]} has nothing to train", do="use a learned method")
