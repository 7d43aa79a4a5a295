"""Weights from elsewhere: from a file, or the ImageNet weights of keras.applications carried over to our nets.

Two nets of one topology compute with their weights in the same order, whatever their layers are called and however
they are ordered. `transfer` pairs layers by it.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput, EdgewrightError
from ..keras_internals import maker_of
from ..progress import say

MEAN_FREE = "pixels 0..255 in the order blue, green, red, less (103.939, 116.779, 123.68)"
SIGNED = "pixels / 127.5 - 1"
STANDARD = "(pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A net of keras.applications with the topology of ours; `pixels`: the inputs its ImageNet weights expect of us."""

    application: str
    pixels: str


PUBLISHED = {
    "efficientnet_b0": Published(application="EfficientNetB0", pixels=STANDARD),
    "inception_v3": Published(application="InceptionV3", pixels=SIGNED),
    "mobilenet_v1": Published(application="MobileNet", pixels=SIGNED),
    "mobilenet_v2": Published(application="MobileNetV2", pixels=SIGNED),
    "mobilenet_v3_small": Published(application="MobileNetV3Small", pixels=SIGNED),
    "nasnet": Published(application="NASNetMobile", pixels=SIGNED),
    "resnet50": Published(application="ResNet50", pixels=MEAN_FREE),
    "resnet101": Published(application="ResNet101", pixels=MEAN_FREE),
    "resnet152": Published(application="ResNet152", pixels=MEAN_FREE),
    "vgg16": Published(application="VGG16", pixels=MEAN_FREE),
    "vgg19": Published(application="VGG19", pixels=MEAN_FREE),
}


def load_weights(model: keras.Model, source: str | Path) -> None:
    """Set the weights of `model` in place, from a .keras or .weights.h5 file of the same net, or from "imagenet".

    "imagenet" downloads the published weights (Keras keeps them in its cache) and takes all of them, or all but the
    logits' where the classes are others; what pixels they expect is said.
    Raises: BadInput for a file that is missing or of another net, or a net that has no published weights;
    EdgewrightError where the download fails. Then the weights are as they were.
    """
    if str(source) == "imagenet":
        _from_imagenet(model)
        return
    path = Path(source)
    if not path.name.endswith((".keras", ".weights.h5")):
        raise BadInput(f'weights {str(source)!r}: give a .keras or .weights.h5 file, or "imagenet"')
    if not path.is_file():
        raise BadInput(f"weights {path}: no such file")
    before = model.get_weights()
    try:
        with warnings.catch_warnings():  # Keras 3.15 misses its own bookkeeping in the file; the weights are elsewhere
            warnings.filterwarnings("ignore", "Skipping nested container at '_operations_by_depth")
            model.load_weights(path)
    except Exception as error:  # the reader raises whatever a malformed file provokes
        model.set_weights(before)
        raise BadInput(f"weights {path}: not of {model.name!r} as it is built ({_first_line(error)})") from error


def _from_imagenet(model: keras.Model) -> None:
    if model.name not in PUBLISHED:
        raise BadInput(f"weights imagenet: {model.name!r} has none; these have: {', '.join(PUBLISHED)}")
    published = PUBLISHED[model.name]
    build: Any = getattr(keras.applications, published.application)
    try:
        source = build(weights="imagenet")
    except Exception as error:  # Keras raises plain Exception where a download fails
        raise EdgewrightError(
            f"the ImageNet weights of {model.name} could not be fetched ({_first_line(error)}); "
            "give a file that was written where they can be"
        ) from error
    fresh = transfer(source, model)
    say(f"{model.name}: ImageNet weights expect {published.pixels}")
    if fresh:
        say(f"{model.name}: {fresh} starts from fresh weights, its classes are others")


def transfer(source: keras.Model, model: keras.Model) -> str | None:
    """Copy the weights of `source` to `model`, layer by layer in the order in which both compute.

    A biased convolution feeds one without bias if a normalisation follows: (Wx + b) - mean is Wx - (mean - b). A dense
    layer takes the kernel of a 1x1 convolution. The last layer keeps its weights where it has other classes; then its
    name is returned.
    Raises: BadInput naming the first layers that do not fit; then nothing is copied.
    """
    theirs, ours = list(_weighted(source)), list(_weighted(model))
    if len(theirs) != len(ours):
        raise BadInput(
            f"{model.name} has {len(ours)} layers with weights, {source.name} has {len(theirs)}: "
            "the nets differ; published weights need the preset `paper`"
        )
    values, fresh, carried = [], None, None
    for index, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        given = {weight.name: np.asarray(weight) for weight in their.weights}
        if carried is not None and "moving_mean" in given:
            given["moving_mean"] = given["moving_mean"] - carried
        wanted = {weight.name: weight for weight in our.weights}
        carried = given.pop("bias") if "bias" in given and "bias" not in wanted else None
        if index == len(ours) - 1 and _differ_in_classes(given, wanted):
            fresh = our.name
        elif set(given) != set(wanted) or any(_squeezed(given[name]) != _squeezed(wanted[name]) for name in wanted):
            raise BadInput(
                f"{our.name!r} of {model.name} does not fit {their.name!r} of {source.name}: {_shapes(wanted)} "
                f"against {_shapes(given)}; published weights need the preset `paper`"
            )
        else:
            values += [(weight, given[name].reshape(weight.shape)) for name, weight in wanted.items()]
    if carried is not None:
        raise BadInput(f"{model.name}: no normalisation takes the bias of {theirs[-1].name!r}")
    for weight, value in values:
        weight.assign(value)
    return fresh


def freeze_first(model: keras.Model, count: int) -> None:
    """Keep the first `count` layers with weights, in the order of computation, from being trained.

    Raises: BadInput where nothing would be left to train.
    """
    weighted = list(_weighted(model))
    if count >= len(weighted):
        raise BadInput(f"freeze {count}: {model.name} has {len(weighted)} layers with weights, at least one must learn")
    for layer in weighted[:count]:
        layer.trainable = False


def _weighted(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers with weights in the order of computation: each after what it reads, operands from left to right.

    A `Normalization` of the inputs is left out: our nets take normalised pixels.
    """
    seen: set[int] = set()
    stack = [(tensor, False) for tensor in reversed(model.outputs)]
    while stack:
        tensor, done = stack.pop()
        node = maker_of(tensor)
        layer = node.operation
        if done:
            if isinstance(layer, keras.Layer) and layer.weights and not isinstance(layer, keras.layers.Normalization):
                yield layer
        elif id(layer) not in seen:
            seen.add(id(layer))
            stack.append((tensor, True))
            stack += [(operand, False) for operand in reversed(node.input_tensors)]


def _squeezed(value: Any) -> tuple[int, ...]:
    """Return the shape without the leading ones of a 1x1 convolution's kernel."""
    shape = tuple(value.shape)
    return shape[2:] if len(shape) == 4 and shape[:2] == (1, 1) else shape


def _differ_in_classes(given: Any, wanted: Any) -> bool:
    shapes = [{name: _squeezed(value)[:-1] for name, value in of.items()} for of in (given, wanted)]
    return shapes[0] == shapes[1] and given["bias"].shape != wanted["bias"].shape


def _shapes(weights: Any) -> str:
    return ", ".join(f"{name} {tuple(weight.shape)}" for name, weight in weights.items())


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
