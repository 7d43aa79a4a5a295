"""The recurrent transducer: what is heard and what was said before are joined, and say the next symbol or go on.

"sequence" is trained: all frames by all beginnings of the text, a lattice of logits. A device runs three files:
"encoder" once for a chunk of frames, "prediction" once for each symbol that was said, "joiner" for a pair of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import Bars, Deployable, register

FAMILY = "rnn"
NETWORKS = ("sequence", "encoder", "prediction", "joiner")
STATES = {"*_out": "*"}


@register(
    task="transduction",
    input_shape={"frames": (300, 40), "target": (64,)},
    dtype={"frames": "float32", "target": "int32"},
    classes=61,
    params=26_901_761,
    paper="Graves 2012, Sequence transduction with recurrent neural networks, arXiv:1211.3711, in the form that "
    "streams of Rao 2017, arXiv:1801.00841: five and two layers of 700 units, joined by a layer of tanh",
    data=("fsdd_strings", "digit_lines"),
    learning_rate=4e-3,
    training={"clip_norm": 1.0},
    edge={"input_shape": {"frames": (60, 20), "target": (6,)}, "classes": 14, "units": 64, "depth": 2, "before": 1,
          "embedding": 16},
    bars=Bars(floor=0.5),  # of edits by symbol
    networks=NETWORKS,
    deploy=(
        Deployable(network="encoder", derived_from="sequence", states=STATES),
        Deployable(network="prediction", derived_from="sequence", states=STATES),
        Deployable(network="joiner", derived_from="sequence"),
    ),
)  # fmt: skip
def rnn_transducer(
    input_shape: Mapping[str, tuple[int, ...]], classes: int, *, units: int = 700, depth: int = 5, before: int = 2,
    embedding: int = 700, stack: int = 3
):  # fmt: skip
    """Build LSTM layers over frames, others over symbols, and a layer that joins them; class 0 is the blank.

    depth, before: layers over frames, and over symbols. stack: frames of a chunk, which are read together.
    Shapes: sequence: frames (N, T, F), target (N, U), its first symbol 0 -> logits (N, T / stack, U, classes); encoder:
    chunk (N, stack, F), states (N, units) -> heard (N, 1, units), new states; prediction: token (N, 1), states ->
    said (N, 1, units), new states; joiner: heard, said -> logits (N, 1, classes).
    Raises: ValueError for frames that are no whole chunks.
    """
    (length, width), (symbols,) = input_shape["frames"], input_shape["target"]
    if length % stack:
        raise ValueError(f"stack={stack} must divide the {length} frames")

    def heard(frames: KerasTensor, recur: Any) -> Any:
        x = layers.Reshape((frames.shape[1] // stack, stack * width), name="chunks")(frames)
        for k in range(1, depth + 1):
            x = recur(x, f"encoder_{k}")
        return layers.Dense(units, name="heard")(x)

    def said(tokens: KerasTensor, recur: Any) -> Any:
        x = layers.Embedding(classes, embedding, name="embedding")(tokens)
        for k in range(1, before + 1):
            x = recur(x, f"prediction_{k}")
        return layers.Dense(units, use_bias=False, name="said")(x)

    def joined(frame: Any, text: Any) -> Any:
        both = layers.Activation("tanh", name="joined")(layers.Add(name="sum")([frame, text]))
        return layers.Dense(classes, name="logits")(both)

    def whole(x: Any, name: str) -> Any:
        return layers.LSTM(units, return_sequences=True, name=name)(x)

    frames: Any = keras.Input((length, width), name="frames")
    target: Any = keras.Input((symbols,), dtype="int32", name="target")
    lattice = joined(ops.expand_dims(heard(frames, whole), 2), ops.expand_dims(said(target, whole), 1))
    return {
        "sequence": keras.Model({"frames": frames, "target": target}, lattice, name="sequence"),
        "encoder": _step(keras.Input((stack, width), name="chunk"), heard, "heard", units),
        "prediction": _step(keras.Input((1,), dtype="int32", name="token"), said, "said", units),
        "joiner": _joiner(joined, units),
    }


def _step(read: Any, body: Any, answer: str, units: int) -> keras.Model:
    """Return one step of a stack of LSTM layers, their states going in and out."""
    inputs, outputs = {read.name: read}, {}

    def one_step(x: Any, name: str) -> Any:
        given = {f"{name}_{part}": keras.Input((units,), name=f"{name}_{part}") for part in ("hidden", "cell")}
        layer = layers.LSTM(units, return_sequences=True, return_state=True, name=name)
        x, *new = layer(x, initial_state=list(given.values()))
        inputs.update(given)
        outputs.update({f"{each}_out": state for each, state in zip(given, new, strict=True)})
        return x

    return keras.Model(inputs, {answer: body(read, one_step), **outputs}, name=answer)


def _joiner(joined: Any, units: int) -> keras.Model:
    given = {name: keras.Input((1, units), name=name) for name in ("heard", "said")}
    return keras.Model(given, {"logits": joined(*given.values())}, name="joiner")
