"""Pictures of pictures: generators that draw a picture of another, and one that fills in what is missing."""

from typing import Any

import keras
from keras import KerasTensor, layers

from .blocks import MOMENTUM
from .gan import convolutional
from .registry import Bars, register

FAMILY = "generative"
SLOPE = 0.2  # of leaky activations
DROPPED = 3  # layers of a decoder that have dropout, the innermost first


@register(
    task="image_translation",
    learner="adversarial:absolute=100",
    input_shape=(256, 256, 3),
    params=57_182_660,  # 54,413,955 and 2,768,705
    paper="Isola 2017, Image-to-image translation with conditional adversarial networks, arXiv:1611.07004",
    data=("fashion_mnist_edges", "digits_edges"),
    learning_rate=2e-4,
    edge={"input_shape": (16, 16, 1), "widths": (16, 32, 64), "judging": (16, 32)},
    networks=("generator", "discriminator"),
    deploy=("generator",),
    on_request=("discriminator",),
    bars=Bars(floor=13.0),  # dB: the mean picture has 11.3 on digits
)
def pix2pix(
    input_shape: tuple[int, ...], widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512, 512),
    judging: tuple[int, ...] = (64, 128, 256, 512), dropout: float = 0.5
):  # fmt: skip
    """Build a U-net and the discriminator of patches of what it draws, beside the source.

    dropout: rate in the decoder's innermost layers, the generator's only noise: it is there in training, and off where
    the generator is used.
    Shapes: generator: source (N, H, W, C) -> sample (N, H, W, C), both in [-1, 1]; discriminator: source, images ->
    logit (N, h, w, 1), one a patch.  Raises: ValueError for sides that cannot be halved once a width.
    """
    return {"generator": u_net(input_shape, widths, dropout), "discriminator": patch_gan(input_shape, judging)}


def u_net(shape: tuple[int, ...], widths: tuple[int, ...], dropout: float):
    """Build an encoder that halves sides once a width, and a decoder that sees each of its layers too."""
    if any(side % 2 ** len(widths) for side in shape[:2]):
        raise ValueError(f"sides of {shape} are halved {len(widths)} times")
    source: Any = keras.Input(shape, name="source")
    x, seen = source, []
    for index, width in enumerate(widths, 1):
        innermost = index == len(widths)
        x = layers.Conv2D(width, 4, 2, "same", use_bias=False, name=f"down_{index}")(x)
        if not innermost and index > 1:
            x = _of_batch(f"down_{index}_norm")(x)
        leaky = layers.ReLU(name=f"down_{index}_relu") if innermost else layers.LeakyReLU(SLOPE, name=f"leaky_{index}")
        x = leaky(x)
        seen.append(x)
    for index in range(len(widths) - 1, 0, -1):
        x = layers.Conv2DTranspose(widths[index - 1], 4, 2, "same", use_bias=False, name=f"up_{index}")(x)
        x = _of_batch(f"up_{index}_norm")(x)
        if len(widths) - index <= DROPPED:
            x = layers.Dropout(dropout, name=f"up_{index}_dropout")(x)
        x = layers.ReLU(name=f"up_{index}_relu")(x)
        x = layers.Concatenate(name=f"skip_{index}")([x, seen[index - 1]])
    x = layers.Conv2DTranspose(shape[-1], 4, 2, "same", activation="tanh", name="sample")(x)
    return keras.Model(source, x, name="generator")


def patch_gan(
    shape: tuple[int, ...], widths: tuple[int, ...], *, beside_source: bool = True, instances: bool = False,
    name: str = "discriminator"
):  # fmt: skip
    """Build a discriminator that judges patches, each by itself: of 70x70 by the published widths.

    The convolutions are of 4x4, all but the last two of stride 2.
    beside_source: it sees what a sample was drawn of. instances: maps are normalised of each image by itself.
    """
    images: Any = keras.Input(shape, name="images")
    inputs, x = images, images
    if beside_source:
        source: Any = keras.Input(shape, name="source")
        inputs = {"source": source, "images": images}
        x = layers.Concatenate(name="joined")([source, images])
    for index, width in enumerate(widths, 1):
        normed = index > 1
        bias = instances or not normed
        if index < len(widths):
            x = layers.Conv2D(width, 4, 2, "same", use_bias=bias, name=f"conv_{index}")(x)
        else:
            x = layers.ZeroPadding2D(1, name=f"pad_{index}")(x)
            x = layers.Conv2D(width, 4, use_bias=bias, name=f"conv_{index}")(x)
        if normed:
            x = (_of_instances if instances else _of_batch)(f"norm_{index}")(x)
        x = layers.LeakyReLU(SLOPE, name=f"leaky_{index}")(x)
    x = layers.ZeroPadding2D(1, name="pad_logit")(x)
    return keras.Model(inputs, layers.Conv2D(1, 4, name="logit")(x), name=name)


def _of_batch(name: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=MOMENTUM, epsilon=1e-5, name=name)


def _of_instances(name: str, scaled: bool = False) -> layers.Layer:
    return layers.GroupNormalization(-1, epsilon=1e-5, center=scaled, scale=scaled, name=name)


@register(
    task="image_translation",
    learner="adversarial:least_squares=1,cycle=10",
    input_shape=(256, 256, 3),
    params=28_285_832,  # twice 11,378,179 and 2,764,737
    paper="Zhu 2017, Unpaired image-to-image translation using cycle-consistent adversarial networks, "
    "arXiv:1703.10593; without a history of samples, padded by zeros",
    data=("fashion_mnist_edges", "digits_edges"),
    learning_rate=2e-4,
    edge={"input_shape": (16, 16, 1), "width": 8, "blocks": 1, "judging": (8, 16)},
    networks=("generator_there", "generator_back", "discriminator_there", "discriminator_back"),
    deploy=("generator_there", "generator_back"),
    on_request=("discriminator_there", "discriminator_back"),
    bars=Bars(floor=8.5),  # dB, both ways
)
def cyclegan(
    input_shape: tuple[int, ...], width: int = 64, blocks: int = 9, judging: tuple[int, ...] = (64, 128, 256, 512)
):
    """Build generators there and back, each with a discriminator of patches of what it draws.

    width: maps of the first layer; two more double them and halve the sides, on which the residual blocks work.
    Shapes: generator: source (N, H, W, C) -> sample (N, H, W, C), both in [-1, 1]; discriminator: images -> logit
    (N, h, w, 1), one a patch.
    """
    ways = ("there", "back")
    told = {f"discriminator_{way}": patch_gan(input_shape, judging, beside_source=False, instances=True,
                                              name=f"discriminator_{way}") for way in ways}  # fmt: skip
    return {f"generator_{way}": _residual(input_shape, width, blocks, f"generator_{way}") for way in ways} | told


def _residual(shape: tuple[int, ...], width: int, blocks: int, name: str):
    source: Any = keras.Input(shape, name="source")
    return keras.Model(source, repainted(source, width, blocks, window=7, scaled=False, end="tanh"), name=name)


def repainted(x: KerasTensor, width: int, blocks: int, *, window: int, scaled: bool, end: str):
    """Add two halvings of the sides, residual blocks and two doublings, with norms of each image by itself.

    width: maps of the first layer; two more double them. window: side of the first and the last kernel. scaled: norms
    learn a scale and an offset.  Shapes: images (N, H, W, C) -> "sample", the same.
    Source: Johnson 2016, arXiv:1603.08155, supplementary material.
    """
    channels = x.shape[-1]

    def normed(x: KerasTensor, layer: layers.Layer, relu: bool = True):
        x = _of_instances(f"{layer.name}_norm", scaled)(layer(x))
        return layers.ReLU(name=f"{layer.name}_relu")(x) if relu else x

    x = normed(x, layers.Conv2D(width, window, padding="same", name="stem"))
    for index in (1, 2):
        x = normed(x, layers.Conv2D(width * 2**index, 3, 2, "same", name=f"down_{index}"))
    for index in range(1, blocks + 1):
        y = normed(x, layers.Conv2D(4 * width, 3, padding="same", name=f"block_{index}_a"))
        y = normed(y, layers.Conv2D(4 * width, 3, padding="same", name=f"block_{index}_b"), relu=False)
        x = layers.Add(name=f"block_{index}")([x, y])
    for index in (1, 0):
        x = normed(x, layers.Conv2DTranspose(width * 2**index, 3, 2, "same", name=f"up_{index}"))
    return layers.Conv2D(channels, window, padding="same", activation=end, name="sample")(x)


@register(
    task="inpainting",
    learner="adversarial:squared=0.999,taken=0.001",
    input_shape=(128, 128, 3),
    params=8_838_916,
    paper="Pathak 2016, Context encoders: feature learning by inpainting, arXiv:1604.07379; its code's widths, and the "
    "channel-wise layer of section 3.1",
    data=("fashion_mnist", "digits"),
    learning_rate=2e-4,
    family="dense",
    edge={"input_shape": (16, 16, 1), "widths": (16, 32, 64), "judging": (16, 32)},
    networks=("generator", "discriminator"),
    deploy=("generator",),
    on_request=("discriminator",),
    bars=Bars(floor=8.0),  # dB in the hole
)
def context_encoder(
    input_shape: tuple[int, ...], widths: tuple[int, ...] = (64, 64, 128, 256, 512),
    judging: tuple[int, ...] = (64, 128, 256, 512)
):  # fmt: skip
    """Build an encoder, a layer in which places tell each other what they see, map by map, and a decoder.

    Shapes: generator: source (N, H, W, C), whatever it be in the hole, mask (N, H, W, 1), 1 in the hole -> sample
    (N, H, W, C) in [-1, 1], of which the host takes what is in the hole; discriminator: images -> logit (N, 1).
    Raises: ValueError for sides that cannot be halved once a width.
    """
    *sides, channels = input_shape
    if any(side % 2 ** len(widths) for side in sides):
        raise ValueError(f"sides of {input_shape} are halved {len(widths)} times")
    source: Any = keras.Input(input_shape, name="source")
    mask: Any = keras.Input((*sides, 1), name="mask")
    x = layers.Concatenate(name="joined")([source, mask])
    for index, width in enumerate(widths, 1):
        x = layers.Conv2D(width, 4, 2, "same", use_bias=index == 1, name=f"down_{index}")(x)
        x = x if index == 1 else _of_batch(f"down_{index}_norm")(x)
        x = layers.LeakyReLU(SLOPE, name=f"leaky_{index}")(x)
    x = channelwise_dense(x, "channelwise")
    x = layers.Conv2D(widths[-1], 1, use_bias=False, name="across")(x)
    x = layers.ReLU(name="across_relu")(_of_batch("across_norm")(x))
    for index in range(len(widths) - 1, 0, -1):
        x = layers.Conv2DTranspose(widths[index - 1], 4, 2, "same", use_bias=False, name=f"up_{index}")(x)
        x = layers.ReLU(name=f"up_{index}_relu")(_of_batch(f"up_{index}_norm")(x))
    x = layers.Conv2DTranspose(channels, 4, 2, "same", activation="tanh", name="sample")(x)
    return {"generator": keras.Model({"source": source, "mask": mask}, x, name="generator"),
            "discriminator": convolutional(input_shape, judging, 4, SLOPE)}  # fmt: skip


def channelwise_dense(x: KerasTensor, name: str):
    """Add a dense layer for each map by itself: m n^2 weights for m maps of n places, where a dense one has m^2 n^2.

    Shapes: (N, h, w, m) -> the same.  Source: arXiv:1604.07379, section 3.1.
    """
    _, height, width, maps = x.shape
    places = height * width
    x = layers.DepthwiseConv2D((height, width), depth_multiplier=places, name=name)(x)  # (N, 1, 1, maps places)
    x = layers.Reshape((maps, places), name=f"{name}_maps")(x)
    x = layers.Permute((2, 1), name=f"{name}_places")(x)
    return layers.Reshape((height, width, maps), name=f"{name}_square")(x)
