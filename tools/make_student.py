"""First weights of a fast student: a few cascades of a trained varnet, which start from CG-SENSE.

python tools/make_student.py runs/varnet/weights.safetensors runs/fast/first.safetensors --keep 0 3
spinecho train recon/varnet --init runs/fast/first.safetensors --teacher runs/varnet/weights.safetensors ...
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from spinecho.core.state import save_state
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.recon.methods import varnet


def student(teacher: varnet.Method, keep: list[int]) -> varnet.Method:
    """The cascades named, in that order; many coils start from CG-SENSE."""
    config = replace(teacher.config, n_cascades=len(keep), start_coils=2)
    small = varnet.Method(config)
    for ours, i in zip(small.cascades, keep, strict=True):
        ours.load_state_dict(teacher.cascades[i].state_dict())
    return small


def main() -> None:
    """Read, keep, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("teacher", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", type=int, nargs="+", default=[0, 3], help="numbers of the cascades, from 0")
    given = parser.parse_args()
    teacher = open_learned("recon", given.teacher)
    assert isinstance(teacher, varnet.Method)
    small = student(teacher, given.keep)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    trained = {"note": f"cascades {given.keep} of {given.teacher.name}, not trained further"}
    metadata = {"task": "recon", "method": "varnet", "config": asdict(small.config), "card": {}, "trained": trained}
    save_state(given.out, small.state_dict(), metadata)


if __name__ == "__main__":
    main()
