"""Rewrites that leave a graph's function as it is and its operations fewer: what is computed from weights becomes a
weight.

Every pass is decided by the graph's structure and its constants, never by the values of trainable weights, so that a
model rebuilt from its configuration simplifies to the same graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ..graph.nodes import Consumers, Graph, Node, Tensor
from ..graph.operations import broadcast_sum, masked, matmul_transposed
from ..graph.promotion import promote
from ..kernels import FORMS, LINEAR
from ..operators import FILLS
from .decompose import decompose
from .elementwise import UNARY, fold_pointwise

_SAME = {"Constant", "ConvertToTensor", "StopGradient", "Copy", "Identity", "Cast"}
_ELEMENTWISE = {"Add", "Subtract", "Multiply", "Maximum", "Minimum"}
_COMPARISONS = {"Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "Where"}
_RESHAPES = {"Reshape", "Squeeze", "ExpandDims"}
_MOVEMENT = {*_RESHAPES, "Transpose", "Swapaxes"}


def canonicalize(graph: Graph) -> Graph:
    """Apply all passes to `graph` in place and return it."""
    promote(graph)
    drop_broadcasts(graph)
    decompose(graph)
    drop_broadcasts(graph)
    lift_scalars(graph)
    drop_identities(graph)
    propagate_zeros(graph)
    fold_weights(graph)
    recognise_masks(graph)
    merge_movement(graph)
    while sink_movement(graph):
        merge_movement(graph)
    attach_biases(graph)
    hoist_projections(graph)
    fold_affine(graph)
    fold_transposes(graph)
    fold_pointwise(graph)
    graph.prune_dead()
    name_moved_constants(graph)
    spell_out_sums(graph)
    return graph


def spell_out_sums(graph: Graph) -> None:
    """Add operands of which none has the shape of the sum otherwise than Keras does (see `broadcast_sum`)."""
    for node in graph.nodes:
        if (
            node.op_type == "Add"
            and all(leaf.shape != node.output.shape for leaf in node.inputs)
            and len(node.inputs) == 2
        ):
            node.op = broadcast_sum


_BROADCASTS = {"BroadcastTo", "Batched"}
_BROADCASTING = {
    *_ELEMENTWISE, *_COMPARISONS, "Divide", "TrueDivide", "LogicalAnd", "LogicalOr", "Masked",
}  # fmt: skip


def drop_broadcasts(graph: Graph) -> None:
    """Let elementwise operations read what was broadcast to the shape that they broadcast it to themselves."""
    for node in graph.nodes:
        for leaf in node.inputs if node.op_type in _BROADCASTING else ():
            made = leaf.producer
            if made is None or made.op_type not in _BROADCASTS or len(node.inputs) < 2:
                continue
            plain = made.inputs[0]
            shapes = [plain.shape if one is leaf else one.shape for one in node.inputs]
            if _broadcast(shapes) == node.output.shape:
                node.args, node.kwargs = tree.map_structure(
                    lambda one, leaf=leaf, plain=plain: plain if one is leaf else one, (node.args, node.kwargs)
                )
    graph.prune_dead()


def _broadcast(shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...] | None:
    """Return the shape that tensors of `shapes` have together, if any; an open size is one like any other."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    sizes = [{size for size in along if size != 1} or {1} for along in zip(*padded, strict=True)]
    return tuple(one for (one,) in sizes) if all(len(one) == 1 for one in sizes) else None


def lift_scalars(graph: Graph) -> None:
    """Turn the Python numbers among elementwise operands, and tensors filled with one, into constants."""
    for node in graph.nodes:
        if node.op_type in _ELEMENTWISE | _COMPARISONS:
            keeps_shape = any(leaf.shape == node.output.shape and _fill(leaf) is None for leaf in node.inputs)

            def lift(leaf, node=node, keeps_shape=keeps_shape):
                if isinstance(leaf, Tensor) and keeps_shape and (filled := _fill(leaf)) is not None:
                    return _scalar(node, filled, leaf.dtype)
                if isinstance(leaf, (int, float)) and not isinstance(leaf, bool):
                    return _scalar(node, leaf, node.inputs[-1].dtype)
                return leaf

            node.args = tree.map_structure(lift, node.args)


def _fill(leaf: Tensor) -> float | None:
    """Return the number that `leaf` is filled with, if it is."""
    made = leaf.producer
    return FILLS[made.op_type](made) if made is not None and made.op_type in FILLS else None


def _scalar(node: Node, value: float, dtype: str) -> Tensor:
    return Tensor(f"{node.name}.scalar".replace("/", "."), (), dtype, np.array(value, dtype))


def drop_identities(graph: Graph) -> None:
    """Remove copies and casts that change nothing."""
    for node in graph.nodes:
        if node.op_type in _SAME and len(node.inputs) == 1 and node.inputs[0].dtype == node.output.dtype:
            graph.replace(node.output, node.inputs[0])
    graph.prune_dead()


def propagate_zeros(graph: Graph) -> None:
    """Remove what a constant zero does: the first step of a recurrence starts from one."""
    for node in graph.nodes:
        zeros = [leaf for leaf in node.inputs if leaf.is_constant and not leaf.trainable and not np.any(leaf.value)]
        if not zeros:
            continue
        others = [leaf for leaf in node.inputs if leaf is not zeros[0]]
        if node.op_type == "Multiply" or (node.op_type in LINEAR and node.inputs[0] is zeros[0]):
            shape = tuple(1 if size is None else size for size in node.output.shape)
            graph.replace(
                node.output,
                Tensor(f"{node.name}.zero".replace("/", "."), shape, "float32", np.zeros(shape, np.float32)),
            )
        elif node.op_type == "Add" and len(others) == 1 and others[0].shape == node.output.shape:
            graph.replace(node.output, others[0])
    graph.prune_dead()


def fold_weights(graph: Graph) -> None:
    """Evaluate what depends on weights alone, unless one of these weights is also used elsewhere (it stays tied)."""
    constant_only: list[Node] = []
    derived: dict[int, set[int]] = {}
    for node in graph.nodes:
        on_weights = node.inputs and all(leaf.is_constant or id(leaf) in derived for leaf in node.inputs)
        if on_weights and node.op_type != "Batched":  # whose result has as many samples as the inputs
            roots = set().union(*(derived.get(id(leaf), {id(leaf)}) for leaf in node.inputs))
            derived.update((id(out), roots) for out in node.outputs)
            constant_only.append(node)
    readers = Consumers(graph)
    inside = {id(node) for node in constant_only}
    tied = {
        id(leaf) for leaf in graph.constants
        if leaf.trainable and any(id(reader) not in inside for reader in readers.of(leaf))
    }  # fmt: skip
    made: dict[tuple, list[Tensor]] = {}
    for node in constant_only:
        if tied & derived[id(node.output)]:
            continue
        key = _computation(node)  # the steps of a recurrence, or the uses of a shared layer, share what they derive
        if key not in made:
            values = node.run(lambda leaf: ops.convert_to_tensor(leaf.value))
            trainable = any(leaf.trainable for leaf in node.inputs)
            made[key] = [
                Tensor(out.name.replace("/", "."), array.shape, out.dtype, array, trainable)
                for out, array in zip(node.outputs, map(np.asarray, values), strict=True)
            ]
        for out, constant in zip(node.outputs, made[key], strict=True):
            graph.replace(out, constant)
    graph.prune_dead()


def _computation(node: Node) -> tuple:
    """Return what tells whether two nodes compute the same: operation, attributes, arguments."""
    attributes = {} if isinstance(node.op, keras.Layer) else getattr(node.op, "__dict__", {})
    static = sorted((k, repr(v)) for k, v in attributes.items() if not k.startswith("_") and k != "name")
    arguments = [_identity(leaf) for leaf in tree.flatten((node.args, node.kwargs))]
    return node.op_type, tuple(static), tuple(arguments)


def _identity(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return repr(leaf)
    is_number = leaf.is_constant and not leaf.trainable and leaf.value.size == 1
    return (leaf.shape, leaf.dtype, leaf.value.tobytes()) if is_number else id(leaf)


_HOPELESS = -1e4  # added to a score, it leaves nothing after a softmax


def recognise_masks(graph: Graph) -> None:
    """Find the many ways to say that a score does not count, and say it in one: `masked`.

    A sum with a large negative constant, or with a boolean times one; a choice between the score and such a constant.
    In int8 each would stretch the range of the scores until nothing is left of them.
    """
    for node in list(graph.nodes):
        found = _masked_sum(graph, node) if node.op_type in {"Add", "Subtract"} else _masked_choice(graph, node)
        if found is not None:
            scores, mask = found
            node.op_type, node.op, node.args, node.kwargs = "Masked", masked, (scores, mask), {}
    graph.prune_dead()


def _masked_choice(graph: Graph, node: Node) -> tuple[Tensor, Tensor] | None:
    if node.op_type != "Where" or len(node.inputs) != 3:
        return None
    mask, first, second = node.inputs
    if _is_hopeless(second) and not _is_hopeless(first):
        return first, mask
    if _is_hopeless(first) and not _is_hopeless(second):
        return second, _negated(graph, node, mask)
    return None


def _is_hopeless(leaf: Tensor) -> bool:
    if leaf.is_constant:
        return not leaf.trainable and bool(np.all(leaf.value <= _HOPELESS))
    node = leaf.producer
    if (
        node is None
        or node.op_type not in {"Add", "Subtract"}
        or len(node.inputs) != 2
        or not node.inputs[1].is_constant
    ):
        return False
    offset = node.inputs[1].value * (1 if node.op_type == "Add" else -1)
    return not node.inputs[1].trainable and bool(np.all(offset <= _HOPELESS))


def _masked_sum(graph: Graph, node: Node) -> tuple[Tensor, Tensor] | None:
    if len(node.inputs) != 2:
        return None
    sign = 1 if node.op_type == "Add" else -1
    operands = [tuple(node.inputs)] if node.op_type == "Subtract" else [tuple(node.inputs), tuple(node.inputs[::-1])]
    for scores, offset in operands:
        if offset.is_constant and not offset.trainable:
            values = offset.value * sign
            kept = values == 0
            if np.all(kept | (values <= _HOPELESS)) and np.any(kept) and not np.all(kept):
                return scores, Tensor(f"{offset.name}.mask", kept.shape, "bool", kept)
        elif (path := _from_boolean(graph, node, offset)) is not None:
            mask, low, high = path
            if low * sign <= _HOPELESS and high == 0:
                return scores, mask
            if high * sign <= _HOPELESS and low == 0:
                return scores, _negated(graph, node, mask)
    return None


def _from_boolean(graph: Graph, reader: Node, leaf: Tensor) -> tuple[Tensor, float, float] | None:
    """Return the boolean tensor that `leaf` is a function of, in the shape of `leaf`, and its values for False and
    True.
    """
    chain, movers = [], []
    while leaf.producer is not None and leaf.producer.op_type in {"Add", "Subtract", "Multiply"} | _MOVEMENT:
        data = [one for one in leaf.producer.inputs if not one.is_constant]
        numbers = [one for one in leaf.producer.inputs if one.is_constant]
        if len(data) != 1 or any(one.trainable or one.value.size != 1 for one in numbers):
            return None
        (movers if leaf.producer.op_type in _MOVEMENT else chain).append(leaf.producer)
        leaf = data[0]
    cast = leaf.producer
    if cast is None or cast.op_type != "Cast" or cast.inputs[0].dtype != "bool":
        return None
    values = np.array([0.0, 1.0], np.float32)
    for node in reversed(chain):
        held = {id(one): one.value.reshape(()) for one in node.inputs if one.is_constant}
        (result,) = node.run(lambda one, held=held, values=values: ops.convert_to_tensor(held.get(id(one), values)))
        values = np.asarray(result)
    mask = cast.inputs[0]
    for mover in reversed(movers):
        mask = _moved(graph, reader, mask, mover)
    return mask, float(values[0]), float(values[1])


def _moved(graph: Graph, reader: Node, mask: Tensor, mover: Node) -> Tensor:
    """Return `mask` moved as `mover` moves its input, made before `reader`."""
    name = f"{mover.name}/mask"
    out = Tensor(name, mover.output.shape, "bool")
    args, kwargs = tree.map_structure(
        lambda leaf: mask if isinstance(leaf, Tensor) else leaf, (mover.args, mover.kwargs)
    )
    out.producer = Node(mover.op_type, mover.op, args, kwargs, [out], name, f"{mover.scope}/mask")
    graph.nodes.insert(graph.nodes.index(reader), out.producer)
    return out


def _negated(graph: Graph, reader: Node, mask: Tensor) -> Tensor:
    if mask.is_constant:
        return Tensor(f"{mask.name}.not", mask.shape, "bool", ~mask.value)
    if mask.producer is not None and mask.producer.op_type == "LogicalNot":
        return mask.producer.inputs[0]
    name = f"{reader.name}/not"
    out = Tensor(name, mask.shape, "bool")
    out.producer = Node("LogicalNot", ops.logical_not, (mask,), {}, [out], name, f"{reader.scope}/not")
    graph.nodes.insert(graph.nodes.index(reader), out.producer)
    return out


def attach_biases(graph: Graph) -> None:
    """Add a bias to the product it fuses with: (x W + h U) + b, as recurrent cells have it, is (x W + b) + h U."""
    readers = Consumers(graph)
    for node in list(graph.nodes):
        if node.op_type != "Add" or len(node.inputs) != 2 or not _is_per_channel(node.inputs[1], node.output):
            continue
        total, bias = node.inputs
        inner = total.producer
        if inner is None or inner.op_type != "Add" or len(inner.inputs) != 2 or readers.only(total) is None:
            continue
        products = [leaf for leaf in inner.inputs if _is_bare_product(leaf, readers) and leaf.shape == total.shape]
        if len(products) != 2:
            continue
        first, second = products
        inner.args, inner.kwargs = (first, bias), {}
        node.args, node.kwargs = (total, second), {}
        graph.nodes.remove(inner)
        graph.nodes.insert(graph.nodes.index(node), inner)


def _is_bare_product(leaf: Tensor, readers: Consumers) -> bool:
    node = leaf.producer
    return (
        node is not None and node.op_type in LINEAR and node.inputs[-1].is_constant and readers.only(leaf) is not None
    )


def hoist_projections(graph: Graph) -> None:
    """Multiply all steps of a sequence by a kernel at once, where an unrolled recurrence multiplies one after another.

    The steps share their scales already, so each value is rounded as before.
    """
    for unstack in [node for node in graph.nodes if node.op_type == "Unstack" and node.op.axis == 1]:
        if len(unstack.inputs[0].shape) != 3:
            continue
        readers = Consumers(graph)
        products: dict[tuple[int, str], list[Node]] = {}
        for leaf in unstack.outputs:
            for node in readers.of(leaf):
                if node and node.op_type == "Matmul" and node.inputs[0] is leaf and node.inputs[1].is_constant:
                    products.setdefault((id(node.inputs[1]), node.scope), []).append(node)
        for steps in products.values():
            if len(steps) == len(unstack.outputs):
                _hoist(graph, unstack, steps, readers)
    graph.prune_dead()


def _hoist(graph: Graph, unstack: Node, products: list[Node], readers: Consumers) -> None:
    """Put one product, with the bias if all steps add the same, before `unstack`. `products`: one a step, in order."""
    source, scope = unstack.inputs[0], products[0].scope
    operands, ends = [("Matmul", ops.matmul, products[0].inputs[1], scope)], products
    sums = [end for node in products if (end := readers.only(node.output)) is not None and _adds_constant(end)]
    if len(sums) == len(products) and len({id(end.inputs[1]) for end in sums}) == 1:
        ends = sums
        operands.append(("Add", ops.add, ends[0].inputs[1], ends[-1].scope))  # the first step adds no state
    made, value = [], source
    for kind, op, operand, origin in operands:
        name = f"{scope}/all_{kind.lower()}"
        out = Tensor(name, (*source.shape[:2], ends[0].output.shape[-1]), source.dtype)
        out.producer = Node(kind, op, (value, operand), {}, [out], name, name, origin)
        made.append(out.producer)
        value = out
    parts = [Tensor(f"{end.name}/step", end.output.shape, source.dtype) for end in ends]
    split = Node("Unstack", unstack.op, (value,), {}, parts, f"{scope}/steps", f"{scope}/steps")
    for end, part in zip(ends, parts, strict=True):
        part.producer = split
        graph.replace(end.output, part)
    where = graph.nodes.index(unstack)
    graph.nodes[where:where] = [*made, split]


def _adds_constant(node: Node) -> bool:
    return node.op_type == "Add" and len(node.inputs) == 2 and node.inputs[1].is_constant


def sink_movement(graph: Graph) -> bool:
    """Let elementwise operations come before the reshapes and transposes they follow; tell if any did.

    So biases, normalisations and scalar factors meet the product they can be folded into, and reshapes meet reshapes.
    """
    sank = False
    while _sink_one(graph):
        sank = True
    return sank


def _sink_one(graph: Graph) -> bool:
    readers = Consumers(graph)
    for node in graph.nodes:
        movers = [
            leaf.producer
            for leaf in node.inputs
            if leaf.producer is not None and leaf.producer.op_type in _MOVEMENT and readers.only(leaf) is node
        ]
        if movers and _swap(graph, node, movers):
            return True
    return False


def _swap(graph: Graph, node: Node, movers: list[Node]) -> bool:
    """Put the elementwise `node` before the movement of its inputs, if that computes the same."""
    if node.op_type not in UNARY | _ELEMENTWISE or len(node.outputs) > 1:
        return False
    first = movers[0]
    swapped = {}
    for leaf in node.inputs:
        if leaf.producer in movers:
            if not _moves_alike(leaf.producer, first):
                return False
            swapped[id(leaf)] = leaf.producer.inputs[0]
        elif not leaf.is_constant or (constant := _before(leaf, first)) is None:
            return False
        else:
            swapped[id(leaf)] = constant
    before, after = first.inputs[0], node.output
    inner = Tensor(f"{node.name}/moved", before.shape, after.dtype)
    node.args, node.kwargs = tree.map_structure(lambda leaf: swapped.get(id(leaf), leaf), (node.args, node.kwargs))
    node.outputs, inner.producer = [inner], node
    mover = Node(
        first.op_type, first.op, first.args, first.kwargs, [after], f"{node.name}/{first.op_type.lower()}", node.scope
    )
    mover.scope = f"{node.scope}/{first.op_type.lower()}"
    mover.args, mover.kwargs = tree.map_structure(
        lambda leaf: inner if leaf is before else leaf, (first.args, first.kwargs)
    )
    after.producer = mover
    graph.nodes.insert(graph.nodes.index(node) + 1, mover)
    for old in movers:
        graph.nodes.remove(old)
    return True


def _moves_alike(one: Node, other: Node) -> bool:
    if one is other:
        return True
    static = [
        tree.map_structure(lambda leaf: None if isinstance(leaf, Tensor) else leaf, n.args[1:]) for n in (one, other)
    ]
    same = one.op_type == other.op_type and static[0] == static[1] and one.inputs[0].shape == other.inputs[0].shape
    moved = one.op_type in _RESHAPES or (_order(one) is not None and _order(one) == _order(other))
    return same and moved and one.output.shape == other.output.shape


def _order(node: Node) -> tuple[int, ...] | None:
    """Return the axes of a transpose that names them, counted from the first; None for all else."""
    axes = node.op.axes if node.op_type == "Transpose" else None
    return None if axes is None else tuple(axis % len(axes) for axis in axes)


def _before(constant: Tensor, mover: Node) -> Tensor | None:
    """Return `constant` as it reads before the movement, or None where it would not broadcast the same."""
    if constant.value.size == 1:
        return replace(constant, shape=(), value=constant.value.reshape(()))
    if (order := _order(mover)) is not None:
        spread = constant.value.reshape((1,) * (len(order) - constant.value.ndim) + constant.shape)
        value = spread.transpose(np.argsort(order))
        return replace(constant, shape=value.shape, value=value)
    channels, moved = mover.inputs[0].shape[-1], mover.output.shape
    used = list(constant.shape)
    while used and used[0] == 1:
        used = used[1:]
    if mover.op_type not in _RESHAPES or constant.value.size != channels or tuple(used) != tuple(moved[-len(used) :]):
        return None
    return replace(constant, shape=(channels,), value=constant.value.reshape(-1))


def fold_transposes(graph: Graph) -> None:
    """Let a product read the last two axes of its second operand the other way round rather than swap them before."""
    readers = Consumers(graph)
    for node in graph.nodes:
        if node.op_type != "Matmul" or len(node.inputs) != 2:
            continue
        left, right = node.inputs
        swap = right.producer
        if swap is not None and _swaps_last_two(swap) and readers.only(right) is node:
            node.op_type, node.op = "MatmulTransposed", matmul_transposed
            node.args, node.kwargs = (left, swap.inputs[0]), {}
    graph.prune_dead()


def _swaps_last_two(node: Node) -> bool:
    rank = len(node.output.shape)
    if node.op_type == "Swapaxes":
        return {node.op.axis1 % rank, node.op.axis2 % rank} == {rank - 2, rank - 1}
    swapped = [*range(rank - 2), rank - 1, rank - 2]
    return (
        node.op_type == "Transpose" and node.op.axes is not None and [axis % rank for axis in node.op.axes] == swapped
    )


def merge_movement(graph: Graph) -> None:
    """Join reshapes in a row and transposes in a row, and drop those that change nothing."""
    for node in list(graph.nodes):
        if (order := _order(node)) is not None:
            source = node.inputs[0]
            while source.producer is not None and (before := _order(source.producer)) is not None:
                order = tuple(before[axis] for axis in order)
                source = source.producer.inputs[0]
            if order == tuple(range(len(order))):
                graph.replace(node.output, source)
            elif source is not node.inputs[0]:
                node.op, node.args, node.kwargs = type(node.op)(order), (source,), {}
        if node.op_type not in _RESHAPES:
            continue
        source = node.inputs[0]
        while source.producer is not None and source.producer.op_type in _RESHAPES:
            source = source.producer.inputs[0]
        if source.shape == node.output.shape:
            graph.replace(node.output, source)
        elif source is not node.inputs[0]:
            shape = tuple(-1 if size is None else size for size in node.output.shape)
            node.op_type, node.op, node.args, node.kwargs = "Reshape", ops.reshape, (source, shape), {}
    graph.prune_dead()


def fold_affine(graph: Graph) -> None:
    """Fold per-channel products and sums that follow a linear operation into its kernel and bias (batch norm).

    A kernel or bias that is used at several places is folded into where all of them go on alike, and stays one.
    """
    readers = Consumers(graph)
    for node in list(graph.nodes):
        if node not in graph.nodes:  # folded together with another use of its kernel
            continue
        fold = _foldable(node, readers)
        if fold is None:
            continue
        folds = [fold, *_other_uses(fold, readers)]
        if None in folds:
            continue
        operand = node.inputs[1]
        if node.op_type == "Multiply":
            _fold_into([one.linear for one in folds], operand, _scaled(fold.linear, operand))
        if fold.bias is not None:
            value = fold.bias.inputs[1].value
            sign = 1 if node.op_type == "Add" else -1
            value = value * operand.value if node.op_type == "Multiply" else value + sign * operand.value
            _fold_into([one.bias for one in folds], operand, value)
        for one in folds:
            graph.replace(one.node.output, one.node.inputs[0])
            graph.nodes.remove(one.node)
        readers = Consumers(graph)


@dataclass(frozen=True, eq=False)
class _Fold:
    """A product or sum by channel, `node`, behind a linear operation and the sum that adds its bias, if it has one."""

    node: Node
    linear: Node
    bias: Node | None

    @property
    def changed(self) -> list[tuple[Node, Tensor]]:
        """The nodes whose constants change, with these."""
        parts = [self.linear] if self.node.op_type == "Multiply" else []
        return [(one, one.inputs[1]) for one in [*parts, *([self.bias] if self.bias else [])]]


def _foldable(node: Node, readers: Consumers) -> _Fold | None:
    if node.op_type not in {"Multiply", "Add", "Subtract"} or len(node.inputs) != 2:
        return None
    linear, bias = _linear_before(node.inputs[0], readers)
    if linear is None or not _is_per_channel(node.inputs[1], node.output) or len(linear.inputs) != 2:
        return None
    return (
        _Fold(node, linear, bias) if node.op_type == "Multiply" or bias is not None else None
    )  # a sum is the bias itself


def _other_uses(fold: _Fold, readers: Consumers) -> list[_Fold | None]:
    """Return the like folds at all other uses of what `fold` changes; None for one that goes on otherwise."""
    found: list[_Fold | None] = []
    for owner, constant in fold.changed:
        for reader in readers.of(constant):
            if reader is owner or any(one is not None and reader in (one.linear, one.bias) for one in found):
                continue
            found.append(_like(fold, reader, readers))
    return found


def _like(fold: _Fold, use: Node | None, readers: Consumers) -> _Fold | None:
    """Return the fold behind `use` of a shared constant if it has the same operands as `fold`."""
    following = None if use is None else readers.only(use.output)
    for node in (following, following and readers.only(following.output)):
        other = None if node is None else _foldable(node, readers)
        if (
            other is not None
            and other.node.op_type == fold.node.op_type
            and other.linear.op_type == fold.linear.op_type
        ):
            mine, theirs = ([one.node.inputs[1], *(leaf for _, leaf in one.changed)] for one in (fold, other))
            if list(map(id, mine)) == list(map(id, theirs)):
                return other
    return None


def _linear_before(tensor: Tensor, readers: Consumers) -> tuple[Node | None, Node | None]:
    """Return the linear node that `tensor` comes from and the node that adds its bias, if nothing else reads them."""
    node, bias = tensor.producer, None
    if node is None or readers.only(tensor) is None:
        return None, None
    if node.op_type == "Add" and len(node.inputs) == 2 and _is_per_channel(node.inputs[1], node.output):
        node, bias = node.inputs[0].producer, node
        if node is None or readers.only(node.output) is not bias:
            return None, None
    return (node, bias) if node.op_type in LINEAR and node.inputs[-1].is_constant else (None, None)


def _is_per_channel(constant: Tensor, output: Tensor) -> bool:
    """Tell whether `constant` has one value for each entry of the last axis of `output`, or one in all."""
    return constant.is_constant and (
        constant.value.size == 1 or constant.value.size == output.shape[-1] == constant.shape[-1]
    )


def _scaled(linear: Node, operand: Tensor) -> np.ndarray:
    """Return the kernel of `linear` times a factor for each of its outputs."""
    kernel, factor = linear.inputs[1].value, operand.value
    return kernel * (FORMS[linear.op_type].spread(factor, kernel.shape) if factor.size > 1 else factor)


def _fold_into(nodes: list[Node], operand: Tensor, value: np.ndarray) -> None:
    """Give `nodes` one constant of their own, `value`, that holds `operand` besides what they read so far."""
    old = nodes[0].inputs[1]
    trainable = old.trainable or operand.trainable
    new = replace(old, shape=value.shape, value=value.astype(old.dtype), trainable=trainable)
    for node in nodes:
        node.args = tree.map_structure(lambda leaf: new if leaf is old else leaf, node.args)


def name_moved_constants(graph: Graph) -> None:
    """Let what came of one constant at several uses be one again where it still has one shape, and else be named apart.

    A constant that met a movement is laid out anew for each use of it (`_before`), under its old name.
    """
    of_name: dict[str, list[Tensor]] = {}
    for leaf in graph.constants:
        first = next((one for one in of_name.setdefault(leaf.name, []) if one.shape == leaf.shape), None)
        if first is not None and np.array_equal(first.value, leaf.value):
            graph.replace(leaf, first)
        else:
            of_name[leaf.name].append(leaf)
    for leaves in of_name.values():
        for number, leaf in enumerate(leaves[1:], 2):
            leaf.name = f"{leaf.name}_{number}"
