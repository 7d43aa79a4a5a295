"""The table of foreign nets, and samples for them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

SAMPLES = 16
GROUPS = {  # group: the modules that register its nets
    "keras-hub": ("hub", "hub_images"),
    "keras.applications": ("applications",),
    "kimm": ("others",),
    "keras-rs": ("others",),
    "keras-tcn": ("others",),
    "tutorial, images": ("images", "scenes"),
    "tutorial, sequences": ("sequences", "signals"),
    "tutorial, generative": ("generative",),
    "tutorial, tables": ("tables", "control"),
}
Built = tuple[keras.Model, Any]


@dataclass(frozen=True)
class Net:
    """A net by name. build: () -> (model, samples as the model takes them)."""

    name: str
    group: str
    build: Callable[[], Built]


NETS: dict[str, Net] = {}


def net(group: str, name: str | None = None) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    """Register the decorated function as a net of `group`, under `name` or its own."""

    def register(build: Callable[[], Built]) -> Callable[[], Built]:
        key = name or build.__name__
        assert key not in NETS, key
        NETS[key] = Net(key, group, build)
        return build

    return register


def load_all() -> dict[str, Net]:
    """Return all nets by name, those of the groups in order."""
    for module in dict.fromkeys(module for modules in GROUPS.values() for module in modules):
        importlib.import_module(f".{module}", __package__)
    order = list(GROUPS)
    return dict(sorted(NETS.items(), key=lambda item: order.index(item[1].group)))


def images(height: int, width: int, channels: int = 3, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return images with large and small structure in 0 .. high, (N, height, width, channels) float32."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 1, (SAMPLES, -(-height // 8), -(-width // 8), channels))
    coarse = coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    fine = random.uniform(0, 1, (SAMPLES, height, width, channels))
    return ((0.7 * coarse + 0.3 * fine) * high).astype(np.float32)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normal numbers, (N, *shape) float32."""
    return np.random.default_rng(seed).normal(size=(SAMPLES, *shape)).astype(np.float32)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return evenly spread numbers, (N, *shape) float32."""
    return np.random.default_rng(seed).uniform(low, high, (SAMPLES, *shape)).astype(np.float32)


def integers(*shape: int, top: int, low: int = 0, seed: int = 0) -> np.ndarray:
    """Return integers in low .. top - 1, such as tokens, (N, *shape) int32."""
    return np.random.default_rng(seed).integers(low, top, (SAMPLES, *shape)).astype(np.int32)


def padded(length: int, top: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens that end in zeros and the mask of those that count, both (N, length) int32."""
    random = np.random.default_rng(seed)
    mask = (np.arange(length) < random.integers(length // 2, length + 1, (SAMPLES, 1))).astype(np.int32)
    return integers(length, top=top, low=1, seed=seed) * mask, mask


def randomize(model: keras.Model) -> None:
    """Give biases and batch norms values as training leaves them; a fresh net has zeros and ones."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(random.uniform(0.8, 1.2, weight.shape))
