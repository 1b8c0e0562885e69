"""Put trained weights into the package: half precision, with the limits of their card.

    python tools/release_weights.py runs/varnet/weights.safetensors card.json varnet

card.json holds the limits (LIMITS of its task says which) and a line `summary`; beside the weights
belongs NAME.md, the card for people: data and licences, protocol, results, limits.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from spinecho.core.errors import DataError
from spinecho.core.state import load_state, save_state
from spinecho.methods import registry
from spinecho.methods.card import check_card
from spinecho.methods.pretrained import open_learned

LARGEST = 12 * 10**6
"""Bytes of a weights file in the package."""


def release(trained: Path, card: dict[str, object], name: str) -> Path:
    """Write the weights under a name, load them again as a user would, and return their path."""
    tensors, metadata = load_state(trained)
    task = str(metadata.get("task", "recon"))
    check_card(card, registry.task_named(task).limits())
    told = {**metadata, "task": task, "card": card}
    with TemporaryDirectory() as folder:
        draft = Path(folder) / trained.name
        save_state(draft, tensors, told, half=True)
        open_learned(task, draft)
        if (size := draft.stat().st_size) > LARGEST:
            raise DataError(
                f"the weights take {size / 1e6:.1f} MB", do=f"make them smaller than {LARGEST / 1e6:.0f} MB"
            )
    path = registry.WEIGHTS / task / f"{name}.safetensors"
    save_state(path, tensors, told, half=True)
    return path


def main() -> int:
    """Read the arguments, write the file, say what it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trained", type=Path, help="weights that `spinecho train` wrote")
    parser.add_argument("card", type=Path, help="JSON with the limits")
    parser.add_argument("name", help="what people will call them: spinecho recon --method NAME")
    given = parser.parse_args()
    try:
        path = release(given.trained, json.loads(given.card.read_text(encoding="utf-8")), given.name)
    except (DataError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    missing = "" if path.with_suffix(".md").is_file() else f"; now write {path.with_suffix('.md').name}"
    sys.stdout.write(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB){missing}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
