"""Whole residual blocks leave a model: where a layer adds something to what it is given, y = x + f(x), y becomes x.

They are found on the traced graph, whatever the layers are: an `Add` of the model, a layer of one's own that ends in
`x + f(x)`, a Transformer's layer that does so twice. What only f computed goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...quantize.graph.nodes import Graph, Node, Tensor
from ...quantize.graph.tracing import Trace, trace_calls
from ...untyped import tree
from .block_config import BlockConfig, BlockReport, CutBlock
from .channels import apart, few, in_order, refuse
from .cut import macs_of, run
from .parts import Part, calls_of_parts
from .rebuild import Builder


def prune_blocks(
    model: keras.Model, config: BlockConfig | None = None, samples: Any = None
) -> tuple[keras.Model, BlockReport]:
    """Return a model without its residual blocks that do least, and a report. `model` is untouched.

    What is returned is an ordinary Keras model with the same inputs, outputs and names of layers: it computes what
    `model` does where those blocks add zeros. samples: arrays as the model takes them, on which blocks are measured.
    Raises: BadInput without samples, or if the model has fewer blocks that can go than are asked for; WrongOrder if
    `model` is being pruned or is quantization-aware.
    """
    refuse(model, "prune_blocks")
    config = config or BlockConfig(blocks=1)
    if samples is None:
        raise BadInput("prune_blocks measures what each block does: give samples=, some inputs of the model")
    given = in_order(model, samples)
    trace = trace_calls(model)
    blocks = blocks_of(model, trace)
    influence = _influences(blocks, trace.graph, given, config.criterion)
    choice = _Choice(model.name, blocks, trace, config)
    gone = choice.made(influence)
    passing = {id(block.operation): block.position for block in gone}
    made = Builder(passing=passing).build(model)
    silent = _Silent({id(leaf) for block in gone for call in block.calls for leaf in call.added})
    whole, left = (live(trace.graph, block_list) for block_list in ((), gone))
    return made, BlockReport(
        blocks=tuple(choice.row(*pair, pair[0] in gone) for pair in zip(blocks, influence, strict=True)),
        macs=(macs_of(whole.nodes), macs_of(left.nodes)),
        parameters=(model.count_params(), made.count_params()),
        deviation=apart(model, made, trace.graph, few(model, given, trace.graph.nodes), silent),
    )


@dataclass(frozen=True, eq=False)
class Residual:
    """One call of a block: what goes in, what comes out, and what is added on the way."""

    given: Tensor
    made: Tensor
    added: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """A layer or operation of the model that passes an argument on. position: which leaf of its arguments that is."""

    operation: Any
    position: int
    calls: tuple[Residual, ...]
    weights: tuple[Tensor, ...]  # that only the block needs


def blocks_of(model: keras.Model, trace: Trace) -> list[Block]:
    """Return the residual blocks that a model can be built without, in its order."""
    readers = _readers(trace.graph)
    weights = {id(leaf): leaf for leaf in trace.weights.values()}
    whole = live(trace.graph, ())
    found = []
    for parts in calls_of_parts(model, trace).values():
        at = next((at for at in _positions(parts[0]) if all(_residual(part, at, readers) for part in parts)), None)
        if at is None or parts[0].operation is model:
            continue
        calls = tuple(each for part in parts if (each := _residual(part, at, readers)))
        block = Block(parts[0].operation, at, calls, ())
        lost = [weights[key] for key in whole.leaves - live(trace.graph, [block]).leaves if key in weights]
        if any(leaf.trainable for leaf in lost):
            order = [leaf for leaf in weights.values() if any(leaf is each for each in lost)]
            found.append(Block(block.operation, at, calls, tuple(order)))
    return found


def _positions(part: Part) -> Iterable[int]:
    return (at for at, leaf in enumerate(tree.flatten((part.args, part.kwargs))) if isinstance(leaf, Tensor))


def _readers(graph: Graph) -> dict[int, list[Node | None]]:
    """Return who reads each tensor, by id; None for the outputs of the model."""
    readers: dict[int, list[Node | None]] = {id(leaf): [None] for leaf in graph.outputs}
    for node in graph.nodes:
        for leaf in node.inputs:
            readers.setdefault(id(leaf), []).append(node)
    return readers


def _residual(part: Part, at: int, readers: Mapping[int, list[Node | None]]) -> Residual | None:
    """Return a call as a residual block that passes the leaf `at` of its arguments on, None if it is none."""
    given = tree.flatten((part.args, part.kwargs))[at]
    if len(part.outputs) != 1 or not isinstance(given, Tensor) or given.is_constant:
        return None
    (made,) = part.outputs
    way = _way(made, given, {id(leaf) for leaf in part.inputs})
    if not way or (given.shape, given.dtype) != (made.shape, made.dtype):
        return None
    sums, added = {id(node) for node, _ in way}, tuple(leaf for _, leaf in way)
    alone = all(id(reader) in sums for leaf in added for reader in readers[id(leaf)])
    return Residual(given, made, added) if alone and all(_depends(leaf, given) for leaf in added) else None


def _way(leaf: Tensor, given: Tensor, ends: set[int]) -> list[tuple[Node, Tensor]] | None:
    """Return the sums between `given` and `leaf`, each with what it adds; None if there is no way, or two."""
    if leaf is given:
        return []
    node = leaf.producer
    if id(leaf) in ends or node is None or node.op_type != "Add" or len(node.inputs) != 2:
        return None
    ways = [
        [*way, (node, other)]
        for each, other in (node.inputs, node.inputs[::-1])
        if (way := _way(each, given, ends)) is not None
    ]
    return ways[0] if len(ways) == 1 else None


def _depends(leaf: Tensor, on: Tensor) -> bool:
    """Tell whether `leaf` is computed from `on`."""
    stack, seen = [leaf], {id(leaf)}
    while stack:
        each = stack.pop()
        if each is on:
            return True
        for before in each.producer.inputs if each.producer else ():
            if id(before) not in seen:
                seen.add(id(before))
                stack.append(before)
    return False


@dataclass(frozen=True)
class Live:
    """What a graph needs for its outputs: nodes in their order, ids of inputs, weights and constants."""

    nodes: list[Node]
    leaves: set[int]


def live(graph: Graph, gone: Iterable[Block]) -> Live:
    """Return what is needed once blocks pass on what they are given."""
    passing = {id(call.made): call.given for block in gone for call in block.calls}

    def source(leaf: Tensor) -> Tensor:
        while id(leaf) in passing:
            leaf = passing[id(leaf)]
        return leaf

    wanted = {id(source(leaf)) for leaf in graph.outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if any(id(out) in wanted for out in node.outputs):
            nodes.append(node)
            wanted |= {id(source(leaf)) for leaf in node.inputs}
    made = {id(out) for node in nodes for out in node.outputs}
    return Live(nodes[::-1], wanted - made)


# ---------------------------------------------------------------- how much a block does


def _influences(blocks: Sequence[Block], graph: Graph, samples: list[np.ndarray], criterion: str) -> list[float]:
    kept = {id(leaf) for block in blocks for call in block.calls for leaf in (call.given, call.made)}
    values = run(graph, samples, kept=kept)
    pairs = ([(values[id(call.given)], values[id(call.made)]) for call in block.calls] for block in blocks)
    return [float(np.mean([_INFLUENCES[criterion](*_vectors(x, y)) for x, y in calls])) for calls in pairs]


def _vectors(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the channels at each place: (places, channels)."""
    return x.reshape(-1, x.shape[-1]).astype(np.float64), y.reshape(-1, y.shape[-1]).astype(np.float64)


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the cosine at each place; 1 of two vectors of zeros, 0 where one of them is."""
    sizes = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    both = ~x.any(axis=1) & ~y.any(axis=1)
    return np.where(sizes > 0, (x * y).sum(axis=1) / np.where(sizes > 0, sizes, 1), both.astype(np.float64)).clip(-1, 1)


def _norm(x: np.ndarray, y: np.ndarray) -> float:
    size = np.linalg.norm(x, axis=1)
    return float((np.linalg.norm(y - x, axis=1) / np.where(size > 0, size, 1)).mean())


_INFLUENCES = {
    "cosine": lambda x, y: 1 - _cosine(x, y).mean(),
    "angle": lambda x, y: np.arccos(_cosine(x, y)).mean() / np.pi,
    "norm": _norm,
}


# ---------------------------------------------------------------- which go


class _Choice:
    """Chooses blocks, the least influential first."""

    def __init__(self, name: str, blocks: Sequence[Block], trace: Trace, config: BlockConfig):
        self.name, self.blocks, self.trace, self.config = name, blocks, trace, config
        self.reasons: dict[int, str] = {}
        for pattern in config.skip:
            named = [block for block in blocks if any(fnmatch(each, pattern) for each in _names(block))]
            if not named:
                raise BadInput(f"BlockConfig: skip={pattern!r} names no layer or weight of a block")
            self.reasons.update((id(block), "BlockConfig.skip names it") for block in named)

    def made(self, influence: Sequence[float]) -> list[Block]:
        """Return the blocks that go.  Raises: BadInput if there are too few."""
        count = self.config.blocks or int((self.config.share or 0) * len(self.blocks))
        whole = {id(leaf) for leaf in self.trace.graph.inputs} & live(self.trace.graph, ()).leaves
        gone: list[Block] = []
        for at in np.argsort(influence, kind="stable").tolist():
            block = self.blocks[at]
            if len(gone) == count or id(block) in self.reasons:
                continue
            if not any(node is block.calls[0].made.producer for node in live(self.trace.graph, gone).nodes):
                self.reasons[id(block)] = "it is part of a block that goes"
            elif not whole <= live(self.trace.graph, [*gone, block]).leaves:
                self.reasons[id(block)] = "an input of the model goes through it alone"
            else:
                gone.append(block)
        if len(gone) < count:
            raise BadInput(
                f"BlockConfig: blocks={count} cannot go from model {self.name!r}: it has {len(self.blocks)} blocks "
                f"y = x + f(x), of which {len(gone)} can go; ask for fewer, or prune channels instead"
            )
        return gone

    def row(self, block: Block, influence: float, gone: bool) -> CutBlock:
        """Return what the report says of a block."""
        return CutBlock(
            name=block.operation.name,
            weights=tuple(leaf.name.replace(".", "/") for leaf in block.weights),
            parameters=sum(leaf.value.size for leaf in block.weights),
            influence=influence,
            gone=gone,
            reason=self.reasons.get(id(block), ""),
        )


def _names(block: Block) -> set[str]:
    """Return what a block may be called by: the layer that adds, its weights, and the layers that have these."""
    paths = [leaf.name.replace(".", "/").split("/") for leaf in block.weights]
    return {block.operation.name, *("/".join(path[:end]) for path in paths for end in range(1, len(path) + 1))}


@dataclass(frozen=True)
class _Silent:
    """Zeros in place of some tensors, as `cut.execute` takes it."""

    tensors: set[int]

    def masked(self, tensor: Tensor, value: Any) -> Any:
        return np.zeros_like(value) if id(tensor) in self.tensors else value
