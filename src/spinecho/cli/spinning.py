"""How long a command's waiting threads spin before they sleep."""

from __future__ import annotations

from collections.abc import MutableMapping

FEW_TURNS = 10_000
"""Of a waiting loop. libgomp's own number is 300,000 and more: beside two trainings on two processors a
reconstruction took 35 s by it and 17 s by this one; alone on them 6.3 s and 6.5 s."""
_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def spin_little(environment: MutableMapping[str, str]) -> None:
    """Set `GOMP_SPINCOUNT`, which libgomp reads when torch is loaded, unless the user has said how threads wait."""
    if not any(name in environment for name in _VARIABLES):
        environment["GOMP_SPINCOUNT"] = str(FEW_TURNS)
