"""Pairs of images: the edges in an image, and the image."""

from dataclasses import replace

import numpy as np

from . import images
from .dataset import Dataset, Split
from .sets import Asked, dataset, source

TASKS = ("image_translation",)
STEEP = 0.15  # slope of an edge, in grey levels of [0, 1] a pixel


@dataset(input_shape=(16, 16, 1), tasks=TASKS)
def digits_edges(asked: Asked) -> Dataset:
    """Return scikit-learn's digits and their edges."""
    return with_edges(images.digits(_plain(asked)), "digits_edges")


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=lambda: source("fashion_mnist").here())
def fashion_mnist_edges(asked: Asked) -> Dataset:
    """Return the images of Fashion-MNIST and their edges."""
    return with_edges(images.fashion_mnist(_plain(asked)), "fashion_mnist_edges")


def _plain(asked: Asked) -> Asked:
    return replace(asked, task="reconstruction")


def with_edges(whole: Dataset, name: str) -> Dataset:
    """Return pairs: x the edges of an image, y the image."""
    splits = {part: Split(x=edges(np.asarray(split.x)), y=split.x) for part, split in whole.splits.items()}
    words = f"{whole.preprocessing}; slopes from {STEEP} a pixel are edges"
    return replace(whole, name=name, task=TASKS[0], preprocessing=words, **splits)


def edges(x: np.ndarray) -> np.ndarray:
    """Return 1 where an image is as steep as an edge, else 0; slopes are central differences.

    Shapes: (N, H, W, C) -> the same, float32.
    """
    wide = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    rows = (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) / 2
    columns = (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) / 2
    return (np.hypot(rows, columns) >= STEEP).astype(np.float32)
