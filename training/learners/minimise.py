"""Minimise a loss with `Model.fit`, and validate by the same loss.

What a learner does otherwise than its task says is a function `(model, dataset, task, config) -> FitOverrides`; the
decorator `minimiser` makes a learner of it, and `joiner` where several networks, or one behind what changes its
samples, are fitted as one model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...progress import say, track
from .. import augmentations
from ..config import TrainConfig
from ..data import Dataset
from ..distillation import Distillation
from ..optimizers import optimizer
from ..runner import predict_all
from ..state import Row, RunDir
from ..tasks import Objective
from .batches import Batches, in_turn
from .callbacks import BestCheckpoint, Pace, Plateaus
from .carrying import Streams, carrying
from .fitting import Fitting, Overrides, first_samples, resolved
from .register import LEARNERS, Learner, Networks, learner
from .taught import taught
from .teacher import schooled, shares
from .wrapped import Augmented

JUDGED_AT_ONCE = 256  # samples of a batch of validation data


def minimiser(name: str) -> Callable[[Overrides], Overrides]:
    """Register the learner `name` that minimises what the decorated function says."""

    def enter(overrides: Overrides) -> Overrides:
        enter_learner = learner(name, validate=partial(validate, overrides), best_epoch=best_epoch, teachable=True)
        enter_learner(partial(minimise, overrides))
        return overrides

    return enter


def joiner(
    name: str, overrides: Overrides, *, judged: Objective | None = None, **how: Any
) -> Callable[[Callable[..., dict[str, keras.Model]]], Learner]:
    """Register the learner `name` that minimises what `overrides` says of the model that the decorated function makes.

    It makes one model, by its name, of all networks: (networks, dataset, config), and options where it has some.
    judged: whose rule chooses the epoch, where that is not the task's. how: see `learner`.
    """

    def enter(join: Callable[..., dict[str, keras.Model]]) -> Learner:
        def fit(
            networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, **options: Any
        ) -> list[Row]:
            made = join(networks, dataset, config, **options)
            return minimise(overrides, made, dataset, judged or task, config, run)

        def validated(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, **options: Any) -> Row:
            made = join(networks, dataset, config, **options)
            return validate(overrides, made, dataset, judged or task, config)

        def best(history: Sequence[Row], dataset: Dataset, task: Any) -> int:
            return best_epoch(history, dataset, judged or task)

        learner(name, validate=validated, best_epoch=best, **how)(fit)
        return LEARNERS[name]

    return enter


def best_epoch(history: Sequence[Row], dataset: Dataset, task: Objective) -> int:
    """Return the epoch that the task's own rule chooses."""
    return task.best_epoch(history, len(dataset.validation))


def minimise(
    overrides: Overrides,
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    run: RunDir,
    *,
    teaching: Distillation | None = None,
) -> list[Row]:
    """Run `Model.fit` on one network so that it resumes exactly; keep the epoch that validates best.

    teaching: a teacher whose answers, and samples whose labels it alone knows, enter the training.
    """
    fitting = resolved(overrides, networks, dataset, task, config)
    weights = fitting.weights if fitting.weights is not None else fitting.weigh(dataset.train)
    changes = augmentations.layers(dataset, config)
    split, model = dataset.train, Augmented(fitting.network, changes) if changes else fitting.network
    if config.carry_states:
        _check_carrying(fitting, teaching)
        model = carrying(fitting.network, changes, config.batch_for(len(split)))
        fitting = replace(fitting, batches=Streams)
    if teaching is not None:
        weights, split = shares(weights, dataset.train, teaching), schooled(dataset, teaching).train
        model = taught(fitting, networks, dataset, task, config, teaching=teaching, changes=changes)
        if model.untold:
            whose = "the teacher's" if teaching.alpha or teaching.of_features else "what they answered before"
            say(f"{model.name}: outputs without targets are held to {whose}: {', '.join(model.untold)}")
        if (teaching.alpha or teaching.of_features) and fitting.told is None and model.fed_alike(dataset):
            _introduce(model.teacher, validate(overrides, {model.name: model.teacher}, dataset, task, config))
    batches = fitting.batches(split, fitting.targets(split), config, weights)
    epochs = config.epochs_for(len(batches))
    validation = (dataset.validation.x, fitting.targets(dataset.validation))
    if (weight := fitting.weigh(dataset.validation)) is not None:
        validation = (*validation, weight)
    unjudged = teaching is not None and teaching.unlabelled is not None  # no accuracy of what has no label
    _compile(model, fitting, batches, config, epochs, weighted=weight is not None or unjudged)
    keeper = BestCheckpoint(
        model,
        config,
        run,
        epochs=epochs,
        best=lambda history: best_epoch(history, dataset, task),
        judged=fitting.judged,
    )
    if keeper.next_epoch < epochs:
        with track(f"train {next(iter(networks))}", epochs * len(batches)) as advance, warnings.catch_warnings():
            if fitting.untold:  # what only these outputs need has no gradient, and that is meant
                warnings.filterwarnings("ignore", "Gradients do not exist")
            model.fit(
                batches.read(),
                validation_data=in_turn(validation, JUDGED_AT_ONCE),
                validation_batch_size=JUDGED_AT_ONCE,
                shuffle=False,  # Keras would shuffle the batches once more, by Python's global random state
                initial_epoch=keeper.next_epoch,
                epochs=epochs,
                verbose=0,  # pyright: ignore[reportArgumentType]
                callbacks=[
                    Pace(batches, advance, keeper.history),
                    Plateaus(config, batches.size, keeper.history),
                    keeper,
                ],
            )
    keeper.finish()
    return keeper.history


def _compile(
    model: keras.Model, fitting: Fitting, batches: Batches, config: TrainConfig, epochs: int, weighted: bool
) -> None:
    """Compile `model`, and let it make the variables of optimizer, loss and metrics now: they are part of its state."""
    model.compile(
        optimizer=fitting.optimizer()
        if fitting.optimizer
        else optimizer(config, epochs * len(batches), epoch=len(batches), batch=batches.size),
        loss=fitting.loss,
        loss_weights=fitting.loss_weights,
        # By classes weighted alike, or the epoch that is chosen would be one that forgets the rare ones.
        **{"weighted_metrics" if weighted else "metrics": fitting.metrics},
        jit_compile="auto" if config.jit_compile is None else config.jit_compile,  # pyright: ignore[reportArgumentType]
        steps_per_execution=min(config.steps_per_execution, len(batches)),
    )
    model.optimizer.build(model.trainable_variables)
    # Loss and metrics make theirs at the first use: made inside the first step, they would have it traced twice.
    x, targets, *weights = map(first_samples, batches.parts)
    weight = weights[0] if weights else None
    model.compute_loss(x, targets, fitting.answers, weight)
    model.compute_metrics(x, targets, fitting.answers, weight)
    model.reset_metrics()


def _check_carrying(fitting: Fitting, teaching: Distillation | None) -> None:
    """Refuse states carried across batches where batches are not of the samples alone, in their order."""
    if teaching is not None:
        raise BadInput("training setting carry_states is True: a teacher reads each window by itself; leave one of the "
                       "two out")  # fmt: skip
    if fitting.batches is not Batches:
        raise BadInput("training setting carry_states is True: this learner draws its own batches; leave it out")


def _introduce(teacher: keras.Model, row: Row) -> None:
    """Say how good a teacher is: no student is better for one that knows less than it."""
    say(f"teacher {teacher.name}: " + " ".join(f"{name} {value:.4f}" for name, value in row.items()))


def validate(overrides: Overrides, networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Row:
    """Return what an epoch's logs would say of the network as it is: loss and accuracy on validation data.

    Of several outputs the losses are summed by weight.
    """
    fitting, split = resolved(overrides, networks, dataset, task, config), dataset.validation
    losses = fitting.loss if isinstance(fitting.loss, Mapping) else {"": fitting.loss}
    answers = dict(zip(sorted(losses), predict_all(fitting.network, split.x), strict=True))
    targets, weights = _by_head(fitting.targets(split)), _by_head(fitting.weigh(split))
    share = fitting.loss_weights or {}
    row = {"val_loss": 0.0}
    for head, loss in losses.items():
        value: Any = keras.ops.convert_to_numpy(loss(targets[head], answers[head], sample_weight=weights.get(head)))
        row["val_loss"] += share.get(head, 1.0) * float(value)
    if task.scored:
        head = fitting.judged
        right = task.right(answers[head], targets[head], fitting.threshold)
        row["val_accuracy"] = float(np.average(right, weights=weights.get(head)))
    return row


def _by_head(arrays: Any) -> dict[str, Any]:
    return dict(arrays) if isinstance(arrays, Mapping) else {"": arrays}
