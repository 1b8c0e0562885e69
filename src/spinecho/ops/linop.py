"""The algebra of linear operators: `A @ B`, `A + B`, `a * A`, `A.H`, `A.normal`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn


class LinearOperator(nn.Module, ABC):
    """A linear map with its adjoint; a subclass writes `forward` and `adjoint`.

    The adjoint is the one of the complex inner product <a, b> = sum(conj(a) b): <A x, y> = <x, A^H y>.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y."""

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x; operators that know a shorter way override it."""
        return self.adjoint(self(x))

    def residual(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """|A x - y| of each batch entry, and A^H (A x - y); operators that know a shorter way override it."""
        error = self(x) - y
        return norms(error, error.ndim - 4), self.adjoint(error)

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator."""
        return Adjoint(self)

    def __matmul__(self, other: LinearOperator) -> LinearOperator:
        return Composition(self, other)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        return Sum(self, other)

    def __mul__(self, factor: complex | Tensor) -> LinearOperator:
        return Scaling(self, factor)

    __rmul__ = __mul__


class Adjoint(LinearOperator):
    """A^H."""

    def __init__(self, inner: LinearOperator) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.adjoint(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner(y)

    @property
    def H(self) -> LinearOperator:
        """The operator itself again."""
        return self.inner


class Composition(LinearOperator):
    """A B."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(self.outer.adjoint(y))

    def normal(self, x: Tensor) -> Tensor:
        """B^H (A^H A) B x, with A's own short way."""
        return self.inner.adjoint(self.outer.normal(self.inner(x)))


class Sum(LinearOperator):
    """A + B."""

    def __init__(self, left: LinearOperator, right: LinearOperator) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.left.adjoint(y) + self.right.adjoint(y)


class Scaling(LinearOperator):
    """a A, for a number or a tensor that broadcasts against A's range without growing it."""

    def __init__(self, inner: LinearOperator, factor: complex | Tensor) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.inner(x)

    def adjoint(self, y: Tensor) -> Tensor:
        factor = self.factor.conj() if isinstance(self.factor, Tensor) else self.factor.conjugate()
        return self.inner.adjoint(factor * y)


class Identity(LinearOperator):
    """x."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y


def norm(x: Tensor) -> Tensor:
    """|x| over all axes, by a real dot product (torch's norm of complex numbers takes ten times as long)."""
    flat = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).flatten()
    return torch.dot(flat, flat).sqrt()


def norms(x: Tensor, n_batch: int) -> Tensor:
    """|x| over all axes but the first `n_batch`."""
    flat = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).reshape(*x.shape[:n_batch], 1, -1)
    return (flat @ flat.mT)[..., 0, 0].sqrt()


def adjoint_mismatch(A: LinearOperator, x: Tensor, y: Tensor) -> float:
    """|<A x, y> - <x, A^H y>| / (|A x| |y|): zero up to rounding for a right adjoint."""
    Ax, AHy = A(x), A.adjoint(y)
    left, right = torch.vdot(Ax.flatten(), y.flatten()), torch.vdot(x.flatten(), AHy.flatten())
    scale = (torch.vdot(Ax.flatten(), Ax.flatten()) * torch.vdot(y.flatten(), y.flatten())).real.sqrt()
    return float((left - right).abs() / scale.clamp_min(torch.finfo(scale.dtype).tiny))
