"""What a command line says of a teacher, as one record."""

from __future__ import annotations

from ..errors import BadInput
from ..training.distillation import SAME, Distillation


def teaching_of(
    teacher: str | None,
    temperature: float | None,
    alpha: float | None,
    features: list[str] | None,
    unlabelled: str | None,
) -> Distillation | None:
    """Return what is told of the teacher, None where there is none.  Raises: BadInput for options without a teacher."""
    asked = {"temperature": temperature, "alpha": alpha, "features": features, "unlabelled": unlabelled}
    given = {name: value for name, value in asked.items() if value is not None}
    if teacher is None:
        if given:
            raise BadInput(f"--teacher is missing: --{next(iter(given))} says how one teaches; give a .keras file")
        return None
    if features is not None:
        pairs = (name.partition("=") for name in features)
        given["features"] = SAME if features == [SAME] else {ours: theirs or ours for ours, _, theirs in pairs}
    return Distillation(teacher=teacher, **given)


def refuse_teacher(engine: str, teacher: str | None) -> None:
    """Refuse a teacher where TensorFlow Model Optimization does the work."""
    if teacher and engine == "tfmot":
        raise BadInput(f"--teacher {teacher}: engine tfmot heeds no teacher; leave one of the two out")
