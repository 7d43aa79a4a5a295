"""What changes the samples of a training at random: layers of Keras, in the order in which they are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers as kinds

from ..errors import BadInput
from ..untyped import ops
from .config import AUGMENTATIONS, TrainConfig, measured
from .data import Dataset
from .mixing import CutMix, Mixing, MixUp

IMAGE, SPECTROGRAM = (3,), (2, 3)  # the ranks that a sample may have


@dataclass(frozen=True)
class Change:
    """A kind of change. amount: how far where nothing is said; make: (amount, seed) -> layer.

    ranks: of the samples that it is for; none for any. lit: values are kept in [0, 1], so they must lie there.
    coloured: of red, green and blue images. moves: what a target tells besides a class would have to change along.
    """

    amount: float
    make: Callable[[float, int], keras.layers.Layer]
    ranks: tuple[int, ...] = IMAGE
    lit: bool = False
    coloured: bool = False
    moves: bool = True


class SpecAugment(keras.layers.Layer):
    """Hides a stretch of time and a band of frequencies, each of a length from 0 to `share` of its axis, by the mean.

    Shapes: (N, T, F) or (N, T, F, C).  Source: Park 2019, arXiv:1904.08779, without its warping of time.
    """

    def __init__(self, share: float, seed: int):
        super().__init__()
        self.share, self.seed = share, keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Hide."""
        samples, rank = (ops.shape(inputs)[0],), len(inputs.shape)
        mean = ops.mean(inputs, axis=tuple(range(1, rank)), keepdims=True)
        for axis in (1, 2):
            size = inputs.shape[axis]
            length, start = (keras.random.uniform(samples, seed=self.seed)[:, None] for _ in range(2))
            length = ops.round(length * self.share * size)
            start = ops.floor(start * (size - length + 1))
            place = ops.arange(size, dtype="float32")[None]
            hidden = (place >= start) & (place < start + length)  # (N, size)
            hidden = ops.reshape(hidden, (-1, *[size if other == axis else 1 for other in range(1, rank)]))
            inputs = ops.where(hidden, mean, inputs)
        return inputs


def _share(kind: Any, **settings: Any) -> Callable[[float, int], keras.layers.Layer]:
    return lambda amount, seed: kind(amount, seed=seed, **settings)


def _of_both(kind: Any, **settings: Any) -> Callable[[float, int], keras.layers.Layer]:
    return lambda amount, seed: kind(amount, amount, seed=seed, **settings)


def _cutout(amount: float, seed: int) -> keras.layers.Layer:
    return kinds.RandomErasing(1.0, scale=(amount**2, amount**2), fill_value=0.0, value_range=(0, 1), seed=seed)


def _colour(amount: float, seed: int) -> keras.layers.Layer:
    return kinds.RandomColorJitter(
        (0, 1), brightness_factor=amount, contrast_factor=amount, saturation_factor=amount, hue_factor=amount, seed=seed
    )


CHANGES = {
    "flip": Change(1.0, lambda amount, seed: kinds.RandomFlip("horizontal", seed=seed)),
    "shift": Change(0.1, _of_both(kinds.RandomTranslation, fill_mode="constant", interpolation="nearest")),
    "rotate": Change(0.05, _share(kinds.RandomRotation, fill_mode="constant")),  # of a whole turn
    "zoom": Change(0.2, _of_both(kinds.RandomZoom, fill_mode="constant")),
    "shear": Change(0.1, _of_both(kinds.RandomShear, fill_mode="constant")),
    "crop": Change(0.5, lambda amount, seed: kinds.RandomZoom((-amount, 0.0), seed=seed)),
    "brightness": Change(0.2, _share(kinds.RandomBrightness, value_range=(0, 1)), lit=True),
    "contrast": Change(0.2, _share(kinds.RandomContrast, value_range=(0, 1)), lit=True),
    "colour": Change(0.2, _colour, lit=True, coloured=True),
    "cutout": Change(0.5, _cutout, lit=True),  # of a side
    "noise": Change(0.05, lambda amount, seed: kinds.GaussianNoise(amount, seed=seed), ranks=(),
                    moves=False),
    "specaugment": Change(0.2, SpecAugment, ranks=SPECTROGRAM),
    "mixup": Change(0.2, MixUp, ranks=()),  # alpha of the shares
    "cutmix": Change(1.0, CutMix),
}  # fmt: skip


def layers(dataset: Dataset, config: TrainConfig) -> Sequence[Any]:
    """Return the layers that samples of `dataset` go through in training.

    Raises: BadInput for changes of images where samples are none, and for samples of several inputs.
    """
    if isinstance(config.augment, bool):
        return dataset.augmentation(config.seed) if dataset.augmentation and config.augment else ()
    made = []
    for place, text in enumerate(config.augment):
        name, amount = measured("augment", text, AUGMENTATIONS)
        change = CHANGES[name]
        _check(dataset, text, change)
        made.append(change.make(change.amount if amount is None else amount, config.seed + place))
    if len(mixing := [text for text, layer in zip(config.augment, made, strict=True) if isinstance(layer, Mixing)]) > 1:
        raise BadInput(f"training setting augment is {', '.join(mixing)}: samples are mixed once; name one of them")
    return made


def _check(dataset: Dataset, text: str, change: Change) -> None:
    x: Any = dataset.train.x
    shape = getattr(x, "shape", None)
    if shape is None or "float" not in str(x.dtype):
        raise BadInput(f"training setting augment is {text!r}: samples of {dataset.name!r} are not one float array; "
                       "leave it out")  # fmt: skip
    if change.ranks and len(shape) - 1 not in change.ranks:
        wanted = "an image is (height, width, channels)" if change.ranks == IMAGE else "a spectrogram is (time, bands)"
        raise BadInput(f"training setting augment is {text!r}: samples of {dataset.name!r} have shape {shape[1:]}, "
                       f"{wanted}; leave it out")  # fmt: skip
    if change.coloured and shape[-1] != 3:
        raise BadInput(f"training setting augment is {text!r}: images of {dataset.name!r} have {shape[-1]} "
                       "channels, a colour has 3; leave it out")  # fmt: skip
    if change.moves and (not dataset.classes or np.ndim(dataset.train.y) != 1):
        raise BadInput(f"training setting augment is {text!r}: data {dataset.name!r} tells more of a sample than "
                       "its class, which would have to change along; leave it out")  # fmt: skip
    if change.lit and (x.min() < 0 or x.max() > 1):
        raise BadInput(f"training setting augment is {text!r}: samples of {dataset.name!r} lie in [{x.min():g}, "
                       f"{x.max():g}], it keeps values in [0, 1]; scale them, or leave it out")  # fmt: skip
