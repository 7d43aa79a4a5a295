"""Language models of any order: a network that is asked for a token tells it from those that it may know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from ...metrics import Scores
from ...runners import Arrays, Runner
from ..data import Dataset, Input, load
from ..data.dataset import facts_of, subset
from ..losses import of_tokens
from ..presented import takes
from .language import LOGITS, LanguageModel
from .register import Networks, enter

NETWORKS = SEQUENCE, CONTENT = "sequence", "content"
TOKENS, POSITION, MASK = "tokens", "position", "mask"
AT_ONCE = 512  # texts, of whose logits all would fill the memory


@dataclass(frozen=True, kw_only=True)
class Asked(Dataset):
    """Texts, and what the content stream reads.  question: the id that asks which token stands there."""

    reads: tuple[Input, ...]
    question: int

    @property
    def segment(self) -> int:
        """How many tokens the content stream reads at once."""
        return next(each.shape[0] or 1 for each in self.reads if each.name == TOKENS)


@dataclass(frozen=True, kw_only=True)
class PermutedLanguageModel(LanguageModel):
    """Each token from those before it, judged by perplexity: of all orders the one in which texts are read.

    Networks: "sequence", which is trained, see `models.xlnet`; "content", tokens and position (N, L), mask (N, L, 2 L)
    and memories -> "logits" (N, L, K) and memories. A segment is run once for each token, which is asked for, and once
    as it is, for what the next one remembers of it. The unit is a text.
    """

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return texts as the networks take them.

        Raises: BadInput if one is missing, or tells fewer tokens apart than the texts have.
        """
        if missing := [name for name in NETWORKS if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        (length,) = next(each.shape for each in takes(networks[SEQUENCE])["inputs"] if each.name == TOKENS)
        width = networks[SEQUENCE].outputs[0].shape[-1]
        dataset = load(data, input_shape=(length,), dtype="int32", task="language_model", classes=width, **asked)
        if not rebuilt and width < dataset.classes:
            raise BadInput(f"{SEQUENCE!r} knows {width} tokens, data {dataset.name!r} has {dataset.classes}; build it "
                           f"with classes={dataset.classes}")  # fmt: skip
        facts: dict[str, Any] = facts_of(dataset, Dataset) | {"task": self.name}
        question = dataset.classes if rebuilt else width  # it is the id behind those that the networks will know
        return Asked(**facts, reads=takes(networks[CONTENT])["inputs"], question=question)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training texts and what each token knows of them; of the content stream their segments in time.

        Of the tokens that it reads one is asked for in each segment, another in each text.
        """
        known, tokens = _of(dataset), np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        (count, length), segment = tokens.shape, known.segment
        if network == SEQUENCE:
            order = np.arange(length)
            inside = (order[:, None] // segment == order // segment) & (order[:, None] >= order)
            told = inside | (order[:, None] // segment == order // segment + 1)
            first = np.broadcast_to(order[:, None] < segment, (length, segment))
            mask = np.concatenate([first, told], 1).astype(np.int32)
            return {TOKENS: tokens, MASK: np.broadcast_to(mask, (count, *mask.shape))}
        places = np.random.default_rng(seed).integers(0, segment, (count, length // segment))
        parts = tokens.reshape(count, -1, segment).copy()
        np.put_along_axis(parts, places[..., None], known.question, -1)
        position = np.arange(length, dtype=np.int32).reshape(-1, segment)
        masks = np.stack([seen_from(place, segment) for place in range(segment)])
        return {TOKENS: parts, POSITION: np.broadcast_to(position, parts.shape), MASK: masks[places]}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each token of the test texts by its negative log-likelihood, (N T, 1)."""
        tokens = np.asarray(dataset.test.x)
        parts = [tokens[start : start + AT_ONCE] for start in range(0, len(tokens), AT_ONCE)]
        rows = np.concatenate([self._nats(run, _of(dataset), part) for part in parts])
        return Scores(rows.reshape(-1, 1), np.repeat(np.arange(len(tokens)), tokens.shape[1]))

    def _nats(self, run: Runner, known: Asked, tokens: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of each token of some texts, (N T, 1)."""
        (count, length), segment = tokens.shape, known.segment
        memory = {each.name: np.zeros((count, *(size or 1 for size in each.shape)), np.float32)
                  for each in known.reads if each.name not in (TOKENS, POSITION, MASK)}  # fmt: skip
        logits = []
        for start in range(0, length, segment):
            part = tokens[:, start : start + segment]
            given = {POSITION: np.tile(np.arange(start, start + segment, dtype=np.int32), (count, 1)), **memory}

            def told(ids: np.ndarray, place: int, given: Arrays = given) -> Arrays:
                mask = np.tile(seen_from(place, segment), (count, 1, 1))
                return run(CONTENT, {TOKENS: ids, MASK: mask, **given})

            for place in range(segment):
                asked = part.copy()
                asked[:, place] = known.question
                logits.append(np.asarray(told(asked, place)[LOGITS])[:, place])
            after = told(part, segment)
            memory = {name: np.asarray(after[f"{name}_out"]) for name in memory}
        return self.metric.scores(np.stack(logits, axis=1), tokens)


def seen_from(place: int, segment: int) -> np.ndarray:
    """Return what each token of a segment knows while the one at `place` is asked for, (L, 2 L) int32.

    That is the whole memory, and of the segment those up to itself but the one that is asked for, which nobody knows.
    """
    inside = np.tril(np.ones((segment, segment), np.int32))
    inside[:, place : place + 1] = 0
    return np.concatenate([np.ones((segment, segment), np.int32), inside], axis=1)


def _of(dataset: Dataset) -> Asked:
    if not isinstance(dataset, Asked):
        raise BadInput(f"data {dataset.name!r} is presented to no network yet: task.present(data, networks) does it")
    return dataset


enter(PermutedLanguageModel(name="permuted_language_model", loss=of_tokens, labelled=True))
