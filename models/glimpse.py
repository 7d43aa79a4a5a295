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


@register(
    task="stepwise_sampling",
    learner="variational",
    input_shape=(28, 28, 1),
    params=960_251,
    paper="Gregor 2015, DRAW: a recurrent neural network for image generation, arXiv:1502.04623; sizes for MNIST, with "
    "attention",
    data=("mnist", "digits"),
    training={"clip_norm": 1.0},
    edge={"input_shape": (8, 8, 1), "steps": 6, "units": 48, "latent": 6, "write": 4},
    wide=("drawing",),  # what a canvas adds up over the steps, and filters whose places are small differences
    bars=Bars(floor=-0.2),  # nats a value: as of other generators
    networks=("sequence", "step"),
    deploy=(Deployable(network="step", derived_from="sequence",
                       states={f"{name}_out": name for name in ("canvas", "hidden", "cell")}),),
)  # fmt: skip
def draw(
    input_shape: tuple[int, ...], *, steps: int = 64, units: int = 256, latent: int = 100, read: int = 2,
    write: int = 5
):  # fmt: skip
    """Build a variational autoencoder that draws on a canvas step by step, through windows where it looks and writes.

    read, write: lines and columns of these windows. All states begin as zeros; what the empty canvas looks like is
    learned, and added to what is on it. Pictures have one channel.
    Shapes: sequence: pictures (N, H, W, 1), noise (N, steps, latent), which draws codes -> logits (N, H, W, 1), mean
    and log_variance of the codes (N, steps, latent); step: noise (N, latent), which is the code, canvas (N, H, W),
    hidden, cell (N, units) -> logits (N, H, W, 1) of the picture so far, canvas, hidden, cell.
    """
    height, width, _ = input_shape
    sizes = {"units": units, "latent": latent, "read": read, "write": write}
    pictures, noise = keras.Input(input_shape, name="pictures"), keras.Input((steps, latent), name="noise")
    picture = layers.Reshape((height, width), name="picture")(pictures)
    logits, means, log_variances = Drawing(**sizes, name="drawing")(picture, noise)
    outputs = {"logits": layers.Reshape(input_shape, name="logits")(logits), "mean": means,
               "log_variance": log_variances}  # fmt: skip
    given = {"noise": keras.Input((latent,), name="noise"), "canvas": keras.Input((height, width), name="canvas"),
             **{name: keras.Input((units,), name=name) for name in ("hidden", "cell")}}  # fmt: skip
    logits, *new = Drawing(**sizes, name="drawing")(given["canvas"], given["noise"], given["hidden"], given["cell"])
    after = {f"{name}_out": state for name, state in zip(("canvas", "hidden", "cell"), new, strict=True)}
    drawn = layers.Reshape(input_shape, name="logits")(logits)
    return {
        "sequence": keras.Model({"pictures": pictures, "noise": noise}, outputs, name="sequence"),
        "step": keras.Model(given, {"logits": drawn, **after}, name="step"),
    }


class _Window(layers.Layer):
    """A square window whose place, width and strength an LSTM's state chooses: five numbers of it.

    Its lines are as many Gaussians of one variance, evenly apart.  Source: Gregor 2015, equations 19 to 26.
    """

    is_recurrence = True  # its steps share weights and, quantized, scales

    def __init__(self, *, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.chosen = layers.Dense(5, name="window")
        self.filter = layers.Softmax(name="filter")  # of minus half the square: the Gaussian, of sum 1

    def filters(self, hidden: Any, height: int, width: int) -> tuple[Any, Any, Any]:
        """Return how much each row and each column of a picture counts in the window's, and the log of its strength.

        Shapes: (N, units) -> (N, size, H), (N, size, W), (N, 1, 1).
        """
        told = ops.expand_dims(ops.expand_dims(self.chosen(hidden), -1), -1)  # (N, 5, 1, 1)
        apart = ops.exp(told[:, 3]) * ((max(height, width) - 1) / max(1, self.size - 1))
        sharp = ops.exp(told[:, 2] * -0.5)  # 1 / deviation
        rows, columns = (self._bank(told[:, axis], apart, sharp, length) for axis, length in ((0, height), (1, width)))
        return rows, columns, told[:, 4]

    def _bank(self, centre: Any, apart: Any, sharp: Any, length: int) -> Any:
        lines = np.arange(self.size, dtype=np.float32)[:, None] - (self.size - 1) / 2  # (size, 1)
        middle = (centre + 1.0) * ((length + 1) / 2) - 1.0
        off = (np.arange(length, dtype=np.float32) - (middle + apart * lines)) * sharp  # (N, size, length)
        return self.filter(off * off * -0.5)


@keras.saving.register_keras_serializable("edgewright")
class Drawing(layers.Layer):
    """Reads a picture and writes on a canvas, as often as there are codes; with states it writes once, of a code.

    Shapes: picture (N, H, W), noise (N, steps, latent) -> logits (N, H, W), mean, log_variance (N, steps, latent); or
    canvas (N, H, W), code (N, latent), hidden, cell (N, units) -> logits, canvas (N, H, W), hidden, cell.
    Source: Gregor 2015, arXiv:1502.04623, section 2.
    """

    is_recurrence = True  # its steps share weights and, quantized, scales

    def __init__(self, *, units: int, latent: int, read: int, write: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.sizes = {"units": units, "latent": latent, "read": read, "write": write}
        self.reading = Reading(units=units, latent=latent, size=read, name="reading")
        self.writing = Writing(units=units, size=write, name="writing")

    def build(self, input_shape: Any, *others: Any, **named: Any) -> None:
        """Make both parts."""
        units, latent = self.sizes["units"], self.sizes["latent"]
        self.reading.build()
        self.writing.build((None, latent), tuple(input_shape), (None, units), (None, units))

    def call(self, seen: Any, noise: Any, hidden: Any = None, cell: Any = None):
        """Draw.  Shapes: see the class."""
        if hidden is not None:
            return self.writing(noise, seen, hidden, cell)
        chances: Any = ops.unstack(noise, noise.shape[1], axis=1)
        none = ops.tile(ops.zeros_like(chances[0][:, :1]), (1, self.sizes["units"]))
        canvas = logits = ops.zeros_like(seen)
        read, written, told = [none, none], [none, none], []
        for chance in chances:
            mean, log_variance, *read = self.reading(seen, logits, written[0], *read)
            code = mean + ops.exp(log_variance * 0.5) * chance
            logits, canvas, *written = self.writing(code, canvas, *written)
            told.append((mean, log_variance))
        return logits, *(ops.stack(each, axis=1) for each in zip(*told, strict=True))

    def compute_output_shape(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, seen_shape: Any, noise_shape: Any, hidden_shape: Any = None, cell_shape: Any = None
    ) -> tuple[Any, ...]:
        """Return the shapes of the answers, so that many steps are built without computing them."""
        if hidden_shape is None:
            return tuple(seen_shape), tuple(noise_shape), tuple(noise_shape)
        return tuple(seen_shape), tuple(seen_shape), tuple(hidden_shape), tuple(cell_shape)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.sizes}


@keras.saving.register_keras_serializable("edgewright")
class Reading(_Window):
    """Looks through a window at a picture and at what of it is not on the canvas yet, and tells a code of it.

    Shapes: picture, logits of the canvas (N, H, W), the writer's hidden, hidden and cell (N, units) -> mean and
    log_variance (N, latent), hidden, cell.  Source: Gregor 2015, arXiv:1502.04623, equations 3 to 5 and 27.
    """

    def __init__(self, *, units: int, latent: int, size: int, **kwargs: Any):
        super().__init__(size=size, **kwargs)
        self.units, self.latent = units, latent
        self.lstm = layers.LSTMCell(units, name="lstm")
        self.mean, self.log_variance = layers.Dense(latent, name="mean"), layers.Dense(latent, name="log_variance")

    def build(self, *shapes: Any, **named: Any) -> None:
        """Make the layers."""
        self.lstm.build((None, 2 * self.size**2 + self.units))
        for layer in (self.chosen, self.mean, self.log_variance):
            layer.build((None, self.units))

    def call(self, picture: Any, logits: Any, written: Any, hidden: Any, cell: Any):
        """Read once.  Shapes: see the class."""
        rows, columns, strength = self.filters(written, *picture.shape[1:])
        across = ops.swapaxes(columns, 1, 2)
        seen = [ops.reshape(ops.exp(strength) * ops.matmul(ops.matmul(rows, x), across), (-1, self.size**2))
                for x in (picture, picture - ops.sigmoid(logits))]  # fmt: skip
        hidden, states = self.lstm(ops.concatenate([*seen, written], axis=-1), [hidden, cell])
        return self.mean(hidden), self.log_variance(hidden), *states

    def compute_output_shape(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, picture_shape: Any, logits_shape: Any, written_shape: Any, hidden_shape: Any, cell_shape: Any
    ) -> tuple[Any, ...]:
        """Return the shapes of the answers, so that many steps are built without computing them."""
        count = picture_shape[0]
        return (count, self.latent), (count, self.latent), tuple(hidden_shape), tuple(cell_shape)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "latent": self.latent, "size": self.size}


@keras.saving.register_keras_serializable("edgewright")
class Writing(_Window):
    """Adds to a canvas, through a window, what a code makes an LSTM write.

    Shapes: code (N, latent), canvas (N, H, W), hidden and cell (N, units) -> logits of the picture so far (N, H, W),
    canvas, hidden, cell.  Source: Gregor 2015, arXiv:1502.04623, equations 7, 8, 28 and 29.
    """

    def __init__(self, *, units: int, size: int, **kwargs: Any):
        super().__init__(size=size, **kwargs)
        self.units = units
        self.lstm = layers.LSTMCell(units, name="lstm")
        self.patch = layers.Dense(size**2, name="patch")

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, code_shape: Any, canvas_shape: Any, hidden_shape: Any = None, cell_shape: Any = None
    ) -> None:
        """Make the layers."""
        self.lstm.build((None, code_shape[-1]))
        for layer in (self.chosen, self.patch):
            layer.build((None, self.units))
        self.empty: Any = self.add_weight(name="empty", shape=canvas_shape[1:], initializer="zeros")

    def call(self, code: Any, canvas: Any, hidden: Any, cell: Any):
        """Write once.  Shapes: see the class."""
        hidden, states = self.lstm(code, [hidden, cell])
        rows, columns, strength = self.filters(hidden, *canvas.shape[1:])
        patch = ops.reshape(self.patch(hidden), (-1, self.size, self.size)) * ops.exp(strength * -1.0)
        canvas = canvas + ops.matmul(ops.matmul(ops.swapaxes(rows, 1, 2), patch), columns)
        return canvas + self.empty, canvas, *states

    def compute_output_shape(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, code_shape: Any, canvas_shape: Any, hidden_shape: Any, cell_shape: Any
    ) -> tuple[Any, ...]:
        """Return the shapes of the answers, so that many steps are built without computing them."""
        return tuple(canvas_shape), tuple(canvas_shape), tuple(hidden_shape), tuple(cell_shape)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "size": self.size}
