"""Recurrent nets against numbers worked by hand, formulas in NumPy, and Keras' own layers."""

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.cells import DeepTransitionCell, LSTMVariantCell
from edgewright.models.streams import step_with
from edgewright.quantize.streaming import derive
from edgewright.training.runner import KerasRunner
from keras import layers

RANDOM = np.random.default_rng(0)
U, W = [[-1, 0.5, 0.2], [0.5, 0.1, -2]], [[2, 1.3, -1], [1.5, 0, -0.5], [-0.2, 1.5, 0.4]]
ALL_GATES = ("input", "forget", "candidate", "output")


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


def random(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def filled(layer):
    """Give a built layer, or a net, random weights, biases too; return it."""
    layer.set_weights([0.7 * random(*weight.shape) for weight in layer.weights])
    return layer


def built(cell, width=3):
    cell.build((None, width))
    return filled(cell)


def stepped(cell, sequence, states):
    """Run a cell over a sequence (T, F); return hidden states (T, units) and the last states."""
    hidden = []
    for frame in sequence:
        y, states = cell(frame[None], states)
        hidden.append(np.asarray(y)[0])
    return np.array(hidden), [np.asarray(state) for state in states]


# ---------------------------------------------------------------- simple recurrences


def test_elman_by_hand():
    net = registry.networks("elman_rnn", input_shape=(4, 2), units=3, outputs=2)["sequence"]
    head = ([[2, -1], [-1.5, 0.5], [0.2, 0.8]], [0.5, 0.1])
    net.set_weights([np.array(each, "float32") for each in (U, W, [0.2] * 3, *head)])
    frames = np.array([[[1, 2], [-1, 1], [0, 3], [2, -1]]], "float32")
    hidden = keras.Model(net.input, net.get_layer("hidden").output)(frames)[0]
    expected = [(0.197, 0.716, -0.999), (0.998, -0.894, -0.995), (0.988, 0.296, -1.0), (0.309, 0.709, 0.787)]
    np.testing.assert_allclose(hidden, expected, atol=6e-4)
    expected = [(0.41, 0.37), (0.97, 0.11), (0.86, 0.18), (0.55, 0.68)]
    np.testing.assert_allclose(sigmoid(net(frames)[0]), expected, atol=6e-3)


JORDAN = {
    "first": (((1, 2), (-1, 1), (0, 3)), [(0.197, 0.716, -0.999), (0.981, 0.206, -0.981), (0.998, 0.918, -1.0)],
              (0.31, 0.83, 0.63)),
    "second": (((-1, 0), (2, -1), (3, -1)), [(0.834, -0.291, 0), (-0.461, 0.979, 0.935), (-0.996, 0.940, 0.991)],
               (0.90, 0.11, 0.04)),
}  # fmt: skip


@pytest.mark.parametrize("which", JORDAN)
def test_jordan_by_hand(which):
    frames, hidden, outputs = JORDAN[which]
    nets = registry.networks("jordan_rnn", input_shape=(3, 2), units=3, output_activation="sigmoid")
    for net in nets.values():
        given = {"input": (U, [0.2] * 3), "feedback": ([[2, 1.3, -1]],), "output": ([[2], [-1.5], [0.2]], [0.1])}
        for layer, weights in given.items():
            net.get_layer(layer).set_weights([np.array(each, "float32") for each in weights])
    x = np.array([frames], "float32")
    run = KerasRunner(nets, registry.get("jordan_rnn").deploy)
    told = run.unroll("step", {"frame": x})["output"].reshape(3)  # fed back
    np.testing.assert_allclose(told, outputs, atol=6e-3)
    forced = {"frames": x, "last": np.array([[[0], [told[0]], [told[1]]]], "float32")}
    inner = keras.Model(nets["sequence"].input, nets["sequence"].get_layer("hidden").output)
    np.testing.assert_allclose(inner(forced)[0], hidden, atol=6e-4)


def test_eight_inputs_and_five_units():
    net = registry.networks("elman_rnn", input_shape=(9, 8), units=5, outputs=3)["sequence"]
    assert [net.get_layer(name).count_params() for name in ("hidden", "output")] == [70, 18]


@pytest.mark.parametrize(
    ("name", "layer", "count"),
    [
        ("rnn_classifier", "hidden", lambda x, h: h * (x + h + 1)),
        ("stacked_lstm", "lstm_1", lambda x, h: 4 * h * (x + h + 1)),
        ("stacked_lstm", "lstm_2", lambda x, h: 4 * h * (2 * h + 1)),
        ("bilstm", "both_lstm", lambda x, h: 8 * h * (x + h + 1)),
        ("birnn", "both_ways", lambda x, h: 2 * h * (x + h + 1)),
        ("gru", "gru", lambda x, h: 3 * h * (x + h + 1) + 3 * h),
        ("lstm_peephole", "lstm", lambda x, h: 4 * h * (x + h + 1) + 3 * h),
        ("lstm_1997", "lstm", lambda x, h: 3 * h * (x + h + 1)),
    ],
)
def test_parameters(name, layer, count):
    net = next(iter(registry.networks(name, input_shape=(9, 6), units=7).values()))
    assert net.get_layer(layer).count_params() == count(6, 7)


def test_without_activation_and_input_the_jacobian_is_a_power_of_the_matrix():
    recurrence = layers.SimpleRNN(4, activation=None, use_bias=False)
    zeros = np.zeros((4, 5, 2), "float32")
    recurrence(zeros)
    filled(recurrence)
    last = recurrence(zeros, initial_state=np.eye(4, dtype="float32"))  # a row for each unit of h_0
    power = np.linalg.matrix_power(recurrence.get_weights()[1].astype(np.float64), 5)
    np.testing.assert_allclose(last, power, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("activation", "slope", "norm"), [("tanh", 1.0, 0.5), ("sigmoid", 0.25, 3.0)])
def test_gradients_vanish_where_the_matrix_is_small(activation, slope, norm):
    """The norm of dh_t/dh_0 is at most (slope * largest singular value)^t; by central differences."""
    cell = built(layers.SimpleRNNCell(4, activation=activation), width=2)
    kernel, recurrent, bias = cell.get_weights()
    recurrent *= norm / np.linalg.norm(recurrent, 2)
    cell.set_weights([kernel, recurrent, bias])
    start, moves = random(1, 4), 0.05 * np.eye(4, dtype="float32")
    states = [np.concatenate([start + moves, start - moves])]
    for t, frame in enumerate(random(6, 2), 1):
        _, states = cell(np.repeat(frame[None], 8, 0), states)
        up, down = np.split(np.asarray(states[0]), 2)
        assert np.linalg.norm((up - down) / 0.1, 2) <= 1.02 * (slope * norm) ** t + 1e-5
    assert (slope * norm) ** 6 < 0.2


def test_deep_transition_cell_without_options_is_keras_own():
    ours, theirs = built(DeepTransitionCell(4)), layers.SimpleRNNCell(4)
    theirs.build((None, 3))
    theirs.set_weights(ours.get_weights())
    frames, start = random(5, 3), [random(1, 4)]
    np.testing.assert_allclose(stepped(ours, frames, start)[0], stepped(theirs, frames, start)[0], atol=1e-6)


def test_deep_transition_cell_by_formula():
    cell = built(DeepTransitionCell(4, input_layers=1, transition_layers=3, shortcut=True, lags=(1, 3)))
    weight = {each.path.split("/", 1)[1]: np.asarray(each) for each in cell.weights}
    frames, states = random(4, 3), [random(1, 4) for _ in range(3)]
    hidden, last = stepped(cell, frames, states)
    past = [state[0] for state in states]
    for frame, found in zip(frames, hidden, strict=True):
        x = np.tanh(frame @ weight["input_1/kernel"] + weight["input_1/bias"])
        back = past[0] @ weight["recurrent_kernel_1"] + past[2] @ weight["recurrent_kernel_3"]
        h = np.tanh(x @ weight["kernel"] + back + weight["bias"])
        h = np.tanh(h @ weight["transition_2/kernel"] + weight["transition_2/bias"])
        h = np.tanh(h @ weight["transition_3/kernel"] + weight["transition_3/bias"] + past[0] @ weight["shortcut"])
        np.testing.assert_allclose(found, h, atol=1e-5)
        past = [h, *past[:-1]]
    np.testing.assert_allclose(np.concatenate(last), past, atol=1e-5)


# ---------------------------------------------------------------- LSTM

VARIANTS = {
    "plain": {},
    "peepholes": {"peepholes": True},
    "no input gate": {"without": ("input",), "peepholes": True},
    "no forget gate": {"without": ("forget",)},
    "no output gate": {"without": ("output",)},
    "no input activation": {"input_activation": None},
    "no output activation": {"output_activation": None},
}


@pytest.mark.parametrize("which", VARIANTS)
def test_lstm_variants_by_formula(which):
    cell = built(LSTMVariantCell(4, **VARIANTS[which]))
    parts = [part for part in ALL_GATES if part not in cell.without]
    kernel, recurrent, bias = (np.asarray(weight) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias))
    peep = {part: np.asarray(weight) for part, weight in cell.seen.items()}
    frames, h, c = random(5, 3), random(4), random(4)
    found, (_, memory) = stepped(cell, frames, [h[None], c[None]])

    def gate(part, z, seen):
        return sigmoid(z[part] + peep.get(part, 0) * seen) if part in z else 1.0

    for frame, hidden in zip(frames, found, strict=True):
        z = dict(zip(parts, np.split(frame @ kernel + h @ recurrent + bias, len(parts)), strict=True))
        g = z["candidate"] if cell.input_activation is None else np.tanh(z["candidate"])
        c, before = gate("forget", z, c) * c + gate("input", z, c) * g, c
        assert not np.allclose(c, before)
        h = gate("output", z, c) * (c if cell.output_activation is None else np.tanh(c))
        np.testing.assert_allclose(hidden, h, atol=1e-5)
    np.testing.assert_allclose(memory[0], c, atol=1e-5)


def test_the_plain_variant_is_keras_own_cell_and_remembers_at_first():
    ours, theirs = LSTMVariantCell(4), layers.LSTMCell(4)
    for cell in (ours, theirs):
        cell.build((None, 3))
    np.testing.assert_array_equal(ours.bias, theirs.bias)  # forget gates start at 1
    np.testing.assert_array_equal(ours.bias, np.repeat([0, 1, 0, 0], 4))
    theirs.set_weights(filled(ours).get_weights())
    frames, start = random(5, 3), [random(1, 4), random(1, 4)]
    for one, other in zip(stepped(ours, frames, start), stepped(theirs, frames, start), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def with_bias(cell, part, value):
    """Let a gate of a built cell be `value` before its sigmoid, whatever it sees."""
    of = slice(cell.parts.index(part) * cell.units, (cell.parts.index(part) + 1) * cell.units)
    kernel, recurrent, bias, *others = cell.get_weights()
    kernel[:, of], recurrent[:, of], bias[of] = 0, 0, value
    cell.set_weights([kernel, recurrent, bias, *others])


def test_a_cell_that_forgets_nothing_and_lets_nothing_in_keeps_its_memory():
    cell = built(LSTMVariantCell(4))
    with_bias(cell, "forget", 40)
    with_bias(cell, "input", -100)
    memory = random(1, 4)
    np.testing.assert_allclose(stepped(cell, random(9, 3), [random(1, 4), memory])[1][1], memory, atol=1e-6)


def test_the_gradient_passes_by_addition():
    """Where gates do not see the state, dc_t/dc_(t-1) = f."""
    cell = built(LSTMVariantCell(4))
    kernel, recurrent, bias = cell.get_weights()
    cell.set_weights([kernel, 0 * recurrent, bias])
    frame, memory = random(1, 3), random(1, 4)
    zeros = np.zeros((1, 4), "float32")
    moved = [np.asarray(cell(frame, [zeros, each])[1][1]) for each in (memory, memory + 1)]
    forget = sigmoid((frame @ kernel + bias)[:, 4:8])
    np.testing.assert_allclose(moved[1] - moved[0], forget, atol=1e-5)


def test_lstm_of_1997_is_an_lstm_whose_forget_gate_is_held_at_one():
    whole = built(LSTMVariantCell(4))
    with_bias(whole, "forget", 100)
    first = LSTMVariantCell(4, without=("forget",))
    first.build((None, 3))
    first.set_weights([np.delete(weight, slice(4, 8), -1) for weight in whole.get_weights()])
    frames, start = random(6, 3), [random(1, 4), random(1, 4)]
    for one, other in zip(stepped(first, frames, start), stepped(whole, frames, start), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_bad_cells_are_refused():
    for made, word in (
        (lambda: LSTMVariantCell(4, without=("reset",)), "reset"),
        (lambda: DeepTransitionCell(4, lags=(0,)), "lags"),
        (lambda: DeepTransitionCell(4, shortcut=True), "shortcut"),
    ):
        with pytest.raises(ValueError, match=word):
            made()


# ---------------------------------------------------------------- GRU


def gru_by_formula(frames, weights, after, takes_new=False):
    """Return the last state, (4,).  takes_new: z is the share of the candidate rather than of the old state."""
    kernel, recurrent, bias = (np.asarray(weight, np.float64) for weight in weights)
    own, fed = bias if after else (bias, np.zeros_like(bias))
    h = np.zeros(4)
    for frame in frames:
        x, s = np.split(frame @ kernel + own, 3), np.split(h @ recurrent + fed, 3)
        z, r = sigmoid(x[0] + s[0]), sigmoid(x[1] + s[1])
        c = np.tanh(x[2] + (r * s[2] if after else (r * h) @ recurrent[:, 8:]))
        h = z * c + (1 - z) * h if takes_new else z * h + (1 - z) * c
    return h


@pytest.mark.parametrize("after", [True, False])
def test_gru_by_formula_and_with_the_other_z(after):
    net = registry.networks("gru", input_shape=(6, 3), classes=2, units=4, reset_after=after)["sequence"]
    recurrence = filled(net.get_layer("gru"))
    frames = random(6, 3)
    found = np.asarray(recurrence(frames[None]))[0]
    np.testing.assert_allclose(found, gru_by_formula(frames, recurrence.get_weights(), after), atol=1e-5)
    sign = np.repeat([-1, 1, 1], 4)  # of z, r and the candidate, in the order of Keras' kernels
    turned = [sign * weight for weight in recurrence.get_weights()]
    np.testing.assert_allclose(found, gru_by_formula(frames, turned, after, takes_new=True), atol=1e-5)


# ---------------------------------------------------------------- steps

SMALL = {"input_shape": (5, 3), "units": 6}
STREAMS = {
    "elman_rnn": SMALL,
    "rnn_classifier": SMALL,
    "deep_rnn": {**SMALL, "input_layers": 1, "transition_layers": 2, "output_layers": 1, "shortcut": True,
                 "lags": (1, 2)},
    "lstm_peephole": SMALL,
    "lstm_nig": SMALL,
    "gru": SMALL,
    "rnn_dropout": {"input_shape": (5,), "classes": 9, "units": 6},
    "zoneout": {"input_shape": (5,), "classes": 9, "units": 6},
    "rnndrop": {"input_shape": (5,), "classes": 9, "units": 6},
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_the_step_reproduces_the_sequence(name):
    nets, entry = registry.networks(name, **STREAMS[name]), registry.get(name)
    sequence = filled(nets["sequence"])
    shape = (4, *sequence.input_shape[1:])
    x = random(*shape) if len(shape) == 3 else RANDOM.integers(0, 9, shape).astype("int32")
    whole = np.asarray(sequence(x))
    assert np.ptp(whole) > 0.5
    (deployable,) = entry.deploy
    if "lags" in STREAMS[name]:  # as a variant that has them would say
        deployable = step_with(hidden_1=2, hidden_2=2)
    run = KerasRunner({"step": derive(nets["step"], sequence, deployable.states)}, [deployable])
    given = {"frame": x} if len(shape) == 3 else {"token": x[..., None]}
    (told,) = run.unroll("step", given).values()
    told = told.reshape(4, 5, -1)
    np.testing.assert_allclose(told if whole.ndim == 3 else told[:, -1], whole, atol=1e-5)
