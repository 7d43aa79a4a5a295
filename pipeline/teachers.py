"""The teacher of a stage, and what it teaches on: named in a record, found here, handed to the learner in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from ..copies import copy_model
from ..errors import BadInput
from ..files import sha256
from ..models import index
from ..training import learners
from ..training.answers import untold
from ..training.config import TrainConfig
from ..training.data import Dataset, Split, check, load
from ..training.data.user import resolve as function_of
from ..training.distillation import HOLDING, Distillation
from ..training.tasks import Networks, Supervised
from .model_files import check_keras_file
from .saved import noted, siblings, with_siblings
from .workload import Workload


def of(teacher: Any) -> Distillation | None:
    """Return the record of what a caller gives as teacher: a record, a file, "float", a model or several, or None.

    A model in memory is copied: what becomes of the caller's own while the student learns changes nothing.
    """
    if teacher is None:
        return None
    teaching = teacher if isinstance(teacher, Distillation) else Distillation(teacher=teacher)
    return replace(teaching, teacher=_copied(teaching.teacher))


def of_stage(teaching: Distillation | None, work: Workload, training: TrainConfig) -> Distillation | None:
    """Return what teaches pruning or QAT: `teaching`, or where there is none, what holds outputs without targets.

    Not where states are carried from batch to batch: a teacher reads each by itself.
    """
    if teaching is not None or training.carry_states or not untold(work.dataset):
        return teaching
    return Distillation.read(HOLDING) if learners.get(work.tuned.learner).teachable else None


def speaks(teaching: Distillation | None, work: Workload) -> bool:
    """Tell whether a teacher has something to say of the data."""
    if teaching is None:
        return False
    return bool(teaching.alpha or teaching.of_features or held(teaching, work))


def held(teaching: Distillation | None, work: Workload) -> list[str]:
    """Return the outputs without targets that a teacher teaches."""
    return list(untold(work.dataset)) if teaching is not None and teaching.of_untold else []


def check_teacher(teacher: Any, *, begun: bool) -> None:
    """Refuse, before anything is loaded, what cannot be a teacher.  Raises: BadInput with the remedy.

    begun: the stage begins with networks that can teach what it makes of them.
    """
    if isinstance(teacher, str):
        if Distillation(teacher=teacher).itself:
            if not begun:
                raise BadInput(
                    f"teacher {teacher!r} is what pruning or QAT began with, and training begins anew: give the .keras "
                    "file of a trained model"
                )
            return
        if any(row["name"] == teacher for row in index.rows()):
            raise BadInput(
                f"teacher {teacher!r} is a net of the zoo, which knows nothing yet: train it first (`edgewright train "
                f"{teacher} --out {teacher}.keras`) and give the file"
            )
        check_keras_file(Path(teacher))
        return
    several = teacher.values() if isinstance(teacher, Mapping) else [teacher]
    if wrong := [each for each in several if not isinstance(each, keras.Model)]:
        raise BadInput(
            f'teacher is a {type(wrong[0]).__name__}; allowed is a .keras file, "float", a keras.Model or a dict of '
            "these"
        )


def resolve(teaching: Distillation | None, networks: Networks | None, work: Workload) -> Distillation | None:
    """Return `teaching` with its teacher and its samples in memory, as the learner takes it.

    networks: what the stage begins with, which "float" is; None where it begins anew. Returns None for one that would
    say nothing of this data.
    Raises: BadInput for a teacher that cannot be one or was trained for something else, and a learner that heeds none.
    """
    if teaching is None or not speaks(teaching, work):
        return None
    learners.get(work.learner).check_teachable()
    check_teacher(teaching.teacher, begun=networks is not None)
    if teaching.itself and networks is not None:
        teacher: Any = _copied(work.learned(networks))
    elif isinstance(teaching.teacher, str):
        _check_subject(teaching.teacher, work.dataset)
        teacher = with_siblings(Path(teaching.teacher))
    else:
        teacher = teaching.teacher
    if isinstance(teacher, Mapping) and len(teacher) == 1:  # whatever the one is called
        (teacher,) = teacher.values()
    weight = teaching.of_untold if held(teaching, work) else 0.0
    return replace(teaching, teacher=teacher, unlabelled=_samples(teaching.unlabelled, work), untold=weight)


def identity(teaching: Distillation | None, work: Workload) -> dict[str, Any]:
    """Return what of a teacher a step's key holds: the record, and digests of its files and samples.

    The digest of "float" is that of the networks which the stage begins with, and no matter of ours.
    """
    if teaching is None:
        return {}
    found = teaching.plain()
    if not teaching.itself:
        path = Path(teaching.teacher)
        check_keras_file(path)
        found["digest"] = sha256(" ".join(map(sha256, siblings(path).values() or [path])).encode())
    if teaching.unlabelled is not None:
        arrays = keras.tree.flatten(_samples(teaching.unlabelled, work))
        found["samples"] = sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))
    return found


def _copied(teacher: Any) -> Any:
    if isinstance(teacher, Mapping):
        return {name: _copied(network) for name, network in teacher.items()}
    return copy_model(teacher) if isinstance(teacher, keras.Model) else teacher


def _check_subject(path: str, dataset: Dataset) -> None:
    """Refuse a file that says of itself that it was trained for another task, or to tell other classes apart."""
    known = noted(path)
    if known.get("task", dataset.task) != dataset.task:
        raise BadInput(f"teacher {path} was trained for {known['task']}, the data are for {dataset.task}")
    labels = tuple(known.get("labels", dataset.labels))
    if labels != dataset.labels:
        raise BadInput(
            f"teacher {path} tells the classes {', '.join(map(str, labels[:6]))} apart, the data "
            f"{dataset.name!r} has {', '.join(map(str, dataset.labels[:6])) or 'numbers'}"
        )


def _samples(data: Any, work: Workload) -> Any:
    """Return samples without a label as those of the training data are: an array, or a dict by input.

    data: a data set's name, of which the training part counts; pkg.module:function, which returns samples or a Dataset;
    or samples.
    """
    if data is None:
        return None
    if not isinstance(work.task, Supervised):
        raise BadInput(
            f"unlabelled: task {work.dataset.task!r} judges no samples by themselves; leave the further samples out"
        )
    known, shape = work.dataset.train.x, cast(Any, work.dataset.input_shape)
    if isinstance(data, str) and ":" not in data:
        data = _of_name(data, work)
    elif isinstance(data, str):
        data = function_of(data)()
    x = data.train.x if isinstance(data, Dataset) else data
    if isinstance(x, Mapping) != isinstance(known, Mapping) or (isinstance(x, Mapping) and set(x) != set(known)):
        inputs = ", ".join(known) if isinstance(known, Mapping) else "one array"
        raise BadInput(f"unlabelled: give samples as the training data are, {inputs}; labels are left out")
    x = {name: _like(x[name], known[name]) for name in known} if isinstance(known, Mapping) else _like(x, known)
    check(Split(x=x, y=np.zeros(len(keras.tree.flatten(x)[0]), np.float32)), "unlabelled",
          input_shape=shape, vocabulary=work.dataset.vocabulary)  # fmt: skip
    return x


def _of_name(name: str, work: Workload) -> Dataset:
    known = work.dataset.train.x
    if isinstance(known, Mapping):
        raise BadInput(f"unlabelled {name!r}: the model has several inputs; give pkg.module:function")
    if known.dtype == np.int32 and name != work.dataset.name:
        raise BadInput(
            f"unlabelled {name!r}: its words are numbered otherwise than those of {work.dataset.name!r}; give "
            "pkg.module:function that numbers them alike"
        )
    vocabulary = work.dataset.vocabulary or None
    return load(name, input_shape=known.shape[1:], dtype=str(known.dtype), vocabulary=vocabulary)


def _like(values: Any, known: np.ndarray) -> np.ndarray:
    if not hasattr(values, "__array__") and not isinstance(values, list):
        raise BadInput(f"unlabelled: {type(values).__name__}; give an array, or a dict of arrays by input")
    return np.asarray(values, known.dtype)


__all__ = ["check_teacher", "held", "identity", "of", "of_stage", "resolve", "speaks"]
