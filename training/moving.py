"""Images moved at random whose targets are told pixel by pixel: the answers are moved back, the targets stay."""

from __future__ import annotations

from typing import Any

import keras

from ..untyped import ops


class Moving(keras.layers.Layer):
    """Moves each image, and what is answered to it back.  Returns the images and how each was moved."""

    def call(self, inputs: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Move.  Shapes: (N, H, W, C) -> the same, and (N, ...)."""
        raise NotImplementedError

    def back(self, answers: Any, moves: Any) -> Any:
        """Return answers (N, H, W, ...) to moved images as answers to those that were given."""
        raise NotImplementedError


class Turned(Moving):
    """Shows each image in one of the eight ways that a square can lie, or the four that a rectangle can.

    Source: Ronneberger 2015, arXiv:1505.04597, section 3.1, which deforms images besides.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Mirror left to right, then top to bottom, then at the diagonal, each with the chance of one half."""
        moves = keras.random.uniform((ops.shape(inputs)[0], 3), seed=self.seed) < 0.5
        for move in range(3):
            inputs = _chosen(inputs, moves, move)
        return inputs, moves

    def back(self, answers: Any, moves: Any) -> Any:
        """Undo them in the other order: each is its own inverse."""
        for move in reversed(range(3)):
            answers = _chosen(answers, moves, move)
        return answers


def _chosen(images: Any, moves: Any, move: int) -> Any:
    """Return images (N, H, W, C), those that make this move moved."""
    if move == 2 and images.shape[1] != images.shape[2]:
        return images
    moved = ops.transpose(images, (0, 2, 1, 3)) if move == 2 else ops.flip(images, axis=2 - move)
    return ops.where(ops.reshape(moves[:, move], (-1, 1, 1, 1)), moved, images)
