"""Clustered kernels through QAT and both exports: no more integers in a kernel than it had values, zeros among them."""

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from edgewright.export import EXPORTERS
from edgewright.prune import ClusterConfig, PruneConfig, cluster, prune
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.clusters import clusters_in, few_valued
from edgewright.quantize.graph.tracing import trace
from edgewright.quantize.passes.canonicalize import canonicalize
from edgewright.quantize.placement import place
from int8_run import output_step, run, samples, share_within_one_step
from keras import layers

CLUSTERS = 8


def clustered_net():
    """Convolutions with batch norms that fold into them, a depthwise one, a sum and a dense layer."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    shortcut = x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_norm")(x)
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 1, name="pointwise")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Add(name="add")([x, shortcut]))
    model = keras.Model(inputs, layers.Dense(10, name="logits")(x), name="net")
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for weight, low, high in zip(layer.weights, (0.1, -1, -0.5, 0.5), (4, 1, 0.5, 3), strict=True):
                weight.assign(random.uniform(low, high, weight.shape))
    sparse, _ = prune(model, PruneConfig(sparsity=0.4))
    return cluster(sparse, ClusterConfig(clusters=CLUSTERS, by_type={"DepthwiseConv2D": CLUSTERS}))[0]


def integers_in(artifact):
    """Return the int8 constants of two or more dimensions by name."""
    if artifact.suffix == ".onnx":
        arrays = {
            one.name: onnx.numpy_helper.to_array(one) for one in onnx.load_from_string(artifact.data).graph.initializer
        }
    else:
        model = schema.ModelT.InitFromPackedBuf(artifact.data, 0)
        arrays = {
            tensor.name.decode(): np.array(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
            for tensor in model.subgraphs[0].tensors
            if tensor.type == schema.TensorType.INT8 and len(tensor.shape) > 1
            and model.buffers[tensor.buffer].data is not None
        }  # fmt: skip
    return {name: array for name, array in arrays.items() if array.dtype == np.int8 and array.size > 16}


@pytest.fixture(scope="module")
def retrained():
    """A clustered net and its quantized form after some training."""
    model = clustered_net()
    x = samples(model)
    qat, _ = prepare_qat(model, calibration=x)
    qat.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = qat.predict(x, verbose=0)
    qat.fit(x, np.arange(len(x)) % 10, epochs=2, verbose=0)
    assert np.abs(qat.predict(x, verbose=0) - before).max() > 0.1
    return model, qat, x


def test_folding_a_norm_keeps_values_and_gives_each_output_a_factor():
    model = clustered_net()
    graph = trace(model)
    few = few_valued(graph)
    plan = place(canonicalize(graph))
    found = clusters_in(plan, few)
    norm = model.get_layer("stem_norm")
    factor = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    stem = next(clusters for clusters in found.values() if clusters.numbers.shape == (3, 3, 3, 8))
    assert len(found) == 4 and stem.factors.shape == (1, 1, 1, 8)
    np.testing.assert_allclose(stem.factors.reshape(-1), factor, rtol=1e-5)
    np.testing.assert_array_equal(stem.centroids[stem.numbers], np.asarray(model.get_layer("stem").kernel))


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_quantizing_starts_from_the_same_function(precision):
    model = clustered_net()
    x = samples(model)
    qat, _ = prepare_qat(model, QatConfig(default=precision), calibration=x)
    quantized = find_quantized(qat)
    in_float = np.asarray(quantized.execute(keras.ops.convert_to_tensor(x), quantize=False))
    np.testing.assert_allclose(in_float, model.predict(x, verbose=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_files_hold_as_few_integers_as_there_were_values(retrained, format):
    _, qat, x = retrained
    artifact = EXPORTERS[format](qat)
    found = integers_in(artifact)
    assert len(found) == 4, sorted(found)
    for name, integers in found.items():
        assert len(np.unique(integers)) <= CLUSTERS, name
        assert (integers == 0).mean() >= 0.35 or name.startswith("depthwise"), name  # that one was not pruned
    assert share_within_one_step(qat.predict(x, verbose=0), run(artifact, x), output_step(find_quantized(qat))) == 1


def test_saved_and_loaded_it_is_the_same(retrained, tmp_path):
    _, qat, x = retrained
    qat.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), qat.predict(x, verbose=0))
    assert EXPORTERS["tflite"](again).data == EXPORTERS["tflite"](qat).data


def test_a_model_that_is_not_clustered_has_none():
    assert not few_valued(trace(keras.Sequential([keras.Input((12,)), layers.Dense(5), layers.Dense(5)])))
