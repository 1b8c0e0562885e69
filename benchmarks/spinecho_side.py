"""spinecho's methods, as a user calls them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch

from benchmarks.cases import Case
from benchmarks.worker import Timed, serve, timed
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import prepare
from spinecho.tasks.recon.run import build, recon

NAMES = {"cg_sense": ("l2", "n_iters"), "l1_wavelet": ("weight", "n_iters"), "tv": ("weight", "n_iters")}
"""The fields of each method's Config that hold its weight and its number of iterations."""


def _case(f: dict[str, np.ndarray]) -> Case:
    return Case(
        name="",
        kind=str(f["kind"]),
        samples=f["samples"],
        mask=f["mask"],
        truth=f["truth"],
        n_centre=int(f["n_centre"]),
    )


def espirit(f: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    kspace, _ = prepare(_case(f).kspace(), max_coils=64)  # one map for each coil that the common solver has
    csm, seconds = timed(lambda: estimate_csm(kspace))
    return csm[0, :, 0].numpy(), seconds, 0.0, seconds


def _solved(method: str, f: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    """Maps alone; the method on the prepared scan, less the maps that it makes; and the whole of `spinecho.recon`."""
    kspace = _case(f).kspace()
    names = NAMES.get(method, ("l2", "n_iters"))
    settings: dict[str, object] = {n: v for n, v in zip(names, (weight, n_iters), strict=True) if v is not None}
    if method == "grappa":
        settings["gfactor"] = False  # the peer makes no such map
    image, whole_s = timed(lambda: recon(kspace, method, **settings))
    with torch.inference_mode():
        prepared, _ = prepare(kspace)
        maps_s = timed(lambda: estimate_csm(prepared))[1] if method in NAMES else 0.0
        _, method_s = timed(lambda: build(method, settings)(prepared))
    return image.magnitude().values[0, 0].numpy(), maps_s, method_s - maps_s, whole_s


def _named(method: str):
    return lambda f, weight, n_iters: _solved(method, f, weight, n_iters)


if __name__ == "__main__":
    torch.set_num_threads(json.loads(sys.argv[1])["threads"])
    build("zero_filled", {})
    serve({"espirit": espirit} | {m: _named(m) for m in ("zero_filled", "grappa", *NAMES)})
