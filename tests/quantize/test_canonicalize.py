"""Simplification: fewer operations, the same function, and nothing folded that is shared."""

import keras
import numpy as np
import pytest
from edgewright.quantize.graph import nodes as graphs
from edgewright.quantize.graph import tracing
from edgewright.quantize.passes.canonicalize import canonicalize
from int8_run import MODELS, by_keras, cnn, lstm, samples
from keras import ops
from operator_cases import channels_first


def kinds(graph):
    return [node.op_type for node in graph.nodes]


def outputs_of(graph, x):
    return np.asarray(graphs.run(graph, [keras.ops.convert_to_tensor(x)])[0])


def test_batch_normalisation_folds_into_the_convolutions_before():
    model = cnn()
    graph = canonicalize(tracing.trace(model))
    assert kinds(graph)[:6] == ["Conv", "Add", "ReLU", "DepthwiseConv", "Add", "ReLU"]
    assert not {"Multiply", "Subtract", "Rsqrt"} & set(kinds(graph))
    x = samples(model, 16)
    np.testing.assert_allclose(outputs_of(graph, x), np.asarray(model(x, training=False)), atol=2e-6)


def test_folded_kernel_by_hand():
    """gamma 3, variance 4 - epsilon: the factor is 1.5; (x * 2 + 1 - mean 5) * 1.5 + beta 7 = x * 3 + 1."""
    inputs = keras.Input((1,), name="x")
    norm = keras.layers.BatchNormalization(epsilon=0.5, name="norm")
    model = keras.Model(inputs, norm(keras.layers.Dense(1, name="dense")(inputs)))
    model.get_layer("dense").set_weights([np.array([[2.0]]), np.array([1.0])])
    norm.set_weights([np.array([value]) for value in (3.0, 7.0, 5.0, 3.5)])
    graph = canonicalize(tracing.trace(model))
    assert kinds(graph) == ["Matmul", "Add"]
    assert [float(leaf.value.reshape(())) for leaf in graph.constants] == [3.0, 1.0]
    assert all(leaf.trainable for leaf in graph.constants)


def test_fold_leaves_a_branch_that_is_read_before_normalisation():
    inputs = keras.Input((4,), name="x")
    x = keras.layers.Dense(4, name="dense")(inputs)
    model = keras.Model(inputs, keras.layers.Add(name="sum")([keras.layers.BatchNormalization(name="norm")(x), x]))
    model.get_layer("norm").set_weights([np.full(4, value) for value in (2.0, 0.3, 0.1, 0.9)])
    graph = canonicalize(tracing.trace(model))
    assert "Multiply" in kinds(graph)
    x = samples(model, 8)
    np.testing.assert_allclose(outputs_of(graph, x), np.asarray(model(x)), atol=1e-6)


def test_shared_layer_with_a_normalisation_after_one_call_keeps_its_kernel():
    inputs = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, use_bias=False, name="shared")
    norm = keras.layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, shared(norm(shared(inputs))))
    norm.set_weights([np.full(4, value) for value in (2.0, 0.3, 0.1, 0.9)])
    graph = canonicalize(tracing.trace(model))
    x = samples(model, 8)
    np.testing.assert_allclose(outputs_of(graph, x), np.asarray(model(x)), atol=1e-6)


class TiedOutput(keras.layers.Layer):
    """Embeds tokens, and scores them with the transposed table: one weight in two places."""

    def build(self, shape):
        self.table = self.add_weight(shape=(10, 4), initializer="normal", name="table")

    def call(self, tokens):
        ops = keras.ops
        return ops.matmul(ops.mean(ops.take(self.table, tokens, axis=0), axis=1), ops.transpose(self.table))


def test_tied_weight_is_not_folded():
    inputs = keras.Input((5,), dtype="int32", name="tokens")
    model = keras.Model(inputs, TiedOutput(name="tied")(inputs))
    graph = canonicalize(tracing.trace(model))
    assert kinds(graph) == ["Take", "Mean", "MatmulTransposed"]
    (table,) = graph.constants  # a folded transpose would be a second copy, trained apart
    assert table.shape == (10, 4) and graph.nodes[-1].inputs[1] is table
    x = np.random.default_rng(0).integers(0, 10, (4, 5)).astype("int32")
    np.testing.assert_allclose(outputs_of(graph, x), np.asarray(model(x)), atol=1e-6)


def test_weight_in_one_place_is_folded_and_stays_trainable():
    class Halved(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(4, 3), initializer="ones", name="kernel")

        def call(self, x):
            return keras.ops.matmul(x, self.kernel * 0.5)

    inputs = keras.Input((4,), name="x")
    graph = canonicalize(tracing.trace(keras.Model(inputs, Halved(name="halved")(inputs))))
    assert kinds(graph) == ["Matmul"]
    (kernel,) = graph.constants
    assert kernel.trainable
    np.testing.assert_array_equal(kernel.value, np.full((4, 3), 0.5))


def test_zero_state_of_the_first_step_is_removed():
    """The product of the zero state and its gate exist in five of the six steps."""
    counts = {kind: kinds(canonicalize(tracing.trace(lstm()))).count(kind) for kind in ("Matmul", "Multiply")}
    assert counts["Matmul"] == 1 + 5 + 1  # input, all steps at once; recurrent; head
    assert counts["Multiply"] == 6 * 2 + 5  # input gate and output gate, forget gate


@pytest.mark.parametrize("cell", [keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU])
def test_inputs_of_all_steps_are_multiplied_at_once_and_compute_the_same(cell):
    inputs = keras.Input((5, 3), name="x")
    model = keras.Model(inputs, cell(4, name="cell", bias_initializer="random_normal")(inputs))
    graph = canonicalize(tracing.trace(model))
    ((first, second), *others) = [node.output.shape[1:] for node in graph.nodes if node.op_type == "Matmul"]
    assert first == 5 and second == model.get_layer("cell").cell.kernel.shape[-1]
    assert all(len(shape) == 1 for shape in others) and len(others) in (4, 8)
    unstacked = [node for node in graph.nodes if node.op_type == "Unstack"]
    assert [node.inputs[0].producer.op_type for node in unstacked] == ["Add"]  # with the bias, which fuses
    x = np.random.default_rng(0).normal(size=(7, 5, 3)).astype("float32")
    np.testing.assert_allclose(graphs.run(graph, [x])[0], model(x), atol=1e-6)


def test_scalars_become_constants_and_copies_disappear():
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, keras.ops.convert_to_tensor(inputs) * 2.0 + 1.0)
    graph = canonicalize(tracing.trace(model))
    assert kinds(graph) == ["Multiply", "Add"]
    assert [float(leaf.value) for leaf in graph.constants] == [2.0, 1.0]


def test_division_by_a_constant_becomes_a_product():
    """LiteRT has no int8 division; attention divides by the root of its width."""
    inputs = keras.Input((4,), name="x")
    graph = canonicalize(tracing.trace(keras.Model(inputs, inputs / 8.0)))
    assert kinds(graph) == ["Multiply"]
    assert [float(leaf.value) for leaf in graph.constants] == [0.125]
    x = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    np.testing.assert_array_equal(outputs_of(graph, x), x / 8)


def test_division_of_a_constant_stays():
    inputs = keras.Input((4,), name="x")
    graph = canonicalize(tracing.trace(keras.Model(inputs, 8.0 / inputs)))
    assert "Multiply" not in kinds(graph)
    np.testing.assert_array_equal(outputs_of(graph, np.full((1, 4), 2, "float32")), np.full((1, 4), 4))


def test_structure_does_not_depend_on_the_values_of_weights():
    """A model is rebuilt from its configuration before its weights are loaded: zeros must not change the plan."""
    for build in MODELS.values():
        model = build()
        first = [node.name for node in canonicalize(tracing.trace(model)).nodes]
        for weight in model.weights:
            weight.assign(np.zeros(weight.shape))
        assert [node.name for node in canonicalize(tracing.trace(model)).nodes] == first


def scores_of(body):
    """Return the graph of `body(scores, keep)` over scores (N, 4, 4) and a boolean input (N, 4), and the model."""
    scores, keep = keras.Input((4, 4), name="scores"), keras.Input((4,), dtype="bool", name="keep")
    model = keras.Model([scores, keep], keras.ops.softmax(body(scores, keep)))
    return canonicalize(tracing.trace(model)), model


SPELLINGS = {
    "choice": lambda s, keep: ops.where(keep[:, None, :], s, -1e9),
    "choice the other way": lambda s, keep: ops.where(ops.logical_not(keep)[:, None, :], s - 1e9, s),
    "sum": lambda s, keep: s + (1.0 - ops.cast(keep, "float32"))[:, None, :] * -1e9,
    "difference": lambda s, keep: s - 1e6 * ops.cast(~keep, "float32")[:, None, :],
    "constant": lambda s, keep: s + np.triu(np.full((4, 4), -1e9, np.float32), 1),
    "layer": lambda s, keep: keras.layers.Softmax()(s, mask=keep[:, None, :]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_mask_becomes_one(spelling):
    graph, model = scores_of(SPELLINGS[spelling])
    assert kinds(graph).count("Masked") == 1
    assert not {"Add", "Subtract", "Multiply"} & set(kinds(graph))
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(8, 4, 4)).astype("f4"), random.random((8, 4)) > 0.3]
    found = graphs.run(graph, [keras.ops.convert_to_tensor(x) for x in inputs])[0]
    np.testing.assert_allclose(np.asarray(found), np.asarray(model(inputs)), atol=1e-6)


def test_a_large_but_harmless_constant_is_no_mask():
    graph, _ = scores_of(lambda s, keep: s - 20.0 * ops.cast(keep, "float32")[:, None, :])
    assert "Masked" not in kinds(graph)
    graph, _ = scores_of(lambda s, keep: s - 1e9)
    assert "Masked" not in kinds(graph)


def test_channels_are_put_last_once_and_back_once():
    inputs = keras.Input((3, 12, 8), name="x")
    model = keras.Model(inputs, channels_first(inputs))
    graph = canonicalize(tracing.trace(model))
    assert kinds(graph) == [
        "Transpose", "Conv", "Add", "ReLU", "Conv", "Add", "Add", "ReLU", "MaxPool", "DepthwiseConv", "Add",
        "GroupedConv", "Add", "AveragePool", "Transpose",
    ]  # fmt: skip
    x = samples(model, 4)
    np.testing.assert_allclose(outputs_of(graph, x), np.asarray(by_keras(model, x)), atol=1e-5)


def test_transposes_in_a_row_are_one_or_none():
    inputs = keras.Input((2, 3, 4), name="x")
    turned = ops.transpose(ops.transpose(inputs, (0, 2, 3, 1)), (0, -1, 1, 2))  # there and back
    model = keras.Model(inputs, [turned, ops.transpose(ops.transpose(turned, (0, 2, 1, 3)), (0, 3, 1, 2))])
    graph = canonicalize(tracing.trace(model))
    assert [(node.op_type, tuple(node.op.axes)) for node in graph.nodes] == [("Transpose", (0, 3, 2, 1))]
    x = samples(model, 4)
    for found, wanted in zip(graphs.run(graph, [ops.convert_to_tensor(x)]), model(x), strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_a_table_starts_before_what_would_be_rounded_for_it():
    """Of 2 + 1e-4 x, 8 bits from zero show almost nothing: the table is of x itself, the constants are inside it."""
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(6, name="dense")(inputs)
    model = keras.Model(inputs, ops.exp(ops.log(1e-4 * x * x + 2.0) * -0.75))
    graph = canonicalize(tracing.trace(model))
    assert kinds(graph) == ["Matmul", "Add", "Table"]
    x = 100 * samples(model, 16)
    np.testing.assert_allclose(outputs_of(graph, x), np.asarray(model(x)), atol=1e-6)


def test_a_table_leaves_a_relu_to_the_kernel_before_it():
    inputs = keras.Input((6,), name="x")
    x = keras.layers.Dense(6, activation="relu", name="dense")(inputs)
    graph = canonicalize(tracing.trace(keras.Model(inputs, ops.sqrt(x + 0.1))))
    assert kinds(graph) == ["Matmul", "Add", "ReLU", "Table"]


def test_a_table_starts_behind_what_is_read_elsewhere():
    inputs = keras.Input((6,), name="x")
    square = ops.square(inputs)
    graph = canonicalize(tracing.trace(keras.Model(inputs, [ops.cos(square * 2.0), square])))
    assert kinds(graph) == ["Square", "Table"]


def test_what_is_filled_with_one_number_is_that_number_beside_a_tensor_of_its_shape():
    inputs = keras.Input((6,), name="x")
    zeros, ones = ops.zeros_like(inputs), ops.ones_like(inputs)
    graph = canonicalize(tracing.trace(keras.Model(inputs, [ops.where(inputs > 0, inputs, zeros), zeros + ones])))
    assert sorted(kinds(graph)) == ["Add", "Greater", "OnesLike", "Where", "ZerosLike"]
