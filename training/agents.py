"""Agents: how networks act in an environment, whatever computes them: what is read, and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from ..ends import input_names
from ..runners import Arrays, Runner

POLICY = "policy"  # the network that answers, where there are others beside it


class Agent(Protocol):
    """How networks act: one of them answers with a value, or a logit, of each action."""

    @property
    def reads(self) -> str:
        """The network that reads observations."""
        ...

    @property
    def answers(self) -> str:
        """The network that answers."""
        ...

    def begin(self, episodes: int) -> dict[str, np.ndarray]:
        """Return what is remembered as episodes begin, (episodes, ...) by name."""
        ...

    def stand_in(self, network: str, observations: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        """Return what a network might read, by the names of its inputs, where nobody has played yet."""
        ...

    def seen(self, run: Runner, observations: np.ndarray, kept: Arrays) -> dict[str, np.ndarray]:
        """Return what the network that answers reads, by the names of its inputs."""
        ...

    def went_on(self, run: Runner, seen: Arrays, actions: np.ndarray, kept: Arrays) -> dict[str, np.ndarray]:
        """Return what is remembered after moves.  Shapes: actions (n,)."""
        ...


def agent_of(networks: Mapping[str, keras.Model]) -> Agent:
    """Return how these networks act: by the one called `POLICY`, or the first there is."""
    name = POLICY if POLICY in networks else next(iter(networks))
    return Reacting(network=name, given=input_names(networks[name])[0])


@dataclass(frozen=True, kw_only=True)
class Reacting:
    """Answers what it sees.  network: that answers; given: the name of its input."""

    network: str
    given: str

    @property
    def reads(self) -> str:
        """The network that reads observations."""
        return self.network

    @property
    def answers(self) -> str:
        """The network that answers."""
        return self.network

    def begin(self, episodes: int) -> dict[str, np.ndarray]:
        """Remember nothing."""
        return {}

    def stand_in(self, network: str, observations: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        """Return the observations."""
        return {self.given: observations}

    def seen(self, run: Runner, observations: np.ndarray, kept: Arrays) -> dict[str, np.ndarray]:
        """Return the observations."""
        return {self.given: observations}

    def went_on(self, run: Runner, seen: Arrays, actions: np.ndarray, kept: Arrays) -> dict[str, np.ndarray]:
        """Remember nothing."""
        return {}


def largest(answers: Mapping[str, Any]) -> np.ndarray:
    """Return the action of the largest value of what a network answers, (n,)."""
    (values,) = answers.values()
    return np.asarray(values).reshape(len(values), -1).argmax(-1)


__all__ = ["POLICY", "Agent", "agent_of", "largest"]
