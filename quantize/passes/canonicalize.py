"""Rewrites that leave a graph's function as it is and its operations fewer: what is computed from weights becomes a
weight.

Every pass is decided by the graph's structure and its constants, never by the values of trainable weights, so that a
model rebuilt from its configuration simplifies to the same graph.
"""

from __future__ import annotations

from ..graph.nodes import Graph
from ..graph.promotion import promote
from .affine import fold_affine
from .broadcasts import drop_broadcasts, spell_out_sums
from .constants import drop_identities, fold_weights, lift_scalars, name_moved_constants, propagate_zeros
from .decompose import decompose
from .elementwise import fold_elementwise
from .masks import recognise_masks
from .recurrence import attach_biases, hoist_projections
from .reorder import fold_transposes, merge_movement, sink_movement


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
    fold_elementwise(graph)
    graph.prune_dead()
    name_moved_constants(graph)
    spell_out_sums(graph)
    return graph
