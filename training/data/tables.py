"""Tables that ship inside scikit-learn: some hundred rows of measurements, for linear models."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import BadInput
from .dataset import Dataset, Split, divide
from .sets import Asked, dataset


@dataset(input_shape=(30,), tasks=("classification",), floor=0.92)
def breast_cancer(asked: Asked) -> Dataset:
    """Return 569 tumours by 30 features of their cell nuclei, malignant (0) or benign (1) (Street 1993)."""
    from sklearn.datasets import load_breast_cancer

    return _table("breast_cancer", load_breast_cancer, asked)


@dataset(input_shape=(4,), tasks=("classification",))
def iris(asked: Asked) -> Dataset:
    """Return 150 flowers of three species by four lengths (Fisher 1936)."""
    from sklearn.datasets import load_iris

    return _table("iris", load_iris, asked)


@dataset(input_shape=(4,), tasks=("classification",), floor=0.95)
def setosa(asked: Asked) -> Dataset:
    """Return the flowers of `iris`, setosa (1) or not (0): a plane separates the two."""
    from sklearn.datasets import load_iris

    def load(return_X_y: bool) -> Any:
        x, species = load_iris(return_X_y=return_X_y)
        return x, (species == 0).astype(int)

    return _table("setosa", load, asked)


@dataset(input_shape=(10,), tasks=("regression",), floor=0.35)
def diabetes(asked: Asked) -> Dataset:
    """Return 442 patients by ten measurements, and how far their disease went in a year (Efron 2004)."""
    from sklearn.datasets import load_diabetes

    return _table("diabetes", load_diabetes, asked)


def _table(name: str, load: Callable[..., Any], asked: Asked) -> Dataset:
    """Split off a fifth to test and a tenth to validate; scale by mean and deviation of the training part."""
    import sklearn

    x, y = load(return_X_y=True)
    if asked.input_shape != x.shape[1:] or asked.dtype != "float32":
        raise BadInput(f"data set {name!r} has {x.shape[1]} features; it cannot be shown as {asked.input_shape}")
    classifies = asked.task == "classification"
    strata = y if classifies else np.zeros(len(y))
    rest, test = divide(strata, 0.2)
    train, validation = (rest[part] for part in divide(strata[rest], 0.125))
    x = _standardised(x, train)
    y = y.astype(np.int32) if classifies else _standardised(y[:, None], train)
    parts = {"train": train, "validation": validation, "test": test}
    splits = {part: Split(x=x[rows], y=y[rows]) for part, rows in parts.items()}
    return Dataset(
        name=name,
        task=asked.task,
        classes=len(np.unique(y)) if classifies else 0,
        preprocessing="each feature by mean and deviation of the training part"
        + ("" if classifies else "; target likewise"),
        source=(f"scikit-learn {sklearn.__version__}",),
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
    )


def _standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    return ((values - values[train].mean(0)) / values[train].std(0)).astype(np.float32)
