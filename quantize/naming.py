"""Which operations a pattern or a type of `QatConfig` means: a layer's path, an operation's type, a layer's class."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatch
from functools import cache

import keras

from ..errors import BadInput, nearest
from ..keras_internals import layers_in
from .graph.nodes import Node
from .operators import TABLE

_CALL = re.compile(r"#\d+(?=/|$)")  # a layer that is called again


def names(pattern: str, node: Node) -> bool:
    """Tell whether `pattern` is the path of `node` or of a layer around it; each call of a shared layer is meant."""
    scopes = {node.scope, _CALL.sub("", node.scope)}
    return any(fnmatch(scope, pattern) or fnmatch(scope, f"{pattern}/*") for scope in scopes)


def classes_in(model: keras.Model) -> Callable[[Node], Sequence[str]]:
    """Return what gives the classes of the layers that a node of `model` came from, the innermost first."""

    @cache
    def around(path: str) -> tuple[tuple[keras.Layer, ...], tuple[str, ...]]:
        """Return the layers that `path` leads to, and the classes on the way."""
        outer, _, name = path.rpartition("/")
        holders, passed = around(outer) if outer else ((model,), ())
        inside = {id(layer): layer for holder in holders for layer in layers_in(holder, itself=False)}
        found = tuple(layer for layer in inside.values() if layer.name == name)
        return found or holders, (*dict.fromkeys(type(layer).__name__ for layer in found), *passed)

    def of(node: Node) -> Sequence[str]:
        path = _CALL.sub("", node.scope).rpartition("/")[0]
        return around(path)[1] if path else ()

    return of


def check_used(by_name: Iterable[str], by_type: Iterable[str], nodes: Sequence[Node], model: keras.Model) -> None:
    """Refuse patterns and types that mean none of `nodes`, the operations of `model`.

    A type of the operator table may be missing from a model: recipes for a device's kernels list them.
    Raises: BadInput with the nearest names.
    """
    layers = {layer.name: type(layer).__name__ for layer in layers_in(model, itself=False)}
    paths = {path for node in nodes for path in _prefixes(_CALL.sub("", node.scope))}
    for pattern in by_name:
        if not any(names(pattern, node) for node in nodes):
            gone = [name for name in layers if fnmatch(name, pattern)]
            raise BadInput(
                f"QatConfig: by_name[{pattern!r}] names no operation; {_gone(gone) or nearest(pattern, sorted(paths))}"
            )
    classes = classes_in(model)
    types = {kind for node in nodes for kind in (*node.op_types, *classes(node))}
    for kind in by_type:
        if kind not in types and kind not in _TABLED:
            gone = [name for name, of in layers.items() if of == kind]
            raise BadInput(
                f"QatConfig: by_type[{kind!r}] is no operation and no layer's class here; "
                f"{_gone(gone) or nearest(kind, sorted(types))}"
            )


_TABLED = {rule.op_type for rule in TABLE}


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _gone(layers: Sequence[str]) -> str:
    """Say what became of layers that the model has and its traced graph has not."""
    if not layers:
        return ""
    return f"layer {layers[0]!r} is folded into its neighbours, or computes nothing: name the one before it"


__all__ = ["check_used", "classes_in", "names"]
