"""What computes a deployable: Keras networks, fake-quantized ones, or files on a device. Imports nothing heavy.

A task is evaluated through a runner, so that one loop reads a text, decodes a translation, plays an episode or draws
samples with all of them, and a verdict compares like with like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

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


class Judge(Protocol):
    """A task bound to its data: what is left to know is who computes the networks."""

    @property
    def metric(self) -> Metric:
        """What the scores are reduced by."""
        ...

    def evaluate(self, run: Runner) -> Scores:
        """Score the networks that `run` computes on the test data."""
        ...
