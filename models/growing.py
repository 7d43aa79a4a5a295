"""Progressive growing of GANs (Karras 2018, arXiv:1710.10196): from 4x4 up, each size faded in."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .registry import Bars, register

FAMILY = "generative"
SMALLEST = 4  # the side that is begun with
SLOPE = 0.2
GROWN = 0.5  # the share of the training at which all sizes are there


@keras.saving.register_keras_serializable("edgewright")
class Fade(layers.Layer):
    """The old way to make something, and a new one that comes in: old + a (new - old), a growing from 0 to 1.

    Of the first half of the training, in `steps` + 1 parts, the part `step`, from 1, is that in which a grows, epoch by
    epoch. It is a state of the layer, so that it is restored with it, and never falls again: a network that is trained
    on, being pruned, is grown. At inference there is the new way alone.
    Shapes: (N, ...) twice -> the same.
    """

    def __init__(self, step: int, steps: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.step, self.steps = step, steps

    def build(self, input_shape: Sequence[Any]):
        """Make the state."""
        self.present = self.add_weight(shape=(), initializer="zeros", trainable=False, name="present")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set the share of `epoch`, from 0, of `epochs`: the training calls it."""
        parts = (self.steps + 1) * epoch / (GROWN * epochs)
        there: Any = ops.convert_to_numpy(self.present)
        self.present.assign(max(float(there), min(max(parts - self.step, 0.0), 1.0)))

    def call(self, inputs: Any, training: bool | None = None):
        """Mix in training."""
        old, new = inputs
        return old + ops.cast(self.present, new.dtype) * (new - old) if training else new

    def compute_output_shape(self, input_shape: Any):
        """Return the shape of the outputs, batch included."""
        return input_shape[1]

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "step": self.step, "steps": self.steps}


@keras.saving.register_keras_serializable("edgewright")
class PixelNormalization(layers.Layer):
    """Divide what is at a place by the root of its mean square over maps.  Shapes: (N, ..., C) -> the same."""

    def call(self, inputs: Any):
        """Compute the layer."""
        mean: Any = ops.mean(ops.square(inputs), axis=-1, keepdims=True)
        return inputs * ops.rsqrt(mean + 1e-8)


@register(
    task="generation",
    learner="adversarial",
    input_shape=(1024, 1024, 3),
    params=46_161_756,  # 23,079,115 and 23,082,641, in which the deviation of a batch would read 4,608 more
    paper="Karras 2018, Progressive growing of GANs, arXiv:1710.10196; without equalised rates and the deviation of a "
    "batch, by the logistic loss",
    data=("mnist", "digits"),
    learning_rate=1e-3,
    edge={"input_shape": (16, 16, 1), "latent": 16, "widths": (32, 32, 16)},
    networks=("generator", "discriminator"),
    deploy=("generator",),
    bars=Bars(floor=-0.1),
)
def pggan(
    input_shape: tuple[int, ...], latent: int = 512,
    widths: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64, 32, 16)
):  # fmt: skip
    """Build a generator and a discriminator of as many sizes as there are widths, from 4x4 to that of the samples.

    In training what a size adds is faded in, after those below it; the generator that is deployed has the last size
    without fading, and what drew the others is not in its file.
    Shapes: generator: z (N, latent) -> sample (N, H, W, C) in [-1, 1]; discriminator: images -> logit (N, 1).
    Raises: ValueError for sides other than 4 x 2^(widths - 1).
    """
    side = SMALLEST * 2 ** (len(widths) - 1)
    if tuple(input_shape[:2]) != (side, side):
        raise ValueError(f"sides of {input_shape}: {len(widths)} widths are of sizes from {SMALLEST} to {side}")
    return {"generator": _generator(input_shape[-1], latent, widths),
            "discriminator": _discriminator(input_shape, widths)}  # fmt: skip


def _generator(channels: int, latent: int, widths: Sequence[int]):
    z: Any = keras.Input((latent,), name="z")
    x = PixelNormalization(name="z_norm")(z)
    x = layers.Reshape((1, 1, latent), name="place")(x)
    x = layers.Conv2DTranspose(widths[0], SMALLEST, name="project")(x)  # (N, 4, 4, C)
    x = _normed(_leaky(x, "project"), "project")
    x = _drawn(x, widths[0], "size_0_b")
    image, steps = _shown(x, channels, 0), len(widths) - 1
    for step, width in enumerate(widths[1:], 1):
        x = layers.UpSampling2D(name=f"size_{step}_up")(x)
        x = _drawn(_drawn(x, width, f"size_{step}_a"), width, f"size_{step}_b")
        larger = layers.UpSampling2D(name=f"image_{step}_up")(image)
        image = Fade(step, steps, name=f"fade_{step}")([larger, _shown(x, channels, step)])
    return keras.Model(z, layers.Activation("tanh", name="sample")(image), name="generator")


def _drawn(x: KerasTensor, width: int, name: str):
    return _normed(_leaky(layers.Conv2D(width, 3, padding="same", name=name)(x), name), name)


def _leaky(x: KerasTensor, name: str):
    return layers.LeakyReLU(SLOPE, name=f"{name}_leaky")(x)


def _normed(x: KerasTensor, name: str):
    return PixelNormalization(name=f"{name}_norm")(x)


def _shown(x: KerasTensor, channels: int, step: int):
    return layers.Conv2D(channels, 1, name=f"image_{step}")(x)


def _discriminator(shape: tuple[int, ...], widths: Sequence[int]):
    """Build the generator's mirror image."""
    images: Any = keras.Input(shape, name="images")
    steps, seen = len(widths) - 1, images
    x = _leaky(layers.Conv2D(widths[-1], 1, name=f"read_{steps}")(images), f"read_{steps}")
    for step in range(steps, 0, -1):
        x = _leaky(layers.Conv2D(widths[step], 3, padding="same", name=f"size_{step}_a")(x), f"size_{step}_a")
        x = _leaky(layers.Conv2D(widths[step - 1], 3, padding="same", name=f"size_{step}_b")(x), f"size_{step}_b")
        x = layers.AveragePooling2D(2, name=f"size_{step}_down")(x)
        seen = layers.AveragePooling2D(2, name=f"images_{step}_down")(seen)
        read = _leaky(layers.Conv2D(widths[step - 1], 1, name=f"read_{step - 1}")(seen), f"read_{step - 1}")
        x = Fade(step, steps, name=f"fade_{step}")([read, x])
    x = _leaky(layers.Conv2D(widths[0], 3, padding="same", name="size_0_a")(x), "size_0_a")
    x = layers.Flatten(name="flat")(x)
    x = _leaky(layers.Dense(widths[0], name="size_0_b")(x), "size_0_b")
    return keras.Model(images, layers.Dense(1, name="logit")(x), name="discriminator")
