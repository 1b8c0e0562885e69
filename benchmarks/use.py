"""`python -m benchmarks.use`: start-up times, and a 256-slice volume in bounded memory, interrupted once."""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

REPEATS = 7
COMMANDS = {
    "import spinecho": [sys.executable, "-c", "import spinecho"],
    "spinecho list": [sys.executable, "-m", "spinecho", "list"],
    "spinecho --help": [sys.executable, "-m", "spinecho", "--help"],
}
PUBLIC_NAMES = (
    "import time, torch, spinecho; t = time.perf_counter(); "
    "[getattr(spinecho, n) for n in spinecho.__all__]; print(time.perf_counter() - t)"
)


def start_up() -> dict[str, float]:
    """Median wall seconds of each command, and what all public names add once torch is loaded."""
    found = {}
    for name, command in COMMANDS.items():
        times = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - begin)
        found[name] = statistics.median(times)
    told = [
        subprocess.run([sys.executable, "-c", PUBLIC_NAMES], check=True, capture_output=True) for _ in range(REPEATS)
    ]
    found["all public names, torch loaded"] = statistics.median(float(t.stdout) for t in told)
    return found


def make_volume(path: Path, n_slices: int, n_coils: int, size: int) -> None:
    """k-space of noise with a bright centre (simulated): every fourth line and 24 central ones, slice by slice."""
    rng = np.random.default_rng(0)
    samples = np.lib.format.open_memmap(path, "w+", np.complex64, (n_slices, n_coils, size, size))
    line = np.zeros((size, 1), bool)
    line[::4] = line[size // 2 - 12 : size // 2 + 12] = True
    radius = np.hypot(*np.meshgrid(*[np.arange(size) - size // 2] * 2))
    for i in range(n_slices):
        noise = rng.standard_normal((n_coils, size, size, 2), dtype=np.float32)
        samples[i] = (noise[..., 0] + 1j * noise[..., 1]) * line / (1 + radius) ** 1.5
    samples.flush()


def volume(method: str, n_slices: int, n_coils: int, size: int) -> dict[str, object]:
    """Reconstruct with one interruption after some slices; what the second run says, and the seconds of both."""
    with TemporaryDirectory() as folder:
        scan, out = Path(folder) / "scan.npy", Path(folder) / "out.nii.gz"
        make_volume(scan, n_slices, n_coils, size)
        command = [sys.executable, "-m", "spinecho", "recon", str(scan), "--axes", "slice coil k1 k0"]
        command += ["--method", method, "-o", str(out)]
        begin = time.perf_counter()
        first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        waiting = Path(f"{out}.partial")
        while first.poll() is None and len(list(waiting.glob("*.npy"))) < n_slices // 4:
            time.sleep(0.2)
        first.send_signal(signal.SIGINT)
        first.wait()
        middle = time.perf_counter()
        second = subprocess.run(command, check=True, capture_output=True, text=True)
        lines = [t for t in second.stdout.splitlines() if "memory" in t or "continued" in t]
        seconds = (middle - begin, time.perf_counter() - middle)
        return {"bytes of k-space": scan.stat().st_size, "seconds until interrupted, after": seconds, "said": lines}


def main() -> None:
    """Print both as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.use", description=__doc__)
    parser.add_argument("--method", default="cg_sense")
    parser.add_argument("--slices", type=int, default=256)
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--size", type=int, default=320)
    args = parser.parse_args()
    print(json.dumps({"start_up_s": start_up()}, indent=1), flush=True)
    print(json.dumps({"volume": volume(args.method, args.slices, args.coils, args.size)}, indent=1))


if __name__ == "__main__":
    main()
