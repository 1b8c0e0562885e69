"""sigpy's methods, run by the peers' own Python."""

from __future__ import annotations

from functools import cache

import numpy as np
import sigpy.mri as mr
from worker import Timed, serve, timed


def maps(case: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """EspiritCalib with its defaults, over the calibration lines that there are."""
    app = mr.app.EspiritCalib(case["samples"], calib_width=int(case["n_centre"]), show_pbar=False)
    return timed(app.run)


def espirit(case: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    csm, seconds = maps(case)
    return csm, seconds, 0.0, seconds


@cache
def _kept_maps(samples: bytes, shape: tuple[int, ...], n_centre: int) -> tuple[np.ndarray, float]:
    """Maps for a solver: made once in a process, since they take longer than the solver; with the seconds it took."""
    return maps({"samples": np.frombuffer(samples, np.complex64).reshape(shape), "n_centre": np.array(n_centre)})


def _solved(app_class: type, case: dict[str, np.ndarray], weight: float, **settings: object) -> Timed:
    csm, maps_s = _kept_maps(case["samples"].tobytes(), case["samples"].shape, int(case["n_centre"]))
    weights = np.broadcast_to(case["mask"][None, :, None], case["samples"].shape).astype(np.float32)

    def solve() -> np.ndarray:
        return app_class(case["samples"], csm, weight, weights=weights, show_pbar=False, **settings).run()

    image, solve_s = timed(solve)
    return np.abs(image), maps_s, solve_s, maps_s + solve_s


def cg_sense(case: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    return _solved(mr.app.SenseRecon, case, 0.01 if weight is None else weight, max_iter=n_iters or 30)


def l1_wavelet(case: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    return _solved(mr.app.L1WaveletRecon, case, 1e-3 if weight is None else weight, max_iter=n_iters or 100)


def tv(case: dict[str, np.ndarray], weight: float | None, n_iters: int | None) -> Timed:
    return _solved(mr.app.TotalVariationRecon, case, 1e-3 if weight is None else weight, max_iter=n_iters or 100)


if __name__ == "__main__":
    serve({"espirit": espirit, "cg_sense": cg_sense, "l1_wavelet": l1_wavelet, "tv": tv})
