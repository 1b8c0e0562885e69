"""Networks in bfloat16 where the processor multiplies it faster, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from spinecho.core import precision
from spinecho.core.precision import full_precision, multiplies_bfloat16, network_precision

X = torch.zeros(1)


def kind_of_product() -> torch.dtype:
    return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("exact", [True, False])
def test_in_bfloat16_only_where_that_is_faster_and_wanted(monkeypatch, units, exact):
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: units)
    with network_precision(X, exact=exact):
        assert kind_of_product() == (torch.bfloat16 if units and not exact else torch.float32)
    assert kind_of_product() == torch.float32


def test_what_is_set_stays_where_nothing_is_gained(monkeypatch):
    """Training in bfloat16 goes on in it; physics inside of it stays in float32."""
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    with torch.autocast("cpu", torch.bfloat16), network_precision(X):
        assert kind_of_product() == torch.bfloat16
        with full_precision(X):
            assert kind_of_product() == torch.float32


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ({"amx_bf16": True, "amx_tile": True}, True),
        ({"amx_bf16": True, "amx_tile": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({}, False),
    ],
)
def test_a_processor_says_what_it_has(monkeypatch, told, known):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    multiplies_bfloat16.cache_clear()
    assert multiplies_bfloat16() is known
    multiplies_bfloat16.cache_clear()


def test_an_older_torch_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    multiplies_bfloat16.cache_clear()
    assert multiplies_bfloat16() is False
    multiplies_bfloat16.cache_clear()
