"""An .onnx file in OpenVINO on the CPU."""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .kinds import Job
from .profiler import middle_mean, repeated
from .timing import SETTLE, run_timed

DTYPES = {
    "f32": "float32", "f16": "float16", "bf16": "bfloat16", "u8": "uint8", "i8": "int8", "i16": "int16",
    "i32": "int32", "i64": "int64", "boolean": "bool",
}  # fmt: skip
ENDS = ("Input", "Output", "Const", "Parameter", "Result")


class OpenVino:
    """An .onnx file in OpenVINO. Floats are float32: by default it takes bfloat16 where the processor has it."""

    def __init__(self, module: Any, spec: Job):
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": spec["threads"], "NUM_STREAMS": 1,
                    "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False,
                    "PERF_COUNT": bool(spec.get("profile"))}  # fmt: skip
        self._module, core = module, module.Core()
        self._core, self._settings = core, settings
        self._model = core.read_model(spec["path"])
        self._compile()

    def _compile(self):
        self._compiled = self._core.compile_model(self._model, "CPU", self._settings)
        self._request = self._compiled.create_infer_request()
        self.invoke = self._request.infer
        self.inputs = [_tensor(port) for port in self._compiled.inputs]
        self.outputs = [_tensor(port) for port in self._compiled.outputs]
        self._places = []

    def reset(self):
        """ONNX files carry no state between inferences: state is an input and an output of the graph."""

    def resize(self, shapes: Sequence):
        """Give inputs of unknown size their shape, and compile once more."""
        self._model.reshape({port: list(shape) for port, shape in zip(self._model.inputs, shapes)})
        self._compile()

    def set(self, arrays: Any):
        """Place arrays at the inputs."""
        if not self._places:
            self._places = [np.array(array) for array in arrays]
            for index, array in enumerate(self._places):
                self._request.set_input_tensor(index, self._module.Tensor(array, shared_memory=True))
        for place, array in zip(self._places, arrays):
            place[...] = array

    def feeds(self, samples: Sequence):
        """Return `feed(i)`, which places sample i (modulo their number)."""
        return lambda i: self.set(samples[i % len(samples)])

    def get(self, index: int):
        """Return an output of the last inference."""
        return self._request.get_output_tensor(index).data

    def profile(self, samples: Sequence):
        """Run `samples` with the runtime's counters; return rows by operator, and how long the inferences took."""
        feed = self.feeds(samples)
        run_timed(feed, self.invoke, SETTLE)
        nanoseconds, times = [], {}

        def run(i: int):
            nanoseconds.extend(run_timed(feed, self.invoke, 1))
            for node in self._request.get_profiling_info():
                us = node.real_time.total_seconds() * 1e6
                times.setdefault((node.node_type, node.node_name), []).append(us)

        repeated(run)
        rows = [
            {"operator": kind, "name": name, "us": middle_mean(us), "calls": 1} for (kind, name), us in times.items()
        ]
        return [row for row in rows if row["us"]], nanoseconds

    def inspect(self):
        """Say what the compiled graph computes, and each operator in what."""
        layers = [_layer(operator) for operator in self._compiled.get_runtime_model().get_ordered_ops()]
        layers = [layer for layer in layers if layer]
        placed = [{"op": layer["op"], "where": layer["dtype"]} for layer in layers]
        return {"layers": layers, "stateful": False, "partitions": None, "placement": placed}


def _tensor(port: Any):
    shape = port.get_partial_shape()
    return {
        "name": port.get_any_name(),
        "shape": [1 if size.is_dynamic else size.get_length() for size in shape],
        "free": [size.is_dynamic for size in shape],
        "dtype": np.dtype(port.get_element_type().to_dtype()).name,
        "scale": None,
        "zero_point": None,
    }


def _layer(operator: Any):
    """Return what is known of an operator of the compiled graph; None of ends and of what moves nothing."""
    told = operator.get_rt_info()
    op, precision, primitive = (told[key].astype(str) for key in ("layerType", "runtimePrecision", "primitiveType"))
    if op in ENDS or primitive.startswith("unknown"):
        return None
    dtype = DTYPES.get(precision, precision)
    kinds = {"int8": "quantized", "uint8": "quantized", "float32": "float", "float16": "float", "bfloat16": "float"}
    kind = "conversion" if op in ("Reorder", "Convert") else kinds.get(str(dtype), "index")
    return {"name": operator.get_friendly_name(), "op": op, "dtype": dtype, "kind": kind, "sparsity": None}
