"""What validations have in common: who looks at what, and a method that is as it was afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spinecho.train.held_out import numbers, resting
from spinecho.train.settings import Settings
from spinecho.train.team import Team


class Half:
    """The second of two processes."""

    def share(self, n):
        return range(1, n, 2)


def test_numbers_are_this_process_own_and_none_where_nobody_wants_any():
    wanted = Settings(validate_every=5, validation_examples=5)
    assert list(numbers(wanted, Team()) or ()) == [0, 1, 2, 3, 4]
    assert list(numbers(wanted, Half()) or ()) == [1, 3]
    assert numbers(Settings(validate_every=0, validation_examples=5), Team()) is None
    assert numbers(Settings(validate_every=5, validation_examples=0), Team()) is None


@pytest.mark.parametrize("learns", [True, False])
def test_a_method_rests_and_is_as_before(learns):
    method = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train(learns)
    with resting(method):
        assert not method.training and not method[1].training
        x = method(torch.ones(1, 3))
        assert not x.requires_grad and torch.equal(x, method(torch.ones(1, 3)))
    assert method.training is method[1].training is learns
    assert method(torch.ones(1, 3)).requires_grad


def test_it_is_as_before_after_an_error_too():
    method = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="gone"), resting(method):
        raise ValueError("gone")
    assert method.training
