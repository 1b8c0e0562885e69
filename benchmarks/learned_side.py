"""Our learned methods as a user calls them, `spinecho.recon` from samples to image, with the time of their parts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from benchmarks.specs import parse_method
from benchmarks.worker import converse, measured, timed
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.tasks.recon import run as reconstruct
from spinecho.tasks.recon.base import Recon


def scan(path: str) -> KSpace:
    """The case as spinecho takes it."""
    with np.load(path) as f:
        samples, mask = torch.from_numpy(f["samples"]), torch.from_numpy(f["mask"])
    shape = (1, *samples.shape[-2:])
    lines = mask[:, :1] if bool((mask == mask[:, :1]).all()) else mask
    return KSpace(
        samples=samples[:, None],
        mask=lines[None, None],
        encoding=Encoding.cartesian(shape),
        geometries=(Geometry.unknown(shape),),
    )


class Watched:
    """A method that is built once and then used by `recon`, with a clock on its parts."""

    def __init__(self, spec: str, *, untrained: bool) -> None:
        name, settings = parse_method(spec)
        self.name, self.settings = name, settings
        self.seconds: dict[str, float] = {}
        self.runner, self.load_s = timed(lambda: untrained_method(name, settings) if untrained else _built(spec))
        self.runner.eval()
        module = sys.modules[type(self.runner).__module__]
        if hasattr(module, "estimate_csm"):
            module.estimate_csm = self._clocked("maps", module.estimate_csm)  # type: ignore[attr-defined]
        for part, attribute in (("start", "start"), ("method", "forward")):
            if hasattr(self.runner, attribute):
                setattr(self.runner, attribute, self._clocked(part, getattr(self.runner, attribute)))

    @property
    def n_weights(self) -> int:
        """Of the network."""
        return sum(p.numel() for p in self.runner.parameters())

    def run(self, kspace: KSpace) -> dict[str, Any]:
        """Seconds of the whole and of its parts."""
        self.seconds = {}
        reconstruct.build = lambda *_: self.runner
        _, wall, cpu = measured(lambda: reconstruct.recon(kspace, self.name, **self.settings))
        if "method" not in self.seconds:
            raise RuntimeError("spinecho.recon no longer takes its method from methods.reconstruct.build")
        maps, start, method = (self.seconds.get(part, 0.0) for part in ("maps", "start", "method"))
        parts = {"maps_s": maps, "start_s": start, "cascades_s": method - maps - start, "rest_s": wall - method}
        return {"wall_s": wall, "cpu_s": cpu, "load_s": self.load_s, "weights": self.n_weights, **parts}

    def _clocked(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def inner(*args: Any, **settings: Any) -> Any:
            result, seconds = timed(lambda: work(*args, **settings))
            self.seconds[part] = self.seconds.get(part, 0.0) + seconds
            return result

        return inner


_build = reconstruct.build


def _built(spec: str) -> Recon:
    return _build(*parse_method(spec))


def untrained_method(name: str, settings: dict[str, object]) -> Recon:
    """The method with random weights: of use for its time only."""
    module = registry.load("recon", name)
    torch.manual_seed(0)
    return module.Method(module.Config(**settings))


def main() -> None:
    """Answer {"case": PATH} with seconds, until the input ends."""
    setting = json.loads(sys.argv[1])
    torch.set_num_threads(setting["threads"])
    try:
        watched = Watched(setting["method"], untrained=setting["untrained"])
    except DataError as error:
        told = {"error": str(error)}
        converse(lambda _: told)
        return
    converse(lambda job: watched.run(scan(job["case"])))


if __name__ == "__main__":
    main()
