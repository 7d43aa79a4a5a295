"""Tagging: a tag for each word of a sentence, judged by the chunks that the tags make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..chains import viterbi
from ..chunks import counted
from ..data import Dataset, Input, Split, check, sets
from ..data.dataset import facts_of, limited, subset
from ..data.tagging import HIDDEN
from ..markov import Markov
from ..presented import takes
from .objective import Objective
from .register import Bound, Networks, enter

EMISSIONS, STEP, TRANSITIONS, WINDOW = "emissions", "step", "transitions", "window"  # the networks
FILTER, WORDS, EMISSION, JOINT = "filter", "words", "emission", "joint"  # of a hidden Markov model
TOKEN, TAGS, SCORE = "token", "tags", "score"  # ends of networks


@dataclass(frozen=True, kw_only=True)
class Tagged(Dataset):
    """Sentences, and the input that they are shown at. chained: a table tells how tags follow each other."""

    given: Input
    chained: bool = False


@dataclass(frozen=True, kw_only=True)
class Tagging(Objective):
    """Tags of words, judged by the F1 of chunks, the unit being a sentence.

    Networks: "emissions", words (N, T) or their features (N, T, F) -> scores (N, T, K), of which the largest decides;
    with "transitions", a table (K + 2, K) of the host's, the best path does (see `chains`).
    streamed: a network "step", "token" (N, 1) and states -> scores (N, 1, K) and states, is judged as well: a sentence
    counts twice, as a whole and word by word.
    """

    streamed: bool = False
    _tags_at: ClassVar[int] = -1  # which output of the network tells tags

    @property
    def metric(self) -> Metric:
        """F1 of chunks."""
        return metrics.get("chunk_f1")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return sentences, of a name or a Dataset, as the network takes them.

        Raises: BadInput if there is no such network, for other data, or a net that tells fewer tags apart.
        """
        network = self._network(networks)
        given = takes(network)["inputs"][0]
        if isinstance(data, Dataset):
            dataset = data
        else:
            entry = sets.source(data)
            shape, size = self._asked(networks, entry.native.input_shape)
            dataset = entry.load(sets.asked(entry, input_shape=shape, dtype="int32", task=self.name, vocabulary=size))
        for part, split in dataset.splits.items():
            shown = replace(split, y=np.maximum(split.y, 0))
            check(shown, f"{dataset.name} {part}", classes=dataset.classes, vocabulary=dataset.vocabulary)
        width = network.outputs[self._tags_at].shape[-1]
        if not rebuilt and width < dataset.classes:
            raise BadInput(f"{network.name!r} knows {width} tags, data {dataset.name!r} has {dataset.classes}; build "
                           f"it with classes={dataset.classes}")  # fmt: skip
        facts = facts_of(dataset, Dataset)
        tagged = Tagged(**facts, given=given, chained=TRANSITIONS in networks)
        return limited(tagged, asked.get("limit"), asked.get("test_limit"), asked.get("seed", 0))

    def _network(self, networks: Networks) -> keras.Model:
        """Return the network that sentences are shown to."""
        if EMISSIONS not in networks:
            raise BadInput(f"task {self.name!r} is for a network {EMISSIONS!r}, got {', '.join(networks)}")
        return networks[EMISSIONS]

    def _asked(self, networks: Networks, native: tuple[int, ...]) -> tuple[Any, int | None]:
        """Return the shape of a sentence, and how many ids are known. native: the data's own shape."""
        known = takes(self._network(networks))
        return known["input_shape"], known["vocabulary"]

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training sentences: of the step a word a time step, (n, T, 1)."""
        assert isinstance(dataset, Tagged)
        words = np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        return {TOKEN: words[..., None]} if network == STEP else {dataset.given.name: words}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by its chunks: right, said, true, (N, 3)."""
        assert isinstance(dataset, Tagged)
        words, truth = np.asarray(dataset.test.x), dataset.test.y
        (whole,) = run(EMISSIONS, {dataset.given.name: words}).values()
        rows = [self._counted(np.asarray(whole), run, dataset)]
        if self.streamed:
            (stepped,) = run.unroll(STEP, {TOKEN: words[..., None]}).values()
            rows.append(self._counted(np.asarray(stepped).reshape(*words.shape, -1), run, dataset))
        return Scores(np.concatenate(rows), np.tile(np.arange(len(truth)), len(rows)))

    def _counted(self, emissions: np.ndarray, run: Runner, dataset: Tagged) -> np.ndarray:
        truth = dataset.test.y
        table = run.table(TRANSITIONS) if dataset.chained else None
        return counted(viterbi(emissions, lengths_of(dataset.test), table), truth, dataset.labels)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


@dataclass(frozen=True, kw_only=True)
class WindowTagging(Tagging):
    """Tags of words, each told by the window around it.

    Network "window": words (N, w) -> "tags" (N, K) of the middle one, and "score" (N, 1), how likely the words are.
    """

    def _network(self, networks: Networks) -> keras.Model:
        if WINDOW not in networks:
            raise BadInput(f"task {self.name!r} is for a network {WINDOW!r}, got {', '.join(networks)}")
        return networks[WINDOW]

    def _asked(self, networks: Networks, native: tuple[int, ...]) -> tuple[Any, int | None]:
        return native, takes(self._network(networks))["vocabulary"]

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n windows of training sentences."""
        assert isinstance(dataset, Tagged)
        few = subset(dataset.train, n, seed, stratify=False)
        places = np.argwhere(few.y != HIDDEN)
        chosen = places[np.random.default_rng(seed).choice(len(places), n, replace=len(places) < n)]
        return {dataset.given.name: windows(np.asarray(few.x), chosen, _width(dataset))}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by its chunks, told a window at a time."""
        assert isinstance(dataset, Tagged)
        words, truth = np.asarray(dataset.test.x), dataset.test.y
        places = np.argwhere(truth != HIDDEN)
        answers = run(WINDOW, {dataset.given.name: windows(words, places, _width(dataset))})[TAGS]
        emissions = np.zeros((*truth.shape, np.asarray(answers).shape[-1]), np.float32)
        emissions[tuple(places.T)] = answers
        return Scores.by_row(self._counted(emissions, run, dataset))


def _width(dataset: Tagged) -> int:
    return dataset.given.shape[0] or 1


@dataclass(frozen=True, kw_only=True)
class FilteredTagging(Tagging):
    """Tags as the states of a hidden Markov model, each told by the words so far.

    Networks: "filter", emission (N, T, K) -> joint, log_scale, which is solved; "step", the same a word at a time, its
    belief being a state; "words", the host's table of what is to be seen of each word, (vocabulary, K).
    """

    _tags_at: ClassVar[int] = 0

    def _network(self, networks: Networks) -> keras.Model:
        if missing := [name for name in (FILTER, WORDS) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        return networks[FILTER]

    def _asked(self, networks: Networks, native: tuple[int, ...]) -> tuple[Any, int | None]:
        (length, _) = networks[FILTER].inputs[0].shape[1:]
        return (length,), networks[WORDS].weights[0].shape[0]

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what is to be seen of n training sentences, by what their words were counted with: (n, T, K)."""
        words = np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        return {EMISSION: counted_model(dataset).rows()[words]}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sentence by its chunks, each word tagged before the next is seen."""
        assert isinstance(dataset, Tagged)
        rows = run.table(WORDS)[np.asarray(dataset.test.x)]
        joint = np.asarray(run.unroll(STEP, {EMISSION: rows})[JOINT]).reshape(rows.shape)
        return Scores.by_row(counted(viterbi(joint, lengths_of(dataset.test)), dataset.test.y, dataset.labels))


def counted_model(dataset: Dataset) -> Markov:
    """Return the hidden Markov model of the training sentences, whose states are the tags that are told."""
    words = np.asarray(dataset.train.x)
    return Markov.counted(words, dataset.train.y, dataset.classes, dataset.vocabulary)


def lengths_of(split: Split) -> np.ndarray:
    """Return the number of words of each sentence, (N,)."""
    return (split.y != HIDDEN).sum(1)


def windows(words: np.ndarray, places: np.ndarray, width: int) -> np.ndarray:
    """Return the words around places, padding beyond the ends.  Shapes: (N, T), (M, 2) -> (M, width) int32."""
    half = width // 2
    padded = np.pad(words, [(0, 0), (half, half)])
    return padded[places[:, :1], places[:, 1:] + np.arange(width)].astype(np.int32)


def _of_tags(smoothing: float) -> keras.losses.Loss:
    """Return the cross-entropy of the tags of words, padding left out."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=HIDDEN)


enter(Tagging(name="tagging", loss=_of_tags, labelled=True))
enter(Tagging(name="streamed_tagging", loss=_of_tags, labelled=True, streamed=True))
enter(WindowTagging(name="window_tagging", loss=_of_tags, labelled=True))
enter(FilteredTagging(name="filtered_tagging", loss=_of_tags, labelled=True))
