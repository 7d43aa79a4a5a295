"""Networks of a tree's nodes, trained through whole trees by backpropagation through structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ...ends import output_names, symbolic_inputs
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..data.trees import UNKNOWN, heights
from ..optimizers import optimizer
from ..state import Row, RunDir
from ..tasks.trees import LEAF, LOGITS, MASK, NODE, OF_CHILDREN, TOKEN
from .batches import Batches
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, steps_by_batches, validate_by_metric


def _steps(dataset: Dataset, config: TrainConfig) -> int:
    return steps_by_batches(dataset, config) * int(heights(np.asarray(dataset.train.x)).max())


@learner("tree_walk", steps=_steps)
def tree_walk(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir) -> list[Row]:
    """Minimise the cross-entropy of every node whose class is known, through all nodes below it.

    networks: see `tasks.trees`. The network of nodes is run on all nodes at once, as often as the highest tree of
    training is high: after k times the nodes of height k are right, since their children are.
    Source: Goller and Küchler 1996.
    """
    high = int(heights(np.asarray(dataset.train.x)).max())

    def play(players: Networks, given: Mapping[str, Any]) -> Any:
        return unfolded(players, given["trees"], high)

    batches = Batches(dataset.train, dataset.train.y, config)
    count = config.epochs_for(len(batches))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=UNKNOWN)
    move = Move("walking", networks, list(networks), play)
    move.prepare(loss, optimizer(config, count * len(batches)), config)

    def epoch(number: int) -> Row:
        batches.begin(number)
        errors = []
        for index in range(len(batches)):
            x, y = (np.asarray(part) for part in batches[index])
            errors.append(move.make({"trees": x}, y))
        return {"loss": float(np.mean(errors))}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(count, epoch, dataset, task, validate_by_metric, best_by_metric)


def unfolded(networks: Networks, trees: Any, high: int) -> Any:
    """Return the logits of all nodes of trees no higher than `high`.

    Shapes: (N, nodes, 1 + children) int32 -> (N, nodes, K).
    """
    nodes, arity = trees.shape[1], trees.shape[2] - 1
    node = networks[NODE]
    inputs = {each.name: each for each in keras.tree.flatten(symbolic_inputs(node))}
    states = [name.removesuffix(OF_CHILDREN) for name in inputs if name.endswith(OF_CHILDREN)]
    token = ops.reshape(trees[..., 0], (-1, 1))  # (N nodes, 1)
    children = trees[..., 1:]
    mask = ops.cast(children > 0, "float32")
    places = ops.reshape(ops.maximum(children - 1, 0), (-1, nodes * arity, 1))
    inner = ops.any(children > 0, axis=-1, keepdims=True)  # (N, nodes, 1)
    given = {TOKEN: token, MASK: ops.reshape(mask, (-1, arity))}
    leaves = _named(networks[LEAF], {TOKEN: token}) if LEAF in networks else None
    if leaves is None:
        count = ops.shape(token)[0]
        now = {state: ops.zeros((count, inputs[state + OF_CHILDREN].shape[-1])) for state in states}
    else:
        now = leaves
    logits = None
    for _ in range(high + (leaves is None)):
        for state in states:
            known = ops.reshape(now[state], (-1, nodes, now[state].shape[-1]))
            of_children = ops.take_along_axis(known, places, axis=1)
            shape = (-1, arity, known.shape[-1])
            given[state + OF_CHILDREN] = ops.reshape(of_children, shape) * ops.expand_dims(given[MASK], -1)
        made = _named(node, {name: given[name] for name in inputs})
        logits = made[LOGITS]
        keep = ops.reshape(inner, (-1, 1))
        now = {state: made[state] if leaves is None else ops.where(keep, made[state], leaves[state])
               for state in states}  # fmt: skip
    assert logits is not None
    return ops.reshape(logits, (-1, nodes, logits.shape[-1]))


def _named(network: keras.Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Run a network in training on inputs by name; return its outputs by name."""
    outputs = keras.tree.flatten(network(dict(inputs), training=True))
    return dict(zip(output_names(network, len(outputs)), outputs, strict=True))
