"""Methods as a command line names them: `varnet`, or `varnet(start_iters=4, weights="mine.safetensors")`."""

from __future__ import annotations

import ast
import sys
from hashlib import sha256

from spinecho.core.errors import DataError
from spinecho.methods.pretrained import weights_used
from spinecho.tasks.recon.run import build

LEARNED = ("hqs_net", "checked", "varnet", "varnet_fast", "unet", "modl")


def parse_method(spec: str) -> tuple[str, dict[str, object]]:
    """Name and settings."""
    try:
        tree = ast.parse(spec.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args:
            return tree.func.id, {k.arg: ast.literal_eval(k.value) for k in tree.keywords if k.arg}
    except (SyntaxError, ValueError):
        pass
    raise DataError(f"the method {spec!r} is not understood", do="give NAME or NAME(FIELD=VALUE, ...)")


def weights_digest(spec: str) -> str:
    """Of all weights that the method uses, by its name or its setting `weights`; empty where there are none."""
    name, settings = parse_method(spec)
    used = weights_used("recon", name, settings)
    return sha256(b"".join(path.read_bytes() for path in used)).hexdigest()[:10] if used else ""


def usable(specs: list[str]) -> list[str]:
    """Those that can be built here; of the others it is said why not (no weights yet, no such method)."""
    found = []
    for spec in specs:
        try:
            build(*parse_method(spec))
            found.append(spec)
        except DataError as error:
            print(f"{spec} is left out: {error}", file=sys.stderr)
    return found
