"""Every sentence that a DataError says, found in the source, and why methods refuse an input."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sentence:
    """One error; what is known only when it is raised stands in braces."""

    module: str
    line: int
    problem: str
    do: str


def sentences(package: Path) -> Iterator[Sentence]:
    """All of a package, file by file."""
    for module, text in _modules(package):
        yield from in_source(text, module)


def in_source(text: str, module: str) -> Iterator[Sentence]:
    """All of one file."""
    for _, node, local in _nodes(text):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DataError":
            do = next((k.value for k in node.keywords if k.arg == "do"), None)
            problem = _said(node.args[0], local) if node.args else ""
            if any(c.isalpha() for c in problem.replace("{…}", "")):
                yield Sentence(module, node.lineno, problem, _said(do, local) if do is not None else "")


def listed(package: Path) -> Iterator[Sentence]:
    """Sentences that stand in a table of a file, (what is wrong, what to do) by a key."""
    for module, text in _modules(package):
        if "DataError(" in text:
            yield from listed_in(text, module)


def listed_in(text: str, module: str) -> Iterator[Sentence]:
    """All of one file."""
    for node in ast.parse(text).body:
        for _, table in _assigned(node):
            rows = table.values if isinstance(table, ast.Dict) else []
            pairs = [row.elts for row in rows if isinstance(row, ast.Tuple) and len(row.elts) == 2]
            if rows and len(pairs) == len(rows) and all(_is_text(t) for pair in pairs for t in pair):
                for problem, do in dict.fromkeys((_said(p, {}), _said(d, {})) for p, d in pairs):
                    yield Sentence(module, node.lineno, problem, do)


def refusals(package: Path) -> Iterator[Sentence]:
    """What every function named `refusal` returns: why a method cannot handle an input."""
    for module, text in _modules(package):
        yield from refused_in(text, module)


def refused_in(text: str, module: str) -> Iterator[Sentence]:
    """All of one file; what only passes on another function's words is left out."""
    for scope, node, local in _nodes(text):
        if scope.lstrip("_") == "refusal" and isinstance(node, ast.Return) and node.value is not None:
            words = _said(node.value, local)
            if sum(part.isalpha() for part in words.split()) > 1:
                yield Sentence(module, node.lineno, words.removeprefix("None / ").removesuffix(" / None"), "")


def _modules(package: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each."""
    for file in sorted(package.rglob("*.py")):
        name = ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, file.read_text(encoding="utf-8")


def _nodes(text: str) -> Iterator[tuple[str, ast.AST, dict[str, ast.expr]]]:
    """Each node of a file, with the name of the function that it stands in, and the values of names there."""
    tree = ast.parse(text)
    known = _together(pair for node in tree.body for pair in _assigned(node))
    known |= _returned(tree, known)
    for scope in _scopes(tree):
        own = list(_own(scope))
        local = {**known, **_together(pair for node in own for pair in _assigned(node))}
        for node in own:
            yield getattr(scope, "name", ""), node, local


def _returned(tree: ast.Module, known: dict[str, ast.expr]) -> dict[str, ast.expr]:
    """What a file's functions return, where it is written out, by their names and a pair of brackets.

    Of several, short pieces such as units stay unsaid: they would read as alternatives of the sentence around them.
    """
    told = {}
    for scope in _scopes(tree):
        own = list(_own(scope))
        local = {**known, **_together(pair for node in own for pair in _assigned(node))}
        values = [node.value for node in own if isinstance(node, ast.Return)]
        values = [local.get(v.id) if isinstance(v, ast.Name) else v for v in values]
        texts = dict.fromkeys(_said(v, local) for v in values if v is not None and _is_text(v))
        choices = [one for text in texts for one in text.split(" / ") if one]
        if len(choices) == 1 or (choices and all(sum(w.isalpha() for w in one.split()) > 1 for one in choices)):
            told[f"{getattr(scope, 'name', '')}()"] = ast.Constant(" / ".join(choices))
    return told


def _together(pairs: Iterable[tuple[str, ast.expr]]) -> dict[str, ast.expr]:
    """Values by name; a name that gets several texts has all of them, as a choice."""
    known: dict[str, ast.expr] = {}
    for name, value in pairs:
        before = known.get(name)
        both = _is_text(before) and _is_text(value)
        known[name] = ast.IfExp(test=ast.Constant(True), body=before, orelse=value) if both and before else value
    return known


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, in order, without those of functions within it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from _own(child)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        yield from _pairs(node.targets[0], node.value)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield from _pairs(node.target, node.value)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _pairs(one, its)


def _said(node: ast.expr, known: dict[str, ast.expr], depth: int = 0) -> str:
    """The text of an expression, with braces around what is not known."""
    again = depth + 1
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_said(part, known, again) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _said(node.value, known, again)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _said(node.left, known, again) + _said(node.right, known, again)
    if isinstance(node, ast.IfExp):
        both = [_said(node.body, known, again), _said(node.orelse, known, again)]
        return "".join(both) if "" in both else " / ".join(both)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setting":
        name, *value = node.args
        return " ".join([f"--{_said(name, {}, again).replace('_', '-')}", *(_said(v, known, again) for v in value)])
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), ast.Call) and depth < 8:
        passed_on = _said(known[node.id], known, again)
        return f"{{{node.id}}}" if passed_on == "{…}" else passed_on
    if (returned := _name_of_function(node)) in known and depth < 8:
        return _said(known[returned], known, again)
    if isinstance(node, ast.Name) and _is_text(known.get(node.id)) and depth < 8:
        return _said(known[node.id], {k: v for k, v in known.items() if k != node.id}, again)
    return "{…}" if isinstance(node, (ast.Call, ast.Subscript, ast.BinOp)) else f"{{{_brief(node)}}}"


def _name_of_function(node: ast.expr) -> str:
    """`why()` for a call of it, `missing()` for the property self.missing; nothing for others."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return f"{node.func.id}()"
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"{node.attr}()"
    return ""


def _is_text(node: ast.expr | None) -> bool:
    """Whether it is written out where it is assigned, and not computed."""
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _brief(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 24 and text.replace(".", "").replace("_", "").isalnum() else "…"
