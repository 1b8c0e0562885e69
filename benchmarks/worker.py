"""What every Python side does with its job: run, time, keep the image, tell the memory. Only numpy is needed."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Timed = tuple[np.ndarray, float, float, float]
"""Image (y, x) or maps (coil, y, x); seconds for maps, for solving with them, and for all from samples to image."""


def serve(methods: dict[str, Callable[..., Timed]]) -> None:
    """Answer the job in argv: each setting once to warm up (kept), then `repeats` times on the clock."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    with np.load(job["case"]) as f:
        case = {name: f[name] for name in f.files}
    method, told, images = methods[job["method"]], [], {}
    for i, setting in enumerate(job["settings"]):
        image, *first = method(case, **setting)
        clock = [method(case, **setting)[1:] for _ in range(job["repeats"])] or [first]
        images[f"image{i}"] = image
        told.append(
            {
                "maps_s": statistics.median(c[0] for c in clock),
                "solve_s": statistics.median(c[1] for c in clock),
                "whole_s": statistics.median(c[2] for c in clock),
                "peak_mb": peak_mb("self"),
            }
        )
    np.savez(job["out"], **images)
    print(json.dumps(told))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and how long it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def peak_mb(process: int | str) -> float:
    """Largest resident memory since the program started; 0 where it is gone. (rusage would count the parent's.)"""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, wall seconds, and CPU seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def converse(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer one line of JSON after the other until the input ends; what goes wrong is an answer with `error`."""
    for line in sys.stdin:
        try:
            told = answer(json.loads(line))
        except Exception as error:  # the other side shall go on
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), flush=True)
