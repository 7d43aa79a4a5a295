"""Files whose states go in and come out: a sequence is run a step at a time, its states carried on.

Nothing here goes by a file's name: a job says which output becomes which input (`states`, names as in the manifest).
"""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .faults import Rejected, refusing
from .kinds import Job
from .machine import microseconds_since
from .samples import Samples, dequantize, fits, matching, plain, quantize

STEPS_A_FEED = 16  # steps that the timed loop cycles through, for each of its samples


class Names:
    """What inputs and outputs are called: by the manifest, in the order of the file, or else by the file itself."""

    def __init__(self, model: Any, named: Any = None):
        known = named or {}
        self.inputs = self._of(model.inputs, known.get("inputs"))
        self.outputs = self._of(model.outputs, known.get("outputs"))

    def _of(self, tensors: Any, known: Any):
        return list(known) if known and len(known) == len(tensors) else [plain(tensor["name"]) for tensor in tensors]

    def input(self, name: str):
        """Return the place of an input.  Raises: Rejected."""
        return self._place(self.inputs, name, "input")

    def output(self, name: str):
        """Return the place of an output.  Raises: Rejected."""
        return self._place(self.outputs, name, "output")

    def _place(self, names: Any, name: str, what: str):
        if name not in names:
            raise Rejected(f"no {what} {name!r}; there are {names}")
        return names.index(name)


class Stepper:
    """A model that is run a step at a time. given: places of inputs that are no states; told: of such outputs."""

    def __init__(self, model: Any, states: Mapping[str, str], names: Any):
        self._model, self._names = model, names
        self._carried = [(names.output(output), names.input(given)) for output, given in states.items()]
        into, out = {given for _, given in self._carried}, {output for output, _ in self._carried}
        self.given = [index for index in range(len(model.inputs)) if index not in into]
        self.told = [index for index in range(len(model.outputs)) if index not in out]
        self._widened = False  # an axis of one step was missing in what was given: it is left out of answers too
        self.inputs: list = [None] * len(model.inputs)  # what the next step reads
        self.start()

    def start(self):
        """Forget the sequence before: states are zero."""
        self._model.reset()
        for _, given in self._carried:
            tensor = self._model.inputs[given]
            kind = np.float32 if tensor["scale"] else tensor["dtype"]
            self.inputs[given] = quantize(np.zeros(tensor["shape"], kind), tensor)

    def read(self, index: int, values: Any):
        """Let the next steps read float values at an input, (1, ...) with or without an axis of one step."""
        tensor = self._model.inputs[index]
        fitted = fitting(values, tensor)
        self._widened = self._widened or fitted.ndim > values.ndim
        self.inputs[index] = quantize(fitted, tensor)

    def carry(self):
        """Make the states that came out of the last step those that go into the next."""
        for output, given in self._carried:
            ours, theirs = self._model.outputs[output], self._model.inputs[given]
            values = self._model.get(output)
            if alike(ours, theirs):
                self.inputs[given] = np.array(values)
            else:
                self.inputs[given] = quantize(dequantize(values, ours), theirs)

    def step(self):
        """Run a step, and carry its states on; return how many microseconds the inference took.  Raises: Rejected."""
        missing = [name for name, values in zip(self._names.inputs, self.inputs) if values is None]
        if missing:
            raise Rejected(f"nothing was given for input {missing[0]!r}")
        with refusing():
            self._model.set(self.inputs)
            started = time.perf_counter_ns()
            self._model.invoke()
            elapsed = microseconds_since(started)
            self.carry()
        return elapsed

    def answer(self, index: int):
        """Return an output of the last step as float32, without its batch, and without an axis that no input had."""
        values = np.array(dequantize(self._model.get(index), self._model.outputs[index]))
        return values[0, 0] if self._widened and values.ndim > 2 and values.shape[1] == 1 else values[0]


def alike(ours: Job, theirs: Job):
    """Tell if two tensors hold numbers in the same form."""
    return all(ours[key] == theirs[key] for key in ("dtype", "scale", "zero_point"))


def fitting(values: Any, tensor: Job):
    """Give the values of one step the shape of its input, which may have an axis for the step.  Raises: Rejected."""
    for shape in (values.shape, (*values.shape[:1], 1, *values.shape[1:])):
        if fits(shape, tensor):
            return values.reshape(shape)
    raise Rejected(f"input {tensor['name']!r} takes shape {tensor['shape']}, a step has {list(values.shape)}")


class Sequences:
    """Sequences for a file with states: arrays (N, T, ...) by the name of an input that is no state.

    It answers as `Samples` does: (T, ...) a sample; timed is a step.
    """

    def __init__(self, arrays: Any, model: Any, states: Mapping[str, str], names: Any):
        self._model, self._stepper = model, Stepper(model, states, names)
        self._arrays = [(index, matching(arrays, names.inputs[index])) for index in self._stepper.given]
        if len(self._arrays) != len(arrays):
            raise Rejected(f"the model has {len(self._arrays)} inputs beside its states, the samples {len(arrays)}")
        lengths = {array.shape[1] for _, array in self._arrays if array.ndim > 1}
        if len(lengths) != 1:
            raise Rejected("a file with states takes sequences (N, T, ...), all of one length T")
        (self._steps,) = lengths

    def __len__(self):
        return len(self._arrays[0][1])

    def _read(self, sample: Any, step: int):
        for index, array in self._arrays:
            self._stepper.read(index, np.asarray(array[sample : sample + 1, step]))

    def invoke(self, sample: Any):
        """Run a sample's first step; return how many microseconds it took."""
        self._stepper.start()
        self._read(sample, 0)
        return self._stepper.step()

    def answer(self, sample: Any, outputs: Sequence[int]):
        """Run a sample from states of zero; return these outputs, (T, ...), and the first step's microseconds."""
        self._stepper.start()
        answers, times = [], []
        for step in range(self._steps):
            self._read(sample, step)
            times.append(self._stepper.step())
            answers.append([self._stepper.answer(place) for place in outputs])
        return [np.stack(steps) for steps in zip(*answers)], times[0]

    def _begun(self, most: int):
        """Return what the model reads in the first `most` steps, states zero, and whether a sample begins there."""
        begun = []
        for sample in range(len(self)):
            if len(begun) == most:
                break
            self._stepper.start()
            for step in range(min(self._steps, most - len(begun))):
                self._read(sample, step)
                begun.append((list(self._stepper.inputs), step == 0))
        return begun

    def inputs(self, most: int):
        """Return what the model reads in the first steps; states are zero."""
        return [inputs for inputs, _ in self._begun(most)]

    def feed(self, most: int):
        """Return `feed(i)`, which places what step i reads, and the states that the inference before left."""
        begun = self._begun(STEPS_A_FEED * most)

        def feed(i: int):
            inputs, fresh = begun[i % len(begun)]
            self._stepper.inputs = list(inputs)
            if not fresh:
                self._stepper.carry()
            self._model.set(self._stepper.inputs)

        return feed


def samples_of(spec: Job, arrays: Any, model: Any):
    """Return the samples of a job for one model: sequences where it has states."""
    if spec.get("states"):
        return Sequences(arrays, model, spec["states"], Names(model, spec.get("named")))
    return Samples(arrays, model, spec.get("stateful"))
