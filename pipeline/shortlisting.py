"""Which tokens a file's output layer keeps: the likeliest of the training targets, or those of words that are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..training import tasks
from ..training.data import Dataset
from ..training.data.marks import SPECIAL, UNKNOWN
from ..training.data.translation import tokenizer_of
from ..training.tasks.translation import Translation
from .workload import Workload


def chosen(asked: str, labels: Sequence[str], task: str, dataset: Dataset | None) -> tuple[int, ...]:
    """Return the ids to keep of a net that says tokens called `labels`.

    asked: how many, the most frequent of the training targets of `dataset`; or a text file of words.
    Raises: BadInput for a net that says no sentences in tokens of `labels`, or what `likely` and `of_words` refuse.
    """
    if not labels or tuple(labels[: len(SPECIAL)]) != SPECIAL or not isinstance(tasks.get(task), Translation):
        raise BadInput(f"--shortlist {asked}: is for nets that say sentences, token by token, and task {task!r} asks "
                       "something else; leave it out")  # fmt: skip
    if not asked.isdigit():
        return of_words(Path(asked), labels)
    if dataset is None:
        raise BadInput(f"--data is missing: --shortlist {asked} keeps the tokens that its training targets have most; "
                       "name a data set, or give a file of words")  # fmt: skip
    if dataset.labels != tuple(labels):
        raise BadInput(f"--shortlist {asked}: data {dataset.name!r} has other tokens than the net; name those that it "
                       "was trained on")  # fmt: skip
    return likely(dataset, int(asked))


def of_work(asked: str | None, work: Workload) -> tuple[int, ...] | None:
    """Return the ids that the files of a model keep, None for all; see `chosen`."""
    dataset = work.dataset
    return None if asked is None else chosen(asked, dataset.labels, dataset.task, dataset)


def told(kept: Sequence[int] | None, work: Workload) -> list[str]:
    """Return what is said of a run whose files have a shortlist: nothing of one without."""
    if kept is None:
        return []
    return [f"all steps but the float32 ones say {len(kept):,} of {len(work.dataset.labels):,} tokens (shortlist)"]


def likely(dataset: Dataset, count: int) -> tuple[int, ...]:
    """Return the ids of `count` tokens: the special ones, and what is most frequent among the training targets.

    Raises: BadInput for fewer than the special ones and another.
    """
    if count <= len(SPECIAL):
        raise BadInput(f"--shortlist {count}: {', '.join(SPECIAL)} are kept whatever else is, without the end no "
                       f"sentence would end; keep more than {len(SPECIAL)}")  # fmt: skip
    if count > len(dataset.labels):
        raise BadInput(f"--shortlist {count}: the net knows {len(dataset.labels)} tokens; keep fewer, or leave it out")
    often = np.bincount(np.asarray(dataset.train.y).reshape(-1), minlength=len(dataset.labels))
    often[: len(SPECIAL)] = often.max() + 1
    order = np.argsort(-often, kind="stable")  # of those as frequent the first that was merged
    return tuple(sorted(map(int, order[:count])))


def of_words(path: Path, labels: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of all tokens that words are made of, and the special ones. path: a text file, a word a line.

    Raises: BadInput for a word that is spelled in characters without a token, or a file of no words.
    """
    tokenizer, kept = tokenizer_of(labels), set(range(len(SPECIAL)))
    try:
        words = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise BadInput(f"--shortlist {path}: is not UTF-8 ({error.reason} at byte {error.start}); write a word a line, "
                       "in UTF-8") from error  # fmt: skip
    if not words:
        raise BadInput(f"--shortlist {path}: holds no word; write one a line, or give how many to keep")
    for word in words:
        ids = tokenizer.encode(word).ids
        if UNKNOWN in ids:
            raise BadInput(f"--shortlist {path}: {word!r} cannot be said by the net, its characters have no tokens; "
                           "take it out")  # fmt: skip
        kept.update(ids)
    return tuple(sorted(kept))
