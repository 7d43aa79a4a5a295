"""How long each operator takes: LiteRT's own profiler by its C functions, and what samples of it amount to."""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .faults import Untold
from .kinds import Job
from .machine import version
from .timing import SETTLE

PROFILED = 300  # most inferences of a profile
PROFILE_S = 1.0  # and for how long they may take, but for the first ten
OF_XNNPACK = {  # how the names of XNNPACK's operators begin: LiteRT's operators that become one
    "Convolution": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "Deconvolution": ("TRANSPOSE_CONV",),
    "Fully Connected": ("FULLY_CONNECTED",),
}
CONTAINERS = ("CALL", "IF", "WHILE", "STABLEHLO_COMPOSITE")  # their time is that of the operators inside


class Profiled(ctypes.Structure):
    """ProfiledEventData of litert/c/litert_profiler_event.h."""

    LITERT, DELEGATE = 1 << 1, 1 << 3  # kinds: an operator of LiteRT's own, one that a delegate ran

    _fields_ = (
        ("operator", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("us", ctypes.c_uint64),
        ("memory", ctypes.c_int64 * 6),
        ("number", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


class CompiledModel:
    """LiteRT's other interface, by its C functions: its profiler is not among the Python ones.

    Declarations: litert/c in https://github.com/google-ai-edge/LiteRT. Nothing is freed: the process ends with the job.
    """

    RELEASES = ((2, 3),)  # whose declarations these are

    def __init__(self, package: str, spec: Job, inputs: Any):
        release = version("ai-edge-litert") or "0"
        if tuple(map(int, release.split(".")[:2])) not in self.RELEASES:
            known = " and ".join(".".join(map(str, each)) for each in self.RELEASES)
            raise Untold(f"operators are timed with LiteRT {known}; this is {release}")
        self._library = ctypes.CDLL(os.path.join(package, "libLiteRt.so"))
        self._environment = self._new("CreateEnvironment", 0, None)
        file = self._new("CreateModelFromFile", self._environment, os.fsencode(spec["path"]))
        self._model = self._new("CreateCompiledModel", self._environment, file, self._options(spec))
        signature = self._new("GetModelSignature", file, ctypes.c_size_t(0))
        names, self._inputs = self._buffers(signature, "Input")
        _, self._outputs = self._buffers(signature, "Output")
        self._order = [inputs.index(name) for name in names]  # of samples
        self._profiler = self._new("CompiledModelGetProfiler", self._model)

    def runs(self, samples: Sequence):
        """Return, for each of many runs, (operator, its number or None, microseconds) in the order of execution."""
        for i in range(SETTLE):
            self._run(samples[i % len(samples)])
        return repeated(lambda i: self._profile(samples[i % len(samples)]))

    def _call(self, function: str, *arguments: Any):
        status = getattr(self._library, "LiteRt" + function)(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{function}: status {status}")

    def _new(self, function: str, *arguments: Any):
        """Call a function whose last argument is where it puts a handle."""
        handle = ctypes.c_void_p()
        self._call(function, *arguments, ctypes.byref(handle))
        return handle

    def _options(self, spec: Job):
        options = self._new("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, 1)  # the processor
        self._add(options, b"runtime_options_string", b"enable_profiling = true\n")
        self._add(options, b"xnnpack", f'kernel_mode = "{spec["kernels"]}"\nnum_threads = {spec["threads"]}\n'.encode())
        return options

    def _add(self, options: Any, name: bytes, toml: bytes):
        text, release = ctypes.create_string_buffer(toml), ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda text: None)
        self._kept = (*getattr(self, "_kept", ()), text, release)
        self._call("AddOpaqueOptions", options, self._new("CreateOpaqueOptions", name, text, release))

    def _buffers(self, signature: Any, end: str):
        """Return the names of all inputs or outputs, and an array of buffers for them."""
        count = ctypes.c_size_t()
        self._call(f"GetNumSignature{end}s", signature, ctypes.byref(count))
        names, buffers = [], []
        for i in map(ctypes.c_size_t, range(count.value)):
            tensor = self._new(f"GetSignature{end}TensorByIndex", signature, i)
            name, kind = ctypes.c_char_p(), ctypes.create_string_buffer(1024)  # a LiteRtRankedTensorType is smaller
            self._call("GetTensorName", tensor, ctypes.byref(name))
            self._call("GetRankedTensorType", tensor, kind)
            wanted = self._new(f"GetCompiledModel{end}BufferRequirements", self._model, ctypes.c_size_t(0), i)
            names.append((name.value or b"").decode())
            buffers.append(self._new("CreateManagedTensorBufferFromRequirements", self._environment, kind, wanted))
        return names, (ctypes.c_void_p * len(buffers))(*buffers)

    def _run(self, sample: Any):
        for handle, place in zip(self._inputs, self._order):
            self._write(ctypes.c_void_p(handle), sample[place])
        count = ctypes.c_size_t
        ends = (count(len(self._inputs)), self._inputs, count(len(self._outputs)), self._outputs)
        self._call("RunCompiledModel", self._model, count(0), *ends)

    def _write(self, buffer: Any, array: Any):
        size = ctypes.c_size_t()
        self._call("GetTensorBufferPackedSize", buffer, ctypes.byref(size))
        if size.value != array.nbytes:
            raise Untold(f"LiteRT's profiler takes inputs of fixed size, and this one holds {size.value} bytes")
        address = ctypes.c_void_p()
        self._call("LockTensorBuffer", buffer, ctypes.byref(address), 1)  # for writing
        ctypes.memmove(address, array.ctypes.data, array.nbytes)
        self._call("UnlockTensorBuffer", buffer)

    def _profile(self, sample: Any):
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        self._run(sample)
        self._call("StopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (Profiled * count.value)()
        self._call("GetProfilerEvents", self._profiler, count, events)
        return [
            (
                event.operator.decode(),
                event.number if event.kind == Profiled.LITERT and not event.subgraph else None,
                event.us,
            )
            for event in events
            if event.kind in (Profiled.LITERT, Profiled.DELEGATE) and event.operator.decode() not in CONTAINERS
        ]


def repeated(run: Callable):
    """Call `run(i)` until the profile has seen enough inferences; return what the calls returned."""
    begun, found = time.monotonic(), []
    while len(found) < PROFILED and (len(found) < 10 or time.monotonic() - begun < PROFILE_S):
        found.append(run(len(found)))
    return found


def middle(runs: Sequence):
    """Return (operator, its number or None, microseconds) by place in an inference, over runs of the same operators.

    runs: lists of (operator, number, microseconds).
    """
    places = [event[:2] for event in runs[-1]]
    alike = [run for run in runs if [event[:2] for event in run] == places]
    return [(*place, middle_mean([run[i][2] for run in alike])) for i, place in enumerate(places)]


def middle_mean(values: Any):
    """Return the mean of the middle half: finer than the whole microseconds runtimes count in, and deaf to outliers."""
    ordered = np.sort(np.asarray(values, float))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def named(places: Sequence, layers: Sequence):
    """Turn operators by place into rows {operator, name, us, calls}: one a layer, or a kind where the layer is unknown.

    LiteRT's own kernels come with the number of their layer. XNNPACK fuses and inserts operators, but keeps the order:
    where it has as many of a kind as the file, they are the same ones.
    """
    kinds = [next((kind for kind in OF_XNNPACK if operator.startswith(kind)), None) for operator, _, _ in places]
    in_order = {}
    for kind, operators in OF_XNNPACK.items():
        names = [layer["name"] for layer in layers if layer["op"] in operators]
        in_order[kind] = iter(names if len(names) == kinds.count(kind) else [""] * kinds.count(kind))
    rows = {}
    for (operator, number, us), kind in zip(places, kinds):
        name = next(in_order[kind]) if kind else layers[number]["name"] if number is not None else ""
        row = rows.setdefault((operator, name), {"operator": operator, "name": name, "us": 0.0, "calls": 0})
        row["us"] += us
        row["calls"] += 1
    return list(rows.values())
