"""Agents: how networks act in an environment, whatever computes them: what is read, and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from keras import tree

from ..ends import input_names
from ..runners import Arrays, Runner

POLICY = "policy"  # the network that answers, where there are others beside it
VISION, MEMORY, CONTROLLER = "vision", "memory", "controller"  # those of a world model
STATES = ("hidden", "cell")  # of the memory


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


def agent_of(networks: Mapping[str, keras.Model], actions: int) -> Agent:
    """Return how these networks choose among `actions`: a world model, a network `POLICY`, or the first there is."""
    if {VISION, MEMORY, CONTROLLER} <= networks.keys():
        sizes = {
            name: given.shape[-1]
            for name, given in zip(input_names(networks[MEMORY]), tree.flatten(networks[MEMORY].inputs), strict=True)
        }
        return Imagining(actions=actions, latent=sizes["code"], units=sizes[STATES[0]])
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


@dataclass(frozen=True, kw_only=True)
class Imagining:
    """A world model: vision makes a code of a frame, a controller answers it and the state of a memory, which is told
    the code and what was done, and expects the next code.

    Source: Ha and Schmidhuber 2018, arXiv:1803.10122.
    """

    actions: int
    latent: int
    units: int

    @property
    def reads(self) -> str:
        """The network that reads observations."""
        return VISION

    @property
    def answers(self) -> str:
        """The network that answers."""
        return CONTROLLER

    def begin(self, episodes: int) -> dict[str, np.ndarray]:
        """Return states of zero."""
        return {name: np.zeros((episodes, self.units), np.float32) for name in STATES}

    def stand_in(self, network: str, observations: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        """Return the observations, or codes and states as they are drawn before anything is learned."""
        if network == VISION:
            return {"frame": observations}
        random, count = np.random.default_rng(seed), len(observations)
        code = random.normal(size=(count, self.latent)).astype(np.float32)
        hidden, cell = random.uniform(-1, 1, (2, count, self.units)).astype(np.float32)
        if network == CONTROLLER:
            return {"code": code, "hidden": hidden}
        taken = np.eye(self.actions, dtype=np.float32)[random.integers(0, self.actions, count)]
        return {"code": code, "action": taken, "hidden": hidden, "cell": 2 * cell}

    def seen(self, run: Runner, observations: np.ndarray, kept: Arrays) -> dict[str, np.ndarray]:
        """Return the mean of the code of each frame, and what the memory holds."""
        code = run(VISION, {"frame": observations})["mean"]
        return {"code": np.asarray(code, np.float32), STATES[0]: kept[STATES[0]]}

    def went_on(self, run: Runner, seen: Arrays, actions: np.ndarray, kept: Arrays) -> dict[str, np.ndarray]:
        """Return the states of the memory after it was told what was done."""
        taken = np.eye(self.actions, dtype=np.float32)[actions]
        answer = run(MEMORY, {"code": seen["code"], "action": taken, **kept})
        return {name: np.asarray(answer[f"{name}_out"], np.float32) for name in STATES}


def largest(answers: Mapping[str, Any]) -> np.ndarray:
    """Return the action of the largest value of what a network answers, (n,)."""
    (values,) = answers.values()
    return np.asarray(values).reshape(len(values), -1).argmax(-1)


__all__ = ["CONTROLLER", "MEMORY", "POLICY", "STATES", "VISION", "Agent", "agent_of", "largest"]
