"""What a model costs of which units are gone, by the budgets that need nothing but the graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from ...errors import BadInput
from ...quantize.graph.nodes import Graph, Tensor
from .config import ACTIVATION_BYTES, ChannelConfig
from .cut import Cut
from .flow import Flow

Cost = Callable[[Cut], float]
NEEDS = {
    "bytes": "edgewright.prune(model, config), which writes the file",
    "latency": "edgewright.prune(model, config), which times layers on the device",
    "max_drop": "edgewright.prune(model, config, data=...), which judges the model",
}
_flows: WeakKeyDictionary[Graph, Flow] = WeakKeyDictionary()


def counted_by(config: ChannelConfig, given: Cost | None) -> Cost | None:
    """Return what a budget counts of a cut, None for `channels`.

    Raises: BadInput for a budget that this cannot count alone, and for a target, whose file is read elsewhere.
    """
    name, share = config.budget
    if config.target is not None and config.multiple_of is None:
        raise BadInput(
            f"ChannelConfig: target={config.target!r} is looked up by edgewright.prune(model, config); here give "
            "multiple_of"
        )
    if given is None and name in NEEDS:
        raise BadInput(f"ChannelConfig: {name}={share} needs cost=, or call {NEEDS[name]}")
    if name == "memory":
        return lambda cut: peak_bytes(cut, config.precision)
    return {"channels": None, "macs": Cut.macs, "parameters": Cut.parameters}.get(name, given)


def flow_of(graph: Graph) -> Flow:
    """Return the operators of a graph, found once."""
    if graph not in _flows:
        _flows[graph] = Flow(graph)
    return _flows[graph]


def peak_bytes(cut: Cut, precision: str = "float32") -> int:
    """Return the most bytes of activations that are alive at once for one sample, in the order of the graph.

    Operators take what works in place along with them. A planner may need more, where what is free lies in pieces.
    """
    flow = flow_of(cut.anatomy.graph)
    change = np.zeros(len(flow.operators) + 2, np.int64)
    for stored, first, last in flow.alive():
        size = max(_bytes(leaf, cut, precision) for leaf in stored)
        change[first] += size
        change[last + 1] -= size
    return int(np.cumsum(change).max())


def file_bytes(cut: Cut) -> int:
    """Return the bytes of the weights of a float32 file: normalizations are folded, each product keeps one bias."""
    flow = flow_of(cut.anatomy.graph)
    counted: dict[int, int] = {}
    for operator in flow.operators:
        weights = [leaf for leaf in operator.node.inputs if not flow.is_computed(leaf)]
        biases = [leaf for node in operator.riders if node.op_type in ("Add", "Subtract")
                  for leaf in node.inputs if not flow.is_computed(leaf)]  # fmt: skip
        scales = [leaf for node in operator.riders if node.op_type == "Multiply" and not biases and not weights
                  for leaf in node.inputs if not flow.is_computed(leaf)]  # fmt: skip
        for leaf in (*weights, *biases[-1:], *scales[-1:]):
            counted[id(leaf)] = math.prod(cut.shape(leaf))
    return 4 * sum(counted.values())


def _bytes(leaf: Tensor, cut: Cut, precision: str) -> int:
    of_floats = leaf.dtype.startswith(("float", "bfloat"))
    width = ACTIVATION_BYTES[precision] if of_floats else np.dtype(leaf.dtype).itemsize
    return math.prod(cut.shape(leaf)) * width
