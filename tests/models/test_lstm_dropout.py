"""Six schemes of dropout in an LSTM: what they leave alone, what they do in training, what they are in a file."""

import keras
import numpy as np
import pytest
from edgewright.models.lstm_dropout import SCHEMES, LSTMDropoutCell, RecurrentDropout
from keras import layers

RANDOM = np.random.default_rng(0)
UNITS, WIDTH, STEPS = 6, 3, 5
X = RANDOM.normal(size=(4, STEPS, WIDTH)).astype("float32")


def pair(scheme, rate, seed=1):
    """Return a recurrence with dropout and Keras' LSTM of the same random weights."""
    ours = RecurrentDropout(LSTMDropoutCell(UNITS, rate, scheme, seed=seed), return_sequences=True, return_state=True)
    plain = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    ours(X), plain(X)
    weights = [RANDOM.normal(size=weight.shape).astype("float32") for weight in plain.weights]
    for layer in (ours, plain):
        layer.set_weights(weights)
    return ours, plain


def same(one, other):
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_dropout_each_is_a_plain_lstm_in_training_too(scheme):
    ours, plain = pair(scheme, 0.0)
    same(ours(X, training=True), plain(X))
    same(ours(X), plain(X))


@pytest.mark.parametrize("scheme", ["variational", "recurrent", "weights"])
def test_these_are_plain_at_inference_and_not_in_training(scheme):
    ours, plain = pair(scheme, 0.5)
    same(ours(X), plain(X))
    first, second = (np.asarray(ours(X, training=True)[0]) for _ in range(2))
    assert np.abs(first - second).max() > 0.05 and np.abs(first - np.asarray(plain(X)[0])).max() > 0.05


def test_dropout_between_layers_leaves_no_trace():
    from edgewright.models import registry

    net = registry.networks("rnn_dropout", input_shape=(5,), classes=9, units=6)["sequence"]
    tokens = RANDOM.integers(0, 9, (4, 5)).astype("int32")
    x = net.get_layer("embedding")(tokens)
    for name in ("lstm_1", "lstm_2"):
        x = net.get_layer(name)(x)
    np.testing.assert_allclose(net(tokens), net.get_layer("logits")(x), atol=1e-6)
    assert [net.get_layer(f"{name}_dropout").rate for name in ("embedding", "lstm_1", "lstm_2")] == [0.5] * 3


def test_zoneout_at_inference_is_the_mean_form():
    ours, plain = pair("zoneout", 0.25)
    kernel, recurrent, bias = (np.asarray(weight, np.float64) for weight in ours.get_weights())
    h = c = np.zeros((4, UNITS))
    for t in range(STEPS):
        i, f, g, o = np.split(X[:, t] @ kernel + h @ recurrent + bias, 4, -1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        new = f * c + i * np.tanh(g)
        c, h = 0.25 * c + 0.75 * new, 0.25 * h + 0.75 * o * np.tanh(new)
    _, hidden, memory = ours(X)
    np.testing.assert_allclose(hidden, h, atol=1e-5)
    np.testing.assert_allclose(memory, c, atol=1e-5)
    assert np.abs(np.asarray(hidden) - np.asarray(plain(X)[1])).max() > 0.05


def test_zoneout_in_training_keeps_whole_units_and_others_in_each_step():
    ours, _ = pair("zoneout", 0.5)
    hidden = np.asarray(ours(X, training=True)[0])  # (N, T, units)
    kept = hidden[:, 1:] == hidden[:, :-1]
    assert 0.3 < kept.mean() < 0.7 and (kept[:, 1:] != kept[:, :-1]).any()


def test_rnndrop_at_inference_is_a_plain_cell_whose_outgoing_weights_are_scaled():
    ours, plain = pair("rnndrop", 0.25)
    kernel, recurrent, bias = ours.get_weights()
    plain.set_weights([kernel, 0.75 * recurrent, bias])
    hidden, _, memory = ours(X)
    expected, _, plain_memory = plain(X)
    np.testing.assert_allclose(hidden, 0.75 * np.asarray(expected), atol=1e-5)  # a head's weights times 0.75
    np.testing.assert_allclose(memory, plain_memory, atol=1e-5)


def test_the_memory_of_rnndrop_does_not_grow():
    """Masks scaled by 1 / (1 - p) would double it in each step, a millionfold in 20."""
    ours = RecurrentDropout(LSTMDropoutCell(UNITS, 0.5, "rnndrop", seed=1), return_state=True)
    frames = np.ones((8, 20, WIDTH), "float32")
    ours(frames)
    ours.set_weights([np.zeros((WIDTH, 4 * UNITS)), np.zeros((UNITS, 4 * UNITS)), np.repeat([-100, 100, 0, 0], UNITS)])
    ones = np.ones((8, UNITS), "float32")
    memory = np.asarray(ours(frames, initial_state=[ones, ones], training=True)[2])
    np.testing.assert_array_equal(np.unique(memory), [0, 1])  # one mask for all steps
    assert 0.3 < memory.mean() < 0.7


def test_variational_masks_are_those_of_a_sequence():
    ours = RecurrentDropout(LSTMDropoutCell(UNITS, 0.5, "variational", seed=1), return_sequences=True)
    ours(X)
    masks = np.asarray(ours.cell.masks(keras.ops.ones((4, STEPS, WIDTH))))
    assert masks.shape == (4, STEPS, WIDTH + UNITS) and set(np.unique(masks)) == {0, 2}
    np.testing.assert_array_equal(masks, np.repeat(masks[:, :1], STEPS, 1))
    assert (masks[0] != masks[1]).any()


def test_a_net_with_dropout_is_saved_as_it_is(tmp_path):
    inputs = keras.Input((STEPS, WIDTH), name="x")
    recurrence = RecurrentDropout(LSTMDropoutCell(UNITS, 0.3, "weights", name="cell"), name="lstm")
    net = keras.Model(inputs, layers.Dense(2, name="y")(recurrence(inputs)))
    net(X, training=True)
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(net(X), again(X))
    cell = again.get_layer("lstm").cell
    assert (cell.rate, cell.scheme, cell.dropped_kernel) == (0.3, "weights", None)


@pytest.mark.parametrize("wrong", [{"scheme": "gaussian"}, {"rate": 1.0}])
def test_bad_schemes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LSTMDropoutCell(3, **wrong)
