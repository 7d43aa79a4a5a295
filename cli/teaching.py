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


def teaching_of(teacher: str | None, told: Mapping[str, Any]) -> Distillation | None:
    """Return what is told of the teacher, None where there is none.  Raises: BadInput for options without a teacher."""
    given = dict(told)
    if teacher is None:
        if given:
            raise BadInput(f"--teacher is missing: --{next(iter(given))} says how one teaches; give a .keras file")
        return None
    if (features := given.get("features")) is not None:
        pairs = (name.partition("=") for name in features)
        given["features"] = SAME if features == [SAME] else {ours: theirs or ours for ours, _, theirs in pairs}
    return Distillation(teacher=teacher, **given)


def refuse_teacher(engine: str, teacher: str | None) -> None:
    """Refuse a teacher where TensorFlow Model Optimization does the work."""
    if teacher and engine == "tfmot":
        raise BadInput(f"--teacher {teacher}: engine tfmot heeds no teacher; leave one of the two out")
