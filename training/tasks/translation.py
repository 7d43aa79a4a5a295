"""Translation: a sentence is read by an encoder, and a step network says another, a token a call."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, Input, load
from ..data.dataset import subset
from ..data.translation import text_of
from ..decoding import TOKEN, Speaker, greedy
from ..losses import PaddedCrossentropy, TokenAccuracy
from ..presented import takes
from .objective import Objective
from .register import Bound, Networks, enter

NETWORKS = SEQUENCE, ENCODER, STEP = "sequence", "encoder", "step"
SOURCE, TARGET = "source", "target"  # of the sequence net; the encoder reads the source alone
POSITION = "position"  # of the step, where it reads one
PAD = 0


@dataclass(frozen=True, kw_only=True)
class Sentences(Dataset):
    """Pairs of sentences as ids, and what the step network reads, by name.

    states: output of the step -> the input that it becomes.
    """

    step: tuple[Input, ...]
    states: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Translation(Objective):
    """Sentences said by greedy decoding, judged by corpus BLEU; trained on the tokens that follow the true ones.

    Networks: "sequence", source (N, S) and target (N, T) ids -> logits (N, T, K), which is trained; "encoder", source
    -> what the step reads of it, by name; "step", "token" (N, 1) and, where it asks for it, "position" (N, 1), the ids
    of the source, what the encoder made, and states -> "logits" (N, 1, K) and states. An output "x_out" of the step is
    the state that becomes its input "x"; it begins with the encoder's output "x", or at zero. The unit is a sentence.
    """

    @property
    def metric(self) -> Metric:
        """BLEU of the whole test text."""
        return metrics.get("bleu")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pairs as the sequence net takes them, in as many tokens as it has classes.

        Raises: BadInput if a network is missing, or tells fewer tokens apart than the pairs have.
        """
        if missing := [name for name in NETWORKS if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        sequence = networks[SEQUENCE]
        shape = {each.name: each.shape for each in takes(sequence)["inputs"]}
        if set(shape) != {SOURCE, TARGET}:
            raise BadInput(f"{SEQUENCE!r} must take {SOURCE!r} and {TARGET!r}, it takes {', '.join(shape)}")
        width = sequence.outputs[0].shape[-1]
        loaded = load(data, input_shape=shape, dtype="int32", task=self.name, vocabulary=width, **asked)
        if not rebuilt and width < loaded.classes:
            raise BadInput(f"{SEQUENCE!r} knows {width} tokens, data {loaded.name!r} has {loaded.classes}; build it "
                           f"with classes={loaded.classes}")  # fmt: skip
        facts = {field.name: getattr(loaded, field.name) for field in fields(loaded)}
        step = takes(networks[STEP])
        inputs, outputs = step["inputs"], [output.name for output in step["outputs"]]
        states = {f"{each.name}_out": each.name for each in inputs if f"{each.name}_out" in outputs}
        return Sentences(**{**facts, "step": inputs, "states": states})

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the inputs of n training pairs: of the step by time, (n, T, ...), on a made-up memory.

        What an encoder makes is drawn from a normal distribution: the step has its ranges from the sequence net.
        """
        pairs = subset(dataset.train, n, seed, stratify=False).x
        if network == SEQUENCE:
            return dict(pairs)
        if network == ENCODER:
            return {SOURCE: pairs[SOURCE]}
        sentences, (count, length) = _presented(dataset), pairs[TARGET].shape
        random, given = np.random.default_rng(seed), {}
        for each in sentences.step:
            if each.name in sentences.states.values():
                continue
            if each.name == TOKEN:
                given[TOKEN] = pairs[TARGET][..., None]
            elif each.name == POSITION:
                given[POSITION] = _positions(count, length)
            else:
                shape = tuple(size or 1 for size in each.shape)
                made = pairs[SOURCE] if each.name == SOURCE else random.standard_normal((count, *shape), np.float32)
                given[each.name] = np.repeat(made[:, None], length, axis=1)
        return given

    def speaker(self, run: Runner, dataset: Dataset, source: np.ndarray) -> Speaker:
        """Return what decodes these sentences (N, S), read by the encoder: see `training.decoding`."""
        sentences, length = _presented(dataset), dataset.train.y.shape[1]
        made, states = run(ENCODER, {SOURCE: source}), set(sentences.states.values())
        first, held = {}, {}
        for each in sentences.step:
            if each.name in states:
                zeros = np.zeros((len(source), *(size or 1 for size in each.shape)), np.float32)
                first[each.name] = made.get(each.name, zeros)
            elif each.name == SOURCE:
                held[SOURCE] = source
            elif each.name not in (TOKEN, POSITION):
                held[each.name] = made[each.name]
        positions = POSITION if POSITION in [each.name for each in sentences.step] else None
        return Speaker(run=run, network=STEP, count=len(source), length=length, first=first, held=held,
                       states=sentences.states, position=positions)  # fmt: skip

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by what BLEU counts of it, (N, 10)."""
        ids = greedy(self.speaker(run, dataset, np.asarray(dataset.test.x[SOURCE])))
        said, references = ([text_of(row, dataset.labels) for row in rows] for rows in (ids, dataset.test.y))
        return Scores.by_row(self.metric.scores(said, references))

    def right(self, answers: np.ndarray, targets: np.ndarray, threshold: float) -> np.ndarray:
        """Return the share of each sentence's tokens that are the likeliest, (N,)."""
        there = targets != PAD
        return ((answers.argmax(-1) == targets) & there).sum(-1) / np.maximum(there.sum(-1), 1)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def _positions(count: int, length: int) -> np.ndarray:
    return np.tile(np.arange(length, dtype=np.int32)[None, :, None], (count, 1, 1))


def _presented(dataset: Dataset) -> Sentences:
    if not isinstance(dataset, Sentences):
        raise BadInput(f"data {dataset.name!r} is presented to no network yet: task.present(data, networks) does it")
    return dataset


def _logged(threshold: float) -> list[Any]:
    return [TokenAccuracy()]


enter(Translation(name="translation", loss=PaddedCrossentropy, logs=_logged, labelled=True))
