"""Retrieval of translations: which of the sentences that are stored says the same in another language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import BadInput
from ...models.tables import SCORER
from ..data import Dataset, Shown, Split, load
from ..presented import takes
from .register import Networks, enter
from .retrieval import ENCODER, Presented, Retrieval

IDS = "ids"


@dataclass(frozen=True, kw_only=True)
class Stored(Presented):
    """Sentences and their translations, ids and mask side by side, (N, 2 L).

    Training: x and y, which belong together. Validation and test: x, and y (N,) the row of `stored` (rows, 2 L) that
    belongs to it; the rows of one do not count in the other.
    """

    stored: np.ndarray = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SentenceRetrieval(Retrieval):
    """Translations found among those of the same split, the unit being a sentence.

    Networks: "encoder", ids and mask (N, L) -> vector; "scorer", query -> a score for each stored sentence, the rows of
    which a learner makes by the encoder.
    """

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Load pairs of sentences as the encoder takes them; the translations of held-out ones are what is stored.

        Raises: BadInput if a network is missing, or the scorer has another number of rows.
        """
        if missing := [name for name in (ENCODER, SCORER) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        if isinstance(data, Stored):
            return data
        reads = {name: takes(networks[name])["inputs"] for name in (ENCODER, SCORER)}
        ids = next(each for each in reads[ENCODER] if each.name == IDS)
        shape = {"source": ids.shape, "target": ids.shape}
        pairs = load(data, input_shape=shape, dtype="int32", task="translation", vocabulary=ids.vocabulary, **asked)
        sides = {part: [_packed(side) for side in (split.x["source"], split.y)] for part, split in pairs.splits.items()}
        held = [sides[part] for part in ("validation", "test")]
        stored, first = np.concatenate([target for _, target in held]), len(held[0][1])
        rows = networks[SCORER].outputs[0].shape[-1]
        if not rebuilt and rows != len(stored):
            raise BadInput(f"{SCORER!r} has {rows} rows, data {pairs.name!r} have {len(stored)} sentences to store; "
                           f"build it with stored={len(stored)}")  # fmt: skip
        numbers = np.split(np.arange(len(stored), dtype=np.int32), [first])
        return Stored(
            name=pairs.name, task=self.name, vocabulary=pairs.vocabulary, tokens=pairs.labels, source=pairs.source,
            preprocessing=f"{pairs.preprocessing}; ids and mask of both", signs=(), stored=stored, reads=reads,
            sizes={"stored": len(stored)}, shown=Shown(network=ENCODER, inputs=reads[ENCODER], outputs=()),
            known=_known([source for source, _ in held], numbers),
            train=Split(x=sides["train"][0], y=sides["train"][1]),
            validation=Split(x=held[0][0], y=numbers[0]),
            test=Split(x=held[1][0], y=numbers[1]),
        )  # fmt: skip


def _packed(ids: np.ndarray) -> np.ndarray:
    """Return ids and, beside them, which are no padding, (N, 2 L)."""
    return np.concatenate([ids, ids != 0], axis=1).astype(np.int32)


def _known(asked: list[np.ndarray], numbers: list[np.ndarray]) -> Mapping[tuple[int, ...], np.ndarray]:
    """Return which rows do not count for the sentences of a split: those of the other."""
    return {tuple(row): other for x, other in zip(asked, numbers[::-1], strict=True) for row in x.tolist()}


enter(SentenceRetrieval(name="sentence_retrieval", by="hits@1"))
