"""Whatever tensors of a model are its outputs: simplified, each is computed as before."""

import keras
import numpy as np
import pytest
from edgewright.quantize.graph import nodes as graphs
from edgewright.quantize.graph import tracing
from edgewright.quantize.passes.canonicalize import canonicalize
from edgewright.quantize.passes.decompose import decompose
from int8_run import MODELS
from keras import layers, ops
from operator_cases import CASES, build


def normalised():
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, use_bias=False)(x))
    return keras.Model(inputs, ops.gelu(ops.reshape(x, (-1, 64)) * 0.5))


def recurrent_sum():
    inputs = keras.Input((5,))
    first, second = (layers.Dense(4, use_bias=False)(inputs) for _ in range(2))
    return keras.Model(inputs, first + second + np.arange(4, dtype="float32"))


def transposed_product():
    inputs = keras.Input((8, 6))
    return keras.Model(inputs, ops.matmul(inputs, ops.transpose(inputs, (0, 2, 1))))


NO_CONSTRAINT = {"normalised": normalised, "recurrent_sum": recurrent_sum, "transposed_product": transposed_product}


def model_of(name):
    if name in CASES:
        return build(name)[0]
    return {**NO_CONSTRAINT, **MODELS}[name]()


@pytest.mark.parametrize("name", [*NO_CONSTRAINT, *MODELS, *CASES])
def test_inner_tensors_that_are_outputs_stay_what_they_are(name):
    model = model_of(name)
    random = np.random.default_rng(sum(map(ord, name)))
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(random.uniform(0.2, 1.2, weight.shape))
    values = [
        ops.convert_to_tensor(random.normal(1, 1, (2, *leaf.shape[1:])), dtype=leaf.dtype) for leaf in model.inputs
    ]
    graph = tracing.trace(model)
    decompose(graph)  # Keras cannot run some operations as traced
    tensors = [leaf for node in graph.nodes for leaf in node.outputs]
    graph.outputs = [leaf for leaf in tensors if random.random() < 0.4 or leaf is tensors[-1]]
    wanted = graphs.run(graph, values)
    for before, after in zip(wanted, graphs.run(canonicalize(graph), values), strict=True):
        before, after = np.asarray(before), np.asarray(after)
        size = np.abs(before[np.isfinite(before)]).max(initial=1.0) if before.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(np.broadcast_to(after, before.shape), before, rtol=1e-4, atol=1e-5 * size)
