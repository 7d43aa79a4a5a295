"""Training steps of several models, timed in turns in one process."""

import time
from collections.abc import Mapping

import keras
import numpy as np


def resnet8() -> keras.Model:
    """The MLPerf Tiny image classifier on 32x32x3."""
    import edgewright as ew

    return ew.build("resnet8", preset="paper")


def paired_seconds(models: Mapping[str, keras.Model], *, batch: int = 64, rounds: int = 40) -> dict[str, np.ndarray]:
    """Return the seconds of one compiled training step of each model by round; the order changes every round."""
    random = np.random.default_rng(0)
    first = next(iter(models.values()))
    x = random.normal(size=(batch, *first.inputs[0].shape[1:])).astype("float32")
    y = random.integers(0, first.outputs[0].shape[-1], batch)
    for model in models.values():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=False)
        for _ in range(5):
            model.train_on_batch(x, y)
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name in random.permutation(list(models)):
            start = time.perf_counter()
            models[name].train_on_batch(x, y)
            taken[name].append(time.perf_counter() - start)
    return {name: np.array(seconds) for name, seconds in taken.items()}
