"""Truncated backpropagation through time: windows of a text in its order, states carried from one to the next.

Source: Williams and Peng 1990, An efficient gradient-based algorithm for on-line training of recurrent network
trajectories; with windows that do not overlap, as Mikolov 2010 and Zaremba 2014 train language models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...keras_internals import carried, layers_in, value_of
from ...progress import say
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Split
from .batches import Batches
from .wrapped import Augmented, with_share

GOES_ON, SAMPLES = "goes_on", "samples"  # what the network is told besides its samples: 0 where a state is not carried
MOST_BROKEN = 0.5  # of the windows, which may begin anew


class Streams(Batches):
    """Batches of which row r goes on, from one batch to the next, in the r-th stretch of the windows' order.

    After the last batch of a pass row r takes the stretch behind its own.
    """

    def __init__(self, split: Split, targets: Any, config: TrainConfig, weights: Any = None):
        begun = goes_on(split)
        super().__init__(split, targets, config, weights)
        samples, *rest = self.parts
        self.parts = ({SAMPLES: samples, GOES_ON: begun}, *rest)

    def begin(self, epoch: int) -> None:
        """Take the windows in their order, whatever the epoch."""
        steps = self._samples // self.size
        own = steps * np.arange(self.size)  # where each row begins
        passes = [np.roll(own, -turn)[None] + np.arange(steps)[:, None] for turn in range(self._passes)]
        self._order = np.concatenate(passes).ravel()


def goes_on(split: Split) -> np.ndarray:
    """Return 1 for each window that begins with the token that the one before it ends by telling, else 0.  (N,)

    Raises: BadInput for samples that are no windows of tokens, or do not follow each other.
    """
    x, y = split.x, split.y
    if not isinstance(x, np.ndarray) or x.dtype != np.int32 or np.shape(y) != x.shape or x.ndim != 2:
        raise BadInput("training setting carry_states is True: it is for windows of tokens that are told what comes "
                       "next at each of them, as of task 'language_model'; leave it out")  # fmt: skip
    follows = np.concatenate([[False], y[:-1, -1] == x[1:, 0]])
    if follows[1:].mean() < 1 - MOST_BROKEN:
        raise BadInput(f"training setting carry_states is True: of {len(x)} windows {follows.sum()} begin where the "
                       "one before ends; give them all, in their order (without --quick), or leave it out")  # fmt: skip
    return follows.astype(np.float32)


def samples_of(inputs: Any) -> Any:
    """Return the samples of a batch, with or without what is told beside them."""
    return inputs[SAMPLES] if isinstance(inputs, Mapping) and GOES_ON in inputs else inputs


class Carried(Augmented):
    """A model whose recurrences begin, in training, where they ended in the batch before.

    The states are variables, so that no gradient goes past the border of a batch; at the beginning of an epoch they are
    zero. A recurrence that is given its first state begins at that.
    """

    def __init__(self, model: keras.Model, changes: Sequence[keras.layers.Layer], size: int):
        super().__init__(model, changes)
        self._recurrences = recurrences(model)
        self.states = {
            name: [self._zeros(name, size, each) for each in tree.flatten(layer.get_initial_state(size))]
            for name, layer in self._recurrences.items()
        }

    def _zeros(self, name: str, size: int, like: Any) -> keras.Variable:
        return self.add_weight(
            shape=(size, *like.shape[1:]), initializer="zeros", trainable=False, name=f"{name}_state"
        )

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Forget what was read."""
        for state in tree.flatten(self.states):
            state.assign(ops.zeros(state.shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network; in training on samples with `GOES_ON`, from the states at hand."""
        if not training:
            return super().call(samples_of(inputs), training=training)
        samples, share, _ = self.changed(inputs[SAMPLES])
        kept = ops.expand_dims(inputs[GOES_ON], -1)  # (N, 1)
        first = {name: self._packed(name, [value_of(state) * kept for state in states])
                 for name, states in self.states.items()}  # fmt: skip
        with carried(self._recurrences, first) as last:
            said = self.network(samples, training=True)
        for name, states in self.states.items():
            for state, value in zip(states, tree.flatten(last[name]), strict=True):
                state.assign(value)
        return with_share(said, share)

    def _packed(self, name: str, states: list[Any]) -> list[Any]:
        return tree.pack_sequence_as(self._recurrences[name].get_initial_state(1), states)


def recurrences(model: keras.Model) -> dict[str, Any]:
    """Return the recurrences of a network by name.  Raises: BadInput for one that reads backwards."""
    found = {layer.name: layer for layer in layers_in(model) if isinstance(layer, keras.layers.RNN)}
    if backwards := [name for name, layer in found.items() if layer.go_backwards]:
        raise BadInput(f"training setting carry_states is True: {backwards[0]} of {model.name!r} reads backwards, and "
                       "what comes later is not known yet; leave it out")  # fmt: skip
    return found


def carrying(model: keras.Model, changes: Sequence[keras.layers.Layer], size: int) -> keras.Model:
    """Return a network as it is trained on batches of `size` rows that go on.

    A quantization-aware one is left to itself: its recurrences are operators that begin at zero.
    Raises: BadInput for one that has no recurrence.
    """
    if recurrences(model):
        return Carried(model, changes, size)
    if any(getattr(layer, "is_quantization_aware", False) for layer in layers_in(model)):
        say(f"{model.name}: its recurrences begin each window at zero, as they do in the file: no state is carried")
        return Windowed(model, changes)
    raise BadInput(f"training setting carry_states is True: {model.name!r} has no recurrence; leave it out")


class Windowed(Augmented):
    """A model that is not told which samples go on."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Run the network."""
        return super().call(samples_of(inputs), training=training)
