"""Language models: recurrent ones of characters and words, and one that reads the last few words.

A recurrent one is a sequence net that is trained, and its step, which a device calls.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers

from .registry import Bars, Deployable, register

FAMILY = "rnn"
LAYERS = ("lstm_1", "lstm_2")


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
    training={"clip_norm": 1.0},
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
    variants={
        "word_rnn_lm": {
            "input_shape": (35,),
            "classes": 10_001,
            "params": 4_652_001,
            "paper": "Mikolov 2010, Recurrent neural network based language model; sizes of the small LSTM of Zaremba "
            "2014, arXiv:1409.2329",
            "data": ("ptb", "scikit_learn_words"),
            "units": 200,
            "bars": Bars(floor=400.0),
            "edge": {"input_shape": (16,), "classes": 1_000, "units": 64},
        }
    },
)
def char_rnn(
    input_shape: tuple[int, ...], classes: int, units: int = 128, *, dropout: float = 0.0, tied: bool = False,
    condition: int = 0, conditioned: Sequence[str] = ("input",)
):  # fmt: skip
    """Build two layers of LSTM that tell the next token, read through an embedding in place of one-hot vectors.

    dropout: of what goes into and out of the layers, not of their states (Zaremba 2014). tied: the output layer is the
    embedding (Press and Wolf 2017). condition: width of a vector that the text is about, 0 for none; conditioned: what
    it enters, the "input" of every step, the first "state", or both.
    Shapes: sequence: tokens (N, T) int32 [, condition (N, width)] -> logits (N, T, classes); step: token (N, 1) int32
    [, condition] and the hidden and cell states of both layers, (N, units) each -> logits (N, 1, classes) and the new
    states; conditioned by its first state, "begun" (N, 1), 0 at the first step, is one of them.
    """
    parts = _Parts(classes, units, dropout, tied, conditioned if condition else ())
    inputs: dict[str, Any] = {"tokens": keras.Input(tuple(input_shape), dtype="int32", name="tokens")}
    if condition:
        inputs["condition"] = keras.Input((condition,), name="condition")
    x, start = parts.embedded(inputs["tokens"], inputs.get("condition"))
    for name in LAYERS:
        first = [start, keras.ops.zeros_like(start)] if name == LAYERS[0] and start is not None else None
        x = layers.LSTM(units, return_sequences=True, name=name)(x, initial_state=first)
        x = parts.dropped(x, name)
    sequence = keras.Model(inputs if condition else inputs["tokens"], parts.logits(x), name="sequence")
    return {"sequence": sequence, "step": _step(parts, condition)}


class _Parts:
    """What sequence and step have in common around their recurrences: the same layers by the same names."""

    def __init__(self, classes: int, units: int, dropout: float, tied: bool, conditioned: Sequence[str]):
        self.classes, self.units, self.dropout, self.tied = classes, units, dropout, tied
        self.conditioned = tuple(conditioned)
        if unknown := set(self.conditioned) - {"input", "state"}:
            raise ValueError(f"conditioned={sorted(unknown)[0]!r}: a vector enters the 'input', the 'state', or both")

    def embedded(self, tokens: KerasTensor, condition: KerasTensor | None) -> tuple[Any, Any]:
        """Return the vectors of tokens, (N, T, width), and the first hidden state, (N, units), or None for zeros."""
        if self.tied:
            self.table = layers.ReversibleEmbedding(self.classes, self.units, name="embedding")
        else:
            self.table = layers.Embedding(self.classes, self.units, name="embedding")
        x = self.dropped(self.table(tokens), "embedding")
        if "input" in self.conditioned:
            repeated = layers.RepeatVector(tokens.shape[1], name="condition_at_each_step")(condition)
            x = layers.Concatenate(name="conditioned")([x, repeated])
        start = layers.Dense(self.units, "tanh", name="start")(condition) if "state" in self.conditioned else None
        return x, start

    def dropped(self, x: Any, name: str) -> Any:
        """Add dropout where there is any."""
        return layers.Dropout(self.dropout, name=f"{name}_dropout")(x) if self.dropout else x

    def logits(self, x: Any) -> Any:
        """Return logits of the next token, (N, T, classes)."""
        if self.tied:
            return layers.Identity(name="logits")(self.table(x, reverse=True))
        return layers.Dense(self.classes, name="logits")(x)


def _step(parts: _Parts, condition: int) -> keras.Model:
    token = keras.Input((1,), dtype="int32", name="token")
    inputs: dict[str, Any] = {"token": token}
    outputs: dict[str, Any] = {}
    if condition:
        inputs["condition"] = keras.Input((condition,), name="condition")
    x, start = parts.embedded(inputs["token"], inputs.get("condition"))
    for name in LAYERS:
        given = {f"{name}_{state}": keras.Input((parts.units,), name=f"{name}_{state}") for state in ("hidden", "cell")}
        inputs |= given
        hidden, cell = given.values()
        if start is not None and name == LAYERS[0]:
            begun: Any = keras.Input((1,), name="begun")
            inputs["begun"] = begun
            hidden = hidden + start * (1.0 - begun)
            outputs["begun_out"] = keras.ops.ones_like(begun)
        recurrence = layers.LSTM(parts.units, return_sequences=True, return_state=True, name=name)
        x, new_hidden, new_cell = recurrence(x, initial_state=[hidden, cell])
        x = parts.dropped(x, name)
        outputs |= {f"{name}_hidden_out": new_hidden, f"{name}_cell_out": new_cell}
    outputs["logits"] = parts.logits(x)
    return keras.Model(inputs, outputs, name="step")


@register(
    family="cnn",
    task="next_token",
    input_shape=(4,),
    dtype="int32",
    classes=10_001,
    params=1_634_261,
    paper="Bengio 2003, A neural probabilistic language model",
    data=("ptb", "scikit_learn_words"),
    learning_rate=5e-3,
    edge={"classes": 1_000, "width": 32, "hidden": 64},
    # Perplexity. On the 5,000 words of scikit_learn_words the few steps behind pruning do not mend all of it.
    bars=Bars(floor=400.0, drop=0.1),
)
def nnlm(inputs: KerasTensor, classes: int, *, width: int = 60, hidden: int = 100, direct: bool = False):
    """Build vectors of the last n - 1 words, a layer of tanh, and logits of the next word.

    direct: connect the vectors to the logits, too.  Shapes: ids (N, n - 1) int32 -> logits (N, classes).
    """
    x = layers.Embedding(classes, width, name="embedding")(inputs)  # (N, n - 1, width)
    words = layers.Flatten(name="words")(x)
    x = layers.Dense(hidden, activation="tanh", name="hidden")(words)
    logits = layers.Dense(classes, name="logits")(x)
    if not direct:
        return logits
    return layers.Add(name="sum")([logits, layers.Dense(classes, use_bias=False, name="direct")(words)])
