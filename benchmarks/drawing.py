"""`python -m benchmarks.drawing`: how long a drawn scan takes, now and before; with --maps, how ESPIRiT's maps err."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.anatomy import training_volumes
from benchmarks.map_errors import report
from benchmarks.sheet import draw_sheet
from spinecho.sim.drawn.bucket import Bucket, Ranges
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.store import stored
from spinecho.sim.draws import Draws, acquire_random, fine_shape
from spinecho.tasks.recon.examples.draw import ready
from spinecho.train.draw import generator

ROOT = Path(__file__).parents[1]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drawing", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--matrix", type=int, default=208)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--batch", type=int, default=48, help="scans drawn together on a device that is no CPU")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--maps", action="store_true", help="instead: error of ESPIRiT's maps against the true ones")
    parser.add_argument("--sheet", type=Path, help="instead: a PNG of 16 drawn scans")
    return parser.parse_args()


def timed(work: Callable[[int], object], repeats: int, device: torch.device) -> tuple[float, float]:
    """Median seconds of a call after two that warm up: wall, and CPU of this process."""
    taken = []
    for i in range(-2, repeats):
        start = time.perf_counter(), time.process_time()
        work(i)
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, cpu = zip(*taken[2:], strict=True)
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    """Print the table."""
    chosen = arguments()
    device = torch.device(chosen.device)
    torch.set_num_threads(1)
    drawing = Drawing(stored(training_volumes(chosen.shared)))
    if chosen.maps:
        print(report(drawing, device))
        return
    if chosen.sheet:
        draw_sheet(drawing, chosen.sheet)
        return
    shape, n = (chosen.matrix, chosen.matrix), 1 if device.type == "cpu" else chosen.batch
    draws = Draws(coils=(chosen.coils,))
    magnitude = torch.rand(fine_shape(shape), generator=generator("object"))

    def now(i: int) -> object:
        bucket = Bucket(shape=shape, receivers=chosen.coils, known=bool(i % 2))
        scans = [generator("scan", i, j) for j in range(n)]
        return drawing.batch(generator("step", i), scans, device, bucket=lambda _: bucket)

    def before(i: int) -> object:
        return ready(acquire_random(magnitude, shape, generator("scan", i), draws))

    print(f"{chosen.coils} coils, {chosen.matrix} x {chosen.matrix}, {chosen.device}, one thread; seconds a scan")
    sides = {f"in batches (`sim.drawn`), {n} together, objects included": (now, n)}
    if device.type == "cpu":
        sides["one by one (`sim.draws`), its object not included"] = (before, 1)
    for name, (work, scans) in sides.items():
        wall, cpu = (t / scans for t in timed(work, chosen.repeats, device))
        print(f"{name}: wall {wall:.4f}, CPU {cpu:.4f}, {1 / wall:.0f} scans/s")
    print(f"ranges: {Ranges()}")


if __name__ == "__main__":
    main()
