"""Linear models: one affine map, the loss decides what it learns."""

from keras import layers

from .registry import register


@register(
    task="classification",
    input_shape=(64,),
    classes=10,
    params=650,
    paper="Bridle 1990, Training stochastic model recognition algorithms as networks",
    data=("digits",),
)
def softmax_regression(inputs, classes):
    """Build W x + b.  Shapes: (N, features) -> logits (N, classes)."""
    return layers.Dense(classes, name="logits")(inputs)
