"""Recursive nets against Keras' own recurrences along a chain, and the stack against a list."""

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.tree import StackLSTMCell
from keras import layers

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def recursive():
    return registry.networks("recursive_net", units=5, seed=1)


@pytest.fixture(scope="module")
def node():
    return registry.networks("tree_lstm", units=4, words=3, seed=1)["node"]


def test_the_cell_of_a_recursive_net_has_2hh_plus_h_parameters(recursive):
    assert registry.build("recursive_net")["node"].get_layer("cell").count_params() == 2 * 100**2 + 100
    assert sum(net.count_params() for net in recursive.values()) == 7 * 5 + 2 * 5**2 + 5 + (5 + 1) * 2


def test_a_chain_that_leans_left_is_an_elman_net_of_the_right_children(recursive):
    kernel, bias = recursive["node"].get_layer("cell").get_weights()
    elman = layers.SimpleRNN(5)
    x, h = RANDOM.normal(size=(3, 6, 5)).astype("f4"), RANDOM.normal(size=(3, 5)).astype("f4")
    elman.build(x.shape)
    elman.set_weights([kernel[5:], kernel[:5], bias])
    expected = elman(x, initial_state=h)
    for right in x.swapaxes(0, 1):
        h = recursive["node"]({"h_children": np.stack([h, right], 1), "mask": np.ones((3, 2), "f4")})["h"]
    np.testing.assert_allclose(h, expected, atol=1e-6)


def test_a_child_that_is_not_there_changes_nothing(recursive):
    children, mask = RANDOM.normal(size=(2, 3, 2, 5)).astype("f4"), np.array([[1, 0]] * 3, "f4")
    children[1, :, 0] = children[0, :, 0]
    one, other = (np.asarray(recursive["node"]({"h_children": each, "mask": mask})["h"]) for each in children)
    np.testing.assert_array_equal(one, other)


def test_a_child_sum_tree_with_one_child_a_node_is_an_lstm_along_the_chain(node):
    tokens = RANDOM.integers(0, 7, (5, 6)).astype("i4")
    into, forget = node.get_layer("gates_of_input").get_weights(), node.get_layer("forget_of_input").get_weights()
    (of_children,), (of_child,) = (
        node.get_layer(name).get_weights() for name in ("gates_of_children", "forget_of_child")
    )

    def gates(three, one):  # i, c, o and f as Keras has them: i, f, c, o
        write, candidate, read = np.split(three, 3, -1)
        return np.concatenate([write, one, candidate, read], -1)

    lstm = layers.LSTM(4, return_state=True)
    x = node.get_layer("embedding")(tokens)
    lstm.build(x.shape)
    lstm.set_weights([gates(into[0], forget[0]), gates(of_children, of_child), gates(into[1], forget[1])])
    _, *expected = lstm(x)
    h, c = np.zeros((2, 5, 3, 4), "f4")
    for step in range(6):
        mask = np.zeros((5, 3), "f4")
        mask[:, 0] = step > 0
        made = node({"token": tokens[:, step : step + 1], "h_children": h, "c_children": c, "mask": mask})
        h, c = (RANDOM.normal(size=(5, 3, 4)).astype("f4") for _ in range(2))  # what is not there is anything
        h[:, 0], c[:, 0] = made["h"], made["c"]
    np.testing.assert_allclose(h[:, 0], expected[0], atol=1e-6)
    np.testing.assert_allclose(c[:, 0], expected[1], atol=1e-6)


def test_the_forget_gate_of_a_tree_begins_at_one(node):
    np.testing.assert_array_equal(node.get_layer("forget_of_input").bias, np.ones(4))


# ---------------------------------------------------------------- the stack


def frames(actions, width=3):
    """Return random frames with the actions push, pop or keep behind them."""
    x = RANDOM.normal(size=(2, len(actions), width)).astype("f4")
    told = np.array([[action == "push", action == "pop"] for action in actions], "f4")
    return np.concatenate([x, np.broadcast_to(told, (2, *told.shape))], -1)


def test_a_stack_that_is_only_pushed_onto_is_an_lstm():
    x = frames(["push"] * 5)
    stack, lstm = layers.RNN(StackLSTMCell(4, 6), return_sequences=True), layers.LSTM(4, return_sequences=True)
    answers = stack(x)
    lstm.build((None, None, 3))
    lstm.set_weights(stack.get_weights())
    np.testing.assert_allclose(answers, lstm(x[..., :3]), atol=1e-6)


def test_the_stack_is_a_list():
    actions = ["push", "push", "pop", "push", "keep", "push", "pop", "pop", "pop", "keep", "push"]
    x = frames(actions)
    cell = StackLSTMCell(4, 3)
    answers = np.asarray(layers.RNN(cell, return_sequences=True)(x))
    textbook = layers.LSTMCell(4)
    textbook.build((None, 3))
    textbook.set_weights(cell.get_weights())
    empty = [np.zeros((2, 4), "f4")] * 2
    below = [empty]
    for step, action in enumerate(actions):
        if action == "push":
            below.append([np.asarray(each) for each in textbook(x[:, step, :3], below[-1])[1]])
        elif action == "pop":
            below.pop()
        np.testing.assert_allclose(answers[:, step], below[-1][0], atol=1e-6)


def test_the_step_goes_as_the_sequence():
    networks = registry.networks("stack_lstm", units=4, depth=3, input_shape=(4, 5), classes=2)
    networks["step"].set_weights(networks["sequence"].get_weights())
    x = frames(["push", "push", "pop", "keep"])
    states = {f"stack_state_{place}": np.zeros((2, 12), "f4") for place in range(2)}
    states["stack_state_2"] = np.zeros((2, 3), "f4")
    for step in range(4):
        made = networks["step"]({"frame": x[:, step : step + 1], **states})
        states = {name: np.asarray(made[f"{name}_out"]) for name in states}
        expected = np.asarray(networks["sequence"](x))[:, step]
        np.testing.assert_allclose(np.asarray(made["logits"])[:, 0], expected, atol=1e-6)


def test_cells_are_saved_with_their_sizes():
    cell = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(StackLSTMCell(4, 3)))
    assert (cell.units, cell.depth) == (4, 3)
