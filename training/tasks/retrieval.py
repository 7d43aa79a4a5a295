"""Retrieval: a query becomes a vector, a network scores every row of its table for it, and the true one has a rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...metrics.ranking import rank
from ...models.tables import LOOKUP, QUERY, SCORER
from ...runners import Arrays, Judge, Recording, Runner
from ..data import Dataset, Input, Shown, load
from ..data.dataset import Split, subset
from ..data.queries import RETRIEVALS, Queries
from ..presented import by_name, presented_as, takes
from .register import Bound, Networks, enter

ENCODER = "encoder"  # the network that makes the vector of a query where none is looked up
BLOCK = 256  # queries whose scores are held at once


@dataclass(frozen=True, kw_only=True)
class Presented(Queries):
    """Queries for networks. reads: what the networks that go to a device read, by name of each."""

    reads: Mapping[str, tuple[Input, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Rows that answer queries, judged by their rank among all rows but the known others; the unit is a query.

    Networks: "scorer", "query" (N, width) and what else the data name -> scores (N, rows); "lookup", row (N, 1) ->
    vector (N, width), or "encoder", a sample -> the query's vector. by: the name of a metric of ranks.
    """

    name: str
    by: str

    @property
    def metric(self) -> Metric:
        """A metric of ranks."""
        return metrics.get(self.by)

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Load `data`, a name or `Queries`, for a lookup as they are, for an encoder as it takes samples.

        Raises: BadInput if a network is missing, the data are no queries, or have another number of rows.
        """
        source = next((name for name in (LOOKUP, ENCODER) if name in networks), None)
        if source is None or SCORER not in networks:
            raise BadInput(f"task {self.name!r} needs networks {SCORER!r} and {LOOKUP!r} or {ENCODER!r}, got "
                           f"{', '.join(networks)}")  # fmt: skip
        known = takes(networks[source])
        form = {} if source == LOOKUP else {name: known.get(name) for name in ("input_shape", "dtype", "vocabulary")}
        dataset = load(data, task=self.name, **form, **asked)
        if not isinstance(dataset, Queries) or (source == LOOKUP) != bool(dataset.signs):
            raise BadInput(f"data {dataset.name!r} hold no queries that a network {source!r} makes vectors of")
        rows = networks[SCORER].outputs[0].shape[-1]
        if not rebuilt and rows != dataset.classes:
            raise BadInput(f"{SCORER!r} scores {rows} rows, data {dataset.name!r} have {dataset.classes}; build it "
                           f"with classes={dataset.classes}")  # fmt: skip
        reads = {name: takes(networks[name])["inputs"] for name in (source, SCORER)}
        facts = {each.name: getattr(dataset, each.name) for each in fields(Queries)}
        return Presented(**{**facts, "shown": Shown(network=source, inputs=reads[source], outputs=())}, reads=reads)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what n training queries have `network` read; vectors of queries are made up, `observed` has true ones.

        Of a lookup each row of a query is one sample.
        """
        told = presented_as(dataset, Presented)
        x = np.asarray(subset(told.train, n, seed, stratify=False).x)
        if network != SCORER:
            return _read(told, x)
        random = np.random.default_rng(seed)
        sizes = {each.name: [size or 1 for size in each.shape] for each in told.reads[SCORER]}
        vectors = random.uniform(-1, 1, (len(x), *sizes[QUERY])).astype(np.float32)
        return {QUERY: vectors, **_further(told, x)}

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads at n training queries."""
        if network != SCORER:
            return self.samples(dataset, network, n, seed)
        told, seen = presented_as(dataset, Presented), Recording(run, network)
        x = np.unique(np.asarray(subset(told.train, n, seed, stratify=False).x), axis=0)
        list(_scored(seen, told, x))
        return seen.chosen(n, seed)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each answer of the test split, (N, 1); a query is scored once, and is the unit."""
        places, unit = ranks(run, presented_as(dataset, Presented), dataset.test)
        return Scores(self.metric.scores(places, dataset.test.y), unit)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def ranks(run: Runner, dataset: Presented, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of each answer of a split, and the number of the query it answers, (N,) each."""
    asked, unit = np.unique(np.asarray(split.x), axis=0, return_inverse=True)
    unit, answers = unit.reshape(-1), np.asarray(split.y)
    places, nothing = np.zeros(len(answers)), np.zeros(0, int)
    for start, scores in _scored(run, dataset, asked):
        for sample in np.flatnonzero((unit >= start) & (unit < start + len(scores))):
            known = dataset.known.get(tuple(asked[unit[sample]].ravel().tolist()), nothing)
            places[sample] = rank(scores[unit[sample] - start], int(answers[sample]), known)
    return places, unit


def _scored(run: Runner, dataset: Presented, asked: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the scores of blocks of queries, (n, rows), and where each block starts."""
    for start in range(0, len(asked), BLOCK):
        block = asked[start : start + BLOCK]
        given = {QUERY: vectors(run, dataset, block), **_further(dataset, block)}
        (scores,) = run(SCORER, given).values()
        yield start, np.asarray(scores)


def vectors(run: Runner, dataset: Presented, asked: np.ndarray) -> np.ndarray:
    """Return the vectors of queries, (n, width): of an encoder, or the sum of rows that are looked up."""
    assert dataset.shown
    (found,) = run(dataset.shown.network, _read(dataset, asked)).values()
    if not dataset.signs:
        return found
    rows = found.reshape(len(asked), len(dataset.signs), -1)  # (n, columns, width)
    if dataset.unit_length:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return np.einsum("k,nkd->nd", np.asarray(dataset.signs, np.float32), rows)


def _read(dataset: Presented, asked: np.ndarray) -> dict[str, np.ndarray]:
    """Return what makes vectors of queries reads: samples as they are, or each number of a row, (n * columns, 1).

    Several inputs of an encoder read columns of a sample, one behind the other.
    """
    assert dataset.shown
    count, inputs = len(dataset.signs), dataset.shown.inputs
    if len(inputs) > 1:
        parts = columns(inputs)
        return {each.name: asked[:, parts[each.name]].astype(each.dtype) for each in inputs}
    return by_name(dataset.shown, asked[:, :count].reshape(-1, 1) if count else asked)


def columns(inputs: Sequence[Input]) -> dict[str, slice]:
    """Return the columns of a query that each input (N, n) reads; a lone input reads all."""
    if len(inputs) == 1:
        return {inputs[0].name: slice(None)}
    ends = np.cumsum([each.shape[0] or 1 for each in inputs]).tolist()
    return {each.name: slice(start, end) for each, start, end in zip(inputs, [0, *ends], ends, strict=False)}


def _further(dataset: Presented, asked: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the scorer reads beside the vector, (n, 1) each."""
    first, read = len(dataset.signs), {each.name for each in dataset.reads[SCORER]}
    return {name: asked[:, first + index, None] for index, name in enumerate(dataset.further) if name in read}


for name, by in zip(RETRIEVALS, ("mrr", "hits@1", "hits@10"), strict=True):
    enter(Retrieval(name=name, by=by))
