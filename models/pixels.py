"""Densities of binary images and videos, pixel by pixel in the order of reading, all of them in one pass.

No kernel is masked: where a mask would hold weights at zero, they are not there. A masked convolution of the paper is
the sum of two plain ones, of the rows above and of the pixels to the left, on maps that are moved by padding. The
functions are the same, pruning and quantization cannot undo them, and int8 kernels do not multiply by zeros.
"""

from typing import Any

import keras
from keras import KerasTensor, layers

from .cells import ConvLSTMCell
from .registry import Bars, register

FAMILY = "autoregressive"

OF_DIGITS = Bars(floor=-0.35)  # nats a pixel: independent pixels have -0.386 on digits


def masked(x: KerasTensor, maps: int, size: int, name: str, *, centre: bool = True) -> Any:
    """Add a convolution of what comes before each pixel, and of the pixel itself where `centre` is set.

    The paper's mask B, and without the centre A, of one channel.  Shapes: (N, H, W, C) -> (N, H, W, maps).
    """
    reach = size // 2
    above = layers.Cropping2D(((0, 1), (0, 0)), name=f"{name}_but_last_row")(x)
    above = layers.ZeroPadding2D(((reach, 0), (reach, reach)), name=f"{name}_rows_above")(above)
    above = layers.Conv2D(maps, (reach, size), use_bias=False, name=f"{name}_above")(above)
    return layers.Add(name=name)([above, to_the_left(x, maps, reach, f"{name}_left", centre=centre)])


def to_the_left(x: KerasTensor, maps: int, reach: int, name: str, *, centre: bool = True) -> Any:
    """Add a convolution of so many pixels to the left of each, and of the pixel itself where `centre` is set."""
    if not centre:
        x = layers.Cropping2D(((0, 0), (0, 1)), name=f"{name}_but_last")(x)
    x = layers.ZeroPadding2D(((0, 0), (reach, 0)), name=f"{name}_before")(x)
    return layers.Conv2D(maps, (1, reach + centre), name=name)(x)


def logits_of(x: KerasTensor, maps: int) -> Any:
    """Add two layers of 1x1 convolutions: logits of a 1, (N, H, W, 1)."""
    x = layers.ReLU(name="before_top")(x)
    x = layers.Conv2D(maps, 1, activation="relu", name="top")(x)
    return layers.Conv2D(1, 1, name="logits")(x)


@register(
    task="ordered_likelihood",
    input_shape=(28, 28, 1),
    params=2_234_177,
    paper="van den Oord 2016, Pixel recurrent neural networks, arXiv:1601.06759; PixelCNN of its CIFAR-10 row, 15 "
    "layers of 128, with the top of its MNIST nets",
    data=("mnist", "digits"),
    learning_rate=3e-3,
    networks=("density",),
    edge={"input_shape": (8, 8, 1), "depth": 3, "width": 16},
    bars=OF_DIGITS,
)
def pixel_cnn(input_shape: tuple[int, ...], *, depth: int = 15, width: int = 128, stem: int = 7, top: int = 32):
    """Build a convolution of what is known, and residual blocks of 1x1, 3x3 and 1x1 convolutions.

    Shapes: density: images (N, H, W, 1) of zeros and ones -> logits (N, H, W, 1), each given the pixels before it.
    """
    inputs: Any = keras.Input(input_shape, name="inputs")
    x = masked(inputs, 2 * width, stem, "stem", centre=False)
    for name in (f"block_{index}" for index in range(1, depth + 1)):
        y = layers.ReLU(name=f"{name}_before")(x)
        y = layers.Conv2D(width, 1, activation="relu", name=f"{name}_narrow")(y)
        y = layers.ReLU(name=f"{name}_relu")(masked(y, width, 3, f"{name}_masked"))
        y = layers.Conv2D(2 * width, 1, name=f"{name}_widen")(y)
        x = layers.Add(name=f"{name}_add")([x, y])
    return {"density": keras.Model(inputs, logits_of(x, top), name="density")}


@register(
    task="ordered_likelihood",
    input_shape=(28, 28, 1),
    params=56_321,
    paper="van den Oord 2016, Pixel recurrent neural networks, arXiv:1601.06759; Row LSTM, 7 layers of 16 on MNIST",
    data=("mnist", "digits"),
    learning_rate=3e-3,
    networks=("density",),
    edge={"input_shape": (8, 8, 1), "depth": 2, "width": 16},
    bars=OF_DIGITS,
)
def pixel_rnn(input_shape: tuple[int, ...], *, depth: int = 7, width: int = 16, stem: int = 7, top: int = 32):
    """Build a convolution of what is known, and residual layers of a row LSTM, which reads rows from above.

    Shapes: density: images (N, H, W, 1) of zeros and ones -> logits (N, H, W, 1), each given the pixels before it.
    """
    height, across, _ = input_shape
    inputs: Any = keras.Input(input_shape, name="inputs")
    x = masked(inputs, 2 * width, stem, "stem", centre=False)
    for name in (f"lstm_{index}" for index in range(1, depth + 1)):
        sums = to_the_left(x, 4 * width, 1, f"{name}_input")
        rows = layers.Reshape((height, across * 4 * width), name=f"{name}_rows")(sums)
        cell = ConvLSTMCell((across,), width, name="cell")
        y = layers.RNN(cell, return_sequences=True, name=name)(rows)
        y = layers.Reshape((height, across, width), name=f"{name}_map")(y)
        x = layers.Add(name=f"{name}_add")([x, layers.Conv2D(2 * width, 1, name=f"{name}_widen")(y)])
    return {"density": keras.Model(inputs, logits_of(x, top), name="density")}


# ---------------------------------------------------------------- videos


@register(
    task="ordered_likelihood",
    input_shape=(20, 64, 64, 1),
    params=23_369_217,
    paper="Kalchbrenner 2016, Video pixel networks, arXiv:1610.00527; Moving MNIST",
    data=("moving_mnist", "moving_digits"),
    learning_rate=3e-3,
    networks=("density",),
    edge={"input_shape": (4, 12, 12, 1), "width": 8, "encoder": 1, "decoder": 1},
    bars=Bars(floor=-0.35),
)
def video_pixel_network(
    input_shape: tuple[int, ...], *, width: int = 128, encoder: int = 8, decoder: int = 12, stem: int = 7
):
    """Build an encoder of frames, a convolutional LSTM over them, and a decoder of each frame's pixels.

    encoder, decoder: residual multiplicative blocks of `width` maps within.
    Shapes: density: clips (N, T, H, W, 1) of zeros and ones -> logits (N, T, H, W, 1), each given all frames before its
    own, and the pixels before it.
    """
    frames, height, across, channels = input_shape
    inputs: Any = keras.Input(input_shape, name="inputs")
    flat = layers.Reshape((frames, height * across * channels), name="frames")(inputs)
    blank: Any = (1, 0)  # Keras says that a padding is one number
    before = layers.ZeroPadding1D(blank, name="blank")(layers.Cropping1D((0, 1), name="but_last")(flat))
    before = layers.Reshape(input_shape, name="before")(before)  # each frame is the one before it, the first blank
    sums = layers.TimeDistributed(_encoder(input_shape[1:], width, encoder), name="encoder")(before)
    sums = layers.Reshape((frames, height * across * 8 * width), name="sums")(sums)
    cell = ConvLSTMCell((height, across), 2 * width, name="cell")
    context = layers.RNN(cell, return_sequences=True, name="lstm")(sums)
    context = layers.Reshape((frames, height, across, 2 * width), name="context")(context)
    told = layers.Concatenate(name="told")([inputs, context])
    logits = layers.TimeDistributed(_decoder(tuple(told.shape[2:]), width, decoder, stem), name="decoder")(told)
    return {"density": keras.Model(inputs, layers.Identity(name="logits")(logits), name="density")}


def _encoder(shape: tuple[int, ...], width: int, depth: int) -> keras.Model:
    """Return a net of a frame -> what enters the gates of the LSTM, (N, H, W, 8 width)."""
    frame: Any = keras.Input(shape, name="frame")
    x = layers.Conv2D(2 * width, 3, padding="same", name="stem")(frame)
    for index in range(1, depth + 1):
        x = multiplicative(x, width, f"block_{index}", causal=False)
    return keras.Model(frame, layers.Conv2D(8 * width, 3, padding="same", name="gates")(x), name="encoder")


def _decoder(shape: tuple[int, ...], width: int, depth: int, stem: int) -> keras.Model:
    """Return a net of a frame and its context, (N, H, W, 1 + 2 width) -> logits (N, H, W, 1)."""
    told: Any = keras.Input(shape, name="told")
    frame, context = told[..., :1], told[..., 1:]
    x = layers.Add(name="in_context")([masked(frame, 2 * width, stem, "stem", centre=False), context])
    for index in range(1, depth + 1):
        x = multiplicative(x, width, f"block_{index}", causal=True)
    return keras.Model(told, layers.Conv2D(1, 1, name="logits")(x), name="decoder")


def multiplicative(x: KerasTensor, width: int, name: str, *, causal: bool) -> Any:
    """Add a residual block of two multiplicative units between 1x1 convolutions.

    A unit is g1 tanh(g2 h + g3 u), of three gates and an update by 3x3 convolutions.
    Shapes: (N, H, W, C) -> the same.  Source: Kalchbrenner 2016, arXiv:1610.00527, section 4.1.
    """
    h = layers.Conv2D(width, 1, name=f"{name}_narrow")(x)
    for unit in (f"{name}_unit_{index}" for index in (1, 2)):
        sums = (
            masked(h, 4 * width, 3, f"{unit}_sums")
            if causal
            else layers.Conv2D(4 * width, 3, padding="same", name=f"{unit}_sums")(h)
        )
        gates = layers.Activation("sigmoid", name=f"{unit}_gates")(sums[..., : 3 * width])
        update = layers.Activation("tanh", name=f"{unit}_update")(sums[..., 3 * width :])
        kept = layers.Multiply(name=f"{unit}_kept")([gates[..., width : 2 * width], h])
        new = layers.Multiply(name=f"{unit}_new")([gates[..., 2 * width :], update])
        mixed = layers.Activation("tanh", name=f"{unit}_mixed")(layers.Add(name=f"{unit}_add")([kept, new]))
        h = layers.Multiply(name=unit)([gates[..., :width], mixed])
    y = layers.Conv2D(x.shape[-1], 1, name=f"{name}_widen")(h)
    return layers.Add(name=name)([x, y])
