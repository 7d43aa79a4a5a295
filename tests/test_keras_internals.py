"""What we use of Keras beyond what it promises, tried one by one against the Keras that is installed: a canary."""

import keras
import numpy as np
import pytest
from edgewright import keras_internals as internals
from edgewright.quantize.graph.tracing import trace
from keras import layers, ops


@pytest.fixture
def model():
    inputs = keras.Input((6, 3), name="frames")
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="inside")], name="inner")
    x = inner(layers.LSTM(3, name="lstm")(inputs))
    return keras.Model(inputs, layers.Add(name="sum")([x, layers.Dense(4, name="beside")(x)]), name="net")


def test_layers_are_found_at_every_depth(model):
    names = [layer.name for layer in internals.layers_in(model)]
    assert {"net", "lstm", "inner", "inside", "beside", "sum"} < set(names) and len(names) == len(set(names))
    shallow = {layer.name for layer in internals.layers_in(model, itself=False, deep=False)}
    assert "inside" not in shallow and "inner" in shallow
    lstm = model.get_layer("lstm")
    assert list(internals.layers_in(lstm, itself=False)) == [lstm.cell]


def test_variables_of_a_layer_itself(model):
    inside = model.get_layer("inner").layers[-1]
    assert [variable.name for variable in internals.own_trainable(inside)] == ["kernel", "bias"]
    assert internals.own_trainable(model.get_layer("lstm")) == []  # they are its cell's


def test_what_keeps_variables_besides_is_known_by_name():
    class Holder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.mine = self.add_weight(shape=(2,), name="mine")
            self.part = layers.Dense(2)

        def call(self, x):
            return self.part(x) + self.mine

    holder = Holder()
    holder(np.zeros((1, 2), "float32"))
    held = {
        name for name, value in vars(holder).items()
        if isinstance(value, (list, tuple)) and any(isinstance(item, keras.Variable) for item in value)
    }  # fmt: skip
    assert held <= internals.TRACKERS and set(vars(holder)) >= internals.TRACKERS


def test_inner_results_are_recorded_while_a_model_runs(model):
    inside, x = model.get_layer("inner").layers[-1], np.ones((2, 6, 3), "float32")
    with internals.recorded({"a": inside, "b": model.get_layer("beside")}) as seen:
        answer = model(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(seen["a"] + seen["b"]), ops.convert_to_numpy(answer))
    assert "call" not in vars(inside)
    with internals.recorded({"a": inside}) as again:
        pass
    model(x)
    assert not again


def test_states_are_given_to_recurrences_and_taken_from_them(model):
    lstm, x = model.get_layer("lstm"), np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    given = [np.ones((2, 3), "float32"), np.zeros((2, 3), "float32")]
    own = layers.LSTM(3, return_state=True)
    own.build((2, 6, 3))
    own.set_weights(lstm.get_weights())
    output, *states = own(x, initial_state=given)
    with internals.carried({"lstm": lstm}, {"lstm": given}) as last:
        model(x)
    assert "call" not in vars(lstm) and lstm.return_state is False
    for one, other in zip(last["lstm"], states, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(last["lstm"][0]), ops.convert_to_numpy(output), rtol=1e-6)


def test_masks():
    assert internals.takes_mask(layers.Softmax()) and not internals.takes_mask(layers.Dense(2))


def test_what_made_a_tensor_and_what_it_read(model):
    origin = internals.origin_of(model.output)
    assert (origin.operation.name, origin.index) == ("sum", 0)
    node = internals.maker_of(model.output)
    assert node.operation is origin.operation and len(node.input_tensors) == 2
    assert node.outputs[0] is model.output and len(node.arguments.keras_tensors) == 2
    args, kwargs = node.arguments.convert(lambda tensor: "t")
    assert (args, kwargs) == ((["t", "t"],), {})
    assert internals.origin_of(keras.KerasTensor((None, 2))) is None
    assert internals.maker_of(keras.KerasTensor((None, 2))) is None


def test_calls_are_counted_and_forgotten(model):
    dense = model.get_layer("beside")
    before = internals.calls_of(dense)
    dense(keras.KerasTensor((None, 4)))
    assert internals.calls_of(dense)[0] == before[0] + 1
    internals.forget_calls(dense, before)
    assert internals.calls_of(dense) == before == (1, 1)


def test_the_graph_of_a_functional_model(model):
    assert internals.is_graph(model) and not internals.is_graph(layers.Dense(2))
    order = [node.operation.name for node in internals.nodes_in_order(model)]
    assert order.index("lstm") < order.index("inner") < order.index("beside") < order.index("sum")
    inner = internals.graph_inside(model.get_layer("inner"))
    assert [layer.name for layer in inner.layers][-1] == "inside"
    seen = []

    def call(operation, *args, **kwargs):
        seen.append(operation.name)
        return operation(*args, **kwargs)

    x = np.ones((1, 6, 3), "float32")
    result = internals.run_graph(model, [x], lambda operation: operation, call)
    np.testing.assert_array_equal(np.asarray(keras.tree.flatten(result)[0]), np.asarray(model(x)))
    assert seen[0] == "lstm" and seen[-1] == "sum"


def test_abstract_outputs_run_without_values():
    out = internals.abstract_outputs(lambda x: ops.matmul(x, x), keras.KerasTensor((3, 3)))
    assert (tuple(out.shape), out.dtype) == ((3, 3), "float32")
    with pytest.raises(Exception, match=r"."):
        internals.abstract_outputs(lambda x: float(x[0, 0]), keras.KerasTensor((3, 3)))


def test_the_value_of_a_variable_is_a_tensor():
    variable = keras.Variable(np.arange(3.0), dtype="float32")
    value = internals.value_of(variable)
    variable.assign(np.zeros(3))
    assert not hasattr(value, "assign")
    np.testing.assert_array_equal(np.asarray(value), [0, 1, 2])


def test_signatures_are_read_once_and_say_the_same():
    from keras.src.ops import operation

    class Scale(keras.Operation):
        def __init__(self, factor, offset=1.0):
            super().__init__()
            self.factor, self.offset = factor, offset

    plain = operation.inspect
    with internals.signatures_read_once():
        assert operation.inspect is not plain
        once, again = (operation.inspect.signature(Scale.__init__) for _ in range(2))
        assert once is again
        made = [Scale(factor).get_config() for factor in (2.0, 3.0)]
    assert operation.inspect is plain
    for factor, config in zip((2.0, 3.0), made, strict=True):
        own = Scale(factor).get_config()
        assert {**config, "name": ""} == {**own, "name": ""} and config["factor"] == factor


def test_what_tracing_replaces_is_there_and_left_as_it_was(model):
    parts = internals.patched()
    assert callable(parts.calls.Node)
    x = keras.KerasTensor((None, 2, 3))
    assert isinstance(internals.maker_of(ops.einsum("bij->bji", x)).operation, parts.einsum)
    assert isinstance(internals.maker_of(ops.ndim(x)).operation, parts.rank)
    query = keras.KerasTensor((None, 4, 2, 8))
    attended = ops.dot_product_attention(query, query, query)
    assert isinstance(internals.maker_of(attended).operation, parts.attention)
    before = [dict(vars(kind)) for kind in (parts.einsum, parts.rank, parts.attention, keras.KerasTensor, keras.Layer)]
    node = parts.calls.Node
    graph = trace(model)
    assert [node.op_type for node in graph.nodes].count("Matmul") >= 8 and parts.calls.Node is node
    after = [dict(vars(kind)) for kind in (parts.einsum, parts.rank, parts.attention, keras.KerasTensor, keras.Layer)]
    assert before == after


def test_what_keras_computes_by_tensorflow():
    backend = internals.tensorflow_numpy()
    assert callable(backend.add) and callable(backend.signbit)


def test_what_a_configuration_holds_stays_shared():
    inner = layers.Dense(3)
    holder = layers.TimeDistributed(inner)
    with internals.sharing([inner, holder]):
        again = internals.made_again(inner, inner.get_config())
        assert internals.made_again(holder, holder.get_config()).layer is again
        assert internals.made_again(inner, {}) is again
    assert type(holder).from_config(holder.get_config()).layer is not inner


def test_weights_that_are_counted_are_never_made():
    with internals.without_weights():
        x = keras.Input((3,))
        model = keras.Model(x, keras.layers.Dense(2)(x))
        assert sum(int(np.prod(weight.shape)) for weight in model.weights) == 8
    y = keras.Input((3,))
    other = keras.Model(y, keras.layers.Dense(2)(y))  # Keras makes whatever still waits
    assert other(np.ones((1, 3))).shape == (1, 2)
    assert all(weight._value is None for weight in model.weights)
