"""Plain convolutional classifiers."""

from keras import layers, ops

from .registry import register

# Table I of LeCun 1998: which of the six maps of S2 each of the sixteen maps of C3 reads.
CONNECTIONS = (
    *(tuple((first + offset) % 6 for offset in (0, 1, 2)) for first in range(6)),
    *(tuple((first + offset) % 6 for offset in (0, 1, 2, 3)) for first in range(6)),
    *(tuple((first + offset) % 6 for offset in (0, 1, 3, 4)) for first in range(3)),
    tuple(range(6)),
)


@register(
    task="classification",
    input_shape=(32, 32, 1),
    classes=10,
    params=61_706,
    paper="LeCun 1998, Gradient-based learning applied to document recognition",
    data=("mnist", "digits"),
    edge={"activation": "relu"},
)
def lenet5(inputs, classes, activation="tanh", connections=None):
    """Build LeNet-5 with plain average pooling and a linear output in place of the RBF units.

    connections: for each map of C3 the maps of S2 it reads, as in `CONNECTIONS`; by default it reads all.
    Shapes: images (N, 32, 32, 1) -> logits (N, classes).
    """
    x = layers.Conv2D(6, 5, activation=activation, name="c1")(inputs)  # (N, 28, 28, 6)
    x = layers.AveragePooling2D(2, name="s2")(x)
    if connections is None:
        x = layers.Conv2D(16, 5, activation=activation, name="c3")(x)  # (N, 10, 10, 16)
    else:
        maps = [
            layers.Conv2D(1, 5, activation=activation, name=f"c3_{index}")(ops.take(x, read, axis=-1))
            for index, read in enumerate(connections)
        ]
        x = layers.Concatenate(name="c3")(maps)
    x = layers.AveragePooling2D(2, name="s4")(x)  # (N, 5, 5, 16)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, activation=activation, name="c5")(x)
    x = layers.Dense(84, activation=activation, name="f6")(x)
    return layers.Dense(classes, name="logits")(x)
