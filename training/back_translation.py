"""Back-translation: sentences of the target language alone become pairs, their sources said by a reverse model.

What is learned to be said is what people wrote; what is read may be said badly.
Source: Sennrich 2016, arXiv:1511.06709.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import BadInput
from ..progress import say
from .data import Dataset, Split
from .data.languages import pairs
from .data.translation import EOS, PAD, padded, tokenizer_of

Translate = Callable[[np.ndarray], np.ndarray]


def with_text(dataset: Dataset, lines: Sequence[str], translate: Translate) -> Dataset:
    """Return `dataset` with training pairs of lines in its target language, translated back; nothing else is changed.

    translate: ids of target sentences, ended by </s> (M, T) -> what they are in the source language, likewise.
    Lines that are longer than the model's targets, or whose translation is empty or longer than its sources, are left
    out, and it is said how many.  Raises: BadInput where none is left.
    """
    x = dataset.train.x
    assert not isinstance(x, np.ndarray)
    longest_source, longest_target = (x[name].shape[1] for name in ("source", "target"))
    tokenizer = tokenizer_of(dataset.labels)
    rows = [tokenizer.encode(line.strip()).ids for line in lines if line.strip()]
    targets = padded(([*row, EOS] for row in rows if len(row) < longest_target), longest_target)
    back = _ended(translate(targets), longest_source) if len(targets) else np.zeros((0, longest_source), np.int32)
    kept = back[:, 0] != PAD
    if not kept.any():
        raise BadInput(f"back-translation: of {len(lines)} lines none has at most {longest_target - 1} tokens and a "
                       f"translation of at most {longest_source - 1}; give shorter ones")  # fmt: skip
    made = pairs(back[kept], targets[kept])
    say(f"{kept.sum():,} of {len(lines):,} lines are pairs now, beside {len(dataset.train):,}")
    both = {name: np.concatenate([x[name], values]) for name, values in dict(made.x).items()}
    return replace(dataset, train=Split(x=both, y=np.concatenate([dataset.train.y, made.y])))


def _ended(ids: np.ndarray, longest: int) -> np.ndarray:
    """Return ids with </s> behind each sentence, (M, longest); PAD alone for what does not fit, or is empty."""
    rows = [row[: np.argmax((row == EOS) | (row == PAD))] if np.isin(row, (EOS, PAD)).any() else row for row in ids]
    return padded(([*row, EOS] if 0 < len(row) < longest else [] for row in rows), longest)
