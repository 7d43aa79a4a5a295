"""Keras while a model is traced: the few places where its symbolic tensors and layers behave otherwise than real ones.

A layer's `call` is written for tensors with values. For as long as `symbolic_python` lasts, symbolic tensors take numpy
arrays on their left, can be iterated and never count as sparse; layers are called through a function of ours; what
would draw random numbers is refused, since a draw of today would become a constant of the model.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
from keras import KerasTensor

from ...errors import BadInput, EdgewrightError
from ...keras_internals import patched
from ...untyped import ops

DRAWS = "draws random numbers at inference"


@contextmanager
def symbolic_python(call: Callable[..., Any], is_whole: Callable[[Any], bool]) -> Iterator[None]:
    """Let every layer be called as `call(layer, *args, **kwargs)` on symbolic tensors, and tensors do as real ones do.

    is_whole: tells whether an operation is recorded as a node itself; the nodes of all others are those of its body.
    """
    parts = patched()
    record, create = parts.calls.Node, KerasTensor.__init__
    record_operation = keras.Operation.symbolic_call
    make_einsum: Any = parts.einsum.__init__
    take = KerasTensor.__getitem__

    def node(operation: Any, **arguments: Any) -> Any:
        return record(operation=operation, **arguments) if is_whole(operation) else None

    def dense(self: KerasTensor, shape: Any, dtype: str = "float32", **kwargs: Any) -> None:
        create(self, shape, dtype, **{**kwargs, "sparse": False, "ragged": False})

    def operation(self: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        """Open an operation of the user's own, as a layer is."""
        if type(self).__module__.startswith(_RECORDED):
            return record_operation(self, *args, **kwargs)
        try:
            return self.call(*args, **kwargs)
        except EdgewrightError:
            raise
        except Exception:
            return record_operation(self, *args, **kwargs)

    draws, add_weight = _Draws(), keras.Layer.add_weight

    def weight(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        """Let a layer that is built now start from random weights."""
        with draws.allowed():
            return add_weight(self, *args, **kwargs)

    def einsum(self: Any, subscripts: str, **kwargs: Any) -> None:
        make_einsum(self, _in_small_letters(subscripts), **kwargs)

    def item(self: KerasTensor, key: Any) -> Any:
        return take(self, (key,) if key is None or isinstance(key, slice) else key)

    with ExitStack() as undo:
        for owner, name, value in (
            (parts.calls, "Node", node),
            (keras.Layer, "symbolic_call", call),
            (keras.Operation, "symbolic_call", operation),
            (KerasTensor, "__init__", dense),
            (KerasTensor, "__iter__", _iterate),
            (KerasTensor, "__len__", _length),
            (KerasTensor, "__array_ufunc__", None),  # numpy then leaves the operation to the tensor
            (keras.random.SeedGenerator, "next", draws.refusing(keras.random.SeedGenerator.next)),
            (parts.draws, "draw_seed", draws.refusing(parts.draws.draw_seed)),
            (keras.Layer, "add_weight", weight),
            *((module, name, draws.refusing(getattr(module, name))) for module, name in _global_draws()),
            (parts.attention, "compute_output_spec", _attended),
            (parts.einsum, "__init__", einsum),
            (parts.rank, "symbolic_call", lambda self, x: len(x.shape)),
            (KerasTensor, "__getitem__", item),
            (KerasTensor, "__eq__", _elementwise(ops.equal, False)),
            (KerasTensor, "__ne__", _elementwise(ops.not_equal, True)),
        ):
            _set(undo, owner, name, value)
        for owner, name in _comparisons():
            _set(undo, owner, name, _leaving_symbolic(vars(owner)[name]))
        if keras.config.is_traceback_filtering_enabled():
            keras.config.disable_traceback_filtering()
            undo.callback(keras.config.enable_traceback_filtering)
        yield


_MISSING = object()
_RECORDED = ("keras.", __name__.partition(".")[0] + ".")  # whose operations are known, by name


def _set(undo: ExitStack, owner: Any, name: str, value: Any) -> None:
    before = vars(owner).get(name, _MISSING)
    setattr(owner, name, value)
    if before is _MISSING:
        undo.callback(delattr, owner, name)
    else:
        undo.callback(setattr, owner, name, before)


def _iterate(tensor: KerasTensor) -> Iterator[Any]:
    return iter(ops.unstack(tensor, _length(tensor), axis=0))


def _length(tensor: KerasTensor) -> int:
    if not tensor.shape or tensor.shape[0] is None:
        raise TypeError(f"a tensor of shape {tuple(tensor.shape)} has no length to iterate over")
    return tensor.shape[0]


def _comparisons() -> Iterator[tuple[type, str]]:
    """Yield the comparisons of the backend's tensors that raise where a symbolic one stands on the right."""
    kinds = type(ops.convert_to_tensor(0.0)).__mro__
    for name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
        owner = next(kind for kind in kinds if name in vars(kind))
        if owner.__module__.startswith("tensorflow"):
            yield owner, name


def _leaving_symbolic(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: NotImplemented if isinstance(other, KerasTensor) else compare(self, other)


def _elementwise(operation: Callable[..., Any], otherwise: bool) -> Callable[..., Any]:
    """Return a comparison as tensors with values have it; symbolic ones of Keras compare by identity."""

    def compare(self: KerasTensor, other: Any) -> Any:
        if other is None or isinstance(other, (str, bytes, type)):
            return otherwise
        return operation(self, other)

    return compare


class _Draws:
    """Refuses random numbers, but for the first weights of a layer."""

    def __init__(self) -> None:
        self._allowed = 0

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let Keras draw for as long as the context lasts."""
        self._allowed += 1
        try:
            yield
        finally:
            self._allowed -= 1

    def refusing(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        """Return what raises BadInput, which whoever runs the layer words with its name, in place of `draw`."""

        def refuse(*args: Any, **kwargs: Any) -> Any:
            if self._allowed:
                return draw(*args, **kwargs)
            raise BadInput(DRAWS)

        return refuse


_DRAWS = {
    "numpy": ("choice", "normal", "permutation", "rand", "randint", "randn", "random", "random_sample", "shuffle",
              "standard_normal", "uniform"),
    "tensorflow": ("categorical", "gamma", "normal", "poisson", "shuffle", "truncated_normal", "uniform"),
}  # fmt: skip


def _global_draws() -> Iterator[tuple[Any, str]]:
    """Yield the functions outside Keras that draw from a state of their own, by module and name."""
    for package, names in _DRAWS.items():
        module = getattr(sys.modules.get(package), "random", None)
        for name in names if module is not None else ():
            if hasattr(module, name):
                yield module, name


def _attended(self: Any, query: Any, key: Any, value: Any, **kwargs: Any) -> KerasTensor:
    """Return as many vectors as there are queries, as long as the values (Keras 3.15 says: as the queries)."""
    return KerasTensor((*query.shape[:-1], value.shape[-1]), dtype=query.dtype)


def _in_small_letters(subscripts: str) -> str:
    """Return einsum's subscripts as Keras reads symbolic ones: without blanks and capitals, which backends take."""
    plain = subscripts.replace(" ", "")
    free = [letter for letter in string.ascii_lowercase if letter not in plain]
    names = dict(zip(sorted(set(filter(str.isupper, plain))), free, strict=False))
    return "".join(names.get(letter, letter) for letter in plain)
