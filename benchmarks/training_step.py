"""Where a training step's time goes, in how many operations, for examples joined in batches and one after another.

    python -m benchmarks.training_step [--method varnet] [--batch 4] [--side 128] [--coils 8] [--repeats 3]

Each operation is a launch on a GPU: their number, not their size, is what a small batch waits for.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spinecho.methods.registry import load
from spinecho.nets.unet import UNet
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.methods import l1_wavelet
from spinecho.tasks.recon.parts.normal import Normal
from spinecho.train.buckets import Group, grouped
from spinecho.train.gradient import wrapped
from spinecho.train.settings import Settings
from spinecho.train.team import Team

PARTS = ("coil maps", "start", "networks", "data consistency")


class Counted(TorchDispatchMode):
    """Counts the operations that reach torch's kernels."""

    n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += 1
        return func(*args, **(kwargs or {}))


def scans(n: int, side: int, n_coils: int) -> list[Any]:
    """Simulated discs of one bucket."""
    draws = Draws(coils=(n_coils,), masks=("random",), accel=(3.0, 5.0), odd=0.0)
    rng = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, m) for m in fine_shape((side, side))), indexing="ij")
    disc = ((y.square() + x.square()).sqrt() < 0.8) * (0.5 + 0.3 * torch.cos(9 * x) * torch.cos(7 * y))
    return [ready(acquire_random(disc, (side, side), rng, draws)) for _ in range(n)]


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Adds what the parts of a forward pass take to `spent`; a part within another counts there alone."""
    inside: list[str] = []

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            if inside:
                return call(*args, **kwargs)
            inside.append(name)
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
                inside.pop()

        return run

    with ExitStack() as stack:
        for name in ("varnet", "modl", "unet"):
            module = load("recon", name)
            stack.enter_context(patch.object(module, "estimate_csm", wrap("coil maps", module.estimate_csm)))
        stack.enter_context(patch.object(l1_wavelet, "reconstruct", wrap("start", l1_wavelet.reconstruct)))
        stack.enter_context(patch.object(Normal, "start", wrap("start", Normal.start)))
        stack.enter_context(patch.object(Normal, "consistent", wrap("data consistency", Normal.consistent)))
        stack.enter_context(patch.object(UNet, "forward", wrap("networks", UNet.forward)))
        yield


def step(method: Any, groups: list[Group], batch: int) -> float:
    """Seconds for the gradient of one step."""
    method.zero_grad()
    start = time.perf_counter()
    wrapped(method, Settings(batch=batch), Team())(1, groups)
    return time.perf_counter() - start


def measured(method: Any, examples: list[Any], at_once: int, repeats: int) -> dict[str, Any]:
    """Medians over the repeats."""
    n = len(examples)
    groups = list(grouped(range(n), examples, at_once))
    with Counted() as counted:
        step(method, groups, n)
    spent: list[dict[str, float]] = []
    for _ in range(repeats):
        parts: dict[str, float] = {}
        with timed(parts):
            whole = step(method, groups, n)
        spent.append({**{p: parts.get(p, 0.0) for p in PARTS}, "whole": whole})
    medians = {key: statistics.median(s[key] for s in spent) for key in spent[0]}
    return {**medians, "backward and loss": medians["whole"] - sum(medians[p] for p in PARTS), "operations": counted.n}


def main() -> None:
    """Measure both ways in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="varnet")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    module = load("recon", args.method)
    torch.manual_seed(0)
    method = module.Method(module.Config())
    examples = scans(args.batch, args.side, args.coils)
    columns = ["at once", "operations", "whole", *PARTS, "backward and loss"]
    print(
        f"{args.method}, {args.batch} scans, {args.coils} coils, {args.side} x {args.side}, seconds of a step; ", end=""
    )
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, medians of {args.repeats}\n")
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for at_once in (1, 0):
        row = measured(method, examples, at_once, args.repeats)
        cells = [f"{row[c]:.3f}" if isinstance(row[c], float) else f"{row[c]:,}" for c in columns[1:]]
        print(f"| {at_once or 'all'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
