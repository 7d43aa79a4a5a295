"""What a command line says of a teacher, as one record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from ..errors import BadInput
from ..training.distillation import SAME, Distillation
from . import inputs


class Teaching(TypedDict, total=False):
    """Options of `train`, `prune` and `qat` beside --teacher."""

    temperature: Annotated[
        float | None, "softens the answers of teacher and student, which are divided by it first; default: 4",
        inputs.above(0),
    ]  # fmt: skip
    alpha: Annotated[float | None, "share of the teacher's answers in the loss, in [0, 1]; default: 0.5", inputs.part]
    features: Annotated[
        list[str] | None,
        "layer whose features are learned too: a name, STUDENT=TEACHER for two names, or `same` for all of one name",
    ]
    unlabelled: Annotated[
        str | None, "data set or pkg.module:function of more samples, which only the teacher judges", inputs.data
    ]
    untold: Annotated[
        float | None,
        "weight by which outputs without targets are held to the teacher's, or on prune and qat without a teacher to "
        "what the model answered before; 0 lets them go; default: 1, of a teacher that is another model 0",
        inputs.at_least(0),
    ]


def teaching_of(teacher: str | None, told: Mapping[str, Any], *, begun: bool = True) -> Distillation | None:
    """Return what is told of the teacher, None where nothing is.  Raises: BadInput for options without a teacher.

    begun: the model has answered already, and holds its own outputs without targets where no other does.
    """
    given = dict(told)
    if teacher is None:
        if begun and set(given) == {"untold"}:
            return Distillation.read(given)
        if given:
            raise BadInput(f"--teacher is missing: --{next(iter(given))} says how one teaches; give a .keras file")
        return None
    if (features := given.get("features")) is not None:
        pairs = (name.partition("=") for name in features)
        given["features"] = SAME if features == [SAME] else {ours: theirs or ours for ours, _, theirs in pairs}
    return Distillation(teacher=teacher, **given)


def refuse_teacher(engine: str, teacher: str | None, told: Mapping[str, Any]) -> None:
    """Refuse a teacher where TensorFlow Model Optimization does the work."""
    given = {"teacher": teacher, **told}
    if engine == "tfmot" and (name := next((name for name, value in given.items() if value is not None), None)):
        raise BadInput(f"--{name} {given[name]}: engine tfmot heeds no teacher; leave one of the two out")
