"""The residual stream: found by how a graph is wired, kept in float, and read unrounded there, as the files do."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.graph.tracing import trace
from edgewright.quantize.passes.canonicalize import canonicalize
from edgewright.quantize.stream import residual_stream
from int8_run import attention, cnn, run, samples

ops, layers = keras.ops, keras.layers


def stream_of(model):
    """Return the layers that have a node in the stream, in the order of execution."""
    graph = canonicalize(trace(model))
    found = residual_stream(graph)
    return list(dict.fromkeys(node.scope.partition("/")[0] for node in graph.nodes if id(node) in found))


def of(function):
    inputs = keras.Input((4, 8), name="x")
    return keras.Model(inputs, function(inputs))


def dense(x, name="dense"):
    return layers.Dense(8, name=name)(x)


def by_hand(x):
    """GELU by the tangent, written by hand: a sum of what it reads and of that multiplied, with no product between."""
    return dense(x * (1 + ops.tanh(x + 0.044715 * x * x * x)))


def two_blocks(x):
    """A projected shortcut, then a plain one, whose stream reaches back to the first sum."""
    x = layers.Add(name="first")([dense(x, "left"), dense(x, "right")])
    x = layers.Activation("tanh", name="between")(x)
    return dense(layers.Add(name="second")([x, dense(x, "block")]), "head")


WIRED = {
    "post-norm attention, its pool too": (attention, ["add", "norm", "pool"]),
    "a skipped convolution with its clip": (cnn, ["add", "dropout", "maxpool", "pool"]),
    "blocks": (lambda: of(two_blocks), ["first", "between", "second"]),
    "a product and its own clip": (lambda: of(lambda x: (y := dense(x)) + layers.ReLU(name="relu")(y)), []),
    "no product between": (lambda: of(by_hand), []),
    "a norm alone": (lambda: of(lambda x: dense(layers.LayerNormalization(name="norm")(x))), []),
    "cells": (lambda: of(layers.LSTM(3, name="lstm")), []),
}


@pytest.mark.parametrize("name", WIRED)
def test_what_is_handed_on_from_block_to_block_is_the_stream(name):
    make, expected = WIRED[name]
    assert stream_of(make()) == expected


@pytest.fixture(scope="module")
def mixed():
    model = attention()
    x = samples(model)
    qat, report = prepare_qat(model, QatConfig(residual_stream="float32", by_name={"pool": "w8a8"}), calibration=x)
    return model, qat, report, x


def test_products_keep_their_bits_and_names_go_before_the_stream(mixed):
    report = mixed[2]
    kept = {row["operator"] for row in report.rows if row["precision"] == "w8a8"}
    assert {"FULLY_CONNECTED", "BATCH_MATMUL", "SOFTMAX", "GATHER", "MEAN"} <= kept
    assert all(row["reason"] == "QatConfig.residual_stream='float32'" for row in report.float_ops)
    assert [row["name"] for row in report.rows if row["operator"] == "MEAN"] == ["pool/mean"]
    assert {row["name"].partition("/")[0] for row in report.float_ops} == {"add", "norm"}


def test_a_sum_of_two_roundings_is_not_rounded_a_third_time():
    """x + Dense(relu(x)): the sum adds what float made of x, not what the product reads, and the file does so too."""
    inputs = keras.Input((4, 8), name="x")
    x = layers.Activation("tanh", name="made")(inputs)
    model = keras.Model(inputs, layers.Add(name="sum")([x, dense(x)]))
    model.get_layer("dense").kernel.assign(np.zeros((8, 8)))
    values = np.random.default_rng(0).normal(size=(32, 4, 8)).astype("float32")
    config = QatConfig(residual_stream="float32")
    qat, _ = prepare_qat(model, config, calibration=values)
    assert find_quantized(qat).plan.scale_of(find_quantized(qat).plan.operators[0].outputs[0]) is not None
    np.testing.assert_allclose(np.asarray(qat(values)), np.tanh(values), atol=1e-6)
    np.testing.assert_allclose(run(export_tflite(qat), values), np.tanh(values), atol=1e-5)


@pytest.mark.parametrize("export", [export_tflite, export_onnx])
def test_files_with_a_stream_in_float_give_the_integers_of_training(mixed, export):
    _, qat, _, x = mixed
    layer = find_quantized(qat)
    low, high = layer.range(layer.plan.scale_of(layer.plan.graph.outputs[0]))
    apart = np.abs(run(export(qat), x) - np.asarray(qat(x))) / (float(high - low) / 255)
    assert (apart < 1.5).all() and (apart < 0.5).mean() > 0.98


def test_a_stream_of_sixteen_bits():
    model = attention()
    qat, report = prepare_qat(model, QatConfig(residual_stream="w8a16"), calibration=samples(model))
    wide = {row["name"].partition("/")[0] for row in report.rows if row["precision"] == "w8a16"}
    assert {"add", "norm", "pool"} <= wide and not report.float_ops
    assert np.isfinite(np.asarray(qat(samples(model)))).all()


def test_another_precision_of_the_stream_is_refused():
    with pytest.raises(BadInput, match="residual_stream='float16' is not a precision; allowed: 'float32', 'w8a8'"):
        QatConfig(residual_stream="float16")
