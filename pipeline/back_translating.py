"""Monolingual text for a workload of translations, translated back by networks of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..models.registry import Deployable
from ..training import tasks
from ..training.back_translation import with_text
from ..training.data.languages import turned
from ..training.decoding import greedy
from ..training.runner import KerasRunner
from ..training.tasks.translation import STEP, Sentences, Translation
from .model_files import check_keras_file
from .saved import noted, with_siblings
from .workload import Workload

TASK = "translation"
AT_ONCE = 512  # sentences


def with_monolingual(work: Workload, reverse: str, text: str) -> Workload:
    """Return the workload with training pairs of the lines of a file, see `training.back_translation`.

    reverse: .keras file of networks that were trained on the pairs turned round, in the same tokens.
    Raises: BadInput for a workload of another task, a file of other tokens, or a text of which nothing is left.
    """
    dataset = work.dataset
    if dataset.task != TASK:
        raise BadInput(f"--monolingual {text}: is for pairs of sentences, data {dataset.name!r} is for task "
                       f"{dataset.task!r}; leave it out")  # fmt: skip
    check_keras_file(Path(reverse))
    known = tuple(noted(reverse).get("labels", ()))
    if known != dataset.labels:
        raise BadInput(f"--back-translate {reverse}: says {len(known)} tokens, and data {dataset.name!r} has "
                       f"{len(dataset.labels)} others; train it on the pairs turned round, as of "
                       f"{dataset.name}_back, in as many")  # fmt: skip
    task, networks = tasks.get(TASK), with_siblings(Path(reverse))
    back = task.present(turned(dataset), networks)
    assert isinstance(task, Translation) and isinstance(back, Sentences)
    run = KerasRunner(networks, [Deployable(network=STEP, states=back.steps[STEP].states)])

    def translate(ids: np.ndarray) -> np.ndarray:
        starts = range(0, len(ids), AT_ONCE)
        return np.concatenate([greedy(task.speaker(run, back, ids[start : start + AT_ONCE])) for start in starts])

    lines = Path(text).read_text(encoding="utf-8").splitlines()
    return replace(work, dataset=with_text(dataset, lines, translate))
