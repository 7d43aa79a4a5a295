"""A network as a teacher trains it: in training both see the same changed samples, and the loss compares them.

Keras' own `keras.distillation.Distiller` is not used: it passes over sample weights and the losses of regularizers,
gives the teacher samples as they were before any augmentation, judges epochs by the teacher too, runs the student twice
where features are compared, and leaves the teacher untrainable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras

from ...errors import BadInput, nearest
from ...keras_internals import layers_in, maker_of, own_trainable, recorded
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Dataset
from ..distillation import SAME, Distillation
from ..losses import HintError
from . import teacher as teachers
from .fitting import Fitting, first_samples
from .register import Networks
from .teacher import Shares, Teacher
from .wrapped import Augmented, with_share


class Lesson(NamedTuple):
    """What a step of training compares: answers of the student and, by output, of the teacher; pairs of features.

    untold: by output without targets, what teacher and student answer. share: of their own in samples that are mixed,
    None for all.
    """

    said: Any
    told: dict[str, Any]
    hints: list[tuple[Any, Any]]
    untold: dict[str, tuple[Any, Any]]
    share: Any = None


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A layer of the student and what it is to be like.

    shape: of the student's features, (N, ..., C). width: of the teacher's, None where it is the same.
    """

    student: keras.Layer
    teacher: keras.Layer
    shape: tuple[int, ...]
    width: int | None


class Taught(Augmented):
    """A model whose answers in training are compared with a teacher's, in the same compiled step.

    At inference it is the model. The teacher's weights are handed to the step, as those that do not change, but are
    not among `variables` and `weights`: a checkpoint has no need of them. shares: of several outputs.
    """

    def __init__(
        self,
        model: keras.Model,
        changes: Sequence[keras.layers.Layer],
        teacher: Teacher,
        teaching: Distillation,
        *,
        hints: Mapping[str, Hint],
        seed: int,
        shares: Mapping[str, float] | None,
    ):
        super().__init__(model, changes)
        self.supports_jit &= all(layer.supports_jit for layer in layers_in(teacher.network))
        self._teacher, self._teaching, self._share = teacher, teaching, shares or {}
        self._hints = _Untracked(hints)
        self._losses_of = {head: form.loss(teaching.temperature) for head, form in teacher.forms.items()}
        self.regressors = {
            name: _regressor(place, hint.width, seed)
            for place, (name, hint) in enumerate(hints.items())
            if hint.width is not None
        }

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of the model, and the teacher's: JAX takes for a constant what is not handed to the step."""
        return [*super().non_trainable_variables, *self._teacher.network.variables]

    @property
    def teacher(self) -> keras.Model:
        """The network that teaches."""
        return self._teacher.network

    @property
    def untold(self) -> tuple[str, ...]:
        """The outputs without targets that are learned."""
        return tuple(self._teacher.untold)

    def fed_alike(self, dataset: Dataset) -> bool:
        """Tell whether the teacher takes the samples as they are: a lone input, or inputs of the same names."""
        x = dataset.train.x
        return not isinstance(x, Mapping) or {symbol.name for symbol in self.teacher.inputs} == set(x)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network; in training, a `Lesson`."""
        if not training:
            return self.network(inputs, training=training)
        hints = self._hints.value
        inputs, share, back = self.changed(inputs)
        with recorded({name: hint.student for name, hint in hints.items()}) as shown:
            said, beside = self._answers(inputs)
        with recorded({name: hint.teacher for name, hint in hints.items()}) as ideal:
            told = self._teacher(inputs)
        pairs = [(teachers.fixed(ideal[name]), self._brought(name, shown[name])) for name in hints]
        untold = {name: (value, ops.cast(beside[name], "float32")) for name, value in told.untold.items()}
        return Lesson(back(said), tree.map_structure(back, told.answers), pairs, untold, share)

    def _answers(self, inputs: Any) -> tuple[Any, Mapping[str, Any]]:
        """Return what the student answers in training, and by name the outputs without targets that are learned."""
        if not self._teacher.untold:
            return self.network(inputs, training=True), {}
        return self.network.apart(inputs, training=True)

    def _brought(self, name: str, features: Any) -> Any:
        features = ops.cast(features, "float32")
        return self.regressors[name](features) if name in self.regressors else features

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the task's own loss; of a `Lesson` its share, and those of the teacher's answers and features."""
        labels, weights = _of_shares(sample_weight)
        if not isinstance(y_pred, Lesson):
            return super().compute_loss(x, y, y_pred, labels, training)
        own = 1 - self._teaching.alpha  # as a weight of samples: regularizers keep theirs
        labels = ops.convert_to_tensor(own) if labels is None else tree.map_structure(lambda each: own * each, labels)
        loss: Any = super().compute_loss(x, y, with_share(y_pred.said, y_pred.share), labels, training)
        if self._teaching.alpha:
            loss += self._teaching.alpha * self._of_answers(y_pred, weights)
        for ideal, shown in y_pred.hints:
            error: Any = HintError()(ideal, shown)
            loss += self._teaching.beta / len(y_pred.hints) * error
        for name, (ideal, shown) in y_pred.untold.items():
            unexplained: Any = HintError(self._teacher.sizes[name])(ideal, shown)
            loss += self._teaching.of_untold / len(y_pred.untold) * unexplained
        return loss

    def _of_answers(self, lesson: Lesson, weights: Any) -> Any:
        said: Any = lesson.said if isinstance(lesson.said, Mapping) else {"": lesson.said}
        total: Any = 0.0
        for head, form in self._teacher.forms.items():
            told, ours = form.comparable(lesson.told[head], ops.cast(said[head], "float32"))
            weight = weights[head] if isinstance(weights, Mapping) else weights
            apart: Any = self._losses_of[head](told, ours, weight)
            total += self._share.get(head, 1.0) * apart
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Compare the student's answers with its targets."""
        said = y_pred.said if isinstance(y_pred, Lesson) else y_pred
        return super().compute_metrics(x, y, said, _of_shares(sample_weight)[0])


def _regressor(place: int, width: int, seed: int) -> keras.layers.Dense:
    start: Any = keras.initializers.GlorotUniform(seed + place)
    return keras.layers.Dense(width, use_bias=False, name=f"regressor_{place}", kernel_initializer=start)


@dataclass(frozen=True)
class _Untracked:
    """Holds what Keras must not take for a part of the model: layers of the teacher."""

    value: Any


def _of_shares(weights: Any) -> tuple[Any, Any]:
    """Return the weights of labels and of the teacher's answers; a backend may have made a plain tuple of `Shares`."""
    return Shares(*weights) if isinstance(weights, tuple) else Shares(weights, weights)


def taught(
    fitting: Fitting,
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    *,
    teaching: Distillation,
    changes: Sequence[keras.layers.Layer],
) -> Taught:
    """Return the network of `fitting` with its teacher.

    Raises: BadInput for a teacher, or layers, that cannot be compared with the student.
    """
    ((name, student),) = networks.items()
    teacher = teachers.of(teaching, (name, student), dataset, task, answers=fitting.answers, told=fitting.told,
                          untold=fitting.untold)  # fmt: skip
    hints = _hints(teaching, student, teacher, first_samples(dataset.train.x))
    model = Taught(
        fitting.network, changes, teacher, teaching, hints=hints, seed=config.seed, shares=fitting.loss_weights
    )
    for key, regressor in model.regressors.items():
        regressor.build(hints[key].shape)
    return model


def _hints(teaching: Distillation, student: keras.Model, teacher: Teacher, few: Any) -> dict[str, Hint]:
    """Return the pairs of layers by the student's name.  Raises: BadInput naming what cannot be compared."""
    if not teaching.features:
        return {}
    if any(getattr(layer, "is_quantization_aware", False) for layer in layers_in(student)):
        raise BadInput(
            f"features: {student.name!r} is quantization-aware, its layers have become operators; leave features out, "
            "the teacher's answers do"
        )
    ours, theirs = _by_name(student), _by_name(teacher.network)
    pairs = _shared(student, ours, theirs) if teaching.features == SAME else dict(teaching.features)
    for name, known, whose in [
        *((name, ours, f"student {student.name!r}") for name in pairs),
        *((name, theirs, f"teacher {teacher.network.name!r}") for name in pairs.values()),
    ]:
        if name not in known:
            raise BadInput(f"features: {whose} has no layer {name!r}; {nearest(name, known)}")
    with recorded({name: ours[name] for name in pairs}) as shown:
        student(few, training=False)
    with recorded({name: theirs[other] for name, other in pairs.items()}) as ideal:
        teacher(few)
    return {name: _hint(name, ours[name], theirs[other], shown, ideal) for name, other in pairs.items()}


def _by_name(model: keras.Model) -> dict[str, keras.Layer]:
    return {layer.name: layer for layer in layers_in(model, itself=False)}


def _shared(student: keras.Model, ours: Mapping[str, keras.Layer], theirs: Mapping[str, keras.Layer]) -> dict[str, str]:
    """Return the layers of one name that multiply by a kernel, but for those that give the answers."""
    last = {node.operation.name for output in student.outputs if (node := maker_of(output)) is not None}
    names = [name for name, layer in ours.items() if name in theirs and name not in last and _has_kernel(layer)]
    if not names:
        raise BadInput(f'features "same": {student.name!r} and its teacher have no layer of one name; give pairs')
    return {name: name for name in names}


def _has_kernel(layer: keras.Layer) -> bool:
    return any(len(weight.shape) > 1 for weight in own_trainable(layer))


def _hint(
    name: str, student: keras.Layer, teacher: keras.Layer, shown: Mapping[str, Any], ideal: Mapping[str, Any]
) -> Hint:
    for layer, seen in ((student, shown), (teacher, ideal)):
        if len(tree.flatten(seen.get(name))) != 1 or tree.is_nested(seen.get(name)):
            raise BadInput(f"features: layer {layer.name!r} gives no one tensor of features; name another layer")
    (ours, theirs) = (tuple(seen[name].shape) for seen in (shown, ideal))
    if ours[:-1] != theirs[:-1]:
        raise BadInput(
            f"features: layer {name!r} gives {ours[1:]} a sample, the teacher's {teacher.name!r} {theirs[1:]}; only "
            "the last axis may differ"
        )
    return Hint(student=student, teacher=teacher, shape=ours, width=None if ours == theirs else theirs[-1])
