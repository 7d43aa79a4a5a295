"""Pointer networks: attention over the input is the output (Vinyals 2015)."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import register
from .seq2seq import DEPLOYED, NETWORKS

FAMILY = "rnn"


@register(
    task="pointing",
    input_shape={"items": (10, 1), "last": (10, 1), "used": (10, 10)},
    params=2_630_656,
    paper="Vinyals 2015, Pointer networks, arXiv:1506.03134",
    data=("sorting",),
    learning_rate=4e-3,
    training={"clip_norm": 2.0},
    edge={"units": 48},
    networks=NETWORKS,
    deploy=DEPLOYED,
)
def pointer_network(input_shape: Mapping[str, tuple[int, ...]], units: int = 512):
    """Build an LSTM that reads items, and one that points at one after the other.

    Shapes: sequence: items (N, n, d), last (N, T, d), the item pointed at before, zeros at first, and used (N, T, n), 1
    for items that were pointed at -> logits (N, T, n); encoder: items -> keys (N, n, units), hidden, cell (N, units);
    step: keys, last (N, 1, d), used (N, 1, n), hidden, cell -> logits (N, 1, n), the new states.
    """

    def encoder(items: KerasTensor) -> dict[str, Any]:
        read, hidden, cell = layers.LSTM(units, return_sequences=True, return_state=True, name="encoder")(items)
        return {"keys": layers.Dense(units, use_bias=False, name="keys")(read), "hidden": hidden, "cell": cell}

    def decoder(keys: KerasTensor, last: KerasTensor, used: KerasTensor, states: list[KerasTensor]):
        x, *new = layers.LSTM(units, return_sequences=True, return_state=True, name="decoder")(
            last, initial_state=states
        )
        asked: Any = ops.expand_dims(layers.Dense(units, use_bias=False, name="query")(x), 2)  # (N, T, 1, units)
        told: Any = layers.Dense(units, use_bias=False, name="told")(ops.expand_dims(used, -1))  # (N, T, n, units)
        fits = layers.Dense(1, use_bias=False, name="score")(ops.tanh(asked + told + ops.expand_dims(keys, 1)))
        return layers.Reshape(tuple(used.shape[1:]), name="logits")(fits), new

    def inputs(**shapes: tuple[int, ...]) -> dict[str, Any]:
        return {name: keras.Input(tuple(shape), name=name) for name, shape in shapes.items()}

    whole = inputs(**input_shape)
    made = encoder(whole["items"])
    logits, _ = decoder(made["keys"], whole["last"], whole["used"], [made["hidden"], made["cell"]])
    items = inputs(items=input_shape["items"])["items"]
    one = {name: (1, *input_shape[name][1:]) for name in ("last", "used")}
    given = inputs(keys=(input_shape["items"][0], units), **one, hidden=(units,), cell=(units,))
    said, (hidden, cell) = decoder(given["keys"], given["last"], given["used"], [given["hidden"], given["cell"]])
    return {
        "sequence": keras.Model(whole, logits, name="sequence"),
        "encoder": keras.Model(items, encoder(items), name="encoder"),
        "step": keras.Model(given, {"logits": said, "hidden_out": hidden, "cell_out": cell}, name="step"),
    }
