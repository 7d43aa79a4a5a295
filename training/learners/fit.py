"""The learners of one loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from ..config import TrainConfig
from ..data import Dataset
from ..losses import MultiClassHinge, PerceptronCriterion, SigmoidSquaredError
from ..tasks import Objective
from .fitting import FitOverrides
from .minimise import best_epoch, minimiser, validate
from .register import learner


@minimiser("fit")
def fit(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Minimise the task's loss; of several outputs the sum of their losses, each by its weight."""
    return FitOverrides()


def around_fit(name: str, **more: Any) -> Callable[[Any], Any]:
    """Register a learner that does something before or around `fit`, and is judged as it is; more: see `learner`."""
    return learner(name, validate=partial(validate, fit), best_epoch=best_epoch, teachable=True, **more)


@minimiser("perceptron")
def perceptron(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Apply the perceptron rule at a constant rate: Rosenblatt's with batches of one sample, else summed over them."""
    return FitOverrides(loss=PerceptronCriterion(), optimizer=lambda: keras.optimizers.SGD(config.learning_rate))


@minimiser("hinge")
def hinge(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Minimise the multi-class hinge loss of margin 1."""
    return FitOverrides(loss=MultiClassHinge())


@minimiser("squared_sigmoid")
def squared_sigmoid(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Minimise the squared error of a sigmoid unit: the sigmoid perceptron."""
    return FitOverrides(loss=SigmoidSquaredError())
