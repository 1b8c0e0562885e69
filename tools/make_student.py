"""First weights of a fast student: a few steps of a trained varnet or hqs_net, which start from CG-SENSE.

python tools/make_student.py hqs_net runs/fast/first.safetensors --keep 0 1 2
spinecho train recon/hqs_net --init runs/fast/first.safetensors ...
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from spinecho.core.state import save_state
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.recon.methods import hqs_net, varnet


def of_varnet(teacher: varnet.Method, keep: list[int]) -> varnet.Method:
    """The cascades named, in that order; many coils start from CG-SENSE."""
    small = varnet.Method(replace(teacher.config, n_cascades=len(keep), start_coils=2))
    for ours, i in zip(small.cascades, keep, strict=True):
        ours.load_state_dict(teacher.cascades[i].state_dict())
    return small


def of_hqs_net(teacher: hqs_net.Method, keep: list[int]) -> hqs_net.Method:
    """The noise levels and weights of the steps named, with the trained network in all of them."""
    small = hqs_net.Method(replace(teacher.config, n_steps=len(keep), early=len(keep), start_iters=0))
    weights = teacher.state_dict()
    numbers = {name: weights[name][keep] for name in ("log_ratio", "per_accel", "log_share")}
    small.load_state_dict({n: numbers.get(n, weights[n]) for n in small.state_dict()})
    return small


def main() -> None:
    """Read, keep, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("teacher", help="name of weights in the package, or a file")
    parser.add_argument("out", type=Path)
    parser.add_argument("--keep", type=int, nargs="+", default=[0, 3], help="numbers of the steps, from 0")
    given = parser.parse_args()
    teacher = open_learned("recon", given.teacher)
    if isinstance(teacher, hqs_net.Method):
        name, small = "hqs_net", of_hqs_net(teacher, given.keep)
    else:
        assert isinstance(teacher, varnet.Method)
        name, small = "varnet", of_varnet(teacher, given.keep)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    trained = {"note": f"steps {given.keep} of {Path(given.teacher).name}, not trained further"}
    metadata = {"task": "recon", "method": name, "config": asdict(small.config), "card": {}, "trained": trained}
    save_state(given.out, small.state_dict(), metadata)


if __name__ == "__main__":
    main()
