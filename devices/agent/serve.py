"""An agent that stays: its models are opened once, requests come as lines on standard input, answers go out as lines.

request: {"call": "run" | "unroll", "network", "inputs": {name: array}} and what `unroll` reads besides; an array is
{"dtype", "shape", "data": base64 of its bytes}. The last line is the event `answer`, with "outputs" likewise. The time
limit of the job is that of one request. The end of standard input ends the agent.
"""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import base64
import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .faults import Rejected, Unavailable
from .kinds import Job, Say
from .runtimes import load
from .samples import Samples
from .states import Names, Sequences, Stepper


def serve(job: Job, say: Say):
    """Open the models, each under its `network`, and answer until nobody asks any more."""
    models = {}
    for index, spec in enumerate(job["models"]):
        say("load", model=index)
        models[spec["network"]] = Served(spec)
    say("ready", networks={name: model.ends() for name, model in models.items()})
    limit(0)
    for line in sys.stdin:
        limit(job["time_limit_s"])
        request = json.loads(line)
        given = {name: unpacked(array) for name, array in request["inputs"].items()}
        model = models[request["network"]]
        outputs = model.run(given) if request["call"] == "run" else model.unroll(given, request)
        say("answer", outputs={name: packed(values) for name, values in outputs.items()})
        limit(0)


def limit(seconds: float):
    """End this process in so many seconds, even inside native code; 0 for never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def packed(values: Any):
    """Return an array as JSON has it."""
    values = np.ascontiguousarray(values)
    data = base64.b64encode(values.tobytes()).decode()
    return {"dtype": values.dtype.name, "shape": list(values.shape), "data": data}


def unpacked(array: Any):
    """Return an array from JSON."""
    values = np.frombuffer(base64.b64decode(array["data"]), np.dtype(array["dtype"]))
    return values.reshape(array["shape"])


class Served:
    """One open model."""

    def __init__(self, spec: Job):
        self._model, self._states = load(spec), spec.get("states") or {}
        self._stateful = spec.get("stateful")
        self._names, self._shortlist = Names(self._model, spec.get("named")), spec.get("shortlist")
        Stepper(self._model, self._states, self._names)  # refuses states that the file does not have

    def ends(self):
        """Return what inputs and outputs there are."""
        return {"inputs": self._model.inputs, "outputs": self._model.outputs}

    def run(self, given: Mapping):
        """Run a batch, sample by sample: all inputs, or sequences of those that are no states."""
        if not self._states or set(self._states.values()) & set(given):
            samples = Samples(given, self._model, self._stateful, self._names.inputs)
            told = range(len(self._names.outputs))
        else:
            samples = Sequences(given, self._model, self._states, self._names)
            told = Stepper(self._model, self._states, self._names).told
        if not len(samples):
            raise Unavailable("there are no samples to run")
        rows = [samples.answer(i, told)[0] for i in range(len(samples))]
        return {self._names.outputs[index]: np.stack(values) for index, values in zip(told, zip(*rows))}

    def unroll(self, given: Mapping, request: Job):
        """Run a step network once a step, see `runners.Runner.unroll`.  Raises: Rejected."""
        first, held = ({name: unpacked(array) for name, array in request[kind].items()} for kind in ("first", "held"))
        lengths = {array.shape[1] for array in given.values()} | ({request["steps"]} - {None})
        samples = {len(array) for array in [*given.values(), *first.values(), *held.values()]}
        if len(lengths) != 1 or len(samples) != 1:
            shapes = ({name: array.shape for name, array in arrays.items()} for arrays in (given, first, held))
            raise Rejected(
                "steps={}, given {}, first {} and held {} do not fit together".format(request["steps"], *shapes)
            )
        unrolled = Unrolled(self._model, self._states, request["feed"], self._names, self._shortlist)
        rows = [unrolled.run(given, {**held, **first}, sample, *lengths) for sample in range(*samples)]
        return {self._names.outputs[index]: np.stack(values) for index, values in zip(unrolled.told, zip(*rows))}


class Unrolled:
    """A step network whose outputs become its next inputs: states, and what is fed back besides.

    shortlist: of a file whose `output` says which of some `ids` is likeliest.
    """

    def __init__(
        self, model: Any, states: Mapping[str, str], feed: Mapping[str, str], names: Any, shortlist: Any = None
    ):
        self._shortlist = shortlist
        self._model, self._stepper, self._names = model, Stepper(model, states, names), names
        self._fed = [(names.output(output), names.input(name)) for output, name in feed.items()]
        self.told = self._stepper.told

    def run(self, given: Mapping, first: Mapping, sample: Any, steps: int):
        """Run one sample; return each told output of all steps, (T, ...). first: it stays until something is fed."""
        places = {name: self._names.input(name) for name in (*given, *first)}
        self._stepper.start()
        for name, array in first.items():
            self._stepper.read(places[name], array[sample : sample + 1])
        answers = []
        for step in range(steps):
            for name, array in given.items():
                self._stepper.read(places[name], array[sample : sample + 1, step])
            self._stepper.step()
            answers.append([self._stepper.answer(index) for index in self.told])
            for output, into in self._fed:
                self._feed(output, into)
        return [np.stack(values) for values in zip(*answers)]

    def _feed(self, output: int, into: int):
        """Let the next step read what this one answered; of an input of integers, the index of the largest value."""
        values, tensor = self._stepper.answer(output), self._model.inputs[into]
        if np.dtype(tensor["dtype"]).kind in "iu" and not tensor["scale"] and values.dtype.kind == "f":
            values = values.argmax(-1)
            if self._shortlist and self._names.outputs[output] == self._shortlist["output"]:
                values = np.asarray(self._shortlist["ids"])[values]
            values = values.astype(tensor["dtype"])
        self._stepper.inputs[into] = None
        self._stepper.read(into, values.reshape(tensor["shape"]))
