"""Methods as a command line names them: `varnet`, or with settings `varnet(n_cascades=3, channels=(16, 32))`."""

from __future__ import annotations

import ast
from hashlib import sha256
from importlib.resources import files

from spinecho.core.errors import DataError

LEARNED = ("varnet", "varnet_fast", "unet", "modl")


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
    """Of the weights of that name; empty where there are none."""
    path = files("spinecho.weights") / f"{parse_method(spec)[0]}.safetensors"
    return sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else ""
