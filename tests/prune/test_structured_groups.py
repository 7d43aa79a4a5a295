"""Units are what brute force finds: noise in one leaks nowhere, and no part of one can go alone.

EDGEWRIGHT_GRAPHS sets how many graphs are drawn (200; 2000 take some minutes).
"""

import os

import keras
import numpy as np
import pytest
from edgewright.prune.structured.units import Anatomy
from edgewright.quantize.graph.tracing import trace_calls
from keras import ops
from random_nets import draw_net

GRAPHS = int(os.environ.get("EDGEWRIGHT_GRAPHS", "200"))
CHUNK = 20
PRODUCTS = {"Matmul", "Einsum", "DotProductAttention"}
# Where an index of one operand meets the same of the other; of a grouped convolution a group goes whole
BY_CHANNEL = {"DepthwiseConv", "GroupedConv", "Multiply", "Maximum", "Minimum"}
HIDING = PRODUCTS | BY_CHANNEL | {"Conv", "ConvTranspose", "SeparableConv"}


def execute(graph, weights, after=lambda tensor, value: value):
    """Return the value of every tensor. weights: by id, in place of those traced."""
    random = np.random.default_rng(0)
    held = {id(leaf): random.normal(size=(2, *leaf.shape[1:])).astype("float32") for leaf in graph.inputs}
    held.update({id(leaf): weights.get(id(leaf), leaf.value) for leaf in graph.constants})
    for node in graph.nodes:
        for out, value in zip(node.outputs, node.run(lambda leaf: held[id(leaf)], batch=2), strict=True):
            held[id(out)] = after(out, np.asarray(ops.convert_to_numpy(value)))
    return held


def indices(anatomy, tensor, unit):
    """Return where `unit` lies in `tensor`, as a mask of the shape of a sample; None where it does not."""
    axes = anatomy.axes_of(tensor)
    mask = np.zeros([size or 1 for size in tensor.shape], bool)
    for axis, classes in enumerate(axes):
        if classes is not None:
            shape = [1] * len(axes)
            shape[axis] = -1
            mask |= np.isin(classes, unit).reshape(shape)
    return mask if mask.any() else None


def leaks(anatomy, unit):
    """Return the tensors that noise in `unit` reaches outside of it, once all weights of the unit are zero."""
    graph = anatomy.graph
    zeroed = {id(leaf): np.where(mask, 0, leaf.value) for leaf in anatomy.tensors
              if (mask := indices(anatomy, leaf, unit)) is not None}  # fmt: skip
    places = {id(out): indices(anatomy, out, unit) for node in graph.nodes for out in node.outputs}
    random = np.random.default_rng(1)

    def silence(tensor, value):
        return value if places[id(tensor)] is None else np.where(places[id(tensor)], 0, value)

    # Of two factors one that is zero is enough, so noise goes into one; a sum without weights needs zeros.
    second = {id(leaf) for node in graph.nodes if node.op_type in PRODUCTS for leaf in node.inputs[1:]}
    second |= {id(leaf) for node in graph.nodes if node.op_type in {"Norm", "Sum"} for leaf in node.inputs}

    def noise(tensor, value):
        if places[id(tensor)] is None or id(tensor) in second or value.dtype.kind != "f":
            return silence(tensor, value)
        return np.where(places[id(tensor)], random.normal(size=value.shape), value).astype("float32")

    quiet, loud = execute(graph, zeroed, silence), execute(graph, zeroed, noise)
    outside = {key: True if place is None else ~place for key, place in places.items()}
    return [key for key, where in outside.items()
            if not np.allclose(np.where(where, quiet[key], 0), np.where(where, loud[key], 0), atol=1e-5, equal_nan=True)
            ]  # fmt: skip


def is_connected(anatomy, unit):
    """Tell whether all weights of `unit` hang together by what changes when one of them does."""
    graph = anatomy.graph
    places = {id(out): indices(anatomy, out, unit) for node in graph.nodes for out in node.outputs}
    places.update({id(leaf): indices(anatomy, leaf, unit) for leaf in graph.constants})
    random = np.random.default_rng(2)
    quiet = {id(leaf): np.where(places[id(leaf)], 0, leaf.value).astype("float32") for leaf in anatomy.tensors
             if places[id(leaf)] is not None and len(leaf.shape) > 1}  # fmt: skip
    base = execute(graph, quiet)
    parent = {key: key for key, place in places.items() if place is not None}

    def root(key):
        while parent[key] != key:
            key = parent[key]
        return key

    def shaken(value, place):
        return np.where(place, value + 30 * random.normal(size=value.shape), value).astype("float32")

    def join(key, run):
        for other in parent:
            changed = ~np.isclose(base[other], run[other], atol=1e-6, equal_nan=True)
            if changed.any() and not (changed & ~places[other]).any():
                parent[root(other)] = root(key)

    for leaf in graph.constants:
        if id(leaf) in parent:
            shaken_leaf = shaken(quiet.get(id(leaf), leaf.value), places[id(leaf)])
            join(id(leaf), execute(graph, quiet | {id(leaf): shaken_leaf}))
    for node in graph.nodes:
        for out in node.outputs:
            if id(out) in parent and np.asarray(base[id(out)]).dtype.kind == "f":
                run = execute(graph, quiet, lambda tensor, value, out=out: (
                    shaken(value, places[id(out)]) if tensor is out else value))  # fmt: skip
                join(id(out), run)
        # What reads an index does not matter where that index is zero, nor what a larger one hides.
        tied = [*node.inputs, *(node.outputs if node.op_type in BY_CHANNEL else ())] if node.op_type in HIDING else []
        read = [id(leaf) for leaf in tied if id(leaf) in parent]
        for each in read[1:]:
            parent[root(each)] = root(read[0])
    return len({root(key) for key in parent if any(key == id(leaf) for leaf in anatomy.tensors)}) <= 1


@pytest.mark.parametrize("first", range(0, GRAPHS, CHUNK))
def test_units_are_those_of_brute_force(first):
    for seed in range(first, min(first + CHUNK, GRAPHS)):
        keras.backend.clear_session(free_memory=False)
        anatomy = Anatomy(trace_calls(draw_net(seed)))
        random = np.random.default_rng(seed)
        for number, group in enumerate(anatomy.groups[:4]):
            unit = group.units[random.integers(len(group))]
            assert leaks(anatomy, unit) == [], (seed, group.name)
            small = len(anatomy.graph.nodes) <= 40 and not any(node.op_type == "Norm" for node in anatomy.graph.nodes)
            if number == seed % min(4, len(anatomy.groups)) and small:
                assert is_connected(anatomy, unit), (seed, group.name)
