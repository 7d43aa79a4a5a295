"""Completion of a matrix: a row is looked up, every entry of it is told, and those that were hidden are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...models.tables import LOOKUP, QUERY, ROW, SCORER
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, load
from ..data.dataset import subset
from ..presented import takes
from .register import Bound, Networks, task


@task
class Completion:
    """Entries of a matrix by the vector of their row, judged by explained variance, the unit being a row.

    Data: x (N, 2), numbers of row and column; y (N, 1), the entry. Networks: "lookup", row (N, 1) -> vector (N, width);
    "scorer", vector -> all entries of the row (N, columns).
    """

    name = "completion"

    @property
    def metric(self) -> Metric:
        """Explained variance."""
        return metrics.get("explained_variance")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Load `data` for both networks.  Raises: BadInput if one is missing, or has fewer rows than the data."""
        if missing := [name for name in (LOOKUP, SCORER) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        dataset = load(data, task=self.name, **asked)
        most = max(np.asarray(split.x)[:, 1].max() for split in dataset.splits.values())
        columns = networks[SCORER].outputs[0].shape[-1]
        if not rebuilt and columns <= most:
            raise BadInput(f"{SCORER!r} tells {columns} columns, data {dataset.name!r} have number {most}")
        inputs, outputs = takes(networks[LOOKUP])["inputs"], outputs_of(networks[LOOKUP])
        return replace(dataset, shown=Shown(network=LOOKUP, inputs=inputs, outputs=outputs))

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return rows of n training entries; vectors are made up, `observed` has true ones."""
        rows = np.asarray(subset(dataset.train, n, seed, stratify=False).x)[:, :1]
        if network == LOOKUP:
            return {ROW: rows}
        assert dataset.shown
        (width,) = dataset.shown.outputs[0].shape
        return {QUERY: np.random.default_rng(seed).uniform(-1, 1, (len(rows), width or 1)).astype(np.float32)}

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the vectors of these rows for the scorer."""
        given = self.samples(dataset, LOOKUP, n, seed)
        return given if network == LOOKUP else {QUERY: next(iter(run(LOOKUP, given).values()))}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each entry of the test split, (N, 2)."""
        x = np.asarray(dataset.test.x)
        rows, place = np.unique(x[:, 0], return_inverse=True)
        (vectors,) = run(LOOKUP, {ROW: rows[:, None]}).values()
        (told,) = run(SCORER, {QUERY: vectors}).values()
        entries = np.asarray(told)[place.reshape(-1), x[:, 1], None]
        return Scores(self.metric.scores(entries, dataset.test.y), x[:, 0])

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)
