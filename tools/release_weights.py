r"""Put trained weights into the package: 16 bits each or 8 (`--bits`), with the limits of their card.

    python tools/release_weights.py runs/varnet/weights.safetensors card.json varnet

card.json holds the limits (LIMITS of its task says which) and a line `summary`; beside the weights
belongs NAME.md, the card for people: data and licences, protocol, results, limits.

What is released may count a part of the network less than it was trained to, and have parameters of another value,
where validation says that it is better; both are written into the weights file:

    python tools/release_weights.py runs/vm/weights.safetensors card.json voxelmorph \
      --share 0.5 leave.weight leave.bias --put step -2.0 -0.7

A share averages the trained and the untrained network, which is zero there (Wortsman et al. 2022,
doi:10.1109/CVPR52688.2022.00780).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.state import load_state, save_state
from spinecho.methods import registry
from spinecho.methods.card import check_card
from spinecho.methods.pretrained import open_learned, without_judges

LARGEST = 12 * 10**6
"""Bytes of a weights file in the package."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is released other than it was trained.

    Parameters
    ----------
    shares
        Of tensors that are zero untrained, by name.
    values
        That tensors get instead of their own.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, list[float]] = field(default_factory=dict)

    def made(self, tensors: Mapping[str, Tensor], task: str, metadata: Mapping[str, Any]) -> dict[str, Tensor]:
        """The tensors with these changes.

        Raises
        ------
        DataError
            If there is no such tensor, it is not zero untrained, or the values do not fit it.
        """
        if unknown := {*self.shares, *self.values} - set(tensors):
            raise DataError(f"there are no weights {', '.join(sorted(unknown))}", do=f"known are {', '.join(tensors)}")
        changed = dict(tensors)
        untrained = _untrained(task, metadata) if self.shares else {}
        for name, share in self.shares.items():
            if untrained[name].any():
                raise DataError(f"{name} is not zero before training", do="give --share names of last layers")
            changed[name] = share * tensors[name]
        for name, values in self.values.items():
            if len(values) != tensors[name].numel():
                raise DataError(
                    f"{name} has {tensors[name].numel()} values, given are {len(values)}", do="give as many"
                )
            changed[name] = torch.tensor(values).reshape(tensors[name].shape)
        return changed


AS_TRAINED = Changes()


def release(
    trained: Path, card: dict[str, object], name: str, changes: Changes = AS_TRAINED, bits: Literal[16, 8] = 16
) -> Path:
    """Write the weights under a name, without judges, load them again as a user would, and return their path."""
    tensors, metadata = load_state(trained)
    task = str(metadata.get("task", "recon"))
    check_card(card, registry.task_named(task).limits())
    told = {**metadata, "task": task, "card": card}
    if changes != AS_TRAINED:
        tensors = changes.made(tensors, task, metadata)
        told["trained"] = {**metadata["trained"], "released": asdict(changes)}
    tensors = without_judges(registry.load(task, str(metadata["method"])).Method, tensors)
    with TemporaryDirectory() as folder:
        draft = Path(folder) / trained.name
        save_state(draft, tensors, told, bits=bits)
        open_learned(task, draft)
        if (size := draft.stat().st_size) > LARGEST:
            raise DataError(
                f"the weights take {size / 1e6:.1f} MB", do=f"make them smaller than {LARGEST / 1e6:.0f} MB"
            )
    path = registry.WEIGHTS / task / f"{name}.safetensors"
    save_state(path, tensors, told, bits=bits)
    return path


def _untrained(task: str, metadata: Mapping[str, Any]) -> dict[str, Tensor]:
    module = registry.load(task, metadata["method"])
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in metadata["config"].items()}
    return module.Method(module.Config(**config)).state_dict()


def _changes(shares: list[list[str]], values: list[list[str]]) -> Changes:
    return Changes(
        shares={name: float(share) for share, *names in shares for name in names},
        values={name: [float(v) for v in numbers] for name, *numbers in values},
    )


def main() -> int:
    """Read the arguments, write the file, say what it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trained", type=Path, help="weights that `spinecho train` wrote")
    parser.add_argument("card", type=Path, help="JSON with the limits")
    parser.add_argument("name", help="what people will call them: spinecho recon --method NAME")
    parser.add_argument(
        "--share", nargs="+", action="append", default=[], help="SHARE NAME ...: tensors that count less"
    )
    parser.add_argument("--put", nargs="+", action="append", default=[], help="NAME VALUE ...: a tensor's other values")
    parser.add_argument("--bits", type=int, choices=(16, 8), default=16, help="of each weight (default: 16)")
    given = parser.parse_args()
    try:
        changes = _changes(given.share, given.put)
        path = release(
            given.trained, json.loads(given.card.read_text(encoding="utf-8")), given.name, changes, given.bits
        )
    except (DataError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    missing = "" if path.with_suffix(".md").is_file() else f"; now write {path.with_suffix('.md').name}"
    sys.stdout.write(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB){missing}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
