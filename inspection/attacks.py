"""What a network can be made to say: pictures changed a little against it, and pictures made for it."""

from __future__ import annotations

import numpy as np

from .net import Net
from .scores import log_probability, of_class

STEPS, RATE = 40, 0.02  # of a targeted attack
FAR = 0.3  # how far it may change a pixel of [0, 1]


def fgsm(net: Net, x: np.ndarray, y: np.ndarray, epsilon: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Return samples changed by epsilon a pixel, in the direction in which the loss of their class grows.

    low, high: what a pixel may be.  Source: Goodfellow 2015, arXiv:1412.6572, section 4.
    """
    slopes, _ = net.slopes(x, log_probability(y))
    return np.clip(x - np.float32(epsilon) * np.sign(slopes), low, high)


def targeted(
    net: Net, x: np.ndarray, classes: np.ndarray, *, far: float = FAR, steps: int = STEPS, rate: float = RATE,
    low: float = 0.0, high: float = 1.0
) -> np.ndarray:  # fmt: skip
    """Return samples that climb to a chosen class of each by steps of `rate`, no pixel further than `far` from where it
    was.

    Source: Kurakin 2017, arXiv:1607.02533, section 2.2, towards a chosen class.
    """
    moved = x
    for _ in range(steps):
        slopes, _ = net.slopes(moved, log_probability(classes))
        moved = np.clip(moved + np.float32(rate) * np.sign(slopes), x - far, x + far)
        moved = np.clip(moved, low, high)
    return moved


def maximised(
    net: Net, classes: np.ndarray, shape: tuple[int, ...], *, steps: int = 100, rate: float = 0.5, decay: float = 0.01,
    blur_every: int = 4, small: float = 0.02, seed: int = 0
) -> np.ndarray:  # fmt: skip
    """Return pictures that make the logit of a class of each large, climbed to from noise.

    I += rate d(score - decay |I|^2) / dI, the gradient being brought to a length of 1; every few steps the picture is
    blurred, and of its values those near its mean are cleared.  Shapes: (N,), (H, W, C) -> (N, H, W, C) in [0, 1].
    Sources: Simonyan 2014, arXiv:1312.6034, section 2; Yosinski 2015, arXiv:1506.06579, section 3.
    """
    from scipy.ndimage import gaussian_filter

    picture = np.random.default_rng(seed).normal(0.5, 0.1, (len(classes), *shape)).astype(np.float32)
    for step in range(steps):
        slopes, _ = net.slopes(picture, of_class(classes))
        slopes -= 2 * decay * picture
        length = np.sqrt((slopes**2).sum((1, 2, 3), keepdims=True))
        picture += np.float32(rate) * slopes / np.maximum(length, 1e-12)
        if blur_every and step % blur_every == blur_every - 1 and step < steps - 1:
            picture = gaussian_filter(picture, (0, 0.5, 0.5, 0))
            away = picture - picture.mean((1, 2, 3), keepdims=True)
            picture = np.where(np.abs(away) < small, picture - away, picture)
        picture = np.clip(picture, 0, 1)
    return picture
