"""Episodes: networks give the values of actions, and their task is the world that they act in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Recording, Runner
from ..agents import Agent, agent_of, largest
from ..answers import outputs_of
from ..data import Dataset, Shown, calibration, sets
from ..data.dataset import limited
from ..data.environments import environment, play
from ..presented import takes
from .register import Bound, Networks, task
from .supervised import SHOWN

OBSERVED = 8  # episodes that are played to see what networks read


@task
class Episodic:
    """Acts by the largest value and is judged by the mean return of the test episodes; the unit is an episode."""

    name = "episodic"

    @property
    def metric(self) -> Metric:
        """The mean return."""
        return metrics.get("mean_return")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return the episodes of the environment `data` for networks that act together, see `training/agents.py`.

        asked: `limit` and `test_limit` of episodes, `seed`.
        Raises: BadInput for a data set that is no environment, or networks that take other states.
        """
        dataset = data if isinstance(data, Dataset) else _episodes(data)
        agent = agent_of(networks, dataset.classes)
        name, network = agent.reads, networks[agent.reads]
        known = takes(network)
        shape, width = known["inputs"][0].shape, networks[agent.answers].outputs[0].shape[-1]
        if not rebuilt and (shape, width) != (dataset.input_shape, dataset.classes):
            raise BadInput(
                f"{name!r} takes states {shape} and values {width} actions; {dataset.name!r} has states "
                f"{dataset.input_shape} and {dataset.classes} actions"
            )
        few = limited(dataset, asked.get("limit"), asked.get("test_limit"), asked.get("seed", 0))
        own = {each.name: getattr(few, each.name) for each in fields(Dataset)}
        own["shown"] = Shown(network=name, inputs=known["inputs"], outputs=outputs_of(network))
        return Episodes(**own, agent=agent)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n observations of training episodes, or what a network that reads others might read of them."""
        return _agent(dataset).stand_in(network, np.asarray(calibration(dataset, n, seed)), seed)

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what a network reads in training episodes; of observations half are as one sees them who wanders.

        Who plays well does not see what one sees who begins.
        """
        agent, recording = _agent(dataset), Recording(run, network)
        self._returns(recording, dataset, dataset.train.y[:OBSERVED])
        if network != agent.reads:
            return recording.chosen(n, seed)
        seen, plain = recording.chosen(n // 2, seed), self.samples(dataset, network, n - n // 2, seed)
        return {name: np.concatenate([values, plain[name]]) for name, values in seen.items()}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Play the test episodes in lockstep, one call of each network a move; a row is an episode's return."""
        return Scores.by_row(self._returns(run, dataset, dataset.test.y)[:, None])

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return what is seen in the first test episode; nothing of states that are no pictures."""
        if len(dataset.input_shape) != 3:
            return {}
        recording = Recording(run, _agent(dataset).reads)
        self._returns(recording, dataset, dataset.test.y[:1])
        (frames,) = recording.all().values()
        return {"seen in an episode": frames[:SHOWN, ..., -1]}

    def _returns(self, run: Runner, dataset: Dataset, seeds: np.ndarray) -> np.ndarray:
        """Return the sum of rewards of an episode for each seed, (E,)."""
        agent = _agent(dataset)

        def act(observations: np.ndarray, kept: Arrays) -> tuple[np.ndarray, Arrays]:
            seen = agent.seen(run, observations, kept)
            actions = largest(run(agent.answers, seen))
            return actions, agent.went_on(run, seen, actions, kept)

        return play(dataset.name, seeds, act, agent.begin(len(seeds)))

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


@dataclass(frozen=True, kw_only=True)
class Episodes(Dataset):
    """Episodes of an environment.  agent: how the networks act that they were presented to."""

    agent: Agent


def _agent(dataset: Dataset) -> Agent:
    if not isinstance(dataset, Episodes):
        raise BadInput(f"data {dataset.name!r} was presented to no networks that act; name the environment instead")
    return dataset.agent


def _episodes(name: str) -> Dataset:
    environment(name)
    entry = sets.source(name)
    return entry.load(entry.native)
