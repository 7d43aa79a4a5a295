"""A feature space of our own: what a small classifier, trained here on the real images, makes of images.

Distances of generators from data are measured in one. The literature's is Inception's, of ImageNet; figures in this one
are to be compared with each other alone, of one data set and one seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from .data import Dataset, Split
from .runner import predict

FEATURES = 32
STEPS, BATCH = 1500, 64
RATE = 2e-3
SEED = 20_170_626


@dataclass(frozen=True)
class FeatureSpace:
    """Features of images. network: images -> features (N, FEATURES). accuracy: of its classifier, on test images."""

    network: keras.Model
    accuracy: float

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images (N, H, W, C) in [0, 1], (N, FEATURES)."""
        return predict(self.network, np.asarray(images, np.float32))


def feature_space(dataset: Dataset, steps: int = STEPS) -> FeatureSpace:
    """Train a classifier of `dataset`, images in [0, 1] with class numbers, and return its last hidden layer.

    It is a function of the data and of a seed of its own, on one backend and machine.
    """
    x, y = np.asarray(dataset.train.x), np.asarray(dataset.train.y)
    inputs: Any = keras.Input(x.shape[1:], name="images")
    seeds = iter(range(SEED, SEED + 9))

    def start() -> Any:
        return keras.initializers.HeNormal(next(seeds))

    hidden: Any = inputs
    for index, maps in enumerate((16, 32), 1):
        hidden = layers.Conv2D(maps, 3, 2, "same", activation="relu", kernel_initializer=start(),
                               name=f"conv_{index}")(hidden)  # fmt: skip
    hidden = layers.Flatten(name="flat")(hidden)
    features = layers.Dense(FEATURES, "relu", kernel_initializer=start(), name="features")(hidden)
    logits = layers.Dense(int(y.max()) + 1, kernel_initializer=start(), name="logits")(features)
    classifier = keras.Model(inputs, logits, name="classifier")
    fit_classes(classifier, dataset.train, steps)
    right = predict(classifier, np.asarray(dataset.test.x)).argmax(-1) == np.asarray(dataset.test.y)
    return FeatureSpace(keras.Model(inputs, features, name="features"), float(right.mean()))


def fit_classes(classifier: keras.Model, split: Split, steps: int = STEPS) -> None:
    """Fit a classifier, images -> logits, to class numbers, by a seed of its own."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(RATE), loss)
    random, x, y = np.random.default_rng(SEED), np.asarray(split.x), np.asarray(split.y)
    for _ in range(steps):
        chosen = random.integers(0, len(x), BATCH)
        classifier.train_on_batch(x[chosen], y[chosen])
