"""Episodes: a network gives the values of actions, and its task is the world that it acts in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, calibration, sets
from ..data.dataset import limited
from ..data.environments import environment, play
from ..presented import by_name, takes
from .register import Bound, Networks, task


@task
class Episodic:
    """Acts by the largest value and is judged by the mean return of the test episodes; the unit is an episode."""

    name = "episodic"

    @property
    def metric(self) -> Metric:
        """The mean return."""
        return metrics.get("mean_return")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return the episodes of the environment `data` for the one network.

        asked: `limit` and `test_limit` of episodes, `seed`.
        Raises: BadInput for a data set that is no environment, or a network that takes other states.
        """
        name, network = next(iter(networks.items()))
        dataset = data if isinstance(data, Dataset) else _episodes(data)
        known = takes(network)
        shape, width = known["inputs"][0].shape, network.outputs[0].shape[-1]
        if not rebuilt and (shape, width) != (dataset.input_shape, dataset.classes):
            raise BadInput(
                f"{name!r} takes states {shape} and values {width} actions; {dataset.name!r} has states "
                f"{dataset.input_shape} and {dataset.classes} actions"
            )
        shown = Shown(network=name, inputs=known["inputs"], outputs=outputs_of(network))
        few = limited(dataset, asked.get("limit"), asked.get("test_limit"), asked.get("seed", 0))
        return replace(few, shown=shown)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n observations of training episodes."""
        assert dataset.shown
        return by_name(dataset.shown, calibration(dataset, n, seed))

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Play the test episodes in lockstep, one call of the network a move; a row is an episode's return."""
        shown = dataset.shown
        assert shown

        def act(states: np.ndarray) -> np.ndarray:
            (values,) = run(shown.network, {shown.inputs[0].name: states}).values()
            return np.asarray(values).reshape(len(states), -1).argmax(-1)

        return Scores.by_row(play(dataset.name, dataset.test.y, act)[:, None])

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def _episodes(name: str) -> Dataset:
    environment(name)
    entry = sets.source(name)
    return entry.load(entry.native)
