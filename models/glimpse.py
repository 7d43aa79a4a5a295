"""Nets that look at a picture in glimpses: patches of it, one after the other, at places of their own choice."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers

from ..untyped import ops
from .registry import Bars, Deployable, register

FAMILY = "rnn"


@register(
    task="glimpsing",
    learner="reinforced:right=1,deviation=0.15,entropy=0",
    input_shape=(28, 28, 1),
    classes=10,
    params=208_908,
    paper="Mnih 2014, Recurrent models of visual attention, arXiv:1406.6247: 8x8 pixels, one scale, for MNIST",
    data=("mnist", "digits"),
    edge={"glimpses": 4, "hidden": 48, "units": 96, "size": 10},
    bars=Bars(floor=0.7),
    networks=("sequence", "step"),
    deploy=(Deployable(network="step", derived_from="sequence", states={"hidden_out": "hidden"}),),
)
def ram(
    input_shape: tuple[int, ...], classes: int, *, glimpses: int = 6, size: int = 8, scales: int = 1,
    hidden: int = 128, units: int = 256
):  # fmt: skip
    """Build a recurrent net that reads patches, says where to look next, and what it sees.

    size, scales: of a patch, and how many there are, each twice as wide as the one before and brought to its size.
    hidden: units that read patches, and places. Places lie in [-1, 1]: row and column; the first is the middle.
    Shapes: sequence: pictures (N, H, W, C), noise (N, glimpses, 2), added to the places that are chosen -> logits
    (N, glimpses, classes), mean and location (N, glimpses, 2) of what comes next; step: patches (N, scales, size, size,
    C), location (N, 2), hidden (N, units) -> logits (N, classes), mean (N, 2), hidden.
    """
    asked = {"size": size, "scales": scales, "hidden": hidden, "units": units, "classes": classes}
    pictures = keras.Input(input_shape, name="pictures")
    noise = keras.Input((glimpses, 2), name="noise")
    logits, mean, location = Looking(**asked, name="looking")(pictures, noise=noise)
    said = {"logits": logits, "mean": mean, "location": location}
    patches = keras.Input((scales, size, size, input_shape[-1]), name="patches")
    at, state = keras.Input((2,), name="location"), keras.Input((units,), name="hidden")
    logits, mean, new = Looking(**asked, name="looking")(patches, location=at, state=state)
    return {
        "sequence": keras.Model({"pictures": pictures, "noise": noise}, said, name="sequence"),
        "step": keras.Model({"patches": patches, "location": at, "hidden": state},
                            {"logits": logits, "mean": mean, "hidden_out": new}, name="step"),
    }  # fmt: skip


@keras.saving.register_keras_serializable("edgewright")
class Looking(layers.Layer):
    """Looks at pictures in as many glimpses as there is noise for, or, a step, once at patches that are given.

    g = relu(W relu(patches) + V relu(location)), h = relu(U h + W g); h says the class, and tanh of it the next place.
    No gradient flows through a place: how good it was the reward says.  Shapes: see `ram`.
    Source: Mnih 2014, arXiv:1406.6247, section 4.
    """

    is_recurrence = True  # its steps share weights and, quantized, scales

    def __init__(self, *, size: int, scales: int, hidden: int, units: int, classes: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.sizes = {"size": size, "scales": scales, "hidden": hidden, "units": units, "classes": classes}
        rect: dict[str, Any] = {"activation": "relu"}
        self.flat = layers.Flatten(name="flat")
        self.read = layers.Dense(hidden, name="read", **rect)
        self.place = layers.Dense(hidden, name="place", **rect)
        self.what, self.where = layers.Dense(units, name="what"), layers.Dense(units, use_bias=False, name="where")
        self.again = layers.Dense(units, use_bias=False, name="again")
        self.glimpse = layers.Dense(units, name="glimpse")
        self.next = layers.Dense(2, activation="tanh", name="next")
        self.say = layers.Dense(classes, name="say")

    def build(self, input_shape: Any) -> None:
        """Make the layers."""
        size, scales, hidden, units = (self.sizes[name] for name in ("size", "scales", "hidden", "units"))
        self.read.build((None, scales * size * size * input_shape[-1]))
        self.place.build((None, 2))
        for layer, width in ((self.what, hidden), (self.where, hidden), (self.again, units), (self.glimpse, units),
                             (self.next, units), (self.say, units)):  # fmt: skip
            layer.build((None, width))

    def call(self, seen: KerasTensor, noise: Any = None, location: Any = None, state: Any = None):
        """Look; of a step return logits, the next place and the state, else of all glimpses logits and places."""
        if noise is None:
            return self._step(seen, location, state)
        chances: Any = ops.unstack(noise, noise.shape[1], axis=1)
        location = ops.zeros_like(chances[0])
        state = ops.tile(ops.zeros_like(location[:, :1]), (1, self.sizes["units"]))
        found = []
        for glimpse, chance in enumerate(chances, 1):
            patches = cropped(seen, location, self.sizes["size"], self.sizes["scales"])
            logits, mean, state = self._step(patches, location, state)
            drawn = mean + chance if glimpse < len(chances) else mean  # behind the last there is nothing to choose
            location = ops.stop_gradient(ops.clip(drawn, -1.0, 1.0))
            found.append((logits, mean, location))
        return tuple(ops.stack(parts, axis=1) for parts in zip(*found, strict=True))

    def _step(self, patches: Any, location: Any, state: Any) -> tuple[Any, Any, Any]:
        glimpse = ops.relu(self.what(self.read(self.flat(patches))) + self.where(self.place(location)))
        state = ops.relu(self.again(state) + self.glimpse(glimpse))
        return self.say(state), self.next(state), state

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.sizes}


def cropped(pictures: Any, location: Any, size: int, scales: int) -> Any:
    """Return patches of pictures around places in [-1, 1]; what lies outside is 0.

    A patch is a product: a row of it is the mean of those rows of the picture that lie within it.
    Shapes: (N, H, W, C), (N, 2) -> (N, scales, size, size, C).
    """
    _, height, width, channels = pictures.shape
    found = []
    for scale in range(scales):
        rows = _within(location[:, 0], height, size, 2**scale)  # (N, size, H)
        columns = _within(location[:, 1], width, size, 2**scale)
        x = ops.matmul(rows, ops.reshape(pictures, (-1, height, width * channels)))
        x = ops.transpose(ops.reshape(x, (-1, size, width, channels)), (0, 2, 1, 3))
        x = ops.matmul(columns, ops.reshape(x, (-1, width, size * channels)))
        found.append(ops.transpose(ops.reshape(x, (-1, size, size, channels)), (0, 2, 1, 3)))
    return ops.stack(found, axis=1)


def _within(place: Any, length: int, size: int, step: int) -> Any:
    """Return what each of `length` lines counts in each of the patch's.  Shapes: (N,) -> (N, size, length)."""
    first = (place + 1.0) * ((length - 1) / 2) - size * step / 2  # (N,)
    edges = np.arange(size, dtype=np.float32)[:, None] * step - np.arange(length, dtype=np.float32)  # (size, length)
    below = ops.reshape(first, (-1, 1, 1)) + edges  # the line of the patch begins so far behind the picture's
    there = ops.logical_and(ops.less_equal(below, 0.0), ops.greater(below, float(-step)))
    return ops.cast(there, place.dtype) / step
