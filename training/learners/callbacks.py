"""What happens between the epochs of `Model.fit`: order, progress, the best weights, the saved state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from ...errors import EdgewrightError
from ...keras_internals import layers_in
from ..config import TrainConfig
from ..schedules import after_plateaus
from ..state import Row, RunDir, State, pack, unpack
from .batches import Batches


class Pace(keras.callbacks.Callback):
    """Sets each epoch's order of samples, tells layers of it that have a `begin_epoch`, and moves the progress bar."""

    def __init__(self, batches: Batches, advance: Callable[..., None], history: list[Row]):
        super().__init__()
        self._batches, self._advance, self._history = batches, advance, history
        advance(len(history) * len(batches))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None):
        """Shuffle for `epoch`."""
        self._batches.begin(epoch)
        fitted: Any = self.params
        layers: Any = layers_in(self.model)
        for layer in layers:
            if hasattr(layer, "begin_epoch"):
                layer.begin_epoch(epoch, fitted["epochs"])
        self._done = 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None):
        """Advance to `batch`, the last one of this execution; Keras counts a short last execution as a full one."""
        batch = min(batch, len(self._batches) - 1)
        last = self._history[-1] if self._history else {}
        note = " ".join(f"{name} {value:.4f}" for name, value in last.items() if name.startswith("val_"))
        self._advance(batch + 1 - self._done, note)
        self._done = batch + 1


class Plateaus(keras.callbacks.Callback):
    """Lowers the rate where the loss falls no more, as the schedule "plateau" has it; a function of the history."""

    def __init__(self, config: TrainConfig, batch: int, history: list[Row]):
        super().__init__()
        self._config, self._peak, self._history = config, config.rate_for(batch), history

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None):
        """Set the rate of `epoch`."""
        if self._config.schedule == "plateau":
            losses = [row["val_loss"] for row in self._history]
            model: Any = self.model
            model.optimizer.learning_rate = after_plateaus(self._config, self._peak, losses)


class BestCheckpoint(keras.callbacks.Callback):
    """Logs epochs, remembers the best weights, saves the run's state, stops early.

    best: history -> index of the epoch to keep. judged: the output whose metrics choose it, "" for a lone one.
    """

    def __init__(
        self,
        model: keras.Model,
        config: TrainConfig,
        run: RunDir,
        *,
        epochs: int,
        best: Callable[[list[Row]], int],
        judged: str,
    ):
        super().__init__()
        self._best_of, self._judged = best, f"{judged}_" if judged else ""
        self._network, self._config, self._run, self._epochs = model, config, run, epochs
        self._moving = {"model": model.variables, "optimizer": model.optimizer.variables}
        self._best: dict[str, np.ndarray] = {}
        self.history: list[Row] = []
        state = run.restore()
        if state:
            unpack(state.arrays, self._moving)
            self._best = {name: value for name, value in state.arrays.items() if name.startswith("best/")}
            self.history = state.history
        self._complete = state is not None and state.done

    @property
    def next_epoch(self) -> int:
        """The number, from 0, of the epoch to train next; past the last one if the run is complete."""
        return self._epochs if self._complete or self._over() else len(self.history)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None):
        """Judge the epoch."""
        row = {"epoch": float(epoch + 1), **{self._plain(name): float(value) for name, value in (logs or {}).items()}}
        if not all(map(math.isfinite, row.values())):
            raise EdgewrightError(f"training diverged: {row}. Lower learning_rate, or check the scale of the samples")
        self.history.append(row)
        self._run.log(row)
        if self._best_epoch() == len(self.history) - 1:
            self._best = pack({"best": self._network.weights})
        if self._run.due():
            self._save(done=False)
        if self._over():
            self._network.stop_training = True

    def finish(self) -> None:
        """Put the best epoch's weights into the network and mark the run as complete."""
        if not self._complete:
            self._save(done=True)
        unpack(self._best, {"best": self._network.weights})
        self._run.finish(self.history)

    def _plain(self, name: str) -> str:
        """Return a metric's name as the task knows it: without the output that is judged; losses are of all outputs."""
        return name if name.endswith("_loss") else name.replace(self._judged, "", 1) if self._judged else name

    def _best_epoch(self) -> int:
        return self._best_of(self.history)

    def _over(self) -> bool:
        """Tell if training may end early: it got no better for `patience` epochs, or is good enough."""
        patience, enough = self._config.patience, self._config.enough
        if not self.history:
            return False
        stalled = patience is not None and len(self.history) - 1 - self._best_epoch() >= patience
        return stalled or (enough is not None and self.history[-1].get("val_accuracy", 0.0) >= enough)

    def _save(self, *, done: bool) -> None:
        self._run.save(State(arrays={**pack(self._moving), **self._best}, history=self.history, done=done))
