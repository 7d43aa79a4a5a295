"""Multilayer perceptrons: affine maps with an activation between."""

from keras import layers

from .registry import register


@register(
    task="classification",
    input_shape=(784,),
    classes=10,
    params=266_610,
    paper="LeCun 1998, Gradient-based learning applied to document recognition, 28x28-300-100-10",
    data=("mnist", "digits"),
    edge={"hidden": (128, 64), "activation": "relu"},
    variants={"shallow_mlp": {"hidden": (100,), "params": 79_510}},
)
def mlp(inputs, classes, hidden=(300, 100), activation="tanh"):
    """Build a feed-forward net with one layer for each width in `hidden`.

    Shapes: (N, features) -> logits (N, classes). For regression, `classes` is the number of targets.
    """
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation=activation, name=f"hidden_{index}")(x)
    return layers.Dense(classes, name="logits")(x)
