"""Few-shot classification: classes that no training has seen, told apart after a few samples of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Recording, Runner
from ..data import Dataset, Input, load
from ..data.dataset import Split, facts_of, subset
from ..few_shot import EMBEDDING, HEAD, IMAGE, OPTIMIZER, QUERY, SUPPORT, VECTOR, Episodes, Host, episodes
from ..presented import presented_as, takes
from .register import Bound, Networks, task

EPISODES, QUERIES = 400, 1  # that judge, and queries of each class in one
SHOTS = 1  # where the head does not say
STATES = ("hidden", "cell", "kept", "rate")  # of a learned optimizer
OBSERVED = 60  # episodes by which a network is calibrated


@dataclass(frozen=True, kw_only=True)
class FewShots(Dataset):
    """Samples of many classes, of which episodes are drawn. classes: ways of an episode.

    shots: samples of each that are learned from. episodes: that judge. reads: what networks read, by name of each.
    """

    shots: int
    episodes: int
    reads: Mapping[str, tuple[Input, ...]]

    def host(self, ask: Any, table: Any) -> Host:
        """Return who learns new classes, where `ask` computes networks and `table` reads their tables."""
        states = {each.name: each.shape[-1] or 1 for each in self.reads.get(OPTIMIZER, ()) if each.name in STATES}
        return Host(ask=ask, table=table, networks=self.reads, wanted=_names(self.reads[HEAD]), states=states)


@task
class FewShot:
    """Images of new classes, judged by the share of queries that are told right, the unit being an episode.

    Networks: "embedding", image -> vector; "head", "query" and what was learned of the classes -> scores (N, ways),
    see `training/few_shot.py`. Vectors are computed once, whatever the number of episodes.
    """

    name = "few_shot"

    @property
    def metric(self) -> Metric:
        """Accuracy."""
        return metrics.get("accuracy")

    def present(
        self, data: Any, networks: Networks, *, rebuilt: bool = False, shots: int | None = None, **asked: Any
    ) -> Dataset:
        """Return images as the embedding takes them.

        shots: samples of a class that are learned from; by default as many as the head says, or 1. asked: `limit` of
        training images, of whole classes; `test_limit` of episodes.
        Raises: BadInput if a network is missing, or there are fewer classes than the head tells apart.
        """
        if missing := [name for name in (EMBEDDING, HEAD) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        reads = {name: takes(network)["inputs"] for name, network in networks.items()}
        known = {each.name: each.shape for each in reads[HEAD]}
        shape, ways = takes(networks[EMBEDDING])["input_shape"], networks[HEAD].outputs[0].shape[-1]
        held = known[SUPPORT][1] if SUPPORT in known else None
        if held and shots not in (None, held):
            raise BadInput(f"shots={shots}: the head takes {held} of each class; build it with shots={shots}")
        before = data if isinstance(data, FewShots) else None
        loaded = before or load(data, input_shape=shape, dtype="float32", task=self.name)
        facts = facts_of(loaded, Dataset)
        limit, count = asked.get("limit"), asked.get("test_limit") or (before.episodes if before else EPISODES)
        shots = shots or (before.shots if before else None)
        given = {"train": _classes(loaded.train, limit), "task": self.name, "classes": ways}
        dataset = FewShots(**{**facts, **given}, shots=held or shots or SHOTS, episodes=count, reads=reads)
        for split in (dataset.train, dataset.validation, dataset.test):
            _drawn(dataset, split, 1)
        return dataset

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training images; of other networks made-up vectors of [-1, 1], `observed` has those that they read.

        Likewise the integers of a table.
        """
        told = presented_as(dataset, FewShots)
        if network == EMBEDDING:
            return {IMAGE: np.asarray(subset(dataset.train, n, seed, stratify=False).x)}
        random = np.random.default_rng(seed)
        return {each.name: random.uniform(-1, 1, (n, *(size or 1 for size in each.shape))).astype(each.dtype)
                for each in told.reads[network]}  # fmt: skip

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads in n samples of training episodes."""
        if network == EMBEDDING:
            return self.samples(dataset, network, n, seed)
        seen = Recording(run, network)
        told = replace(presented_as(dataset, FewShots), test=dataset.train, episodes=OBSERVED)
        self.evaluate(seen, told)
        return seen.chosen(n, seed)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each query of the test episodes, (E * Q, 1); the unit is an episode."""
        told = presented_as(dataset, FewShots)
        drawn = _drawn(told, told.test, told.episodes)
        scores = answers(run, told, drawn)
        return Scores.of_samples(self.metric.scores(scores, drawn.labels.reshape(-1)), len(drawn.support))

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return what an episode is learned from, its queries, and what each of these was taken for."""
        told = presented_as(dataset, FewShots)
        drawn = _drawn(told, told.test, 1)
        said = answers(run, told, drawn).argmax(-1)  # (Q,)
        x, support = np.asarray(told.test.x), drawn.support[0, :, 0]
        return {"learned from": x[support], "queries": x[drawn.queries[0]], "taken for": x[support[said]]}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def answers(run: Runner, dataset: FewShots, drawn: Episodes) -> np.ndarray:
    """Return scores of the queries of episodes from the test split, (E * Q, ways)."""
    used, places = np.unique(np.concatenate([drawn.support.ravel(), drawn.queries.ravel()]), return_inverse=True)
    vectors = np.asarray(run(EMBEDDING, {IMAGE: np.asarray(dataset.test.x)[used]})[VECTOR])
    shape = vectors.shape[1:]
    support, queries = np.split(places, [drawn.support.size])
    support = vectors[support].reshape(*drawn.support.shape, *shape)

    def ask(network: str, inputs: Mapping[str, Any]) -> Arrays:
        return run(network, {name: np.asarray(values) for name, values in inputs.items()})

    made = dataset.host(ask, run.table).learned(support)
    count, each = drawn.queries.shape
    given = {name: np.repeat(np.asarray(values), each, axis=0) for name, values in made.items()}
    (scores,) = run(HEAD, {QUERY: vectors[queries].reshape(count * each, *shape), **given}).values()
    return np.asarray(scores).reshape(count * each, -1)


def _drawn(dataset: FewShots, split: Split, count: int) -> Episodes:
    """Return the episodes that every runner is judged by."""
    return episodes(split, ways=dataset.classes, shots=dataset.shots, queries=QUERIES, count=count,
                    random=np.random.default_rng(0))  # fmt: skip


def _classes(split: Split, limit: int | None) -> Split:
    """Return the first classes, as many as have `limit` samples or the last that begins below it."""
    labels = np.asarray(split.y)
    counts = np.cumsum(np.bincount(labels))
    return split if limit is None or limit >= len(labels) else split.take(labels <= np.searchsorted(counts, limit))


def _names(inputs: tuple[Input, ...]) -> list[str]:
    return [each.name for each in inputs]
