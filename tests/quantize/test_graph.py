"""Tracing: the graph computes what the model computes, and the model is left as it was."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.quantize.graph import nodes as graphs
from edgewright.quantize.graph import tracing
from edgewright.quantize.passes.canonicalize import canonicalize
from int8_run import MODELS, attention, cnn, lstm, samples

# The traced CNN runs the model's own operations but for batch normalisation, which it computes as x * scale + offset:
# as TensorFlow's kernel does, up to a last bit. The rest differs in the order of sums.
TOLERANCE = {"cnn": 2e-6, "lstm": 1e-6, "attention": 2e-6}


def outputs_of(graph, x):
    return np.asarray(graphs.run(graph, [keras.ops.convert_to_tensor(x)])[0])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("simplified", [False, True])
def test_graph_computes_what_the_model_computes(name, simplified):
    model = MODELS[name]()
    x = samples(model, 16)
    expected = np.asarray(model(x, training=False))
    graph = tracing.trace(model)
    actual = outputs_of(canonicalize(graph) if simplified else graph, x)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE[name], rtol=0)


def test_graph_without_normalisation_is_bit_identical():
    inputs = keras.Input((8, 8, 2), name="x")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.AveragePooling2D(2, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    data = samples(model, 16)
    np.testing.assert_array_equal(outputs_of(tracing.trace(model), data), np.asarray(model(data, training=False)))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_with_respect_to_weights_are_the_models(name):
    import tensorflow as tf

    model = MODELS[name]()
    x = tf.convert_to_tensor(samples(model, 8))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x, training=False) ** 2)
    expected = {
        v.path.replace("/", "."): g
        for v, g in zip(
            model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
        )
    }
    graph = tracing.trace(model)
    lifted = {leaf.name: tf.Variable(leaf.value) for leaf in graph.constants if leaf.trainable}
    assert set(lifted) == set(expected)
    with tf.GradientTape() as tape:
        results = graphs.run(graph, [x], lambda leaf: tf.convert_to_tensor(lifted.get(leaf.name, leaf.value)))
        loss = tf.reduce_sum(results[0] ** 2)
    for path, gradient in tape.gradient(loss, lifted).items():
        wanted = np.asarray(tf.convert_to_tensor(expected[path]))
        limit = 1e-5 * max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), wanted, atol=limit, rtol=0, err_msg=path)


def state_of(model):
    layers = model._flatten_layers(include_self=True, recursive=True)
    return {
        layer.name: (
            {key: id(value) for key, value in layer.__dict__.items()},
            len(layer._inbound_nodes),
            len(layer._outbound_nodes),
            [id(variable) for variable in layer.variables],
        )
        for layer in layers
    }


@pytest.mark.parametrize("name", MODELS)
def test_model_is_untouched_after_a_trace(name):
    model = MODELS[name]()
    x = samples(model, 4)
    expected, weights = np.asarray(model(x, training=False)), model.get_weights()
    before = state_of(model)
    tracing.trace(model)
    assert state_of(model) == before
    np.testing.assert_array_equal(np.asarray(model(x, training=False)), expected)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_nested_models_are_opened():
    inner_input = keras.Input((4,), name="inner_x")
    inner = keras.Model(
        inner_input, keras.layers.Dense(3, activation="tanh", name="inner_dense")(inner_input), name="inner"
    )
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(inner(inputs)), name="outer")
    graph = canonicalize(tracing.trace(model))
    assert [node.op_type for node in graph.nodes] == ["Matmul", "Add", "Tanh", "Matmul", "Add"]
    assert graph.nodes[0].scope == "inner/inner_dense/matmul"
    x = samples(model, 4)
    np.testing.assert_array_equal(outputs_of(graph, x), np.asarray(model(x)))


def test_shared_layer_is_traced_once_per_call_with_the_same_weights():
    inputs = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, name="shared")
    model = keras.Model(inputs, shared(shared(inputs)), name="twice")
    graph = tracing.trace(model)
    products = [node for node in graph.nodes if node.op_type == "Matmul"]
    assert [node.scope for node in products] == ["shared/matmul", "shared#2/matmul"]
    assert products[0].inputs[1] is products[1].inputs[1]
    x = samples(model, 4)
    np.testing.assert_array_equal(outputs_of(graph, x), np.asarray(model(x)))


def test_steps_of_a_recurrence_share_their_site():
    graph = tracing.trace(lstm())
    sites = [node.scope for node in graph.nodes if node.op_type == "Tanh"]
    assert len(sites) == 2 * 6  # the candidate and the output of each of six steps
    assert len(set(sites)) == 2


class Branching(keras.layers.Layer):
    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return x if keras.ops.sum(x) > 0 else -x


class Fetching(keras.layers.Layer):
    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return x * float(keras.ops.max(x))


def wrapping(layer):
    """A model around `layer`, made where Keras itself can still build it: from its declared output shape."""
    inputs = keras.Input((4,), name="x")
    symbolic = layer.compute_output_spec
    layer.compute_output_spec = lambda x, **kwargs: keras.KerasTensor(x.shape, x.dtype)
    model = keras.Model(inputs, layer(inputs), name="wrapping")
    layer.compute_output_spec = symbolic
    return model


@pytest.mark.parametrize("kind", [Branching, Fetching])
def test_python_control_flow_on_values_is_refused_by_name(kind):
    model = wrapping(kind(name="chooser"))
    before = state_of(model)
    with pytest.raises(BadInput, match="chooser"):
        tracing.trace(model)
    assert state_of(model) == before  # also after a refusal


def test_model_without_input_shape_is_refused():
    with pytest.raises(BadInput, match="input shape"):
        tracing.trace(keras.Sequential([keras.layers.Dense(2)], name="shapeless"))


def test_unknown_number_of_steps_is_refused():
    inputs = keras.Input((None, 3), name="x")
    with pytest.raises(BadInput, match="unknown number of steps"):
        tracing.trace(keras.Model(inputs, keras.layers.GRU(2, name="gru")(inputs)))


def test_two_traces_of_a_model_are_alike():
    for build in (cnn, attention):
        model = build()
        first, second = tracing.trace(model), tracing.trace(model)
        assert [node.name for node in first.nodes] == [node.name for node in second.nodes]
        assert [leaf.name for leaf in first.constants] == [leaf.name for leaf in second.constants]


def test_sequential_and_subclassed_models_are_traced():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.inner = keras.layers.Dense(3, name="inner")

        def call(self, x):
            return keras.ops.tanh(self.inner(x))

    own = Own()
    with pytest.raises(BadInput, match=r"'own' has no known input shape: .*keras\.Input"):
        tracing.trace(own)
    own(keras.Input((4,)))
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="inner"), keras.layers.ReLU()])
    for model, kinds in ((own, ["Matmul", "Add", "Tanh"]), (sequential, ["Matmul", "Add", "ReLU"])):
        graph = canonicalize(tracing.trace(model))
        assert [node.op_type for node in graph.nodes] == kinds
        x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
        np.testing.assert_array_equal(graphs.run(graph, [x])[0], model(x))


def test_a_causal_convolution_of_groups_is_padded_as_keras_pads_it():
    inputs = keras.Input((8, 4), name="x")
    model = keras.Model(inputs, keras.layers.Conv1D(4, 3, padding="causal", dilation_rate=2, groups=2)(inputs))
    data = samples(model, 4)
    np.testing.assert_allclose(outputs_of(canonicalize(tracing.trace(model)), data), np.asarray(model(data)), atol=1e-6)
