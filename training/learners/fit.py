"""The learners of one loss."""

from __future__ import annotations

import keras

from ..config import TrainConfig
from ..data import Dataset
from ..losses import MultiClassHinge, PerceptronCriterion, SigmoidSquaredError
from ..tasks import Objective
from .fitting import FitOverrides
from .minimise import minimiser


@minimiser("fit")
def fit(model: keras.Model, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    """Minimise the task's loss; of several outputs the sum of their losses, each by its weight."""
    return FitOverrides()


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
