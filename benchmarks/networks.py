"""The networks that exports are measured on: those of MLPerf Tiny and two classics, at their published sizes."""

import edgewright as ew
import keras
import numpy as np

NAMES = ("lenet5", "resnet8", "ds_cnn", "visual_wake_words", "anomaly_detector", "autoencoder")


def build(name: str, classes: int = 2) -> keras.Model:
    """Return the untrained network `name`; `visual_wake_words` is the MobileNet of MLPerf Tiny, of `classes`."""
    keras.utils.set_random_seed(0)
    if name == "visual_wake_words":
        return keras.applications.MobileNet(
            (96, 96, 3), alpha=0.25, weights=None, classes=classes, classifier_activation=None
        )
    return ew.build(name, preset="paper")


def samples(model: keras.Model, n: int = 64) -> np.ndarray:
    """Return n standard normal samples of the model's input."""
    return np.random.default_rng(0).normal(size=(n, *model.input_shape[1:])).astype("float32")
