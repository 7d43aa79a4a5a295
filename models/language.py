"""Language models of characters: a sequence net that is trained, and its step, which a device calls."""

import keras
from keras import layers

from .registry import Bars, Deployable, register

FAMILY = "rnn"


@register(
    task="language_model",
    input_shape=(64,),
    dtype="int32",
    classes=65,
    params=279_873,
    paper="Karpathy 2015, The unreasonable effectiveness of recurrent neural networks (char-rnn); LSTM of Graves 2013, "
    "arXiv:1308.0850",
    data=("tinyshakespeare", "scikit_learn_texts"),
    learning_rate=0.01,
    edge={"input_shape": (24,), "units": 48},
    bars=Bars(floor=25.0),  # perplexity: of letters by their frequency alone 35 on scikit_learn_texts
    networks=("sequence", "step"),
    deploy=(
        Deployable(
            network="step",
            derived_from="sequence",
            states={
                "lstm_1_hidden_out": "lstm_1_hidden",
                "lstm_1_cell_out": "lstm_1_cell",
                "lstm_2_hidden_out": "lstm_2_hidden",
                "lstm_2_cell_out": "lstm_2_cell",
            },
        ),
    ),
)
def char_rnn(input_shape: tuple[int, ...], classes: int, units: int = 128):
    """Build two layers of LSTM that tell the next character, read through an embedding in place of one-hot vectors.

    Shapes: sequence: tokens (N, T) int32 -> logits (N, T, classes); step: token (N, 1) int32 and the hidden and cell
    states of both layers, (N, units) each -> logits (N, 1, classes) and the new states.
    """
    tokens = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
    x = layers.Embedding(classes, units, name="embedding")(tokens)  # (N, T, units)
    for name in LAYERS:
        x = layers.LSTM(units, return_sequences=True, name=name)(x)
    logits = layers.Dense(classes, name="logits")(x)
    return {"sequence": keras.Model(tokens, logits, name="sequence"), "step": _step(classes, units)}


LAYERS = ("lstm_1", "lstm_2")


def _step(classes: int, units: int):
    token = keras.Input((1,), dtype="int32", name="token")
    inputs, outputs = {"token": token}, {}
    x = layers.Embedding(classes, units, name="embedding")(token)
    for name in LAYERS:
        states = {f"{name}_{state}": keras.Input((units,), name=f"{name}_{state}") for state in ("hidden", "cell")}
        recurrence = layers.LSTM(units, return_sequences=True, return_state=True, name=name)
        x, new_hidden, new_cell = recurrence(x, initial_state=list(states.values()))
        inputs |= states
        outputs |= {f"{name}_hidden_out": new_hidden, f"{name}_cell_out": new_cell}
    outputs["logits"] = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, outputs, name="step")
