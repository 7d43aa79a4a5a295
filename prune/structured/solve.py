"""How a layer is made narrower: its configuration is solved for, whatever the layer is.

Which of its numbers says how wide a layer is, its class knows and nobody else. So numbers that equal a size that
changes are changed, few before many, until a layer comes out that has the weights that are left and computes of what is
left of its inputs what the masked one does.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Any

import keras
import numpy as np

from ...backends import computed
from ...keras_internals import sharing
from ...untyped import ops, tree
from .cut import Cut, execute
from .parts import Part

FEW, TRIES = 40, 400
SAME = 1e-4  # of the largest output
_NOT_SIZES = frozenset({"name", "dtype", "seed", "registered_name", "class_name", "module"})


@dataclass(frozen=True)
class Recipe:
    """How a part is made again: its configuration, and the arguments of an operation that are no tensors.

    changes: the numbers in them that were changed, by the way to each.
    """

    config: dict[str, Any]
    args: Any
    kwargs: Any
    changes: Mapping[tuple, int]


@dataclass(eq=False)
class Solver:
    """Solves for the parts of a model. values: those of the tensors that go into parts, unmasked."""

    operations: Sequence[Any]
    values: Mapping[int, np.ndarray]
    weights: Mapping[int, Any]  # variable -> tensor, by id of the variable

    def solve(self, part: Part, cut: Cut, singly: Callable[[], list[Recipe | None]] | None = None) -> Recipe | None:
        """Return how `part` is made once `cut` is done, None if no way is found.

        singly: gives the ways for each group of the cut on its own. Of several groups each has its numbers, and ways to
        change all at once are too many to be tried.
        """
        try:
            wanted = self._wanted(part, cut)
            left = self.left_of(part.operation, cut) if isinstance(part.operation, keras.Layer) else []
            with sharing(self.operations):
                config = part.operation.get_config()
        except Exception:  # a layer that cannot be described or run on its own stays as it is
            return None
        given = tree.map_structure(lambda leaf: self._given(leaf, cut), (part.args, part.kwargs))

        def first(recipes: Iterable[Recipe]) -> Recipe | None:
            return next((each for each in recipes if _is_solved(part, each, left, given, wanted)), None)

        few = first(islice(_recipes(part, config, cut), FEW))
        if few is None and singly is not None:
            few = first(_joined(part, config, singly()))
        return few or first(islice(_recipes(part, config, cut), FEW, TRIES))

    def _given(self, leaf: Any, cut: Cut) -> Any:
        if id(leaf) not in self.values:
            return leaf if not hasattr(leaf, "is_constant") else cut.gathered(leaf, leaf.value)
        return cut.gathered(leaf, self.values[id(leaf)])

    def _wanted(self, part: Part, cut: Cut) -> list[np.ndarray]:
        """Return what is left of what the masked part computes."""
        values = {id(leaf): cut.masked(leaf, self.values[id(leaf)]) for leaf in part.inputs if not leaf.is_constant}
        execute(part.nodes, values, cut)
        return [cut.gathered(leaf, values[id(leaf)]) for leaf in part.outputs]

    def left_of(self, layer: Any, cut: Cut) -> list[np.ndarray]:
        """Return what is left of the variables of a layer."""
        values = ((self.weights.get(id(each)), np.array(ops.convert_to_numpy(each))) for each in layer.variables)
        return [value if leaf is None else cut.gathered(leaf, value) for leaf, value in values]


def _is_solved(part: Part, recipe: Recipe, left: list[np.ndarray], given: Any, wanted: list[np.ndarray]) -> bool:
    """Tell whether `recipe` makes a part of the weights `left` that computes `wanted` of `given`."""
    try:
        args, kwargs = merged(given, (recipe.args, recipe.kwargs))
        made = _made(part, recipe, args, kwargs)
        if not isinstance(made, keras.Layer):
            return _are_same(tree.flatten(computed(lambda: made(*args, **kwargs))), wanted)
        if len(made.variables) == len(left) and not _fit(made, left):  # no need to run what may be a long recurrence
            return False
        computed(lambda: made(*args, **kwargs))
        if not _fit(made, left):
            return False
        for variable, value in zip(made.variables, left, strict=True):
            variable.assign(value)
        results = tree.flatten(computed(lambda: made(*args, **kwargs)))
        return _are_same(results, wanted) and _announces(made, args, kwargs, wanted)
    except Exception:  # of many that are tried most cannot even be built
        return False


def _made(part: Part, recipe: Recipe, args: Any, kwargs: Any) -> Any:
    """Return what `recipe` makes, with its weights where a shape is all that it asks for."""
    kind, config = type(part.operation), recipe.config
    made = kind.from_config(copy.deepcopy(config))
    has_build = isinstance(made, keras.Layer) and kind.build is not keras.Layer.build
    if has_build and not kwargs and len(args) == 1 and isinstance(args[0], np.ndarray):
        try:
            made.build(args[0].shape)
        except Exception:  # it asks for more; a call will tell
            return kind.from_config(copy.deepcopy(config))
    return made


def _fit(layer: keras.Layer, left: list[np.ndarray]) -> bool:
    return [tuple(variable.shape) for variable in layer.variables] == [value.shape for value in left]


def _announces(layer: keras.Layer, args: Any, kwargs: Any, wanted: list[np.ndarray]) -> bool:
    """Tell whether a layer says of symbolic tensors what it does to real ones; the next layers are built by that."""
    symbolic = tree.map_structure(
        lambda leaf: keras.KerasTensor(leaf.shape, leaf.dtype) if isinstance(leaf, np.ndarray) else leaf, (args, kwargs)
    )
    spec = layer.compute_output_spec(*symbolic[0], **symbolic[1])
    return [tuple(leaf.shape) for leaf in tree.flatten(spec)] == [want.shape for want in wanted]


def _are_same(results: list[Any], wanted: list[np.ndarray]) -> bool:
    arrays = [np.asarray(ops.convert_to_numpy(result)) for result in results]
    return len(arrays) == len(wanted) and all(
        got.shape == want.shape
        and np.allclose(got, want, rtol=0, atol=SAME * max(1e-3, float(np.abs(want.astype(np.float64)).max(initial=0))))
        for got, want in zip(arrays, wanted, strict=True)
    )


# ---------------------------------------------------------------- candidates


def _recipes(part: Part, config: dict[str, Any], cut: Cut) -> Iterator[Recipe]:
    """Yield the ways to make a part, the one that it was made in first, then those that differ in few numbers."""
    described = _described(part, config)
    sizes = _sizes(part, cut)
    operation = None if isinstance(part.operation, keras.Layer) else (part, cut)
    fields = [(path, sorted(options)) for path, value in _integers(described)
              if (options := _options(value, sizes, operation))]  # fmt: skip
    for count in range(len(fields) + 1):
        for chosen in combinations(fields, count):
            for numbers in product(*(options for _, options in chosen)):
                changes = dict(zip((path for path, _ in chosen), numbers, strict=True))
                config, args, kwargs = _changed(described, changes)
                yield Recipe(config, args, kwargs, changes)


def _joined(part: Part, config: dict[str, Any], singly: Sequence[Recipe | None]) -> Iterator[Recipe]:
    """Yield the way that changes all that `singly` do, if there is one of each."""
    known = [each for each in singly if each is not None]
    if len(known) == len(singly):
        changes = {path: number for each in known for path, number in each.changes.items()}
        config, args, kwargs = _changed(_described(part, config), changes)
        yield Recipe(config, args, kwargs, changes)


def _described(part: Part, config: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """Return all that says how a part is made."""
    is_layer = isinstance(part.operation, keras.Layer)
    return (config, None, None) if is_layer else (config, part.args, part.kwargs)


def _sizes(part: Part, cut: Cut) -> dict[int, set[int]]:
    """Return what becomes of each size that changes: of the tensors of a part, and of what their axes are folded of."""
    sizes: dict[int, set[int]] = defaultdict(set)
    axes = [axis for leaf in part.tensors for axis in cut.anatomy.table.of.get(id(leaf), ()) if axis is not None]
    names = {node.name for node in part.nodes}
    axes += [factor for each in cut.anatomy.table.products if each.where in names for factor in each.factors]
    for axis in axes:
        left = cut.left_of(axis)
        if left is not None:
            sizes[len(axis)].add(len(left))
    return sizes


def _options(value: int, sizes: Mapping[int, set[int]], operation: tuple[Part, Cut] | None) -> set[int]:
    """Return what a number may become: a size what that becomes, of an operation also a place on an axis."""
    options = set(sizes.get(value, ()))
    if operation is not None:
        part, cut = operation
        for leaf in (*part.inputs, *part.outputs):
            for size, left in zip(leaf.shape, cut.left(leaf), strict=False):
                if left is not None and size is not None and 0 <= abs(value) <= size:
                    from_end = int((left >= size - abs(value)).sum())
                    options |= {-from_end} if value < 0 else {from_end, int((left < value).sum())}
    return options - {value}


def _integers(structure: Any, path: tuple = ()) -> Iterator[tuple[tuple, int]]:
    """Yield the numbers in nested dicts, lists, tuples and slices, with the way to each."""
    if isinstance(structure, bool):
        return
    if isinstance(structure, int):
        yield path, structure
    for key, value in _children(structure):
        if key not in _NOT_SIZES:
            yield from _integers(value, (*path, key))


def _children(structure: Any) -> list[tuple[Any, Any]]:
    if isinstance(structure, dict):
        return list(structure.items())
    if isinstance(structure, (list, tuple)):
        return list(enumerate(structure))
    if isinstance(structure, slice):
        return [(0, structure.start), (1, structure.stop), (2, structure.step)]
    return []


def _changed(structure: Any, changes: Mapping[tuple, int], path: tuple = ()) -> Any:
    """Return a copy of `structure` with other numbers at the ends of some ways."""
    if path in changes:
        return changes[path]
    if not any(way[: len(path)] == path for way in changes):
        return structure
    made = [(key, _changed(value, changes, (*path, key))) for key, value in _children(structure)]
    if isinstance(structure, dict):
        return dict(made)
    values = [value for _, value in made]
    return slice(*values) if isinstance(structure, slice) else type(structure)(values)


def merged(given: Any, static: Any) -> Any:
    """Return the arguments `given` with the numbers of `static` in place of theirs."""
    if isinstance(static, bool) or not isinstance(static, (int, slice, dict, list, tuple)):
        return given
    if isinstance(static, (int, slice)):
        return static
    if isinstance(static, dict):
        return {key: merged(value, static.get(key)) for key, value in given.items()}
    if len(static) != len(given):
        return given
    return type(given)(merged(*pair) for pair in zip(given, static, strict=True))
