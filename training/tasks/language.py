"""Language models: the probability of each token given those before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...ends import input_names
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, load
from ..data.dataset import facts_of, subset
from ..decoding import sample
from ..losses import of_tokens
from ..presented import takes
from .objective import Objective
from .register import Bound, Networks, enter
from .stepping import Stepped

# The networks: the one that is trained, the one that takes a prompt where there is one, the one that goes on.
SEQUENCE, PREFILL, STEP = "sequence", "prefill", "step"
TOKEN, POSITION, LOGITS = "token", "position", "logits"  # of the step
DRAWN = 4  # waveforms in a report


@dataclass(frozen=True, kw_only=True)
class Texts(Dataset):
    """Texts, and what the networks that run take of them.

    reads: the inputs of the step; none of a model that has no step. prompt: how many tokens of a text are read by the
    prefill net before the step goes on, 0 without such a net. step: what the step reads and keeps, if there is one.
    """

    reads: tuple[str, ...]
    prompt: int = 0
    step: Stepped | None = None


@dataclass(frozen=True, kw_only=True)
class LanguageModel(Objective):
    """The next token of texts, judged by the perplexity of a step network that is told the true ones on the way.

    Networks: "sequence", tokens (N, T) -> logits (N, T, K), which is trained; "step", "token" (N, 1), states and, where
    it asks for it, "position" (N, 1) -> "logits" (N, 1, K) and states; "prefill", where there is one, tokens (N, T) of
    which the last may be zeros -> "logits" (N, T, K) and the states that the step goes on from, by the names of its
    inputs: it reads the first half of a text. A model without a step is judged by its sequence net. The unit is a text.
    """

    @property
    def metric(self) -> Metric:
        """Perplexity."""
        return metrics.get("perplexity")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return texts as the sequence net takes them, and what follows each of their tokens.

        Of words as many kinds as it tells apart.
        Raises: BadInput if there is no such net, or it tells fewer characters apart than the texts have.
        """
        if SEQUENCE not in networks:
            raise BadInput(f"task {self.name!r} is for a network {SEQUENCE!r}, got {', '.join(networks)}")
        network = networks[SEQUENCE]
        known = takes(network)
        width = next((each.shape[-1] for each in known["outputs"] if each.name == LOGITS), network.outputs[0].shape[-1])
        dataset = load(data, input_shape=known["input_shape"], dtype="int32", task=self.name, classes=width, **asked)
        if not rebuilt and width < dataset.classes:
            raise BadInput(f"{SEQUENCE!r} knows {width} tokens, data {dataset.name!r} has {dataset.classes}; build it "
                           f"with classes={dataset.classes}")  # fmt: skip
        reads = tuple(input_names(networks[STEP])) if STEP in networks else ()
        prompt = dataset.train.y.shape[1] // 2 if PREFILL in networks else 0
        step = Stepped.of(networks[STEP]) if STEP in networks else None
        return _texts(dataset, reads=reads, prompt=prompt, step=step)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training texts: of sequence net and prefill by their input, of the step by time, (n, T, 1)."""
        tokens = subset(dataset.train, n, seed, stratify=False).x
        assert isinstance(tokens, np.ndarray)
        if network == STEP:
            return by_time(dataset, tokens)
        return {"tokens": tokens}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each token of the test texts by its negative log-likelihood, (N T, 1)."""
        tokens = np.asarray(dataset.test.x)
        rows = self.metric.scores(self.said(run, dataset, tokens), dataset.test.y)
        return Scores(rows.reshape(-1, 1), np.repeat(np.arange(len(tokens)), tokens.shape[1]))

    def said(self, run: Runner, dataset: Dataset, tokens: np.ndarray) -> np.ndarray:
        """Return what the networks that run say of the token behind each.  Shapes: (N, T) -> (N, T, K)."""
        texts = _of(dataset)
        if not texts.reads:
            return np.asarray(run(SEQUENCE, {"tokens": tokens})[LOGITS]).reshape(*tokens.shape, -1)
        said, first = [], {}
        if texts.prompt:
            begun = np.where(np.arange(tokens.shape[1]) < texts.prompt, tokens, 0)
            first = dict(run(PREFILL, {"tokens": begun}))
            said = [np.asarray(first.pop(LOGITS))[:, : texts.prompt]]
        given = by_time(dataset, tokens[:, texts.prompt :], texts.prompt)
        stepped = np.asarray(run.unroll(STEP, given, first=first)[LOGITS])
        logits = np.concatenate([*said, stepped.reshape(*stepped.shape[:2], -1)], axis=1)
        return logits.reshape(*tokens.shape, -1)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def by_time(dataset: Dataset, tokens: np.ndarray, start: int = 0) -> dict[str, np.ndarray]:
    """Return what the step reads at each step of texts whose first token is at position `start`: (N, T, 1) each."""
    positions = np.arange(start, start + tokens.shape[1], dtype=np.int32)
    given = {TOKEN: tokens, POSITION: np.broadcast_to(positions, tokens.shape)}
    return {name: array[..., None] for name, array in given.items() if name in _of(dataset).reads}


def _of(dataset: Dataset) -> Texts:
    """Return texts with what a step reads of them: tokens alone where nobody presented them to one."""
    return dataset if isinstance(dataset, Texts) else _texts(dataset, reads=(TOKEN,))


def _texts(dataset: Dataset, **more: Any) -> Texts:
    return Texts(**facts_of(dataset, Dataset), **more)


def continued(run: Runner, tokens: np.ndarray, steps: int, *, positions: bool = False) -> np.ndarray:
    """Return the most likely tokens behind a first one each, one after the other.  Shapes: (N,) -> (N, steps).

    positions: the step reads the position of each token.
    """
    first = {TOKEN: np.asarray(tokens, np.int32)[:, None]}
    given = {}
    if positions:
        given = {POSITION: np.tile(np.arange(steps, dtype=np.int32)[None, :, None], (len(tokens), 1, 1))}
    logits = np.asarray(run.unroll(STEP, given, first=first, steps=steps, feed={LOGITS: TOKEN})[LOGITS])
    return logits.reshape(len(tokens), steps, -1).argmax(-1)


@dataclass(frozen=True, kw_only=True)
class WaveformModel(LanguageModel):
    """The next level of waveforms, judged as the next token of texts is: the unit is a waveform."""

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return waveforms as texts are.  Raises: BadInput if there is no step network."""
        if STEP not in networks:
            raise BadInput(f"task {self.name!r} is for networks {SEQUENCE!r} and {STEP!r}, got {', '.join(networks)}")
        return super().present(data, networks, rebuilt=rebuilt, **asked)

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test waveforms, and some drawn level by level with the same chances for all runners."""
        assert isinstance(dataset, Texts) and dataset.step
        x, levels = np.asarray(dataset.test.x)[:DRAWN], dataset.classes
        speaker = dataset.step.speaker(run, STEP, {"": x}, {}, length=x.shape[1], begin=x[:, 0], end=-1)
        return {"samples": plotted(x, levels), "drawn": plotted(sample(speaker, seed=DRAWN), levels)}


def plotted(levels: np.ndarray, count: int) -> np.ndarray:
    """Return waveforms of so many levels as curves, the highest on top.  Shapes: (N, T) -> (N, count, T, 1)."""
    return (np.arange(count - 1, -1, -1)[:, None] == levels[:, None]).astype(np.float32)[..., None]


enter(LanguageModel(name="language_model", loss=of_tokens, labelled=True))
enter(WaveformModel(name="waveform_model", loss=of_tokens, labelled=True))
