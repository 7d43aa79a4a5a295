"""An .onnx file in ONNX Runtime on the CPU."""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .faults import Rejected
from .kinds import Job
from .machine import lacks_vnni, overflowing
from .profiler import middle_mean, repeated
from .samples import zeros
from .timing import SETTLE, run_timed

PRECISE = ("session.x64quantprecision", "1")
GIVING_FLOAT = ("DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")
QGEMM_INPUTS = 8  # with a scale of the result; without, it is float
ONNX_DTYPES = {"float": "float32", "double": "float64"}


class OnnxRuntime:
    """An .onnx file in ONNX Runtime on the CPU, its inputs and outputs bound so that `invoke` is inference alone."""

    def __init__(self, module: Any, spec: Job):
        self._module, self._spec, self._path = module, spec, spec["path"]
        options = self._options()
        options.enable_profiling = bool(spec.get("profile"))
        options.profile_file_prefix = os.path.join(os.path.dirname(spec["path"]), "profile")
        # Idle threads of one model must not burn the core while the next model is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = self._open(options)
        self._binding = self._session.io_binding()
        self.inputs = [_onnx_tensor(value) for value in self._session.get_inputs()]
        self.outputs = [_onnx_tensor(value) for value in self._session.get_outputs()]
        self._values = []

    def _options(self):
        options = onnx_options(self._module, self._spec["threads"], overflowing(self._spec))
        options.log_severity_level = 3
        return options

    def _open(self, options: Any):
        return self._module.InferenceSession(self._path, options, providers=["CPUExecutionProvider"])

    def reset(self):
        """ONNX files carry no state between inferences: state is an input and an output of the graph."""

    def resize(self, shapes: Sequence):
        """Give inputs of unknown size their shape."""
        for tensor, shape in zip(self.inputs, shapes):
            tensor["shape"] = list(shape)

    def set(self, arrays: Any):
        """Place arrays at the inputs."""
        if not self._values:
            self._bind(arrays)
        for value, array in zip(self._values, arrays):
            value.update_inplace(array)

    def _bind(self, arrays: Any):
        # Copies: on a CPU the value shares the array's memory, and `update_inplace` would write into a sample.
        self._values = [self._module.OrtValue.ortvalue_from_numpy(np.array(array)) for array in arrays]
        for tensor, value in zip(self.inputs, self._values):
            self._binding.bind_ortvalue_input(tensor["name"], value)
        for tensor in self.outputs:
            self._binding.bind_output(tensor["name"], "cpu")

    def feeds(self, samples: Sequence):
        """Return `feed(i)`, which places sample i (modulo their number) as cheaply as the runtime allows."""
        self.set(samples[0])
        calls = [list(zip([value.update_inplace for value in self._values], arrays)) for arrays in samples]

        def feed(i: int):
            for update, array in calls[i % len(calls)]:
                update(array)

        return feed

    def invoke(self):
        """Run the model once."""
        self._session.run_with_iobinding(self._binding)

    def get(self, index: int):
        """Return an output of the last inference."""
        return self._binding.get_outputs()[index].numpy()

    def profile(self, samples: Sequence):
        """Run `samples` while the runtime writes its trace; return rows by node, and inferences without a trace."""
        feed = self.feeds(samples)
        run_timed(feed, self.invoke, SETTLE)
        runs = SETTLE + len(repeated(lambda i: run_timed(feed, self.invoke, 1)))
        with open(self._session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
        times = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                node = event["name"][: -len("_kernel_time")]
                times.setdefault((event["args"]["op_name"], node), []).append(event["dur"])
        rows = [
            {"operator": operator, "name": node, "us": middle_mean(us), "calls": len(us) // runs}
            for (operator, node), us in times.items()
        ]
        return rows, run_timed(feed, self.invoke, runs)

    def inspect(self):
        """Read the graph with the `onnx` package; a device without it reports no operators."""
        try:
            onnx = importlib.import_module("onnx")
        except ImportError:
            return {"layers": [], "stateful": False, "partitions": None}
        graph = onnx.load(self._path, load_external_data=False).graph
        if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in graph.initializer):
            raise Rejected("the file keeps weights outside itself; save it as one file")
        layers = OnnxGraph(onnx, graph).layers()
        return {"layers": layers, "stateful": False, "partitions": None, **self._placed(onnx, layers)}

    def _placed(self, onnx: Any, layers: Sequence):
        """Say in what the operators of a quantized file run, by the graph that the runtime made of it."""
        if not any(layer["kind"] == "conversion" for layer in layers):
            return {}
        options = self._options()
        options.optimized_model_filepath = self._path + ".optimized"
        self._open(options)
        return {"placement": placement(onnx.load(options.optimized_model_filepath, load_external_data=False).graph)}


def onnx_options(module: Any, threads: int = 1, overflow: bool | None = None):
    """Return the options of a session that computes integers exactly on this processor.

    Without VNNI, ONNX Runtime adds products of unsigned and signed bytes in 16 bits, which overflow; told to be
    precise, it makes the weights unsigned, which costs some speed. overflow: whether the file may, if that is known.
    """
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if lacks_vnni() if overflow is None else overflow:
        options.add_session_config_entry(*PRECISE)
    return options


def placement(graph: Any):
    """Say of each operator of an optimized graph whether it computes in integers or in float: rows {op, where}.

    It computes in float where any of its data is float: what comes out of DequantizeLinear, or of such an operator.
    """
    floats = {value.name for value in graph.input if value.type.tensor_type.elem_type == 1}
    rows = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        floating = any(name in floats for name in node.input)
        if floating or node.op_type in GIVING_FLOAT or (node.op_type == "QGemm" and len(node.input) < QGEMM_INPUTS):
            floats.update(node.output)
        if node.op_type != "DequantizeLinear":
            rows.append({"op": node.op_type, "where": "float32" if floating else "integers"})
    return rows


def _onnx_tensor(value: Any):
    dtype = value.type[len("tensor(") : -1]
    free = [not isinstance(size, int) for size in value.shape]
    return {
        "name": value.name,
        "shape": [1 if unknown else size for size, unknown in zip(value.shape, free)],
        "free": free,
        "dtype": ONNX_DTYPES.get(dtype, dtype),
        "scale": None,
        "zero_point": None,
    }


class OnnxGraph:
    """Which operators of a QDQ graph the runtime can fold into integer kernels.

    An operator is quantized where its data comes from DequantizeLinear and its results go to QuantizeLinear; a
    Relu or Clip between the operator and that QuantizeLinear belongs to the operator, as the runtime fuses it.
    """

    CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")
    FUSED = ("Relu", "Clip")

    def __init__(self, onnx: Any, graph: Any):
        self._onnx, self._graph = onnx, graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._producer = {name: node for node in graph.node for name in node.output}
        self._consumers = {}
        for node in graph.node:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)

    def layers(self):
        """Return what each node is and computes in."""
        return [self._layer(node) for node in self._graph.node]

    def _layer(self, node: Any):
        weights = self._weights(node)
        if node.op_type in self.CONVERSIONS:
            kind = "conversion"
        elif node.op_type.startswith("QLinear") or node.op_type.endswith("Integer"):
            kind = "quantized"
        elif self._indexes(node):
            kind = "index"
        else:
            sources = [name for name in node.input if self._is_data(name)]
            integer = sources and all(self._from_integer(name) for name in sources)
            kind = "quantized" if integer and all(self._to_integer(name) for name in node.output) else "float"
        values = None if weights is None else self._onnx.numpy_helper.to_array(weights)
        return {
            "name": node.name or node.output[0],
            "op": node.op_type,
            "dtype": self._dtype(node, kind),
            "kind": kind,
            "sparsity": None if values is None else zeros(values),
        }

    def _dtype(self, node: Any, kind: Any):
        """Name the format of a node's results: that of the QuantizeLinear they go to, where it is quantized."""
        if kind in ("float", "index"):
            return {"float": "float32", "index": "int64"}[kind]
        if node.op_type == "DequantizeLinear":
            return "float32"
        while node.op_type != "QuantizeLinear":
            users = self._consumers.get(node.output[0])
            if not users:
                return "int8"
            node = users[0]
        zero_point = self._constants.get(node.input[2]) if len(node.input) > 2 else None
        return "uint8" if zero_point is None else self._onnx.numpy_helper.to_array(zero_point).dtype.name

    def _is_data(self, name: str):
        """Leave out absent inputs and integer constants such as shapes and axes."""
        constant = self._constants.get(name)
        return name != "" and (constant is None or constant.data_type in self._floats())

    def _floats(self):
        types = self._onnx.TensorProto
        return (types.FLOAT, types.FLOAT16, types.DOUBLE)

    def _indexes(self, node: Any):
        """True for constants and for arithmetic on shapes, which have no numeric format to speak of."""
        if node.op_type in ("Constant", "Shape", "ConstantOfShape"):
            return True
        sources = [name for name in node.input if name in self._producer or self._is_data(name)]
        return bool(sources) and all(name in self._producer and self._indexes(self._producer[name]) for name in sources)

    def _from_integer(self, name: str):
        node = self._producer.get(name)
        if node is None:
            return False
        if node.op_type in ("DequantizeLinear", "Constant", "Shape"):
            return True
        fused = [user for user in self._consumers.get(name, []) if user.op_type in self.FUSED]
        return bool(fused) and all(self._from_integer(source) for source in node.input if self._is_data(source))

    def _to_integer(self, name: str):
        users = self._consumers.get(name, [])
        return bool(users) and all(
            user.op_type == "QuantizeLinear" or (user.op_type in self.FUSED and self._to_integer(user.output[0]))
            for user in users
        )

    def _weights(self, node: Any):
        """Return the largest constant of at least two dimensions, looking through its DequantizeLinear."""
        if node.op_type in self.CONVERSIONS:
            return None
        found = []
        for name in node.input:
            source = self._producer.get(name)
            if source is not None and source.op_type == "DequantizeLinear":
                name = source.input[0]
            tensor = self._constants.get(name)
            if tensor is not None and len(tensor.dims) > 1:
                found.append(tensor)
        return max(found, key=lambda tensor: np.prod(tensor.dims), default=None)
