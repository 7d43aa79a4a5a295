"""A .tflite file in TensorFlow Lite Micro's interpreter, compiled for this machine: what microcontrollers run."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .faults import Rejected
from .kinds import Job
from .tflite_graph import FlatFile, graph_of, keeps_state, layer_of, parts_of, tensor_of

ARENA_BYTES = 1 << 28  # room for any file; pages that are not touched cost nothing
ARENA_STEP = 16  # the interpreter aligns what it places so
SCHEMA = "tflite_micro.tensorflow.lite.micro.python.schema_py_generated"
TRIAL_S = 60  # for one arena


class TfliteMicro:
    """A .tflite file in the interpreter of microcontrollers, with the reference kernels of the wheel."""

    def __init__(self, module: Any, spec: Job):
        with open(spec["path"], "rb") as file:
            self._data = file.read()
        self._module = module
        self._file = FlatFile(importlib.import_module(SCHEMA), self._data)
        self._interpreter = self._open(ARENA_BYTES)
        self.inputs = [tensor_of(details) for details in self._file.get_input_details()]
        self.outputs = [tensor_of(details) for details in self._file.get_output_details()]
        self.invoke = self._interpreter.invoke
        self.reset = self._interpreter.reset

    def _open(self, arena_bytes: int):
        """Open the file; what it complains of on standard error is the reason.  Raises: Rejected."""
        with refusing():
            return self._module.Interpreter.from_bytes(self._data, arena_size=arena_bytes)

    def resize(self, shapes: Sequence):
        """Refuse: an arena is planned once.  Raises: Rejected."""
        raise Rejected(f"tflite-micro takes inputs of fixed size, not {[list(shape) for shape in shapes]}")

    def set(self, arrays: Any):
        """Place arrays at the inputs."""
        for index, array in enumerate(arrays):
            self._interpreter.set_input(array, index)

    def feeds(self, samples: Sequence):
        """Return `feed(i)`, which places sample i (modulo their number)."""
        return lambda i: self.set(samples[i % len(samples)])

    def get(self, index: int):
        """Return an output of the last inference."""
        return self._interpreter.get_output(index)

    def inspect(self):
        """Say what is in the graph, and the smallest arena that it runs in here.  Raises: Rejected, if in none.

        Some kernels refuse their types as late as they run.
        """
        with refusing():
            self._runs_in(ARENA_BYTES)
        operators, tensors, computed = parts_of(self._file)
        layers = [layer_of(self._file, operator, tensors, computed) for operator in operators]
        return {
            "layers": layers,
            "stateful": any(keeps_state(layer) for layer in layers),
            "partitions": None,
            "graph": graph_of(operators, tensors, computed),
            "arena_bytes": smallest(self._runs_in, ARENA_BYTES),
        }

    def _runs_in(self, arena_bytes: int):
        """Open the file in so small an arena and run it once, on zeros; a refusal is an exception."""
        interpreter = self._open(arena_bytes)
        for index, tensor in enumerate(self.inputs):  # what lies in an arena at first may be no index of a table
            interpreter.set_input(np.zeros(tensor["shape"], tensor["dtype"]), index)
        interpreter.invoke()


def smallest(attempt: Callable[[int], Any], most: int):
    """Return the smallest arena in which `attempt` succeeds, or None where a process cannot be copied.

    Each attempt is made in a copy of this process: with too little memory the interpreter may die of it.
    """
    if not hasattr(os, "fork"):
        return None
    low, high = 0, ARENA_STEP
    while not survives(attempt, high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > ARENA_STEP:
        middle = (low + high) // 2 // ARENA_STEP * ARENA_STEP
        low, high = (low, middle) if survives(attempt, middle) else (middle, high)
    return high


def survives(attempt: Callable[[int], Any], arena_bytes: int):
    """Tell whether `attempt` ends well in a copy of this process, whose complaints nobody hears."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        signal.setitimer(signal.ITIMER_REAL, TRIAL_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        attempt(arena_bytes)
    except BaseException:  # whatever it is: the copy must not go on as its original would
        os._exit(1)
    os._exit(0)


@contextlib.contextmanager
def refusing():
    """Raise Rejected for what the interpreter refuses within the block, in the words that it says on standard error."""
    with Overheard() as said:
        try:
            yield
        except RuntimeError as error:
            raise Rejected(f"tflite-micro: {said.words() or error}") from error


class Overheard:
    """What native code writes to standard error within the block; it is passed on at the end."""

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        self._before = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def words(self):
        """Return the lines so far as one."""
        self._file.seek(0)
        lines = self._file.read().decode(errors="replace").splitlines()
        return "; ".join(line.strip() for line in lines if line.strip())

    def __exit__(self, *_: Any):
        os.dup2(self._before, 2)
        os.close(self._before)
        self._file.seek(0)
        os.write(2, self._file.read())
        self._file.close()
