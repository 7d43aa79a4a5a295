"""Supervised tasks: one network answers each sample, and its answers are compared with targets.

A task of several outputs is composed of one row each: its name is theirs, joined by "+".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import places_of
from ..data import Dataset, Output, Shown, Split, calibration
from ..data.targets import Head
from ..losses import OfFunction, SmoothedCrossentropy, asked_crossentropy, of_tokens, squared_error
from ..presented import by_name, prepared
from .objective import Objective
from .register import Bound, Networks, enter
from .stepping import Stepped

SHOWN = 8  # pictures in a report


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model judged on a split: the metric's value, its scores (N, k) per sample, the outputs (N, ...).

    figures: by output (a lone one: ""), what the metric does not tell: precision, recall and F1 by class, AUC
    (see `metrics.figures`), and the metric by group where samples are of any. all_outputs: of a model with several, by
    name; `outputs` is the first. units: (N,) of which unit each row of the scores is, None where each is its own.
    """

    metric_name: str
    value: float
    scores: np.ndarray
    outputs: np.ndarray
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    all_outputs: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    units: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Supervised(Objective):
    """One row of the table, or several composed.

    metric_name: of the metric that judges the model, trained, compressed or on a device. flagged: targets of the test
    split hold the sample and, behind it, whether it is anomalous; those of the others hold no such samples.
    """

    metric_name: str
    flagged: bool = False

    @property
    def metric(self) -> Metric:
        """The metric of that name."""
        return metrics.get(self.metric_name)

    def present(self, data: Any, networks: Networks, **asked: Any) -> Dataset:
        """Load `data` as the inputs of the first network take it; those with states are steps of it."""
        (name, network), *others = networks.items()
        dataset = prepared(network, data, network=name, task=self.name, **asked)[1]
        stepped = {other: Stepped.of(model) for other, model in others}
        steps = {other: step.read[0] for other, step in stepped.items() if step.states and step.read}
        return replace(dataset, shown=replace(shown(dataset), steps=steps))

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the inputs of n training samples; of a step network the first of them, by time (n, T, 1, ...)."""
        known = shown(dataset)
        given = by_name(known, calibration(dataset, n, seed))
        if network not in known.steps:
            return given
        return {known.steps[network]: given[known.inputs[0].name][:, :, None]}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the answers to the test split."""
        judged = self.evaluation(run, dataset, dataset.test)
        return Scores.by_row(judged.scores) if judged.units is None else Scores(judged.scores, judged.units)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)

    def evaluation(self, run: Runner, dataset: Dataset, split: Split) -> Evaluation:
        """Judge the network that the data are presented to on one of its splits."""
        network = shown(dataset)
        answers = run(network.network, by_name(network, split.x))
        names = [output.name for output in network.outputs]
        ordered = [answers[name] for name in names] if set(names) <= answers.keys() else list(answers.values())
        return self.judged(ordered, split, network.outputs, network.network)

    def judged(self, answers: Sequence[np.ndarray], split: Split, outputs: Sequence[Output], name: str) -> Evaluation:
        """Judge what the model `name` answers at each of its `outputs` to the samples of `split`.

        Raises: BadInput if an anomaly detector is judged on a split without labels (training and validation hold normal
        samples only).
        """
        metric = self.metric
        targets = split.y if isinstance(split.y, Mapping) else {"": split.y}
        places = {"": 0} if list(targets) == [""] else places_of(list(targets), outputs, name)
        if self.flagged and split.y[0].size != answers[0][0].size + 1:
            raise BadInput(
                "this split has no anomaly labels behind its samples; judge an anomaly detector on the test split"
            )
        given, figures = [], {}
        for own, (head, truth) in zip(metric.each, targets.items(), strict=True):
            ending, values = outputs[places[head]].ending, answers[places[head]]
            probable = metrics.are_probabilities(values) if ending is None else ending == "sigmoid"
            given.append(metrics.centred(own, values, probable))
            figures[head] = metrics.figures(own, given[-1], truth)
        scores = (
            metric.scores(given, list(targets.values()))
            if metric.heads
            else metric.scores(given[0], next(iter(targets.values())))
        )
        if split.group is not None and len(scores) == len(split.group):
            for own, head, columns in zip(metric.each, targets, metric.columns, strict=True):
                figures[head]["groups"] = metrics.by_group(own, scores[:, columns], split.group)
        return Evaluation(
            metric_name=metric.name,
            value=metric.reduce(scores),
            scores=scores,
            outputs=answers[0],
            figures=figures,
            all_outputs={output.name: values for output, values in zip(outputs, answers, strict=True)},
            units=split.group if metric.grouped else None,
        )


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Supervised):
    """Samples said again by one network."""

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, and the same said again."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        (made,) = run(shown(dataset).network, by_name(shown(dataset), x)).values()
        return {"samples": x, "reconstructions": np.asarray(made).reshape(x.shape)}


def shown(dataset: Dataset) -> Shown:
    """Return the network that the data are presented to.  Raises: BadInput if they were loaded for none."""
    if dataset.shown is None:
        raise BadInput(f"data {dataset.name!r} is presented to no network yet: task.present(data, networks) does it")
    return dataset.shown


def _yes_or_no(smoothing: float) -> keras.losses.Loss:
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)


def _sides(threshold: float) -> list[Any]:
    return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=threshold)]


def _classes(threshold: float) -> list[Any]:
    return ["accuracy"]


for row in (
    Supervised(name="classification", loss=SmoothedCrossentropy, logs=_classes, metric_name="accuracy", labelled=True,
               ending="softmax"),
    Supervised(name="binary_classification", loss=_yes_or_no, logs=_sides, metric_name="binary_accuracy",
               ending="sigmoid", width=1),
    Supervised(name="multilabel", loss=_yes_or_no, logs=_sides, metric_name="label_accuracy", ending="sigmoid"),
    Supervised(name="recall", loss=asked_crossentropy, metric_name="bits", ending="sigmoid"),
    Supervised(name="next_token", loss=of_tokens, metric_name="perplexity", labelled=True),
    Supervised(name="regression", loss=squared_error, metric_name="explained_variance"),
    Reconstruction(name="reconstruction", loss=squared_error, metric_name="explained_variance"),
    Supervised(name="anomaly_detection", loss=squared_error, metric_name="auc", flagged=True),
):  # fmt: skip
    enter(row)


def composed(rows: Sequence[Supervised]) -> Supervised:
    """Return the task of several outputs, one row each."""
    heads = {str(place): row for place, row in enumerate(rows)}
    names, judges = "+".join(row.name for row in rows), "+".join(row.metric_name for row in rows)
    return Supervised(name=names, loss=squared_error, metric_name=judges, heads=heads)


def with_own_loss(task: Any, head: Head) -> Supervised:
    """Return the task of one of several outputs with the loss that was asked for it."""
    if head.loss is None:
        return task
    try:
        keras.losses.get(head.loss)
    except ValueError as error:
        raise BadInput(f"loss {head.loss!r} of a head: Keras has no such loss; give one by name, as 'mae'") from error
    return replace(task, loss=lambda smoothing: OfFunction(str(head.loss)), ending=None)
