"""Generative adversarial networks: a generator that draws samples, a discriminator that tells them from real ones."""

import math
from typing import Any

import keras
from keras import KerasTensor, layers

from ..untyped import ops
from .registry import Bars, register

FAMILY = "generative"


NETWORKS = ("generator", "discriminator")


@register(
    task="generation",
    learner="adversarial",
    input_shape=(784,),
    params=2_946_577,
    paper="Goodfellow 2014, Generative adversarial nets, arXiv:1406.2661; optimizer of Radford 2016, arXiv:1511.06434",
    data=("mnist", "digits"),
    learning_rate=2e-4,
    edge={"input_shape": (64,), "latent": 16, "hidden": (64, 128, 128)},
    networks=NETWORKS,
    bars=Bars(floor=-0.2),  # nats a value: an untrained generator has -0.6 on digits
    variants={
        "wgan": {
            "params": 2_946_577,
            "paper": "Arjovsky 2017, Wasserstein GAN, arXiv:1701.07875, algorithm 1; of dense nets",
            "learner": "adversarial:steps=5,clip=0.01",
            "learning_rate": 2e-4,  # four times the paper's, for a small part of its steps
            "training": {"optimizer": "rmsprop"},
        },
        "cgan": {
            "params": 2_959_377,
            "paper": "Mirza and Osindero 2014, Conditional generative adversarial nets, arXiv:1411.1784",
            "labels": 10,
        },
        "unrolled_gan": {
            "params": 2_946_577,
            "paper": "Metz 2017, Unrolled generative adversarial networks, arXiv:1611.02163; of dense nets",
            "learner": "adversarial:unrolling=5",
        },
        "minibatch_gan": {
            "params": 3_010_627,
            "paper": "Salimans 2016, Improved techniques for training GANs, arXiv:1606.03498, section 3.2",
            "deploy": ("generator",),  # what a discriminator says of a sample depends on the batch
            "comparing": (50, 5),
            "edge": {"comparing": (16, 4)},
        },
        "gan_1d": {
            "params": 187,
            "task": "distribution",
            "input_shape": (1,),
            "data": ("normal",),
            "learning_rate": 5e-3,
            "latent": 1,
            "hidden": (5, 5),
            "judging": (10, 10),
            "open_range": True,
            "edge": {"input_shape": (1,), "latent": 1, "hidden": (5, 5)},
            "bars": Bars(floor=-1.5),  # nats: the density itself has -1.42
        },
    },
)
def gan_mlp(
    input_shape: tuple[int, ...], latent: int = 100, hidden: tuple[int, ...] = (256, 512, 1024), slope: float = 0.2,
    *, judging: tuple[int, ...] | None = None, labels: int = 0, open_range: bool = False,
    comparing: tuple[int, int] | None = None
):  # fmt: skip
    """Build two dense nets: the generator widens a latent vector by `hidden`, the discriminator narrows a sample again.

    judging: widths of the discriminator, the generator's in reverse where None. labels: so many classes, of which one
    is given to both, one-hot. open_range: samples are any numbers.
    comparing: the discriminator compares the samples of a batch, by so many kernels of so many values.
    Shapes: generator: z (N, latent) [and label (N, labels)] -> sample (N, n), in [-1, 1] but for an open range;
    discriminator: sample (N, n) [and label] -> logit (N, 1), above 0 for a real one.
    """
    (width,) = input_shape
    end = None if open_range else "tanh"
    return {
        "generator": _generator(width, latent, hidden, slope, labels, end),
        "discriminator": _discriminator(width, hidden[::-1] if judging is None else judging, slope, labels, comparing),
    }


def _generator(width: int, latent: int, hidden: tuple[int, ...], slope: float, labels: int, end: str | None):
    inputs, x = _given("z", (latent,), labels)
    x = _leaky(x, hidden, slope)
    return keras.Model(inputs, layers.Dense(width, activation=end, name="sample")(x), name="generator")


def _discriminator(
    width: int, hidden: tuple[int, ...], slope: float, labels: int, comparing: tuple[int, int] | None
):  # fmt: skip
    inputs, x = _given("images", (width,), labels)
    x = _leaky(x, hidden, slope)
    if comparing:
        compared = layers.Dense(math.prod(comparing), use_bias=False, name="compared")(x)
        compared = layers.Reshape(comparing, name="kernels")(compared)
        x = layers.Concatenate(name="with_others")([x, MinibatchDiscrimination(name="others")(compared)])
    return keras.Model(inputs, layers.Dense(1, name="logit")(x), name="discriminator")


@keras.saving.register_keras_serializable("edgewright")
class MinibatchDiscrimination(layers.Layer):
    """How near the other samples of the batch are: the sum of exp(-|difference|_1) over them, by each kernel.

    Source: Salimans 2016, arXiv:1606.03498, section 3.2.  Shapes: (N, kernels, values) -> (N, kernels)
    """

    def call(self, inputs: Any) -> Any:
        """Compare each sample with each, itself left out."""
        apart = ops.expand_dims(inputs, 1) - ops.expand_dims(inputs, 0)  # (N, N, kernels, values)
        return ops.sum(ops.exp(-ops.sum(ops.absolute(apart), axis=-1)), axis=1) - 1.0

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (N, kernels)."""
        return input_shape[:-1]


def _given(name: str, shape: tuple[int, ...], labels: int) -> tuple[Any, Any]:
    """Return inputs, and what they are joined to."""
    x: Any = keras.Input(shape, name=name)
    if not labels:
        return x, x
    label: Any = keras.Input((labels,), name="label")
    return {name: x, "label": label}, layers.Concatenate(name="joined")([x, label])


def _leaky(x: KerasTensor, widths: tuple[int, ...], slope: float):
    for index, units in enumerate(widths, 1):
        x = layers.Dense(units, name=f"hidden_{index}")(x)
        x = layers.LeakyReLU(slope, name=f"leaky_{index}")(x)
    return x


@register(
    task="half_labelled_classification",
    learner="adversarial:classes=1,matching=1",
    input_shape=(784,),
    classes=10,
    params=2_233_544,
    paper="Salimans 2016, Improved techniques for training GANs, arXiv:1606.03498, section 5 and its code for MNIST; "
    "without normalisation of weights",
    data=("mnist_few_labels", "digits_few_labels"),
    learning_rate=3e-3,
    edge={"input_shape": (64,), "latent": 16, "hidden": (64, 64), "judging": (128, 64, 64)},
    networks=NETWORKS,
    deploy=("discriminator",),
    bars=Bars(floor=0.65),
)
def sgan(
    input_shape: tuple[int, ...], classes: int, latent: int = 100, hidden: tuple[int, ...] = (500, 500),
    judging: tuple[int, ...] = (1000, 500, 250, 250, 250), noise: float = 0.5
):  # fmt: skip
    """Build a generator and a classifier; that a sample is drawn is one more class, whose logit is 0 and not built.

    hidden, judging: widths of the two. noise: deviation of what is added to each hidden layer of the classifier in
    training, to its input 3/5 of that.
    Shapes: generator: z (N, latent) -> sample (N, n) in [-1, 1]; discriminator: sample -> label (N, classes), logits,
    and features (N, the last width).
    """
    (width,) = input_shape
    z: Any = keras.Input((latent,), name="z")
    x = z
    for index, units in enumerate(hidden, 1):
        x = _normed(layers.Dense(units, use_bias=False, name=f"hidden_{index}")(x), index)
    images: Any = keras.Input(input_shape, name="images")
    y = features = layers.GaussianNoise(0.6 * noise, name="noise_0")(images)
    for index, units in enumerate(judging, 1):
        y = features = layers.Dense(units, activation="relu", name=f"hidden_{index}")(y)
        y = layers.GaussianNoise(noise, name=f"noise_{index}")(y)
    said = {"label": layers.Dense(classes, name="label")(y), "features": features}
    return {
        "generator": keras.Model(z, layers.Dense(width, activation="tanh", name="sample")(x), name="generator"),
        "discriminator": keras.Model(images, said, name="discriminator"),
    }


@register(
    task="generation",
    learner="adversarial",
    input_shape=(28, 28, 1),
    params=2_913_154,
    paper="Radford 2016, Unsupervised representation learning with DCGANs, arXiv:1511.06434; two layers for 28x28",
    data=("mnist", "digits"),
    learning_rate=2e-4,
    edge={"input_shape": (8, 8, 1), "latent": 16, "widths": (64, 32)},
    networks=NETWORKS,
    bars=Bars(floor=-0.1),
    variants={
        "acgan": {
            "params": 3_164_044,
            "paper": "Odena 2017, Conditional image synthesis with auxiliary classifier GANs, arXiv:1610.09585",
            "learner": "adversarial:classes=1",
            "labels": 10,
        }
    },
)
def dcgan(
    input_shape: tuple[int, ...], latent: int = 100, widths: tuple[int, ...] = (256, 128), kernel: int = 5,
    slope: float = 0.2, labels: int = 0
):  # fmt: skip
    """Build two convolutional nets without pooling: each layer of the generator doubles sides, the others halve them.

    labels: so many classes, of which one is given to the generator, one-hot, and told by the discriminator.
    Shapes: generator: z (N, latent) [and label (N, labels)] -> sample (N, H, W, C) in [-1, 1]; discriminator: sample ->
    logit (N, 1) [and label (N, labels), logits].  Raises: ValueError for sides that cannot be halved so often.
    """
    inputs, x = _given("z", (latent,), labels)
    start = _smallest(input_shape, len(widths))
    x = layers.Dense(math.prod(start) * widths[0], use_bias=False, name="project")(x)
    x = layers.Reshape((*start, widths[0]), name="maps")(x)
    for index, width in enumerate(widths[1:], 1):
        x = _normed(x, index)
        x = layers.Conv2DTranspose(width, kernel, 2, "same", use_bias=False, name=f"conv_{index}")(x)
    x = _normed(x, len(widths))
    x = layers.Conv2DTranspose(input_shape[-1], kernel, 2, "same", activation="tanh", name="sample")(x)
    return {"generator": keras.Model(inputs, x, name="generator"),
            "discriminator": convolutional(input_shape, widths[::-1], kernel, slope, labels)}  # fmt: skip


def _smallest(shape: tuple[int, ...], halvings: int) -> tuple[int, int]:
    height, width, _ = shape
    if height % 2**halvings or width % 2**halvings:
        raise ValueError(f"sides of {shape} are halved {halvings} times")
    return height // 2**halvings, width // 2**halvings


def _normed(x: KerasTensor, index: int):
    x = layers.BatchNormalization(name=f"norm_{index}")(x)
    return layers.ReLU(name=f"relu_{index}")(x)


def convolutional(shape: tuple[int, ...], widths: tuple[int, ...], kernel: int, slope: float, labels: int = 0):
    """Build a discriminator of strided convolutions.  Shapes: see `dcgan`."""
    inputs: Any = keras.Input(shape, name="images")
    x = inputs
    for index, width in enumerate(widths, 1):
        first = index == 1  # the input has a distribution of its own, which a norm would hide
        x = layers.Conv2D(width, kernel, 2, "same", use_bias=first, name=f"conv_{index}")(x)
        x = x if first else layers.BatchNormalization(name=f"norm_{index}")(x)
        x = layers.LeakyReLU(slope, name=f"leaky_{index}")(x)
    x = layers.Flatten(name="flat")(x)
    said = {"logit": layers.Dense(1, name="logit")(x)}
    if labels:
        said["label"] = layers.Dense(labels, name="label")(x)
    return keras.Model(inputs, said if labels else said["logit"], name="discriminator")


@register(
    task="generation",
    learner="adversarial:information=0.1",  # at 1 samples tell of their code, and are no digits
    input_shape=(28, 28, 1),
    params=13_344_912,  # as published, 6,637,761 + 6,556,865 + 133,006, and 17,280 of norms
    paper="Chen 2016, InfoGAN, arXiv:1606.03657, table 1",
    data=("mnist", "digits"),
    learning_rate=1e-3,
    edge={"input_shape": (8, 8, 1), "latent": 14, "widths": (32, 16), "hidden": 128, "telling": 32},
    networks=NETWORKS,
    bars=Bars(floor=-0.2),
)
def infogan(
    input_shape: tuple[int, ...], latent: int = 62, *, categories: int = 10, code: int = 2,
    widths: tuple[int, ...] = (128, 64), hidden: int = 1024, telling: int = 128, slope: float = 0.1
):  # fmt: skip
    """Build a generator of noise, a category and a code, and a discriminator that tells both back from a sample.

    Shapes: generator: z (N, latent), category (N, categories) one-hot, code (N, code) -> sample (N, H, W, C) in
    [-1, 1]; discriminator: sample -> logit (N, 1), category (N, categories) logits, mean and log_deviation (N, code).
    Raises: ValueError for sides that cannot be halved so often.
    """
    given: dict[str, Any] = {
        name: keras.Input((size,), name=name)
        for name, size in (("z", latent), ("category", categories), ("code", code))
    }
    start = _smallest(input_shape, len(widths))
    x = layers.Concatenate(name="joined")(list(given.values()))
    x = _normed(layers.Dense(hidden, name="hidden")(x), 1)
    x = _normed(layers.Dense(math.prod(start) * widths[0], name="project")(x), 2)
    x = layers.Reshape((*start, widths[0]), name="maps")(x)
    for index, width in enumerate(widths[1:], 3):
        x = _normed(layers.Conv2DTranspose(width, 4, 2, "same", name=f"conv_{index}")(x), index)
    x = layers.Conv2DTranspose(input_shape[-1], 4, 2, "same", activation="tanh", name="sample")(x)
    return {
        "generator": keras.Model(given, x, name="generator"),
        "discriminator": _telling(input_shape, widths[::-1], hidden, (telling, categories, code), slope),
    }


def _telling(shape: tuple[int, ...], widths: tuple[int, ...], hidden: int, told: tuple[int, int, int], slope: float):
    """Build the discriminator of `infogan`; told: how wide the head is, categories, values of a code."""
    inputs: Any = keras.Input(shape, name="images")
    x = layers.Conv2D(widths[0], 4, 2, "same", name="conv_1")(inputs)
    x = layers.LeakyReLU(slope, name="leaky_1")(x)
    for index, width in enumerate(widths[1:], 2):
        x = _leaky_normed(layers.Conv2D(width, 4, 2, "same", name=f"conv_{index}")(x), f"{index}", slope)
    x = layers.Dense(hidden, name="hidden")(layers.Flatten(name="flat")(x))
    trunk = _leaky_normed(x, "hidden", slope)
    width, categories, code = told
    head = _leaky_normed(layers.Dense(width, name="telling")(trunk), "telling", slope)
    sizes = {"category": categories, "mean": code, "log_deviation": code}
    said = {name: layers.Dense(size, name=name)(head) for name, size in sizes.items()}
    return keras.Model(inputs, {"logit": layers.Dense(1, name="logit")(trunk), **said}, name="discriminator")


def _leaky_normed(x: KerasTensor, name: str, slope: float):
    return layers.LeakyReLU(slope, name=f"leaky_{name}")(layers.BatchNormalization(name=f"norm_{name}")(x))
