"""Recurrent networks."""

from keras import KerasTensor, layers

from .registry import register


@register(
    task="classification",
    input_shape=(49, 40),
    classes=10,
    params=87_818,
    paper="Hochreiter and Schmidhuber 1997; forget gate of Gers 2000",
    data=("fsdd", "digits"),
    edge={"input_shape": (24, 16), "units": 32},
)
def lstm(inputs: KerasTensor, classes: int, units: int = 128):
    """Build a many-to-one classifier on the last state.  Shapes: (N, T, F) -> logits (N, classes)."""
    x = layers.LSTM(units, name="lstm")(inputs)  # (N, units)
    return layers.Dense(classes, name="logits")(x)
