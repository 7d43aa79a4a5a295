"""What computes a deployable: Keras networks, fake-quantized ones, or files on a device. Imports nothing heavy.

A task is evaluated through a runner, so that one loop reads a text, decodes a translation, plays an episode or draws
samples with all of them, and a verdict compares like with like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .metrics import Metric, Scores

Arrays = Mapping[str, np.ndarray]  # by the name of an input or output


class Runner(Protocol):
    """Runs networks by name, each on arrays by name. Raises: EdgewrightError where one cannot be run."""

    def __call__(self, network: str, inputs: Arrays) -> Arrays:
        """Run a batch.  Shapes: input -> (N, ...); output -> (N, ...) float32."""
        ...

    def unroll(
        self,
        network: str,
        given: Arrays,
        *,
        first: Arrays | None = None,
        steps: int | None = None,
        feed: Mapping[str, str] | None = None,
        held: Arrays | None = None,
    ) -> Arrays:
        """Run a step network once a time step; its states (see `Deployable`) start at zero and are fed back.

        given: input -> (N, T, ...), what it reads at each step (teacher forcing). first: input -> (N, ...), what it
        reads at the first step only, states among them. held: input -> (N, ...), what it reads alike at every step (the
        memory that an encoder made). feed: output -> the input that it becomes in the next call, beside the states;
        where the input is of integers, the index of the output's largest value (greedy decoding).
        steps: T where nothing is given. Shapes: output -> (N, T, ...) float32, states left out.
        """
        ...

    def table(self, network: str) -> np.ndarray:
        """Return the one weight of a network that stays with the host, see `Deployable.tables`."""
        ...


class Recording:
    """A runner that keeps what one network reads while another runner is asked."""

    def __init__(self, run: Runner, network: str):
        self._run, self._network = run, network
        self._seen: list[Arrays] = []

    def __call__(self, network: str, inputs: Arrays) -> Arrays:
        """Run a batch, and keep it if it is the network's."""
        if network == self._network:
            self._seen.append({name: np.asarray(values) for name, values in inputs.items()})
        return self._run(network, inputs)

    def unroll(self, network: str, given: Arrays, **how: Any) -> Arrays:
        """Run a step network; what it reads at each step is not kept."""
        return self._run.unroll(network, given, **how)

    def table(self, network: str) -> np.ndarray:
        """Return a table."""
        return self._run.table(network)

    def all(self) -> Arrays:
        """Return the samples that were read, in their order."""
        return {name: np.concatenate([batch[name] for batch in self._seen]) for name in self._seen[0]}

    def chosen(self, n: int, seed: int) -> Arrays:
        """Return n of the samples that were read, in an order that is a function of `seed`."""
        whole = self.all()
        order = np.random.default_rng(seed).permutation(len(next(iter(whole.values()))))[:n]
        return {name: values[order] for name, values in whole.items()}


class Judge(Protocol):
    """A task bound to its data: what is left to know is who computes the networks."""

    @property
    def metric(self) -> Metric:
        """What the scores are reduced by."""
        ...

    def evaluate(self, run: Runner) -> Scores:
        """Score the networks that `run` computes on the test data."""
        ...
