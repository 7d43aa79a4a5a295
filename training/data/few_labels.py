"""Image sets of which a hundred or forty training images have a label, and the others may be learned from without."""

from dataclasses import replace

import numpy as np

from . import images
from .dataset import Dataset
from .sets import Asked, dataset, source

OF_CLASS, FOUR = 10, 4  # labels
TASKS = ("classification",)


@dataset(input_shape=(8, 8, 1), tasks=TASKS)
def digits_few_labels(asked: Asked) -> Dataset:
    """Return scikit-learn's digits with ten labels a class."""
    return few_labels(images.digits(asked), "digits_few_labels")


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=lambda: source("mnist").here())
def mnist_few_labels(asked: Asked) -> Dataset:
    """Return MNIST with ten labels a class."""
    return few_labels(images.mnist(asked), "mnist_few_labels")


@dataset(input_shape=(8, 8, 1), tasks=TASKS, floor=0.5)
def digits_40_labels(asked: Asked) -> Dataset:
    """Return scikit-learn's digits with four labels a class."""
    return few_labels(images.digits(asked), "digits_40_labels", FOUR)


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=lambda: source("mnist").here())
def mnist_40_labels(asked: Asked) -> Dataset:
    """Return MNIST with four labels a class."""
    return few_labels(images.mnist(asked), "mnist_40_labels", FOUR)


def few_labels(whole: Dataset, name: str, each: int = OF_CLASS) -> Dataset:
    """Return a data set in which the first `each` images of a class have their label; the others are `unlabelled`."""
    labels = np.asarray(whole.train.y)
    kept = np.sort(np.concatenate([np.flatnonzero(labels == label)[:each] for label in np.unique(labels)]))
    words = f"{whole.preprocessing}; {each} labels a class"
    return replace(whole, name=name, train=whole.train.take(kept), unlabelled=whole.train.x, preprocessing=words)
