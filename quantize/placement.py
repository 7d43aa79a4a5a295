"""Where the quantizers go: fuse a graph into the steps its kernels will execute, and give each tensor its scale.

A fused operator is what becomes one integer operator: a product with its bias and activation, or a single operation.
Tensors inside one have no scale. Tensors that an operator requires to agree (`SAME_AS_INPUT_SCALE` in the table) and
tensors of the same scope in an unrolled recurrence share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..precision import PRECISIONS, Precision
from .graph.nodes import Consumers, Graph, Node, Tensor
from .operators import LINEAR, NARROW, NOT_WIDE, SAME_AS_INPUT_SCALE, FixedOutputScale, Rule, rule_for

# How to compute a node: the name of a precision, or None with the reason why it stays float.
Choice = tuple[str | None, str]


@dataclass(eq=False)
class Scale:
    """A quantization range shared by `tensors`.

    source: "observed" (calibrated, kept as weights), "state" (calibrated likewise, its step a power of two), "fixed"
    (prescribed by an operator) or "values" (the extremes of a constant's present values). symmetric: the zero point
    is 0. range_margin: how far it reaches below the values seen.
    """

    name: str
    source: str
    fixed: FixedOutputScale | None = None
    symmetric: bool = False
    range_margin: float = 0.0
    bits: int = 8
    tensors: list[Tensor] = field(default_factory=list)


@dataclass(eq=False)
class FusedOp:
    """`nodes` executed as one operator. `rule` is None where they stay float, for `reason`."""

    rule: Rule | None
    nodes: list[Node]
    kernel: Tensor | None = None
    bias: Tensor | None = None
    activation: str | None = None
    reason: str = ""
    precision: Precision = PRECISIONS["w8a8"]

    @property
    def precision_name(self) -> str:
        """Return the name of its precision; what has no numbers (masks, token ids) has their type."""
        if self.rule is None:
            return "float32"
        names = {precision: name for name, precision in PRECISIONS.items()}
        return names[self.precision] if _floats(self.outputs) else self.outputs[0].dtype

    @property
    def float_rule(self) -> Rule | None:
        """The row of a step that stays float although the table knows it."""
        return rule_for(self.nodes[0]) if self.rule is None else None

    @property
    def outputs(self) -> list[Tensor]:
        return self.nodes[-1].outputs

    @property
    def name(self) -> str:
        return self.nodes[-1].name

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that enter the step, kernel and biases left out."""
        inside = {id(out) for node in self.nodes for out in node.outputs}
        parts = (id(self.kernel), id(self.bias), *(id(bias) for bias, _ in self.biases))
        return [leaf for node in self.nodes for leaf in node.inputs if id(leaf) not in inside and id(leaf) not in parts]

    @property
    def biases(self) -> list[tuple[Tensor, Tensor]]:
        """The biases of an operator with several kernels, each with its kernel."""
        rule = self.rule or self.float_rule
        inputs = self.nodes[0].inputs
        return [(inputs[bias], inputs[kernel]) for bias, kernel in rule.biases] if rule else []


@dataclass(eq=False)
class Plan:
    """The steps of a graph in order, and the `Scale` of each quantized tensor by id; other tensors are float."""

    graph: Graph
    steps: list[FusedOp]
    scales: dict[int, Scale]

    @property
    def distinct_scales(self) -> list[Scale]:
        return list({id(scale): scale for scale in self.scales.values()}.values())

    @cached_property
    def makers(self) -> dict[str, list[FusedOp]]:
        """The steps whose first output has the scale of that name."""
        found: dict[str, list[FusedOp]] = {scale.name: [] for scale in self.distinct_scales}
        for step in self.steps:
            if (scale := self.scale_of(step.outputs[0])) is not None:
                found[scale.name].append(step)
        return found

    def scale_of(self, tensor: Tensor) -> Scale | None:
        return self.scales.get(id(tensor))


def place(
    graph: Graph,
    choose: Callable[[Node], Choice] = lambda node: ("w8a8", ""),
    carried: Sequence[tuple[int, int]] = (),
) -> Plan:
    """Fuse `graph` into steps and place the scales, each node in the precision that `choose` gives it.

    carried: numbers of inputs, and of the outputs that become them in the next call.
    """
    steps = _fuse(graph, choose)
    _convert_precisions(graph, steps)
    _separate_conflicts(graph, steps)
    states = [(graph.inputs[given], graph.outputs[new]) for given, new in carried]
    return Plan(graph, steps, _assign_scales(steps, states))


def _fuse(graph: Graph, choose: Callable[[Node], Choice]) -> list[FusedOp]:
    readers = Consumers(graph)
    taken: set[int] = set()
    steps = []
    for node in graph.nodes:
        if id(node) in taken:
            continue
        rule = rule_for(node)
        chosen, reason = choose(node)
        if rule is None:
            reason = reason or f"no int8 rule for {node.op_type}"
        step = FusedOp(None if reason else rule, [node], reason=reason)
        if step.rule is not None:
            step.precision, step.reason = _nearest(PRECISIONS[chosen or "w8a8"], step.rule, node)
        if rule and rule.kernel is not None:
            step.kernel = node.inputs[rule.kernel]
            following = readers.only(node.output)
            if following is not None and _is_bias(following, node):
                step.nodes.append(following)
                step.bias = following.inputs[1]
        if step.rule:
            following = readers.only(step.nodes[-1].output)
            activation = rule_for(following) if following is not None and choose(following)[0] else None
            if activation and activation.builtin_op in step.rule.fuses and len(step.nodes[-1].outputs) == 1:
                step.nodes.append(following)
                step.activation = activation.builtin_op
        taken.update(id(one) for one in step.nodes)
        steps.append(step)
    return _in_order(steps)


def _nearest(wanted: Precision, rule: Rule, node: Node) -> tuple[Precision, str]:
    """Return the precision nearest to `wanted` that LiteRT has a kernel for, and why it is another one."""
    if wanted.activations > 8 and rule.builtin_op in NOT_WIDE and _floats([*node.inputs, node.output]):
        return PRECISIONS["w8a8"], f"{rule.builtin_op} has no kernel for 16-bit activations"
    if wanted.weights < 8 and rule.kernel is None:
        return PRECISIONS["w8a8"], ""
    if wanted.weights == 4 and rule.builtin_op not in NARROW:
        return PRECISIONS["w8a8"], f"{rule.builtin_op} has no kernel for 4-bit weights"
    return wanted, ""


def _in_order(steps: list[FusedOp]) -> list[FusedOp]:
    """Order steps so that each comes after what it reads: fusing moved the early nodes of a step to its last one."""
    made_by = {id(out): step for step in steps for out in step.outputs}
    ordered: list[FusedOp] = []
    done: set[int] = set()
    for goal in steps:
        stack = [(goal, False)]
        while stack:
            step, ready = stack.pop()
            if ready:
                ordered.append(step)
            elif id(step) not in done:
                done.add(id(step))
                stack.append((step, True))
                stack.extend((made_by[id(leaf)], False) for leaf in step.inputs if id(leaf) in made_by)
    return ordered


def _is_bias(node: Node, linear: Node) -> bool:
    """Tell whether `node` adds a constant along the output channels of `linear`."""
    if node.op_type != "Add" or len(node.inputs) != 2 or node.inputs[0] is not linear.output:
        return False
    bias = node.inputs[1]
    return bias.is_constant and bias.value.size == linear.output.shape[-1] == (bias.shape or (0,))[-1]


class _Groups:
    """Union-find over tensors."""

    def __init__(self):
        self.parent: dict[int, int] = {}

    def find(self, tensor_id: int) -> int:
        root = tensor_id
        while self.parent.setdefault(root, root) != root:
            root = self.parent[root]
        self.parent[tensor_id] = root
        return root

    def join(self, a: Tensor, b: Tensor) -> None:
        self.parent[self.find(id(a))] = self.find(id(b))


def _convert_precisions(graph: Graph, steps: list[FusedOp]) -> None:
    """Put a requantization where an operator reads values of more or fewer bits than its own."""
    made_with = {id(out): step.precision.activations for step in steps if step.rule for out in step.outputs}
    wanted: dict[int, int] = {}
    for step in steps:
        for leaf in _floats(step.inputs) if step.rule else ():
            wanted[id(leaf)] = max(wanted.get(id(leaf), 0), step.precision.activations)
    bits = {**wanted, **made_with}
    converted: dict[tuple[int, int], Tensor] = {}
    for step in list(steps):
        for leaf in _floats(step.inputs) if step.rule else ():
            own = step.precision.activations
            if bits[id(leaf)] == own:
                continue
            key = id(leaf), own
            if key in converted:
                _reread(step, leaf, converted[key])
            else:
                between = _requantize(leaf, step)
                converted[key] = between.outputs[0]
                steps.insert(steps.index(step), between)


def _separate_conflicts(graph: Graph, steps: list[FusedOp]) -> None:
    """Put a requantization before operators whose several inputs must share a scale but cannot: one is prescribed, or
    a constant, a table of embeddings for one, is read elsewhere too and keeps its own.
    """
    way = _way_to(steps)
    prescribed = {
        id(out) for step in steps if step.rule and isinstance(step.rule.scale, FixedOutputScale) for out in step.outputs
    }
    reads = Counter(id(leaf) for leaf in graph.outputs)
    for step in steps:
        reads.update({id(leaf) for leaf in step.inputs})
    for step in list(steps):
        floats = [leaf for leaf in _floats(step.inputs) if not leaf.is_constant or _has_range(leaf)]
        if (
            step.rule is None
            or step.rule.scale != SAME_AS_INPUT_SCALE
            or len({id(way(leaf)[-1]) for leaf in floats}) < 2
        ):
            continue
        for leaf in floats:
            *_, source = passed = way(leaf)
            if id(source) in prescribed or (_has_range(source) and any(reads[id(one)] > 1 for one in passed)):
                steps.insert(steps.index(step), _requantize(leaf, step))


def _way_to(steps: list[FusedOp]) -> Callable[[Tensor], list[Tensor]]:
    """Return what lists a tensor, the one that it is a part of or was moved from, and so on to where that was made."""
    movers = {
        id(out): step
        for step in steps
        if step.rule and step.rule.scale == SAME_AS_INPUT_SCALE and len(_floats(step.inputs)) == 1
        for out in step.outputs
    }

    def way(leaf: Tensor) -> list[Tensor]:
        passed = [leaf]
        while (mover := movers.get(id(passed[-1]))) is not None:
            passed.append(_floats(mover.inputs)[0])
        return passed

    return way


REQUANTIZE = Rule(op_type="Requantize", builtin_op="QUANTIZE")


def _requantize(leaf: Tensor, step: FusedOp) -> FusedOp:
    out = Tensor(f"{step.name}/requantize_{leaf.name}", leaf.shape, leaf.dtype)
    first = step.nodes[0]
    places = f"{first.scope}/requantize", f"{first.origin}/requantize"
    node = Node("Requantize", lambda x: x, (leaf,), {}, [out], out.name, *places)
    out.producer = node
    _reread(step, leaf, out)
    return FusedOp(REQUANTIZE, [node], precision=step.precision)


def _reread(step: FusedOp, old: Tensor, new: Tensor) -> None:
    for reader in step.nodes:
        reader.args, reader.kwargs = _swapped((reader.args, reader.kwargs), old, new)


def _swapped(structure, old: Tensor, new: Tensor):
    from keras import tree

    return tree.map_structure(lambda leaf: new if leaf is old else leaf, structure)


def _floats(tensors: list[Tensor]) -> list[Tensor]:
    """Return the tensors that are quantized: token numbers and masks are not."""
    return [leaf for leaf in tensors if leaf.dtype.startswith("float")]


def _has_range(leaf: Tensor) -> bool:
    """Tell whether `leaf` is a constant that asks for a scale; zero is a step of every scale."""
    return leaf.is_constant and (leaf.trainable or bool(np.any(leaf.value)))


def _sharing(steps: list[FusedOp], carried: Sequence[tuple[Tensor, Tensor]]) -> _Groups:
    """Group the tensors that have one scale: where an operator asks for it, along a recurrence, and as `carried`."""
    groups = _Groups()
    for given, new in carried:
        groups.join(given, new)
    at_site: dict[tuple[str, int], Tensor] = {}
    for step in (step for step in steps if step.rule):
        inputs, outputs = _floats(step.inputs), _floats(step.outputs)
        for index, out in enumerate(outputs):
            groups.join(out, at_site.setdefault((step.nodes[-1].scope, index), out))
        if step.rule.scale == SAME_AS_INPUT_SCALE:
            for leaf in inputs:
                for out in outputs or inputs[:1]:
                    groups.join(out, leaf)
    return groups


def _assign_scales(steps: list[FusedOp], carried: Sequence[tuple[Tensor, Tensor]]) -> dict[int, Scale]:
    groups, way = _sharing(steps, carried), _way_to(steps)
    quantized: dict[int, Tensor] = {}
    fixed: dict[int, FixedOutputScale] = {}
    symmetric: set[int] = set()
    headroom: dict[int, float] = {}
    states = {id(step.outputs[index]) for step in steps if step.rule for index in step.rule.states}
    bits: dict[int, int] = {}
    for step in steps:
        if step.rule is None:
            continue
        for leaf in _floats(step.inputs):
            if step.rule.builtin_op != "QUANTIZE" or not leaf.is_constant:  # a constant is rounded once, as wanted
                quantized[id(leaf)] = leaf
            if step.rule.builtin_op != "QUANTIZE":
                bits[id(leaf)] = step.precision.activations
        symmetric.update(id(step.nodes[0].inputs[index]) for index in step.rule.symmetric)
        for index, out in enumerate(_floats(step.outputs)):
            quantized[id(out)] = out
            headroom[id(out)] = step.rule.range_margin
            bits[id(out)] = 16 if index in step.rule.states else step.precision.activations
            if isinstance(step.rule.scale, FixedOutputScale):
                fixed[id(out)] = step.rule.scale
    members: dict[int, list[Tensor]] = {}
    for key, tensor in quantized.items():
        members.setdefault(groups.find(key), []).append(tensor)
    scales = {}
    for tensors in members.values():
        prescribed = next((fixed[id(leaf)] for leaf in tensors if id(leaf) in fixed), None)
        is_constant = all(way(leaf)[-1].is_constant for leaf in tensors)
        source = "fixed" if prescribed else "values" if is_constant else "observed"
        source = "state" if any(id(leaf) in states for leaf in tensors) else source
        centred = any(id(leaf) in symmetric for leaf in tensors)
        below = max(headroom.get(id(leaf), 0.0) for leaf in tensors)
        width = max((bits[id(leaf)] for leaf in tensors if id(leaf) in bits), default=8)
        scale = Scale(tensors[0].name.replace("/", "."), source, prescribed, centred, below, width, tensors)
        scales.update((id(leaf), scale) for leaf in tensors)
    return scales


def sparse_kernels(plan: Plan) -> list[Tensor]:
    """Return the kernels that hold exact zeros: pruned, and to be kept so. A bias starts from zeros."""
    kernels = {id(step.kernel) for step in plan.steps}
    return [
        leaf
        for leaf in plan.graph.constants
        if leaf.trainable and np.any(leaf.value == 0) and (id(leaf) in kernels or sum(n > 1 for n in leaf.shape) > 1)
    ]


MOST_CLUSTERS = 64


def clustered_kernels(plan: Plan) -> dict[Tensor, int]:
    """Return the kernels that hold few distinct values, and how many: clustered, and to be kept so."""
    counts = {
        leaf: len(np.unique(leaf.value))
        for leaf in plan.graph.constants
        if leaf.trainable and len(leaf.shape) > 1 and leaf.value.size > 4 * MOST_CLUSTERS
    }
    return {leaf: count for leaf, count in counts.items() if 2 <= count <= MOST_CLUSTERS}


__all__ = ["LINEAR", "FusedOp", "Plan", "Scale", "clustered_kernels", "place", "sparse_kernels"]
