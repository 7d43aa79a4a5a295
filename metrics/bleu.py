"""BLEU of sentences, from counts that can be summed, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matches(said: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Count what BLEU is made of: lengths of sentence and reference, n-grams in common, and n-grams said. (N, 10)."""
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(effective_order=True)  # of single sentences, which leaves the counts as they are
    rows = np.zeros((len(said), 10))
    for row, sentence, reference in zip(rows, said, references, strict=True):
        found = bleu.sentence_score(sentence, [reference])
        row[:] = found.sys_len, found.ref_len, *found.counts, *found.totals
    return rows


def bleu(scores: np.ndarray) -> float:
    """Return BLEU of the sums, 0 to 100 (Papineni 2002); of n-grams never met a share is made up, as sacrebleu does."""
    from sacrebleu.metrics.bleu import BLEU

    said, reference, *counts = (int(count) for count in scores.sum(0))
    return float(BLEU.compute_bleu(counts[:4], counts[4:], said, reference, smooth_method="exp").score)
