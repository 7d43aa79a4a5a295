"""WaveNet: the next value of a waveform by dilated causal convolutions, and its step, which keeps what it has read."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from .registry import Bars, Deployable, register

FAMILY = "autoregressive"


@register(
    task="waveform_model",
    input_shape=(4096,),
    dtype="int32",
    classes=256,
    params=549_696,
    paper="van den Oord 2016, WaveNet: a generative model for raw audio, arXiv:1609.03499; three times ten layers, "
    "maps of 32 and 256, which the paper leaves open",
    data=("fsdd_waves", "made_up_waves"),
    edge={"input_shape": (64,), "classes": 32, "dilations": (1, 2, 4, 8, 16), "stacks": 1, "width": 16, "skip": 32},
    networks=("sequence", "step"),
    deploy=(Deployable(network="step", derived_from="sequence", states={"*_out": "*"}),),
    bars=Bars(floor=16.0),  # perplexity of 32 levels
)
def wavenet(
    input_shape: tuple[int, ...], classes: int, *, dilations: Sequence[int] = tuple(2**k for k in range(10)),
    stacks: int = 3, width: int = 32, skip: int = 256
):  # fmt: skip
    """Build gated residual layers of convolutions of two values, so far apart as `dilations` say, `stacks` times.

    Levels are read through a table and a 1x1 convolution, where the paper convolves one-hot vectors. A stack of L
    layers, dilations of 1 to 2^(L - 1), sees 2^L values.
    Shapes: sequence: levels (N, T) int32 -> logits of the next (N, T, classes); step: token (N, 1) int32 and, for each
    layer, "past_K" (N, dilation, width), the last values that it read, zeros at first -> logits (N, 1, classes) and the
    same, one value on.
    """
    apart = [dilation for _ in range(stacks) for dilation in dilations]
    tokens: Any = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
    sequence = keras.Model(tokens, _logits(tokens, classes, apart, width, skip, _padded), name="sequence")
    token: Any = keras.Input((1,), dtype="int32", name="token")
    inputs, outputs = {"token": token}, {}

    def remembered(x: Any, dilation: int, name: str) -> Any:
        past = inputs[name] = keras.Input((dilation, width), name=name)
        window = layers.Concatenate(axis=1, name=f"{name}_window")([past, x])  # (N, dilation + 1, width)
        outputs[f"{name}_out"] = layers.Cropping1D((1, 0), name=f"{name}_next")(window)
        return window

    logits = _logits(token, classes, apart, width, skip, remembered)
    return {"sequence": sequence, "step": keras.Model(inputs, {"logits": logits, **outputs}, name="step")}


def _padded(x: Any, dilation: int, name: str) -> Any:
    padding: Any = (dilation, 0)  # Keras says that it is one number
    return layers.ZeroPadding1D(padding, name=name)(x)


def _logits(tokens: Any, classes: int, apart: Sequence[int], width: int, skip: int, before: Any) -> Any:
    """Return (N, T, classes).  before(x, dilation, name): x with so many values before it."""
    # Behind the table, whose values have the scale of a kernel, what is remembered has one of activations.
    x = layers.Dense(width, name="front")(layers.Embedding(classes, width, name="embedding")(tokens))
    told = []
    for index, dilation in enumerate(apart, 1):
        name, window = f"layer_{index}", before(x, dilation, f"past_{index}")
        value, gate = (
            layers.Conv1D(width, 2, dilation_rate=dilation, activation=activation, name=f"{name}_{what}")(window)
            for what, activation in (("value", "tanh"), ("gate", "sigmoid"))
        )
        z = layers.Multiply(name=f"{name}_gated")([value, gate])
        told.append(layers.Dense(skip, name=f"{name}_skip")(z))
        if index < len(apart):
            x = layers.Add(name=f"{name}_add")([x, layers.Dense(width, name=f"{name}_residual")(z)])
    total = layers.Add(name="told")(told) if len(told) > 1 else told[0]
    total = layers.Dense(skip, activation="relu", name="top")(layers.ReLU(name="told_relu")(total))
    return layers.Dense(classes, name="logits")(total)
