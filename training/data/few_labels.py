"""Image sets of which a hundred training images have a label, and the others may be learned from without."""

from dataclasses import replace

import numpy as np

from . import images
from .dataset import Dataset
from .sets import Asked, dataset, source

OF_CLASS = 10  # labels
TASKS = ("classification",)


@dataset(input_shape=(8, 8, 1), tasks=TASKS)
def digits_few_labels(asked: Asked) -> Dataset:
    """Return scikit-learn's digits with ten labels a class."""
    return few_labels(images.digits(asked), "digits_few_labels")


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=lambda: source("mnist").here())
def mnist_few_labels(asked: Asked) -> Dataset:
    """Return MNIST with ten labels a class."""
    return few_labels(images.mnist(asked), "mnist_few_labels")


def few_labels(whole: Dataset, name: str) -> Dataset:
    """Return a data set in which only the first images of each class have their label; the others are `unlabelled`."""
    labels = np.asarray(whole.train.y)
    kept = np.sort(np.concatenate([np.flatnonzero(labels == label)[:OF_CLASS] for label in np.unique(labels)]))
    words = f"{whole.preprocessing}; {OF_CLASS} labels a class"
    return replace(whole, name=name, train=whole.train.take(kept), unlabelled=whole.train.x, preprocessing=words)
