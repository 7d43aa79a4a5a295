"""Translation: a sentence is read by an encoder, and a step network says another, a token a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, Input, load
from ..data.dataset import facts_of, subset
from ..data.marks import BOS, PAD
from ..data.translation import text_of
from ..decoding import LOGITS, TOKEN, Speaker, greedy
from ..losses import PaddedCrossentropy, TokenAccuracy
from ..presented import presented_as, takes
from .objective import Objective
from .register import Bound, Networks, enter
from .stepping import POSITION, Stepped

NETWORKS = SEQUENCE, ENCODER, STEP = "sequence", "encoder", "step"
SOURCE, TARGET = "source", "target"  # of the sequence net; the encoder reads the source alone
NOISE = "noise"  # of a sequence net that makes choices, where chance enters these: see learners/reinforced.py


@dataclass(frozen=True, kw_only=True)
class Sentences(Dataset):
    """Pairs of sentences as ids, what each step network reads, and what the sequence net reads of chance."""

    steps: dict[str, Stepped]
    chance: tuple[Input, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Translation(Objective):
    """Sentences said by greedy decoding, judged by corpus BLEU; trained on the tokens that follow the true ones.

    Networks: "sequence", source (N, S) and target (N, T) ids -> logits (N, T, K), which is trained; "encoder", source
    -> what the step reads of it, by name; "step", "token" (N, 1) and, where it asks for it, "position" (N, 1), the ids
    of the source, what the encoder made, and states -> "logits" (N, 1, K) and states. An output "x_out" of the step is
    the state that becomes its input "x"; it begins with the encoder's output "x", or at zero. The unit is a sentence.
    """

    _networks: ClassVar[tuple[str, ...]] = NETWORKS
    _inputs: ClassVar[tuple[str, ...]] = (SOURCE, TARGET)  # of the sequence net

    @property
    def metric(self) -> Metric:
        """BLEU of the whole test text."""
        return metrics.get("bleu")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pairs as the sequence net takes them, in as many tokens as it has classes.

        Raises: BadInput if a network is missing, or tells fewer tokens apart than the pairs have.
        """
        if missing := [name for name in self._networks if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        known = takes(networks[SEQUENCE])["inputs"]
        chance = tuple(each for each in known if each.name == NOISE)
        inputs = tuple(each for each in known if each.name != NOISE)
        if {each.name for each in inputs} != set(self._inputs):
            raise BadInput(f"{SEQUENCE!r} must take {', '.join(self._inputs)}; it takes "
                           f"{', '.join(each.name for each in inputs)}")  # fmt: skip
        width = None if rebuilt and isinstance(data, Dataset) else self._tokens(networks)
        loaded = load(data, inputs=inputs, dtype="int32", task=self.name, vocabulary=width, **asked)
        facts = facts_of(loaded, Dataset)
        steps = {name: Stepped.of(networks[name]) for name in self._networks if name not in (SEQUENCE, ENCODER)}
        return Sentences(**facts, steps=steps, chance=chance)

    def _tokens(self, networks: Networks) -> int:
        """Return how many tokens are told apart; pairs in memory keep those they have."""
        outputs = takes(networks[SEQUENCE])["outputs"]
        return next((each.shape[-1] for each in outputs if each.name == LOGITS), outputs[0].shape[-1]) or 0

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the inputs of n training pairs: of the step by time, (n, T, ...), on a made-up memory.

        What an encoder makes is drawn from a normal distribution: the step has its ranges from the sequence net.
        """
        pairs = subset(dataset.train, n, seed, stratify=False).x
        if network == SEQUENCE:
            return {**dict(pairs), **drawn(presented_as(dataset, Sentences).chance, len(pairs[TARGET]), seed)}
        if network == ENCODER:
            return sources_of(dict(pairs))
        step, (count, length) = presented_as(dataset, Sentences).steps[network], pairs[TARGET].shape[:2]
        random, given = np.random.default_rng(seed), {}
        for each in step.inputs:
            if each.name in step.states.values():
                continue
            if each.name == TOKEN:
                given[TOKEN] = pairs[TARGET][:, :, None]
            elif each.name == POSITION:
                given[POSITION] = positions(count, length)
            else:
                shape = tuple(size or 1 for size in each.shape)
                made = pairs[each.name] if each.name in pairs else random.standard_normal((count, *shape), np.float32)
                given[each.name] = np.repeat(made[:, None], length, axis=1)
        return given

    def speaker(self, run: Runner, dataset: Dataset, source: np.ndarray, begin: int | np.ndarray = BOS) -> Speaker:
        """Return what decodes these sentences (N, S), read by the encoder: see `training.decoding`.

        begin: the first token of each, which may name the language that is asked for.
        """
        step, length = presented_as(dataset, Sentences).steps[STEP], dataset.train.y.shape[1]
        made = run(ENCODER, {SOURCE: source})
        return step.speaker(run, STEP, made, {SOURCE: source}, length=length, begin=begin)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by what BLEU counts of it, (N, 10)."""
        source, target = (np.asarray(dataset.test.x[name]) for name in (SOURCE, TARGET))
        ids = greedy(self.speaker(run, dataset, source, begin=target[:, 0]))
        said, references = ([text_of(row, dataset.labels) for row in rows] for rows in (ids, dataset.test.y))
        return Scores.by_row(self.metric.scores(said, references))

    def right(self, answers: np.ndarray, targets: np.ndarray, threshold: float) -> np.ndarray:
        """Return the share of each sentence's tokens that are the likeliest, (N,)."""
        there = (targets != PAD).reshape(len(targets), -1)
        right = (answers.argmax(-1) == targets).reshape(len(targets), -1)
        return (right & there).sum(-1) / np.maximum(there.sum(-1), 1)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def drawn(chance: Iterable[Input], count: int, seed: int) -> dict[str, np.ndarray]:
    """Return Gumbel noise for inputs, a function of the seed: (count, ...) float32 each."""
    random = np.random.default_rng(seed)
    shapes = {each.name: (count, *(size or 1 for size in each.shape)) for each in chance}
    return {name: random.gumbel(size=shape).astype(np.float32) for name, shape in shapes.items()}


def positions(count: int, length: int) -> np.ndarray:
    """Return what a step is told at each step, (count, length, 1)."""
    return np.tile(np.arange(length, dtype=np.int32)[None, :, None], (count, 1, 1))


def sources_of(pairs: Arrays) -> Arrays:
    """Return what an encoder reads of pairs."""
    return {name: values for name, values in pairs.items() if name.startswith(SOURCE)}


def token_logs(threshold: float) -> list[Any]:
    """Return what is logged of tokens."""
    return [TokenAccuracy()]


enter(Translation(name="translation", loss=PaddedCrossentropy, logs=token_logs, labelled=True))
