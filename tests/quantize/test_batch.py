"""The batch of models that ask for its size, and other Python that layers write for tensors with values."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.quantize.graph import nodes as graphs
from edgewright.quantize.graph import tracing
from edgewright.quantize.passes.canonicalize import canonicalize
from keras import layers, ops

SPEEDS = np.linspace(0.5, 2.0, 6).astype("float32")


class Written(layers.Layer):
    """A layer with a weight, whose call is a function of itself and its input."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, 6), initializer="random_normal", name="token")

    def call(self, x):
        return self.function(self, x)


def batch_of(x):
    return ops.shape(x)[0]


def causal(layer, x):
    position = ops.arange(8)
    mask = ops.broadcast_to((position[:, None] >= position)[None], (batch_of(x), 8, 8))
    scores = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    return ops.matmul(ops.softmax(ops.where(mask, scores, -1e9)), x)


ASKING = {
    "a token tiled": lambda s, x: ops.concatenate([ops.tile(s.token, (batch_of(x), 1, 1)), x], 1),
    "a token repeated": lambda s, x: ops.concatenate([ops.repeat(s.token, batch_of(x), axis=0), x], 1),
    "a token broadcast": lambda s, x: ops.concatenate([ops.broadcast_to(s.token, (batch_of(x), 1, 6)), x], 1),
    "zeros": lambda s, x: ops.concatenate([ops.zeros((batch_of(x), 1, 6)), x], axis=1),
    "a constant whose batch comes second": lambda s, x: ops.transpose(
        ops.concatenate([ops.transpose(x, (1, 0, 2)), ops.broadcast_to(SPEEDS, (2, batch_of(x), 6))], 0), (1, 0, 2)
    ),
    "rows of several": lambda s, x: ops.reshape(x, (-1, 6)) + ops.ones((8 * batch_of(x), 6)),
    "a mask of the batch": causal,
    "a size left to be found": lambda s, x: ops.reshape(x, (batch_of(x), -1, 3)),
    "heads put to the batch": lambda s, x: ops.reshape(ops.reshape(x, (batch_of(x) * 2, 4, 6)), (batch_of(x), 8, 6)),
    "the whole batch by its size": lambda s, x: x[: batch_of(x)] * 2.0,
    "what has samples, broadcast": lambda s, x: ops.broadcast_to(x[:, :1], (batch_of(x), 8, 6)) * x,
}
PYTHON = {
    "numpy on the left": lambda s, x: SPEEDS * x,
    "a number that is a size": lambda s, x: x / float(ops.shape(x)[1]),
    "a sum over slices": lambda s, x: sum(x[:, k] for k in range(x.shape[1])),
    "a new axis on a weight": lambda s, x: x[:, None] + s.token[None],
    "equality as a mask": lambda s, x: ops.where(ops.round(x) == 0, x, s.token),
    "capitals and blanks": lambda s, x: ops.einsum("b t c, bTc -> btT", x, x),
    "a layer made in the call": lambda s, x: layers.Add()([x, layers.Activation("relu")(x), -x]),
    "a softmax whose mask comes second": lambda s, x: layers.Softmax()(x, ops.ones((1, 8, 6), "bool")),
}


@pytest.mark.parametrize("name", [*ASKING, *PYTHON])
def test_the_graph_computes_what_the_layer_does(name):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 6))
    model = keras.Model(inputs, Written({**ASKING, **PYTHON}[name])(inputs))
    graph = canonicalize(tracing.trace(model))
    assert graph.inputs[0].shape == (None, 8, 6)
    for count in (1, 5):
        x = np.random.default_rng(count).normal(size=(count, 8, 6)).astype("float32")
        (found,) = graphs.run(graph, [ops.convert_to_tensor(x)])
        np.testing.assert_allclose(np.asarray(found), np.asarray(model(x, training=False)), atol=2e-5)


class Backend(layers.Layer):
    """Computes by TensorFlow's own functions, and has no weights."""

    def call(self, x):
        import tensorflow as tf

        return tf.math.softplus(x)


def test_a_layer_in_the_functions_of_a_backend_is_kept_whole():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(Backend(name="own")(inputs)))
    _, report = ew.prepare_qat(model, calibration=np.ones((4, 3), "float32"))
    assert [row["operator"] for row in report.float_ops] == ["Backend"]


def test_what_depends_on_the_batch_otherwise_is_refused_by_name():
    def numbered(layer, x):
        return x + ops.cast(ops.arange(batch_of(x)), "float32")[:, None, None]

    def divided(layer, x):
        return x * ops.cast(batch_of(x), "float32")

    for function in (numbered, divided):
        inputs = keras.Input((8, 6))
        with pytest.raises(BadInput, match="depends on the size of the batch"):
            tracing.trace(keras.Model(inputs, Written(function)(inputs)))


def test_a_fixed_batch_is_opened():
    inputs = keras.Input(batch_shape=(16, 8, 6))
    model = keras.Model(inputs, layers.Dense(4)(inputs))
    x = np.random.default_rng(0).normal(size=(16, 8, 6)).astype("float32")
    qat, _ = ew.prepare_qat(model, calibration=x)
    assert qat.output_shape == (None, 8, 4)


class Two(layers.Layer):
    """Gives its scores only when asked to, as blocks with a cache do."""

    def call(self, x):
        return x * 2.0, None


class Outer(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = Two()

    def call(self, x):
        y, nothing = self.inner(x)
        assert nothing is None
        return y


def test_none_among_the_outputs_of_an_inner_layer():
    inputs = keras.Input((3,))
    graph = canonicalize(tracing.trace(keras.Model(inputs, Outer()(inputs))))
    assert [node.op_type for node in graph.nodes] == ["Multiply"]


class Sampling(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed)


class AlwaysDropout(layers.Dropout):
    def call(self, x):
        return super().call(x, training=True)


@pytest.mark.parametrize("layer", [lambda: Sampling(name="noisy"), lambda: AlwaysDropout(0.5, name="noisy")])
def test_random_numbers_at_inference_are_refused_by_layer(layer):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer()(inputs))
    for do in (lambda: tracing.trace(model), lambda: ew.prepare_qat(model, calibration=np.ones((2, 3), "float32"))):
        with pytest.raises(BadInput, match=r"layer 'noisy' .* draws random numbers at inference"):
            do()


class Fails(layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(3,))

    def call(self, x):
        if keras.backend.is_keras_tensor(x):
            raise RuntimeError("\x1b[1mno way\x1b[0m\nand more")
        return x * self.w


def test_a_refusal_is_one_line_with_the_users_own():
    model = keras.Sequential([keras.Input((3,)), Fails(name="odd")])
    with pytest.raises(BadInput) as caught:
        tracing.trace(model)
    message = str(caught.value)
    assert "\n" not in message and "\x1b" not in message and "Exception encountered" not in message
    assert "'odd' (Fails)" in message and "test_batch.py" in message and "raise RuntimeError" in message


@pytest.mark.parametrize("value_dim", [3, 5])
def test_attention_with_values_of_their_own_size(value_dim):
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 3, value_dim=value_dim)(inputs, inputs))
    x = np.random.default_rng(0).normal(size=(4, 6, 4)).astype("float32")
    (found,) = graphs.run(canonicalize(tracing.trace(model)), [ops.convert_to_tensor(x)])
    np.testing.assert_allclose(np.asarray(found), np.asarray(model(x)), atol=1e-5)


def test_stateful_layers_are_refused_with_the_right_call():
    model = keras.Sequential([keras.Input(batch_shape=(1, 6, 4)), layers.LSTM(5, stateful=True, name="memory")])
    with pytest.raises(BadInput, match=r"'memory' is stateful.*streaming"):
        ew.prepare_qat(model, calibration=np.ones((8, 6, 4), "float32"))


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot"])
def test_categories_are_comparisons(mode):
    width = 1 if mode == "one_hot" else 3
    inputs = keras.Input((width,), dtype="int32")
    model = keras.Model(inputs, layers.CategoryEncoding(6, output_mode=mode)(inputs))
    x = np.random.default_rng(0).integers(0, 6, (16, width)).astype("int32")
    (found,) = graphs.run(canonicalize(tracing.trace(model)), [ops.convert_to_tensor(x)])
    np.testing.assert_array_equal(np.asarray(found), np.asarray(model(x)))
