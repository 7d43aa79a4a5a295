"""How much each unit matters, by several criteria; the least go first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from ...ends import symbolic_inputs
from ...errors import BadInput
from ...quantize.graph.nodes import Tensor
from ...untyped import ops, tree
from .config import ChannelConfig
from .cut import execute
from .units import Anatomy, Group


def importance(
    anatomy: Anatomy, model: keras.Model, config: ChannelConfig, samples: list[np.ndarray] | None
) -> list[np.ndarray]:
    """Return for each group a number for each unit, the share of the group's mean.

    samples: a batch for each input, needed by "activation" and "taylor".
    """
    if config.criterion in ("activation", "taylor") and samples is None:
        raise BadInput(f"criterion {config.criterion!r} looks at what the model computes: give samples=")
    if config.criterion == "random":
        random = np.random.default_rng(config.seed)
        return [random.uniform(0.5, 1.5, len(group)) for group in anatomy.groups]
    if config.criterion == "activation":
        size = _activations(anatomy, samples or [])
        raw = [np.array([size[list(unit)].mean() for unit in group.units]) for group in anatomy.groups]
    elif config.criterion == "taylor":
        change = _changes(anatomy, model, samples or [])
        raw = [np.abs(_summed(group, change)) for group in anatomy.groups]
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


def _changes(anatomy: Anatomy, model: keras.Model, samples: list[np.ndarray]) -> list[np.ndarray]:
    """Return weight times gradient for each tensor of the anatomy; the loss is half the outputs' mean square."""
    gradients = _gradients(model, samples)
    of = {id(leaf): key for key, leaf in anatomy.trace.weights.items()}
    return [leaf.value * gradients.get(of[id(leaf)], np.zeros_like(leaf.value)) for leaf in anatomy.tensors]


def _loss(outputs: Any) -> Any:
    return sum(ops.mean(ops.square(ops.cast(leaf, "float32"))) / 2 for leaf in tree.flatten(outputs))


def _gradients(model: keras.Model, samples: list[np.ndarray]) -> dict[int, np.ndarray]:
    given = tree.pack_sequence_as(symbolic_inputs(model), [ops.convert_to_tensor(each) for each in samples])
    variables = model.trainable_variables
    if keras.backend.backend() == "jax":
        import jax

        def loss(values: Any) -> Any:
            fixed = [each.value for each in model.non_trainable_variables]
            return _loss(model.stateless_call(values, fixed, given)[0])

        made = jax.grad(loss)([each.value for each in variables])
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = _loss(model(given, training=False))
        none = tf.UnconnectedGradients.ZERO
        made = tape.gradient(value, [each.value for each in variables], unconnected_gradients=none)
    return {id(each): np.asarray(ops.convert_to_numpy(one)) for each, one in zip(variables, made, strict=True)}


_CRITERIA: dict[str, Callable[[Anatomy, Group], np.ndarray]] = {
    "l1": lambda anatomy, group: _norms(anatomy, group, 1),
    "l2": lambda anatomy, group: _norms(anatomy, group, 2),
    "bn_scale": _bn_scale,
}
