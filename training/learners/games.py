"""Learners with an update of their own: moves by which some of several networks learn, and epochs that resume exactly.

A move is a Keras model with a loss, so that the gradient is taken and applied by the backend in use, and what networks
do on the way (masks that grow sparse, ranges that are followed, random states) is part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ...errors import EdgewrightError
from ...progress import track
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row, RunDir, State, pack, unpack
from .register import BestEpoch, Networks, Validate

Play = Callable[[Networks, Mapping[str, Any]], Any]  # networks, arrays by name -> what the loss compares with targets


def cost(y_true: Any, y_pred: Any) -> Any:
    """Return what was played, (N, 1): the loss of a move whose play makes it itself."""
    return y_pred


class Move(keras.Model):
    """A move of a game: several networks are run, those called in `learning` change by it.

    `play` calls the networks with training=True, those that do not learn too: their dropout and masks take part.
    """

    def __init__(self, name: str, networks: Networks, learning: Sequence[str], play: Play):
        super().__init__(name=name)
        self.networks, self.learning, self.play = dict(networks), tuple(learning), play
        self.built = True

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of the networks that learn."""
        return [variable for name in self.learning for variable in self.networks[name].trainable_variables]

    @property
    def trainable_weights(self) -> list[Any]:
        """The same, as Keras' loop on TensorFlow asks for them."""
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[Any]:
        """All others, those that another move trains among them."""
        moving = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in moving]

    def reads(self, variables: Sequence[Any]) -> None:
        """Have `play` read variables of no network; those that the backend is not told of, it takes for constants."""
        self.read = list(variables)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Play the move."""
        return self.play(self.networks, inputs)

    def prepare(self, loss: Any, optimizer: Any, config: TrainConfig) -> Move:
        """Compile the move and return it; its optimizer's variables are there at once, to be restored."""
        jit_compile: Any = "auto" if config.jit_compile is None else config.jit_compile
        self.compile(optimizer=optimizer, loss=loss, jit_compile=jit_compile)
        optimizer.build(self.trainable_variables)
        return self

    def make(self, inputs: Mapping[str, np.ndarray], targets: np.ndarray) -> float:
        """Make the move once.  Returns: the loss of the batch before it."""
        return float(np.asarray(self.train_on_batch(dict(inputs), targets)))


class Epochs:
    """Runs epochs of a game: logs them, keeps the best weights, saves the state, stops early.

    moving: by name, the variables that make up the state: networks and optimizers. validate, best: the learner's own.
    """

    def __init__(self, networks: Networks, moving: Mapping[str, Sequence[Any]], config: TrainConfig, run: RunDir):
        self._networks, self._config, self._run = networks, config, run
        self._moving = {**{name: network.variables for name, network in networks.items()}, **moving}
        self._kept = {f"best {name}": network.weights for name, network in networks.items()}

    def play(
        self,
        count: int,
        epoch: Callable[[int], Row],
        dataset: Dataset,
        task: Any,
        validate: Validate,
        best: BestEpoch,
    ) -> list[Row]:
        """Play `count` epochs; leave the best one's weights in the networks.

        epoch: number from 0 -> losses.  Raises: EdgewrightError if one is not finite.
        """
        history, weights, done = self._restored()
        with track(f"train {' and '.join(self._networks)}", count) as advance:
            advance(len(history))
            while not done and len(history) < count and not self._stalled(history, dataset, task, best):
                losses = epoch(len(history))
                row = {"epoch": len(history) + 1.0, **losses,
                       **validate(self._networks, dataset, task, self._config)}  # fmt: skip
                if not all(map(math.isfinite, row.values())):
                    raise EdgewrightError(f"training diverged: {row}. Lower learning_rate, or check the data's scale")
                history.append(row)
                self._run.log(row)
                if best(history, dataset, task) == len(history) - 1:
                    weights = pack(self._kept)
                if self._run.due():
                    self._save(history, weights, done=False)
                advance(1)
        if not done:
            self._save(history, weights, done=True)
        unpack(weights, self._kept)
        self._run.finish(history)
        return history

    def _restored(self) -> tuple[list[Row], dict[str, np.ndarray], bool]:
        """Return history, best weights and whether the run is complete, of the state that was saved, if one was."""
        state = self._run.restore()
        if state is None:
            return [], {}, False
        unpack(state.arrays, self._moving)
        weights = {name: value for name, value in state.arrays.items() if name.startswith("best ")}
        return state.history, weights, state.done

    def _save(self, history: list[Row], weights: Mapping[str, np.ndarray], *, done: bool) -> None:
        self._run.save(State(arrays={**pack(self._moving), **weights}, history=history, done=done))

    def _stalled(self, history: list[Row], dataset: Dataset, task: Any, best: BestEpoch) -> bool:
        patience = self._config.patience
        return bool(history) and patience is not None and len(history) - 1 - best(history, dataset, task) >= patience
