"""From a model to its plan: traced, rewritten, quantizers placed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ..keras_internals import signatures_read_once
from .clusters import clusters_in, few_valued
from .config import QatConfig
from .graph.layer_rules import RECURRENCES
from .graph.tracing import trace
from .operators import refuse_what_no_file_holds
from .passes.canonicalize import canonicalize
from .passes.correct import equalize
from .passes.roots import choose_roots
from .placement import Plan, place


def make_plan(
    model: keras.Model, config: QatConfig, carried: Sequence[tuple[int, int]] = (), inputs: Any = None
) -> Plan:
    """Trace `model` to operations and place the quantizers.

    carried: inputs and the outputs that become them in the next call, which share a scale. inputs: symbolic tensors as
    the model takes them, by default its own.  Raises: BadInput where the model cannot be traced.
    """
    with signatures_read_once():
        graph = trace(model, RECURRENCES[config.recurrence], inputs)
        few = few_valued(graph)
        graph = canonicalize(graph)
    choose_roots(graph, config.reciprocal_root)
    refuse_what_no_file_holds(graph)
    if config.equalize:
        equalize(graph)
    plan = place(graph, config.chooser(model, graph), carried)
    plan.clusters = clusters_in(plan, few)
    return plan
