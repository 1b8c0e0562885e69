"""Build what is released, install it where nothing else is, and run it outside the checkout.

python tools/wheel_check.py --torch torch==2.13.0          (downloads torch and the dependencies; minutes)

The sdist and the wheel are built twice and must be the same to the byte; the wheel made from the unpacked sdist must
hold the same files. The environment is a new one, and nothing of the checkout is on its path.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST = 45 * 10**6
"""Bytes of the wheel"""
SAMPLE = "import spinecho, pathlib; print(pathlib.Path(spinecho.__file__).parent / 'samples' / 'radial.mrd.h5')"


def main() -> int:
    """All steps; 0 where each went well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--torch", default="torch", help="what pip installs first")
    torch = parser.parse_args().torch
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told(f"built, twice the same: {', '.join(p.name for p in build(folder))}")
        wheel = next((folder / "dist").glob("*.whl"))
        check_contents(wheel, rebuilt(folder))
        run([sys.executable, "-m", "venv", str(folder / "env")], folder)
        python = str(folder / "env" / "bin" / "python")
        run([python, "-m", "pip", "install", "--quiet", torch], folder)
        run([python, "-m", "pip", "install", "--quiet", str(wheel)], folder)
        told("installed in an empty environment")
        use(python, folder)
    return 0


def build(folder: Path) -> list[Path]:
    """The sdist and the wheel, in `dist`, the same twice."""
    for name in ("dist", "again"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder / name)]
        run(command, ROOT)
    files = sorted((folder / "dist").iterdir())
    for file in files:
        same = digest(file) == digest(folder / "again" / file.name)
        wanted(same, f"{file.name} differs between two builds")
    return files


def rebuilt(folder: Path) -> Path:
    """The wheel made from the unpacked sdist."""
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "from_sdist")], source)
    return next((folder / "from_sdist").glob("*.whl"))


def check_contents(wheel: Path, other: Path) -> None:
    """Size, the mark of types, entry points, and the same files as in the other wheel."""
    size = wheel.stat().st_size
    wanted(size < LARGEST, f"the wheel has {size / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f} are promised")
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(other) as theirs:
        names = ours.namelist()
        differing = set(names) ^ set(theirs.namelist())
        wanted(not differing, f"the wheel from the sdist differs in {sorted(differing)}")
        wanted("spinecho/py.typed" in names, "py.typed is missing")
        points = next(n for n in names if n.endswith("entry_points.txt"))
        wanted("pytest11" in ours.read(points).decode(), "the entry point for pytest is missing")
    told(f"the wheel has {size / 1e6:.1f} MB")


def use(python: str, folder: Path) -> None:
    """What a person does first."""
    work = folder / "work"
    work.mkdir()
    command = str(Path(python).with_name("spinecho"))
    sample = run([python, "-c", SAMPLE], work).strip()
    wanted(sample.startswith(str(folder)), f"{sample} is not in the environment")
    listed = run([command, "list"], work)
    wanted("varnet" in listed and "trained weights" in listed, "list shows no trained weights")
    run([command, "recon", sample, "-o", "radial.nii.gz", "--method", "gridding", "--report", "radial.html"], work)
    wanted((work / "radial.nii.gz").stat().st_size > 10**4, "no image was written")
    wanted(
        "1 x 144 x 144" in run([python, "-m", "spinecho", "info", "radial.nii.gz"], work), "info reads another image"
    )
    told("list, recon and info ran outside the checkout")


def run(command: Sequence[str], folder: Path) -> str:
    """What a command says; its words as ours where it fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["SOURCE_DATE_EPOCH"] = "1577836800"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    wanted(done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def wanted(holds: bool, otherwise: str) -> None:
    """End with a sentence where something does not hold."""
    if not holds:
        sys.exit(f"wheel-check: {otherwise}")


def told(text: str) -> None:
    """Say it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def digest(file: Path) -> str:
    """sha256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
