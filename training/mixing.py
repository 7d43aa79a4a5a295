"""Samples mixed with others of their batch, whose labels count by their share.

The loss of a mixed sample is that of its own label and that of the other's, weighted by their shares: of cross-entropy
the same as that of the mixed label, and there for every loss, whatever form its targets have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from ..untyped import ops, tree


class Mixed(NamedTuple):
    """What a network answers to mixed samples, and the share (N,) that each one's own label has."""

    said: Any
    share: Any


class Mixing(keras.layers.Layer):
    """Mixes each sample with the one before it in the batch, whose order is drawn anew in each epoch.

    alpha: own shares are drawn from Beta(alpha, alpha), one a sample. Returns the samples and their shares.
    """

    def __init__(self, alpha: float, seed: int):
        super().__init__()
        self.alpha, self.seed = alpha, keras.random.SeedGenerator(seed)
        self.supports_jit = False  # on TensorFlow, whose kernel of the gamma distribution XLA lacks

    def call(self, inputs: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Mix.  Shapes: (N, ...) -> (N, ...), (N,)."""
        share = keras.random.beta((ops.shape(inputs)[0],), self.alpha, self.alpha, seed=self.seed)
        return self.mixed(inputs, rolled(inputs), share)

    def mixed(self, own: Any, other: Any, share: Any) -> tuple[Any, Any]:
        """Return samples of both kinds, about `share` of each the own, and what share it is."""
        raise NotImplementedError


class MixUp(Mixing):
    """m a + (1 - m) b.  Source: Zhang 2018, arXiv:1710.09412."""

    def mixed(self, own: Any, other: Any, share: Any) -> tuple[Any, Any]:
        """Return weighted means."""
        by_sample = ops.reshape(share, (-1, *[1] * (len(own.shape) - 1)))
        return by_sample * own + (1 - by_sample) * other, share


class CutMix(Mixing):
    """A patch of b in a, of the form of a: about 1 - m of its area, anywhere inside.

    Of whole pixels: the share is that of those which are left.  Source: Yun 2019, arXiv:1905.04899.
    """

    def mixed(self, own: Any, other: Any, share: Any) -> tuple[Any, Any]:
        """Return images (N, H, W, C) with patches."""
        side, inside, left = ops.sqrt(1 - share), True, 1.0
        for axis in (1, 2):
            size = own.shape[axis]
            length = ops.round(side * size)
            free = size - length + 1
            start = ops.floor(keras.random.uniform(ops.shape(share), seed=self.seed) * free)
            place = ops.arange(size, dtype="float32")[None]  # (1, size) against (N, 1)
            within = (place >= start[:, None]) & (place < (start + length)[:, None])
            inside = inside & (within[:, :, None, None] if axis == 1 else within[:, None, :, None])
            left = left * length / size
        return ops.where(inside, other, own), 1 - left


def rolled(values: Any) -> Any:
    """Return what the sample before has, of the first that of the last."""
    return ops.roll(values, 1, axis=0)


def judged_twice(targets: Any, answers: Mixed, weights: Any) -> tuple[Any, Any, Any]:
    """Return targets, answers and weights of twice as many samples: by the own label, and by the other's.

    Weights are doubled, for a loss is a mean over all of them.
    """

    def weighed(weight: Any) -> Any:
        weight = ops.cast(weight, "float32") * ops.ones_like(answers.share)
        return 2 * ops.concatenate([weight * answers.share, rolled(weight) * (1 - answers.share)])

    both = tree.map_structure(lambda values: ops.concatenate([values, rolled(values)]), targets)
    said = tree.map_structure(lambda values: ops.concatenate([values, values]), answers.said)
    if isinstance(weights, Mapping):
        return both, said, {head: weighed(weight) for head, weight in weights.items()}
    return both, said, weighed(1.0 if weights is None else weights)
