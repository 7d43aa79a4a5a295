"""A teacher beside the network that it teaches: what it says of the same samples, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import keras
import numpy as np

from ...errors import BadInput
from ...untyped import ops, tree
from ..answers import built, others, outputs_of, places_of
from ..data import Dataset, Output, Split
from ..distillation import Distillation
from ..losses import Divergence, logits_of
from ..runner import predict_all
from ..tasks import Objective
from ..tasks.objective import end_in_probabilities

LEAST_OF_FLOAT = 1e-7  # of a teacher's probabilities, which no quantizer rounds
LOOKED_AT = 128  # samples that tell how far an output varies
ROUNDED = 1 / (12 * 255**2)  # mean square of what 8 bits leave of the size of an output: nobody is asked for more


class Shares(NamedTuple):
    """Weights of samples: in the loss of their labels, and in that of the teacher's answers."""

    of_label: Any
    of_teacher: Any


def schooled(dataset: Dataset, teaching: Distillation | None) -> Dataset:
    """Return `dataset` as a student goes through it: behind the training samples those without a label.

    These have targets of zeros, which nobody heeds (see `shares`).
    """
    if teaching is None or teaching.unlabelled is None:
        return dataset
    train, more = dataset.train, teaching.unlabelled
    count = len(tree.flatten(more)[0])
    y = tree.map_structure(lambda y: np.concatenate([y, np.zeros((count, *y.shape[1:]), y.dtype)]), train.y)
    x = tree.map_structure(lambda *both: np.concatenate(both), train.x, more)
    return replace(dataset, train=Split(x=x, y=y))


def shares(weights: Any, train: Split, teaching: Distillation) -> Shares | None:
    """Return the weights of the samples of `schooled`, None where all count alike.

    weights: of the labelled ones, (N, ...) or a dict by output, or None. Those without a label count 1, for the
    teacher alone.
    """
    more = 0 if teaching.unlabelled is None else len(tree.flatten(teaching.unlabelled)[0])
    if weights is None:
        if not more:
            return None
        heads = train.y if isinstance(train.y, Mapping) else None
        plain = np.ones(len(train), np.float32)
        weights = plain if heads is None else dict.fromkeys(heads, plain)

    def behind(value: float) -> Any:
        return tree.map_structure(
            lambda own: np.concatenate([own, np.full((more, *own.shape[1:]), value, own.dtype)]), weights
        )

    return Shares(behind(0.0), behind(1.0))


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the answers of one output are. ending: "softmax" of classes, "sigmoid" of yes or no each, None for values.

    told, said: whether teacher and student answer probabilities, not logits.
    """

    ending: str | None
    told: bool = False
    said: bool = False

    def loss(self, temperature: float) -> keras.losses.Loss:
        """Return the loss that compares what `comparable` returns."""
        if self.ending is None:
            return keras.losses.MeanSquaredError()
        return Divergence(temperature, independent=self.ending == "sigmoid")

    def comparable(self, told: Any, said: Any) -> tuple[Any, Any]:
        """Return both answers as logits; probabilities are rounded alike, so that equal networks never differ."""
        independent = self.ending == "sigmoid"
        if self.said:
            probable = told if self.told else ops.sigmoid(told) if independent else ops.softmax(told)
            return logits_of(probable, independent), logits_of(said, independent)
        return logits_of(told, independent, LEAST_OF_FLOAT) if self.told else told, said


class Told(NamedTuple):
    """What a teacher answers by output of the student, those without targets apart."""

    answers: dict[str, Any]
    untold: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A network at inference that is fed as the student is. It is no part of the student: its weights are not saved.

    feed: the student's samples -> its own. places: output of the student -> place among the teacher's; a lone one "".
    told: brings answers to the student's form. forms: by output. untold: outputs of the student without targets that
    are learned -> place among the teacher's. sizes: of these, the variance over samples.
    """

    network: keras.Model
    feed: Callable[[Any], Any]
    places: Mapping[str, int]
    told: Callable[[Any], Any]
    forms: Mapping[str, Form]
    untold: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, inputs: Any) -> Told:
        """Return the answers, float32, through which no gradient flows."""
        answers = [fixed(values) for values in tree.flatten(self.network(self.feed(inputs), training=False))]
        return Told(
            {head: self.told(answers[place]) for head, place in self.places.items()},
            {name: answers[place] for name, place in self.untold.items()},
        )


def fixed(value: Any) -> Any:
    """Return a teacher's value as the loss takes it."""
    return ops.stop_gradient(ops.cast(value, "float32"))


def of(
    teaching: Distillation,
    taught: tuple[str, keras.Model],
    dataset: Dataset,
    task: Objective,
    *,
    answers: Any,
    told: Callable[[Any], Any] | None,
    untold: Mapping[str, int],
) -> Teacher:
    """Return the teacher of a network, which is given by name.

    answers: of the student to the first training samples, by output or alone. told: see `FitOverrides`. untold: its
    outputs without targets and their places.
    Raises: BadInput for a teacher that takes other samples or gives other answers, naming both shapes.
    """
    name, student = taught
    few = tree.map_structure(lambda array: array[:8], dataset.train.x)
    network = built(_network(teaching, name), few)
    feed = _feed(student, network)
    heads = answers if isinstance(answers, Mapping) else {"": answers}
    outputs = outputs_of(network)
    places = _places(list(heads), outputs, network.name, name)
    given = tree.flatten(network(feed(few), training=False))
    bring = told or (lambda answers: answers)
    own = outputs_of(student)
    ours = {"": 0} if list(heads) == [""] else places_of(list(heads), own, name)
    forms = {}
    for head, said in heads.items():
        values = bring(fixed(given[places[head]]))
        _check_alike(tuple(values.shape[1:]), tuple(said.shape[1:]), network.name, name, head)
        forms[head] = _form(
            (task.heads or {}).get(head, task), (outputs[places[head]], values), (own[ours[head]], said)
        )
    beside: dict[str, int] = {}
    if teaching.of_untold and untold:
        beside = _beside(untold, outputs, places)
        for head, place in beside.items():
            told_as, said_as = outputs[place].shape, own[untold[head]].shape
            if not _agree(told_as, said_as):  # what is open in one may be settled in the other
                _check_alike(told_as, said_as, network.name, name, head)
    return Teacher(network=network, feed=feed, places=places, told=bring, forms=forms, untold=beside,
                   sizes=_sizes(network, feed, dataset.train, beside))  # fmt: skip


def _beside(untold: Mapping[str, int], outputs: tuple[Output, ...], told: Mapping[str, int]) -> dict[str, int]:
    """Return the teacher's places of a student's outputs without targets, by name, or where none is known in order.

    Those that a teacher lacks are not among them.
    """
    left = others(outputs, told)
    alike = {name: left[name] for name in untold if name in left}
    return alike or dict(zip(untold, left.values(), strict=False))


def _sizes(
    network: keras.Model, feed: Callable[[Any], Any], train: Split, places: Mapping[str, int]
) -> dict[str, float]:
    """Return the variance of outputs over training samples, that of no output nothing."""
    if not places:
        return {}
    chosen = np.linspace(0, len(train) - 1, min(LOOKED_AT, len(train))).astype(int)
    answers = predict_all(network, feed(train.take(chosen).x))
    return {name: _variance(answers[place].astype(np.float64)) for name, place in places.items()}


def _variance(values: np.ndarray) -> float:
    """Return the mean over elements of their variance over samples.  Shapes: (N, ...)."""
    return float(values.var(axis=0).mean() + ROUNDED * (values**2).mean()) or 1.0


def _network(teaching: Distillation, name: str) -> keras.Model:
    teacher = teaching.teacher
    if isinstance(teacher, Mapping):
        if name not in teacher:
            raise BadInput(f"the teacher has no network {name!r}, only {', '.join(teacher)}; give one of the same kind")
        teacher = teacher[name]
    if not isinstance(teacher, keras.Model):
        raise BadInput(f"teacher is {teacher!r}: here it must be a keras.Model; edgewright.train reads files")
    return teacher


def _feed(student: keras.Model, teacher: keras.Model) -> Callable[[Any], Any]:
    """Return what brings the student's samples to the teacher: by name where inputs are called alike, else in order."""
    ours, theirs = ({symbol.name: tuple(symbol.shape[1:]) for symbol in model.inputs} for model in (student, teacher))
    alike = set(ours) == set(theirs)
    names = list(theirs) if alike else list(ours)
    shapes = [ours[name] for name in names]
    if len(ours) != len(theirs) or not all(map(_agree, shapes, theirs.values())):
        raise BadInput(
            f"teacher {teacher.name!r} takes samples of shape {_shown(theirs)}, student {student.name!r} of "
            f"{_shown(ours)}; give a teacher that was trained on the same samples"
        )
    form = None if isinstance(teacher, keras.Sequential) or len(theirs) == 1 else teacher.input

    def feed(x: Any) -> Any:
        arrays = [x[name] for name in names] if isinstance(x, Mapping) else tree.flatten(x)
        return arrays[0] if form is None else tree.pack_sequence_as(form, arrays)

    return feed


def _agree(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(a == b or None in (a, b) for a, b in zip(one, other, strict=True))


def _shown(shapes: Mapping[str, Any]) -> str:
    return str(next(iter(shapes.values()))) if len(shapes) == 1 else str(dict(shapes))


def _places(heads: list[str], outputs: tuple[Output, ...], teacher: str, student: str) -> dict[str, int]:
    if heads != [""]:
        return places_of(heads, outputs, teacher)
    if len(outputs) > 1:
        raise BadInput(
            f"teacher {teacher!r} has {len(outputs)} outputs: {', '.join(output.name for output in outputs)}; student "
            f"{student!r} is taught at one; cut the teacher down to it"
        )
    return {"": 0}


def _check_alike(told: tuple[Any, ...], said: tuple[Any, ...], teacher: str, student: str, head: str) -> None:
    if told != said:
        where = f" at output {head!r}" if head else ""
        raise BadInput(
            f"teacher {teacher!r} answers {told} a sample{where}, student {student!r} {said}; give a teacher of the "
            "same task"
        )


def _form(task: Objective, teacher: tuple[Output, Any], student: tuple[Output, Any]) -> Form:
    if not task.labelled and task.ending != "sigmoid":
        return Form(ending=None)
    told, said = (end_in_probabilities(task, output.ending, answers) for output, answers in (teacher, student))
    return Form(ending="softmax" if task.labelled else "sigmoid", told=told, said=said)
