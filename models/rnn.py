"""Recurrent networks."""

from collections.abc import Sequence

import keras
from keras import KerasTensor, layers

from .cells import DeepTransitionCell, LSTMVariantCell
from .registry import Deployable, register
from .streams import FRAME, FRAMES, sequence_and_step, step_with

# ---------------------------------------------------------------- simple recurrences


@register(
    task="streaming_regression",
    input_shape=(32, 2),
    params=4_353,
    paper="Elman 1990, Finding structure in time",
    data=("lag_task",),
    learning_rate=0.01,
    training={"clip_norm": 1.0},
    edge={"input_shape": (20, 2), "units": 24},
    networks=("sequence", "step"),
    deploy=(step_with(hidden=1),),
)
def elman_rnn(input_shape: Sequence[int], units: int = 64, outputs: int = 1):
    """Build a layer that sees its own last state, h = tanh(U x + W h + b), and answers y = V h + c at each step.

    Shapes: sequence: frames (N, T, F) -> (N, T, outputs); step: frame (N, 1, F), hidden_state_0 (N, units) ->
    output (N, 1, outputs) and the new state.
    """

    def body(x: KerasTensor, recur):
        x = recur(x, layers.SimpleRNN, units, name="hidden")  # (N, T, units)
        return layers.Dense(outputs, name="output")(x)

    return sequence_and_step(input_shape, body)


@register(
    task="streaming_classification",
    input_shape=(49, 40),
    classes=10,
    params=22_922,
    paper="Elman 1990, Finding structure in time",
    data=("fsdd", "digits"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (24, 16), "units": 32},
    networks=("sequence", "step"),
    deploy=(step_with(hidden=1),),
)
def rnn_classifier(input_shape: Sequence[int], classes: int, units: int = 128):
    """Build a many-to-one classifier on the last state of a simple recurrence.

    Shapes: sequence: frames (N, T, F) -> logits (N, classes); step: frame (N, 1, F), hidden_state_0 (N, units) ->
    logits (N, classes) and the new state.
    """

    def body(x: KerasTensor, recur):
        x = recur(x, layers.SimpleRNN, units, return_sequences=False, name="hidden")  # (N, units)
        return layers.Dense(classes, name="logits")(x)

    return sequence_and_step(input_shape, body)


@register(
    task="streaming_regression",
    input_shape=(32, 2),
    params=12_609,
    paper="Pascanu 2014, How to construct deep recurrent neural networks, arXiv:1312.6026",
    data=("lag_task",),
    learning_rate=5e-3,
    training={"clip_norm": 1.0},
    edge={"input_shape": (20, 2), "units": 24},
    networks=("sequence", "step"),
    deploy=(step_with(hidden_1=1, hidden_2=1),),
)
def deep_rnn(
    input_shape: Sequence[int], units: int = 64, depth: int = 2, outputs: int = 1, input_layers: int = 0,
    transition_layers: int = 1, output_layers: int = 0, shortcut: bool = False, lags: Sequence[int] = (1,)
):  # fmt: skip
    """Build `depth` recurrences on top of each other, each perhaps deep within a time step (see DeepTransitionCell).

    output_layers: layers of tanh between the last state and the output. Shapes: sequence: frames (N, T, F) ->
    (N, T, outputs); step: frame (N, 1, F), the states of each recurrence (N, units), as many as the longest of `lags`
    -> output (N, 1, outputs) and the new states.
    """

    def body(x: KerasTensor, recur):
        for index in range(1, depth + 1):
            cell = DeepTransitionCell(units, input_layers, transition_layers, shortcut, lags)
            x = recur(x, layers.RNN, cell, name=f"hidden_{index}")
        for index in range(1, output_layers + 1):
            x = layers.Dense(units, activation="tanh", name=f"output_{index}")(x)
        return layers.Dense(outputs, name="output")(x)

    return sequence_and_step(input_shape, body)


@register(
    task="classification",
    input_shape=(49, 40),
    classes=10,
    params=45_834,
    paper="Schuster and Paliwal 1997, Bidirectional recurrent neural networks",
    data=("fsdd", "digits"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (24, 16), "units": 32},
)
def birnn(inputs: KerasTensor, classes: int, units: int = 128):
    """Build a classifier on the last states of two recurrences, one of them backwards; the window is its delay.

    Shapes: (N, T, F) -> logits (N, classes).
    """
    x = layers.Bidirectional(layers.SimpleRNN(units, name="hidden"), name="both_ways")(inputs)  # (N, 2 units)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="streaming_regression",
    input_shape=(32, 16),
    params=1_217,
    paper="Jordan 1986, Serial order: a parallel distributed processing approach",
    data=("lag_task",),
    learning_rate=0.01,
    training={"clip_norm": 1.0},
    edge={"input_shape": (20, 16), "units": 24},
    networks=("sequence", "step"),
    deploy=(Deployable(network="step", derived_from="sequence", states={"last_out": "last"}),),
)
def jordan_rnn(input_shape: Sequence[int], units: int = 64, outputs: int = 1, activation: str = "tanh"):
    """Build a layer that sees the net's own last output, h = tanh(U x + W y(t-1) + b), y = V h + c.

    The sequence net is told the true last outputs (teacher forcing), so that its time steps are independent of each
    other. Memory is as narrow as the output: frames hold the past values that the task needs (a NARX net).
    Shapes: sequence: frames (N, T, F), last (N, T, outputs) -> output (N, T, outputs); step: the same of one time step,
    and last_out, the output, which is `last` in the next call.
    """

    def body(x: KerasTensor, last: KerasTensor):
        seen = layers.Dense(units, name="input")(x)
        fed_back = layers.Dense(units, use_bias=False, name="feedback")(last)
        hidden = layers.Activation(activation, name="hidden")(layers.Add(name="sum")([seen, fed_back]))
        return layers.Dense(outputs, name="output")(hidden)

    steps, width = input_shape
    built = {}
    for name, frames, length in (("sequence", FRAMES, steps), ("step", FRAME, 1)):
        inputs = {frames: keras.Input((length, width), name=frames), "last": keras.Input((length, outputs), name="last")}
        output = body(*inputs.values())
        built[name] = keras.Model(inputs, {"output": output} | ({"last_out": output} if name == "step" else {}), name=name)
    return built


# ---------------------------------------------------------------- gates


@register(
    task="classification",
    input_shape=(49, 40),
    classes=10,
    params=87_818,
    paper="Hochreiter and Schmidhuber 1997; forget gate of Gers 2000",
    data=("fsdd", "digits"),
    edge={"input_shape": (24, 16), "units": 32},
    variants={
        "bilstm": {
            "params": 175_626,
            "bidirectional": True,
            "paper": "Graves and Schmidhuber 2005, Framewise phoneme classification with bidirectional LSTM",
        },
        "stacked_lstm": {"params": 219_402, "depth": 2, "paper": "Graves 2013, arXiv:1303.5778"},
    },
)
def lstm(inputs: KerasTensor, classes: int, units: int = 128, depth: int = 1, bidirectional: bool = False):
    """Build a many-to-one classifier on the last state, of `depth` layers.  Shapes: (N, T, F) -> logits (N, classes)."""
    x = inputs
    for index in range(1, depth + 1):
        name = f"lstm_{index}" if depth > 1 else "lstm"
        recurrence = layers.LSTM(units, return_sequences=index < depth, name=name)
        x = (layers.Bidirectional(recurrence, name=f"both_{name}") if bidirectional else recurrence)(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="streaming_regression",
    input_shape=(32, 2),
    params=17_409,
    paper="Gers and Schmidhuber 2000, Recurrent nets that time and count",
    data=("lag_task",),
    learning_rate=0.01,
    training={"clip_norm": 1.0},
    edge={"input_shape": (20, 2), "units": 24},
    networks=("sequence", "step"),
    deploy=(step_with(lstm=2),),
    variants={
        "lstm_1997": {
            "params": 12_929,
            "peepholes": False,
            "without": ("forget",),
            "paper": "Hochreiter and Schmidhuber 1997, Long short-term memory",
        },
        "lstm_nig": {
            "params": 12_929,
            "peepholes": False,
            "without": ("input",),
            "paper": "Greff 2017, LSTM: a search space odyssey, arXiv:1503.04069",
        },
        "lstm_nog": {
            "params": 12_929,
            "peepholes": False,
            "without": ("output",),
            "paper": "Greff 2017, LSTM: a search space odyssey, arXiv:1503.04069",
        },
        "lstm_niaf": {
            "params": 17_217,
            "peepholes": False,
            "input_activation": None,
            "paper": "Greff 2017, LSTM: a search space odyssey, arXiv:1503.04069",
        },
        "lstm_noaf": {
            "params": 17_217,
            "peepholes": False,
            "output_activation": None,
            "paper": "Greff 2017, LSTM: a search space odyssey, arXiv:1503.04069",
        },
    },
)
def lstm_peephole(
    input_shape: Sequence[int], units: int = 64, outputs: int = 1, peepholes: bool = True, without: Sequence[str] = (),
    input_activation: str | None = "tanh", output_activation: str | None = "tanh"
):  # fmt: skip
    """Build an LSTM whose gates see the memory, or one without a gate or an activation (see LSTMVariantCell).

    The variants leave out one part each of the plain cell, which has no peepholes; lstm_1997 the forget gate.
    Shapes: sequence: frames (N, T, F) -> (N, T, outputs); step: frame (N, 1, F), lstm_state_0 (hidden) and
    lstm_state_1 (memory) (N, units) -> output (N, 1, outputs) and the new states.
    """

    def body(x: KerasTensor, recur):
        cell = LSTMVariantCell(units, peepholes, without, input_activation, output_activation)
        return layers.Dense(outputs, name="output")(recur(x, layers.RNN, cell, name="lstm"))

    return sequence_and_step(input_shape, body)


@register(
    task="streaming_classification",
    input_shape=(49, 40),
    classes=10,
    params=66_570,
    paper="Cho 2014, arXiv:1406.1078; reset after the product: cuDNN, Keras' default",
    data=("fsdd", "digits"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (24, 16), "units": 32},
    networks=("sequence", "step"),
    deploy=(step_with(gru=1),),
)
def gru(input_shape: Sequence[int], classes: int, units: int = 128, reset_after: bool = True):
    """Build a many-to-one classifier on the last state of a GRU, whose z keeps the old state.

    reset_after: r multiplies U h, not h. Shapes: sequence: frames (N, T, F) -> logits (N, classes); step: frame
    (N, 1, F), gru_state_0 (N, units) -> logits (N, classes) and the new state.
    """

    def body(x: KerasTensor, recur):
        x = recur(x, layers.GRU, units, reset_after=reset_after, return_sequences=False, name="gru")  # (N, units)
        return layers.Dense(classes, name="logits")(x)

    return sequence_and_step(input_shape, body)
