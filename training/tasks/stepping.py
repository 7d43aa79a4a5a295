"""Step networks: what one reads at a time step, and what goes round as its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...runners import Arrays, Runner
from ..data import Input
from ..decoding import TOKEN, Speaker
from ..presented import takes

POSITION = "position"  # of a step, where it reads one


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """What a step network reads.  states: output -> the input that it becomes."""

    inputs: tuple[Input, ...]
    states: dict[str, str]

    @classmethod
    def of(cls, network: keras.Model) -> Stepped:
        """Return what a network reads; an output "x_out" is the state that becomes its input "x"."""
        known = takes(network)
        inputs, outputs = known["inputs"], [output.name for output in known["outputs"]]
        states = {f"{each.name}_out": each.name for each in inputs if f"{each.name}_out" in outputs}
        return cls(inputs=inputs, states=states)

    @property
    def read(self) -> tuple[str, ...]:
        """The names of the inputs that are no states."""
        return tuple(each.name for each in self.inputs if each.name not in self.states.values())

    def speaker(self, run: Runner, network: str, made: Arrays, given: Arrays, **how: Any) -> Speaker:
        """Return what decodes by this network.

        made: what networks before it answered; of the same name as a state it is what that begins with, zero if there
        is none. given: what it reads at every step besides. how: as `Speaker` has it.
        """
        count = len(next(iter(made.values())))
        first, held = {}, {}
        for each in self.inputs:
            shape = (count, *(size or 1 for size in each.shape))
            if each.name in self.states.values():
                first[each.name] = np.reshape(made[each.name], shape) if each.name in made else np.zeros(shape, "f4")
            elif each.name not in (TOKEN, POSITION):
                held[each.name] = given[each.name] if each.name in given else made[each.name]
        position = POSITION if POSITION in [each.name for each in self.inputs] else None
        return Speaker(run=run, network=network, count=count, first=first, held=held, states=self.states,
                       position=position, **how)  # fmt: skip
