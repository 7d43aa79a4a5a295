"""What a student is told of its teacher: a frozen, validated record. Imports no Keras, so that recipes can hold it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import BadInput, nearest

ITSELF = ("float", "self")  # the networks that pruning or QAT began with
HOLDING = {"untold": 1.0}  # what is said of a teacher that holds outputs without targets and says nothing else
SAME = "same"  # features of all layers that teacher and student have in common


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How a network learns from another's answers beside its targets, and from its inner ones.

    The loss of a sample is (1 - alpha) L(y, s) + alpha T^2 KL(t, s) + beta H + untold U, where L is the task's loss
    with its own targets, t and s are softmax(logits / T) of teacher and student. Of independent labels KL is that of
    each yes or no, of values the squared error between answers, without T. H is the mean squared error between what a
    student's layer gives, brought to the teacher's width by a matrix that is learned along, and what the teacher's
    gives, as a share of the mean square of the latter. U is that between outputs without targets, as a share of the
    variance of the teacher's over samples: what of them is not explained, a mean over such outputs.
    teacher: a .keras file; "float" (or "self"), what pruning or QAT began with; in memory a keras.Model, or of several
    networks a dict. temperature: T. alpha: share of the teacher's answers. features: student's layer -> teacher's, or
    names where both are called alike, or "same" for all such layers. beta: weight of H.
    unlabelled: more samples, which only the teacher judges: a data set's name or pkg.module:function; in memory an
    array, or a dict by input. untold: weight of U, None for 1 where "float" teaches and for 0 of another teacher, which
    may know no such outputs. Where no teacher is named, pruning and QAT have `read(HOLDING)`.
    Sources: Hinton 2015, arXiv:1503.02531; features: Romero 2014, arXiv:1412.6550.
    Raises: BadInput naming the field, its value and what is allowed.
    """

    teacher: Any
    temperature: float = 4.0
    alpha: float = 0.5
    features: Any = ()
    beta: float = 1.0
    unlabelled: Any = None
    untold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", _by_layer(self.features))
        if isinstance(self.teacher, os.PathLike):
            object.__setattr__(self, "teacher", os.fspath(self.teacher))
        _require(bool(self.teacher), "teacher", self.teacher, 'a .keras file, "float" or a model')
        _require(_number(self.temperature) and self.temperature > 0, "temperature", self.temperature,
                 "a number above 0: 1 leaves the answers as they are, 2 to 8 soften them")  # fmt: skip
        _require(_number(self.alpha) and 0 <= self.alpha <= 1, "alpha", self.alpha,
                 "a number in [0, 1]: the teacher's share of the loss")  # fmt: skip
        _require(_number(self.beta) and self.beta >= 0, "beta", self.beta, "a number from 0: the weight of features")
        _require(self.untold is None or (_number(self.untold) and self.untold >= 0), "untold", self.untold,
                 "a number from 0: the weight of outputs without targets")  # fmt: skip
        if self.untold is None and self.alpha == 0 and not self.of_features:
            raise BadInput("distillation setting alpha is 0 and no features are named: the teacher would say nothing")

    @classmethod
    def read(cls, values: str | Mapping[str, Any]) -> Distillation:
        """Make a record of plain values, as YAML holds them; a lone string is the teacher.

        untold alone: what the stage begins with teaches these outputs, and labels the others.  Raises: BadInput.
        """
        if isinstance(values, str):
            return cls(teacher=values)
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise BadInput(f"distillation has no setting {key!r}; {nearest(key, known)}")
        if set(values) == {"untold"}:
            return cls(teacher=ITSELF[0], alpha=0.0, **values)
        if "teacher" not in values:
            raise BadInput('distillation setting teacher is missing: give a .keras file, or "float"')
        return cls(**values)

    @property
    def itself(self) -> bool:
        """Tell whether the teacher is what the stage begins with."""
        return isinstance(self.teacher, str) and self.teacher in ITSELF

    @property
    def of_features(self) -> bool:
        """Tell whether inner layers are compared."""
        return bool(self.features and self.beta)

    @property
    def of_untold(self) -> float:
        """The weight of outputs without targets."""
        return float(self.itself) if self.untold is None else self.untold

    def plain(self) -> dict[str, Any]:
        """Return plain values for YAML, which `read` takes back.  Raises: BadInput for a teacher or data in memory."""
        for name in ("teacher", "unlabelled"):
            if not isinstance(getattr(self, name), str | None):
                raise BadInput(f"distillation setting {name} lies in memory; what is written down names a file or data")
        features = self.features if self.features == SAME else dict(self.features)
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"features": features}


def _by_layer(features: Any) -> Any:
    """Return features as student's layer -> teacher's; "same" stays."""
    if isinstance(features, Mapping) and all(isinstance(name, str) for pair in features.items() for name in pair):
        return dict(features)
    if features == SAME:
        return SAME
    if isinstance(features, Sequence) and not isinstance(features, str) and all(isinstance(n, str) for n in features):
        return {name: name for name in features}
    raise BadInput(
        f'distillation setting features is {features!r}; allowed is "same", names of layers, or student\'s layer -> '
        "teacher's"
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise BadInput(f"distillation setting {name} is {value!r}; allowed is {allowed}")
