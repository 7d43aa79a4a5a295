"""Where the quantizers go: fuse a graph into the operators that kernels execute, and give each tensor its scale.

A fused operator is what becomes one integer operator: a product with its bias and activation, or a single operation.
Tensors inside one have no scale. Tensors that an operator requires to agree (`SAME_AS_INPUT_SCALE` in the table) and
tensors of the same scope in an unrolled recurrence share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..precision import PRECISIONS, Precision
from .conversions import Conversion
from .graph.nodes import Consumers, Graph, Node, Tensor
from .kernels import KernelForm
from .operators import NARROW, NOT_WIDE, SAME_AS_INPUT_SCALE, FixedOutputScale, Rule, rule_for

if TYPE_CHECKING:
    from .clusters import Clusters

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
    """`nodes` executed as one operator. `rule` is None where they stay float, for `reason`.

    kernel, form: the weights it multiplies by and their form, if it has any; bias, activation: what it adds per output
    channel and clips by, inside. All of it is decided here, once: calibration, training and export read it.
    """

    rule: Rule | None
    nodes: list[Node]
    kernel: Tensor | None = None
    form: KernelForm | None = None
    bias: Tensor | None = None
    activation: str | None = None
    reason: str = ""
    precision: Precision = PRECISIONS["w8a8"]

    @property
    def precision_name(self) -> str:
        """The name of its precision; what has no numbers (masks, token ids) has their type."""
        if self.rule is None:
            return "float32"
        names = {precision: name for name, precision in PRECISIONS.items()}
        return names[self.precision] if _floats(self.outputs) else self.outputs[0].dtype

    @property
    def is_quantized(self) -> bool:
        """Whether it computes with integers."""
        return self.rule is not None

    @property
    def row(self) -> Rule | None:
        """The row of the operator table that it is, or would be if it did not stay float."""
        return self.rule or rule_for(self.nodes[0])

    @property
    def options(self) -> dict[str, Any]:
        """The static attributes of its row, read off the operation."""
        return self.row.options(self.nodes[0]) if self.row is not None else {}

    @property
    def outputs(self) -> list[Tensor]:
        """The tensors that leave it."""
        return self.nodes[-1].outputs

    @property
    def name(self) -> str:
        """The name of its last node."""
        return self.nodes[-1].name

    @property
    def scope(self) -> str:
        """The place in the source of its last node."""
        return self.nodes[-1].scope

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that enter it, kernel and biases left out."""
        inside = {id(out) for node in self.nodes for out in node.outputs}
        parts = (id(self.kernel), id(self.bias), *(id(bias) for bias, _ in self.biases))
        read = [tensor for node in self.nodes for tensor in node.inputs]
        return [tensor for tensor in read if id(tensor) not in inside and id(tensor) not in parts]

    @property
    def biases(self) -> list[tuple[Tensor, Tensor]]:
        """The biases of an operator with several kernels, each with its kernel."""
        inputs = self.nodes[0].inputs
        return [(inputs[bias], inputs[kernel]) for bias, kernel in self.row.biases] if self.row else []


@dataclass(eq=False)
class Plan:
    """The operators of a graph in order, and the `Scale` of each quantized tensor by id; other tensors are float."""

    graph: Graph
    operators: list[FusedOp]
    scales: dict[int, Scale]
    clusters: Mapping[str, Clusters] = field(default_factory=dict)  # kernels of few values, by name

    @property
    def distinct_scales(self) -> list[Scale]:
        """Each scale once."""
        return list({id(scale): scale for scale in self.scales.values()}.values())

    @cached_property
    def makers(self) -> dict[str, list[FusedOp]]:
        """The operators whose first output has the scale of that name."""
        makers: dict[str, list[FusedOp]] = {scale.name: [] for scale in self.distinct_scales}
        for fused in self.operators:
            if (scale := self.scale_of(fused.outputs[0])) is not None:
                makers[scale.name].append(fused)
        return makers

    def scale_of(self, tensor: Tensor) -> Scale | None:
        """Return the scale of a tensor, None where it is in float."""
        return self.scales.get(id(tensor))


def place(
    graph: Graph,
    choose: Callable[[Node], Choice] = lambda node: ("w8a8", ""),
    carried: Sequence[tuple[int, int]] = (),
) -> Plan:
    """Fuse `graph` into operators and place the scales, each node in the precision that `choose` gives it.

    carried: numbers of inputs, and of the outputs that become them in the next call.
    """
    operators = fuse(graph, choose)
    _convert_precisions(operators)
    _separate_conflicts(graph, operators)
    states = [(graph.inputs[given], graph.outputs[new]) for given, new in carried]
    return Plan(graph, operators, _assign_scales(operators, states))


def fuse(graph: Graph, choose: Callable[[Node], Choice] = lambda node: ("w8a8", "")) -> list[FusedOp]:
    """Return the operators of `graph` in the order of execution.

    Each node starts one, unless an earlier one took it in: a product takes the sum with a constant per output channel
    behind it for its bias, if nothing else reads the product, and after that any kernel that clips takes a clip. What
    `choose` or the table leaves in float takes a bias, but no activation.
    """
    consumers = Consumers(graph)
    taken: set[int] = set()
    operators = []
    for node in graph.nodes:
        if id(node) in taken:
            continue
        fused = _started(node, *choose(node))
        _take_bias(fused, consumers)
        _take_activation(fused, consumers, choose)
        taken.update(id(inside) for inside in fused.nodes)
        operators.append(fused)
    return _in_order(operators)


def _started(node: Node, chosen: str | None, reason: str) -> FusedOp:
    """Return the operator that `node` begins, in the precision `chosen`, in float where that is None. reason: why it is
    not what was asked for.
    """
    rule = rule_for(node)
    if rule is None:
        reason = reason or f"no int8 rule for {node.op_type}"
    fused = FusedOp(None if chosen is None else rule, [node], reason=reason)
    if fused.rule is not None:
        fused.precision, nearest = _nearest(PRECISIONS[chosen or "w8a8"], fused.rule, node)
        fused.reason = nearest or reason
    if rule is not None and rule.kernel is not None:
        fused.kernel, fused.form = node.inputs[1], rule.kernel
    return fused


def _take_bias(fused: FusedOp, consumers: Consumers) -> None:
    following = consumers.only(fused.nodes[0].output) if fused.kernel is not None else None
    if following is not None and _is_bias(following, fused.nodes[0]):
        fused.nodes.append(following)
        fused.bias = following.inputs[1]


def _take_activation(fused: FusedOp, consumers: Consumers, choose: Callable[[Node], Choice]) -> None:
    if fused.rule is None:
        return
    following = consumers.only(fused.outputs[0])
    activation = rule_for(following) if following is not None and choose(following)[0] else None
    if following is not None and activation and activation.builtin_op in fused.rule.fuses and len(fused.outputs) == 1:
        fused.nodes.append(following)
        fused.activation = activation.builtin_op


def _nearest(wanted: Precision, rule: Rule, node: Node) -> tuple[Precision, str]:
    """Return the precision nearest to `wanted` that LiteRT has a kernel for, and why it is another one."""
    if wanted.activations > 8 and rule.builtin_op in NOT_WIDE and _floats([*node.inputs, node.output]):
        return PRECISIONS["w8a8"], f"{rule.builtin_op} has no kernel for 16-bit activations"
    if wanted.weights < 8 and rule.kernel is None:
        return PRECISIONS["w8a8"], ""
    if wanted.weights == 4 and rule.builtin_op not in NARROW:
        return PRECISIONS["w8a8"], f"{rule.builtin_op} has no kernel for 4-bit weights"
    return wanted, ""


def _in_order(operators: list[FusedOp]) -> list[FusedOp]:
    """Order operators so that each comes after what it reads: fusing moved the early nodes of one to its last."""
    made_by = {id(out): fused for fused in operators for out in fused.outputs}
    ordered: list[FusedOp] = []
    done: set[int] = set()
    for goal in operators:
        stack = [(goal, False)]
        while stack:
            fused, ready = stack.pop()
            if ready:
                ordered.append(fused)
            elif id(fused) not in done:
                done.add(id(fused))
                stack.append((fused, True))
                stack.extend((made_by[id(tensor)], False) for tensor in fused.inputs if id(tensor) in made_by)
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


def _convert_precisions(operators: list[FusedOp]) -> None:
    """Put a requantization where an operator reads values of more or fewer bits than its own."""
    made_with = {id(out): fused.precision.activations for fused in operators if fused.rule for out in fused.outputs}
    wanted: dict[int, int] = {}
    for fused in operators:
        for tensor in _floats(fused.inputs) if fused.rule else ():
            wanted[id(tensor)] = max(wanted.get(id(tensor), 0), fused.precision.activations)
    bits = {**wanted, **made_with}
    converted: dict[tuple[int, int], Tensor] = {}
    for fused in list(operators):
        for tensor in _floats(fused.inputs) if fused.rule else ():
            own = fused.precision.activations
            if bits[id(tensor)] == own:
                continue
            key = id(tensor), own
            if key in converted:
                _reread(fused, tensor, converted[key])
            else:
                between = _requantize(tensor, fused, *_converted(tensor, own))
                converted[key] = between.outputs[0]
                operators.insert(operators.index(fused), between)


def _separate_conflicts(graph: Graph, operators: list[FusedOp]) -> None:
    """Put a requantization before operators whose several inputs must share a scale but cannot: one is prescribed, or
    a constant, a table of embeddings for one, is read elsewhere too and keeps its own.
    """
    way = _way_to(operators)
    prescribed = {
        id(out)
        for fused in operators
        if fused.rule and isinstance(fused.rule.scale, FixedOutputScale)
        for out in fused.outputs
    }
    reads = Counter(id(tensor) for tensor in graph.outputs)
    for fused in operators:
        reads.update({id(tensor) for tensor in fused.inputs})
    for fused in list(operators):
        floats = [tensor for tensor in _floats(fused.inputs) if not tensor.is_constant or _has_range(tensor)]
        shares = fused.rule is not None and fused.rule.scale == SAME_AS_INPUT_SCALE
        if not shares or len({id(way(tensor)[-1]) for tensor in floats}) < 2:
            continue
        for tensor in floats:
            *_, source = passed = way(tensor)
            if id(source) in prescribed or (_has_range(source) and any(reads[id(part)] > 1 for part in passed)):
                scope, origin = Conversion(fused.nodes[0].scope), Conversion(fused.nodes[0].origin)
                operators.insert(operators.index(fused), _requantize(tensor, fused, scope, origin))


def _way_to(operators: list[FusedOp]) -> Callable[[Tensor], list[Tensor]]:
    """Return what lists a tensor, the one that it is a part of or was moved from, and so on to where that was made."""
    movers = {
        id(out): fused
        for fused in operators
        if fused.rule and fused.rule.scale == SAME_AS_INPUT_SCALE and len(_floats(fused.inputs)) == 1
        for out in fused.outputs
    }

    def way(tensor: Tensor) -> list[Tensor]:
        passed = [tensor]
        while (mover := movers.get(id(passed[-1]))) is not None:
            passed.append(_floats(mover.inputs)[0])
        return passed

    return way


REQUANTIZE = Rule(op_type="Requantize", builtin_op="QUANTIZE", arithmetic="rescaling", rounding="up")


def _converted(tensor: Tensor, bits: int) -> tuple[Conversion, Conversion]:
    """Return scope and origin of a tensor in other bits: by those of what makes it, whoever reads it first."""
    made = tensor.producer
    scope, origin = (tensor.name, tensor.name) if made is None else (made.scope, made.origin)
    which = "" if made is None or made.output is tensor else f"/{made.outputs.index(tensor)}"
    return Conversion(f"{scope}{which}", bits), Conversion(f"{origin}{which}", bits)


def _requantize(tensor: Tensor, reader: FusedOp, scope: Conversion, origin: Conversion) -> FusedOp:
    """Return what changes the scale of `tensor` for `reader`, which reads its result from now on."""
    out = Tensor(f"{reader.name}/requantize_{tensor.name}", tensor.shape, tensor.dtype)
    node = Node("Requantize", lambda x: x, (tensor,), {}, [out], out.name, str(scope), str(origin))
    out.producer = node
    _reread(reader, tensor, out)
    # a constant is rounded when the file is written, as any
    rule = replace(REQUANTIZE, rounding="") if tensor.is_constant else REQUANTIZE
    return FusedOp(rule, [node], precision=reader.precision)


def _reread(fused: FusedOp, old: Tensor, new: Tensor) -> None:
    for node in fused.nodes:
        node.reread(old, new)


def _floats(tensors: list[Tensor]) -> list[Tensor]:
    """Return the tensors that are quantized: token numbers and masks are not."""
    return [tensor for tensor in tensors if tensor.dtype.startswith("float")]


def _has_range(tensor: Tensor) -> bool:
    """Tell whether `tensor` is a constant that asks for a scale; zero is a step of every scale."""
    return tensor.is_constant and (tensor.trainable or bool(np.any(tensor.value)))


def _sharing(operators: list[FusedOp], carried: Sequence[tuple[Tensor, Tensor]]) -> _Groups:
    """Group the tensors that have one scale: where an operator asks for it, along a recurrence, and as `carried`."""
    groups = _Groups()
    for given, new in carried:
        groups.join(given, new)
    at_place: dict[tuple[str, int, int], Tensor] = {}
    for fused in (fused for fused in operators if fused.rule):
        inputs, outputs = _floats(fused.inputs), _floats(fused.outputs)
        for index, out in enumerate(outputs):
            place = fused.scope, index, fused.precision.activations  # a first step may be another operator, of 8 bits
            groups.join(out, at_place.setdefault(place, out))
        if fused.rule is not None and fused.rule.scale == SAME_AS_INPUT_SCALE:
            for tensor in inputs:
                for out in outputs or inputs[:1]:
                    groups.join(out, tensor)
    return groups


@dataclass
class _Demands:
    """What operators ask of the scales of the tensors they read and make, by id of a tensor."""

    quantized: dict[int, Tensor] = field(default_factory=dict)
    fixed: dict[int, FixedOutputScale] = field(default_factory=dict)
    symmetric: set[int] = field(default_factory=set)
    margin: dict[int, float] = field(default_factory=dict)
    states: set[int] = field(default_factory=set)
    bits: dict[int, int] = field(default_factory=dict)

    def add(self, fused: FusedOp, rule: Rule) -> None:
        """Note what one quantized operator asks for."""
        own = fused.precision.activations
        for tensor in _floats(fused.inputs):
            if rule.builtin_op != "QUANTIZE" or not tensor.is_constant:  # a constant is rounded once, as wanted
                self.quantized[id(tensor)] = tensor
            if rule.builtin_op != "QUANTIZE":
                self.bits[id(tensor)] = own
        self.symmetric.update(id(fused.nodes[0].inputs[index]) for index in rule.symmetric)
        self.states.update(id(fused.outputs[index]) for index in rule.states)
        for index, out in enumerate(_floats(fused.outputs)):
            self.quantized[id(out)] = out
            self.margin[id(out)] = rule.range_margin
            self.bits[id(out)] = 16 if index in rule.states else own
            if isinstance(rule.scale, FixedOutputScale):
                self.fixed[id(out)] = rule.scale

    def scale_for(self, tensors: list[Tensor], way: Callable[[Tensor], list[Tensor]]) -> Scale:
        """Return the one scale of `tensors`. What only moves constants has their present values for its range."""
        keys = [id(tensor) for tensor in tensors]
        prescribed = next((self.fixed[key] for key in keys if key in self.fixed), None)
        is_constant = all(way(tensor)[-1].is_constant for tensor in tensors)
        source = "fixed" if prescribed else "values" if is_constant else "observed"
        return Scale(
            name=tensors[0].name.replace("/", "."),
            source="state" if any(key in self.states for key in keys) else source,
            fixed=prescribed,
            symmetric=any(key in self.symmetric for key in keys),
            range_margin=max(self.margin.get(key, 0.0) for key in keys),
            bits=max((self.bits[key] for key in keys if key in self.bits), default=8),
            tensors=tensors,
        )


def _assign_scales(operators: list[FusedOp], carried: Sequence[tuple[Tensor, Tensor]]) -> dict[int, Scale]:
    """Return the scale of each tensor that a quantized operator reads or makes, by id; groups of them share one.

    A group takes the scale that one of its operators prescribes, the widest bits and the largest margin that any asks
    for, and lies around zero if one wants that. Only if it consists of constants, moved at most, does its range follow
    their values; else it is observed on samples.
    """
    groups, way = _sharing(operators, carried), _way_to(operators)
    demands = _Demands()
    for fused in operators:
        if fused.rule is not None:
            demands.add(fused, fused.rule)
    members: dict[int, list[Tensor]] = {}
    for key, tensor in demands.quantized.items():
        members.setdefault(groups.find(key), []).append(tensor)
    scales: dict[int, Scale] = {}
    for tensors in members.values():
        scale = demands.scale_for(tensors, way)
        scales.update((id(tensor), scale) for tensor in tensors)
    return scales


def sparse_kernels(plan: Plan) -> list[Tensor]:
    """Return the kernels that hold exact zeros: pruned, and to be kept so. A bias starts from zeros."""
    kernels = {id(fused.kernel) for fused in plan.operators}
    return [
        tensor
        for tensor in plan.graph.constants
        if tensor.trainable
        and np.any(tensor.value == 0)
        and (id(tensor) in kernels or sum(size > 1 for size in tensor.value.shape) > 1)
    ]


__all__ = ["FusedOp", "Plan", "Scale", "fuse", "place", "sparse_kernels"]
