"""The zoo's index, read off the source of its modules: what `describe` of the registry says, without importing Keras.

The decorators stay the one place where a model is entered: their arguments are read, not run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import BadInput, nearest


@cache
def rows() -> tuple[dict[str, Any], ...]:
    """Return a row a model, by name, variants included; its keys are those of `describe`."""
    known = [row for path in sorted(Path(__file__).parent.glob("*.py")) for row in _rows_of(path)]
    return tuple(sorted(known, key=lambda row: row["name"]))


def check_name(name: str) -> None:
    """Raise BadInput, with neighbours, if the zoo has no model `name`."""
    known = [row["name"] for row in rows()]
    if name not in known:
        raise BadInput(f"no model {name!r}; {nearest(name, known)} Own models: pkg.module:function or a .keras file")


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    module = ast.parse(path.read_text())
    family = next((value for name, value in _constants(module) if name == "FAMILY"), path.stem)
    for function in module.body:
        call = _registration(function)
        if call is None:
            continue
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        entry = {key: ast.literal_eval(given[key]) for key in ("task", "params", "paper", "data")}
        entry["on_request"] = ast.literal_eval(given["on_request"]) if "on_request" in given else ()
        own_family = ast.literal_eval(given["family"]) if "family" in given else family
        variants = dict(_items(given.get("variants")))
        yield _row(function.name, own_family, list(variants), entry)  # pyright: ignore[reportAttributeAccessIssue]
        for name, arguments in variants.items():
            own = {key: ast.literal_eval(value) for key, value in _items(arguments) if key in (*entry, "family")}
            yield _row(name, own.pop("family", own_family), [], {**entry, **own})


def _row(name: str, family: str, variants: list[str], entry: dict[str, Any]) -> dict[str, Any]:
    first = {"name": name, "family": family, "variants": variants}
    return {**first, **{key: list(value) if isinstance(value, tuple) else value for key, value in entry.items()}}


def _registration(statement: ast.stmt) -> ast.Call | None:
    calls = [decorator for decorator in getattr(statement, "decorator_list", ()) if isinstance(decorator, ast.Call)]
    return next((call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "register"), None)


def _constants(module: ast.Module) -> Iterator[tuple[str, Any]]:
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            yield from (
                (target.id, statement.value.value) for target in statement.targets if isinstance(target, ast.Name)
            )


def _items(node: ast.AST | None) -> Iterator[tuple[str, ast.AST]]:
    """Yield what a dict of constant keys holds, unread."""
    if isinstance(node, ast.Dict):
        yield from ((str(key.value), value) for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant))  # fmt: skip
