"""What checks signatures in all other tests: wrong types and shapes are caught, and right ones pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

import spinecho
from spinecho.ops.fourier import fft
from typecheck import check, jaxtyped

checked = jaxtyped(typechecker=check)


@checked
def product(a: Float[Tensor, "y x"], b: Float[Tensor, "x z"]) -> Float[Tensor, "y z"]:
    return a @ b


@checked
def transposed(a: Float[Tensor, "y x"]) -> Float[Tensor, "y x"]:
    return a.T


@checked
def twice(a: Float[Tensor, " n"], times: float = 2) -> Float[Tensor, " n"]:
    """Twice."""
    return product(torch.diag(times * torch.ones(len(a))), a[:, None])[:, 0]


@checked
def counted(names: list[str], *, unknown: Nowhere | None = None) -> int:
    return len(names) if unknown is None else "many"  # pyright: ignore


@checked
def columns(a: Float[Tensor, "y x"]) -> Iterator[Float[Tensor, " y"]]:
    yield from a.unbind(1)


@checked
def applied(change: Callable[[Tensor], Tensor], a: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return change(a)


@checked
@dataclass(frozen=True)
class Pair:
    a: Float[Tensor, " n"]
    b: Float[Tensor, " n"]

    @checked
    def sum(self) -> Float[Tensor, " n"]:
        return self.a + self.b


class TestShapes:
    def test_right_ones_pass(self):
        assert product(torch.ones(2, 3), torch.ones(3, 4)).shape == (2, 4)
        assert transposed(torch.ones(3, 3)).shape == (3, 3)
        assert twice(torch.ones(3)).tolist() == [2, 2, 2]  # its own n, and product's axes, do not meet
        assert Pair(torch.ones(2), torch.ones(2)).sum().shape == (2,)
        assert len(list(columns(torch.ones(2, 3)))) == 3

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda: product(torch.ones(2, 3), torch.ones(4, 4)),
            lambda: product(torch.ones(2, 3), torch.ones(3)),
            lambda: product(torch.ones(2, 3, dtype=torch.int64), torch.ones(3, 4)),
            lambda: transposed(torch.ones(2, 3)),
            lambda: applied(lambda x: x[1:], torch.ones(3)),
            lambda: Pair(torch.ones(2), torch.ones(3)),
            lambda: Pair(torch.ones(2), b=None),
            lambda: twice(torch.ones(3), "2"),
            lambda: columns(torch.ones(3)),
        ],
    )
    def test_wrong_ones_do_not(self, wrong):
        with pytest.raises(TypeCheckError, match=r"violates|Type-check error"):
            wrong()

    def test_what_went_wrong_inside_does_not_leave_its_axes_behind(self):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                applied(lambda x: 1 / 0, torch.ones(3))
            assert isinstance(torch.ones(4), Float[Tensor, " n"]), "n is not 3 any more"


def test_types_without_shapes():
    assert counted(["a"]) == 1
    with pytest.raises(TypeCheckError, match="violates"):
        counted("a")
    with pytest.raises(TypeCheckError, match="violates"):
        counted(["a"], unknown=3)


def test_signatures_and_words_stay():
    assert twice.__doc__ == "Twice." and twice.__name__ == "twice"
    times = inspect.signature(twice).parameters["times"]
    assert (times.annotation, times.default) == ("float", 2)
    with pytest.raises(TypeError, match="missing"):
        twice()


def test_the_package_is_checked():
    with pytest.raises(TypeCheckError, match="violates"):
        fft("no tensor")
    with pytest.raises(TypeCheckError, match="violates"):
        spinecho.Encoding(matrix="1", recon_matrix=(1, 2, 2), fov_mm=(1.0, 1.0, 1.0))
