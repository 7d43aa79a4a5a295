"""How much each unit matters, by several criteria; the least go first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from ...ends import symbolic_inputs
from ...errors import BadInput
from ...gradients import gradients
from ...quantize.graph.nodes import Tensor
from ...untyped import ops, tree
from .config import ChannelConfig
from .cut import execute
from .units import Anatomy, Group

# Inputs as the model takes them, and the loss of its outputs for these
Batches = Sequence[tuple[Any, Callable[[Any], Any]]]


def importance(
    anatomy: Anatomy, model: keras.Model, config: ChannelConfig, samples: list[np.ndarray] | None,
    batches: Batches | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """Return for each group a number for each unit, the share of the group's mean.

    samples: a batch for each input, needed by "activation", and by "taylor" where there are no batches.
    """
    if samples is None and (config.criterion == "activation" or (config.criterion == "taylor" and not batches)):
        raise BadInput(f"criterion {config.criterion!r} looks at what the model computes: give samples=")
    if config.criterion == "random":
        random = np.random.default_rng(config.seed)
        return [random.uniform(0.5, 1.5, len(group)) for group in anatomy.groups]
    if config.criterion == "activation":
        size = _activations(anatomy, samples or [])
        raw = [np.array([size[list(unit)].mean() for unit in group.units]) for group in anatomy.groups]
    elif config.criterion == "taylor":
        raw = _taylor(anatomy, model, batches or [(_packed(model, samples or []), _square)])
    else:
        raw = [_CRITERIA[config.criterion](anatomy, group) for group in anatomy.groups]
    return [values / (values.mean() or 1.0) for values in raw]


def _along(value: np.ndarray, axis: int) -> np.ndarray:
    """Return the sum over all axes but one."""
    return value.sum(axis=tuple(each for each in range(value.ndim) if each != axis))


def _norms(anatomy: Anatomy, group: Group, power: int) -> np.ndarray:
    """Return the norm of each unit's kernels, of each kernel as a share of its mean."""
    total = np.zeros(len(group))
    for leaf, axis, index in _places(anatomy, group):
        if len(leaf.shape) < 2 or not leaf.trainable:
            continue
        sums = _along(np.abs(leaf.value.astype(np.float64)) ** power, axis)
        values = sums[index].sum(axis=1) ** (1 / power)
        total += values / (values.mean() or 1.0)
    return total


def _bn_scale(anatomy: Anatomy, group: Group) -> np.ndarray:
    """Return the size of each unit's scales after normalization; its weights where it has none."""
    total = np.zeros(len(group))
    for leaf, axis, index in _places(anatomy, group):
        if leaf.name.endswith("gamma"):
            total += _along(np.abs(leaf.value), axis)[index].sum(axis=1)
    return total if total.any() else _norms(anatomy, group, 1)


def _places(anatomy: Anatomy, group: Group) -> Iterator[tuple[Tensor, int, np.ndarray]]:
    for (tensor, axis), index in group.index.items():
        yield anatomy.tensors[tensor], axis, index


def _summed(group: Group, change: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(len(group))
    for (tensor, axis), index in group.index.items():
        sums = _along(change[tensor], axis)
        total += sums[index].sum(axis=1)
    return total


def _activations(anatomy: Anatomy, samples: list[np.ndarray]) -> np.ndarray:
    """Return the mean size of the values of each class over all tensors that it lies in."""
    size, count = np.zeros(anatomy.classes.count), np.zeros(anatomy.classes.count)
    graph = anatomy.graph
    values: dict[int, Any] = dict(zip(map(id, graph.inputs), samples, strict=True))

    def look(node: Any) -> None:
        for out in node.outputs:
            value = np.abs(values[id(out)].astype(np.float64))
            for axis, classes in enumerate(anatomy.axes_of(out)):
                if classes is not None and value.shape[axis] == len(classes):
                    np.add.at(size, classes, _along(value, axis) * len(classes) / max(1, value.size))
                    np.add.at(count, classes, 1)

    execute(graph.nodes, values, None, look)
    return size / np.maximum(count, 1)


def _taylor(anatomy: Anatomy, model: keras.Model, batches: Batches) -> list[np.ndarray]:
    """Return the change of the loss, to first order, were a unit's weights zero: squared, on average over batches.

    Its root is taken, so that of one batch it is the size of the change.
    """
    total = [np.zeros(len(group)) for group in anatomy.groups]
    for given, loss in batches:
        change = _changes(anatomy, model, given, loss)
        for at, group in enumerate(anatomy.groups):
            total[at] += _summed(group, change) ** 2
    return [np.sqrt(each / len(batches)) for each in total]


def _changes(anatomy: Anatomy, model: keras.Model, given: Any, loss: Callable[[Any], Any]) -> list[np.ndarray]:
    """Return weight times gradient for each tensor of the anatomy."""
    gradients = _gradients(model, given, loss)
    of = {id(leaf): key for key, leaf in anatomy.trace.weights.items()}
    return [leaf.value * gradients.get(of[id(leaf)], np.zeros_like(leaf.value)) for leaf in anatomy.tensors]


def _square(outputs: Any) -> Any:
    """Return half the mean square of the outputs: where no labels are known, that they change counts."""
    return sum(ops.mean(ops.square(ops.cast(leaf, "float32"))) / 2 for leaf in tree.flatten(outputs))


def _packed(model: keras.Model, samples: list[np.ndarray]) -> Any:
    return tree.pack_sequence_as(symbolic_inputs(model), samples)


def _gradients(model: keras.Model, given: Any, loss: Callable[[Any], Any]) -> dict[int, np.ndarray]:
    given = tree.map_structure(ops.convert_to_tensor, given)
    variables, fixed = model.trainable_variables, [each.value for each in model.non_trainable_variables]

    def value_of(values: Sequence[Any]) -> tuple[Any, tuple[()]]:
        return loss(model.stateless_call(values, fixed, given)[0]), ()

    made, _ = gradients(value_of, [each.value for each in variables])
    return {id(each): one for each, one in zip(variables, made, strict=True)}


_CRITERIA: dict[str, Callable[[Anatomy, Group], np.ndarray]] = {
    "l1": lambda anatomy, group: _norms(anatomy, group, 1),
    "l2": lambda anatomy, group: _norms(anatomy, group, 2),
    "bn_scale": _bn_scale,
}
