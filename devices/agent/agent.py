"""The one file that goes to a device: it runs model files there and streams what it measured as JSON lines.

Needs Python 3.8, NumPy and a runtime (ai_edge_litert, tflite_runtime or onnxruntime), nothing else of Edgewright:

    python agent.py job.json

job: {"mode": "probe" | "inspect" | "accuracy" | "latency" | "profile", "models": [{"path", "sha256", "runtime",
"threads", "stateful", "kernels", "delegate": {"path", "options"}}], "inputs": {name: path of an .npy of shape (N,
...)}, "time_limit_s", "memory_bytes"} and what the mode itself reads.
Standard output carries the lines, standard error is free text. The last line is `done`, or `rejected` where the
runtime refuses the model. A model may also kill or hang this process: whoever started it sees that.
"""

# ruff: noqa: B905 (zip has no `strict` before Python 3.10)

from __future__ import annotations

import ctypes
import gc
import hashlib
import importlib
import json
import os
import platform
import re
import signal
import sys
import time
from importlib import metadata

import numpy as np

RUNTIMES = {  # name in a job: (module, distribution, adapter below)
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "LiteRT"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime", "LiteRT"),
    "onnxruntime": ("onnxruntime", "onnxruntime", "OnnxRuntime"),
}
FEATURES = (  # instructions that decide how fast int8 and half precision are, as Linux names them
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2",
)  # fmt: skip
FEEDS = 16  # samples that the timed loop cycles through
PEAK_AFTER = 3  # inferences after which a runtime has allocated all it will
PROFILED = 300  # most inferences of a profile
PROFILE_S = 1.0  # and for how long they may take, but for the first ten
SETTLE = 20  # most untimed inferences at the start of a block: the model before it has taken the caches
MOST_IN_BLOCK = 500  # inferences
VNNI = {"avx512_vnni", "avx_vnni"}  # x86 instructions that add products of bytes in 32 bits
LOAD_BLOCKS = 3.0  # loading anew for each block may take this many times as long as the blocks


class Rejected(Exception):
    """The runtime, or this device, cannot run the model."""


class Untold(Exception):
    """The runtime does not say how long operators take."""


# ---- Model files behind one small interface: inputs, outputs, set, invoke, get, reset, inspect


KERNELS = {  # a job's word: the interpreter's
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",  # without XNNPACK
    "reference": "BUILTIN_REF",
}


class LiteRT:
    """A .tflite file in the LiteRT or tflite-runtime interpreter.

    Kernels are XNNPACK's where it has them, unless the job says otherwise; `delegate` is {"path", "options"}.
    """

    def __init__(self, module, spec):
        self._module, self._spec = module, spec
        self._interpreter = self._open(KERNELS[spec.get("kernels", "xnnpack")], delegates(module, spec))
        self._allocate()
        self.invoke = self._interpreter.invoke
        self.reset = self._interpreter.reset_all_variables

    def _open(self, resolver, delegates=()):
        return self._module.Interpreter(
            model_path=self._spec["path"],
            num_threads=self._spec["threads"],
            experimental_delegates=list(delegates) or None,
            experimental_op_resolver_type=getattr(self._module.OpResolverType, resolver),
        )

    def _allocate(self):
        self._interpreter.allocate_tensors()
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = [_tensor(each) for each in inputs], [_tensor(each) for each in outputs]
        self._inputs, self._outputs = [each["index"] for each in inputs], [each["index"] for each in outputs]

    def resize(self, shapes):
        """Give inputs of unknown size their shape, and allocate once more."""
        for index, shape in zip(self._inputs, shapes):
            self._interpreter.resize_tensor_input(index, shape, strict=True)
        self._allocate()

    def set(self, arrays):
        for index, array in zip(self._inputs, arrays):
            self._interpreter.set_tensor(index, array)

    def feeds(self, samples):
        """Return `feed(i)`, which places sample i (modulo their number) as cheaply as the runtime allows."""
        set_tensor = self._interpreter.set_tensor
        calls = [list(zip(self._inputs, arrays)) for arrays in samples]

        def feed(i):
            for index, array in calls[i % len(calls)]:
                set_tensor(index, array)

        return feed

    def get(self, index):
        return self._interpreter.get_tensor(self._outputs[index])

    def profile(self, samples):
        """Run `samples` in LiteRT's other interface, which times operators; return rows, and unprofiled inferences."""
        if self._spec.get("delegate"):
            raise Untold("LiteRT times operators without an external delegate only")
        if self._spec["runtime"] != "litert":
            raise Untold(f"{self._spec['runtime']} does not say how long operators take")
        feed = self.feeds(samples)
        run_timed(feed, self.invoke, SETTLE)
        nanoseconds = repeated(lambda i: run_timed(feed, self.invoke, 1)[0])
        order = [each["name"] for each in self.inputs]
        profiler = CompiledModel(os.path.dirname(self._module.__file__), self._spec, order)
        return named(middle(profiler.runs(samples)), self._layers(self._plain())), nanoseconds

    def _plain(self):
        """Open the graph as the file has it, so without the delegates that swallow operators."""
        interpreter = self._open(KERNELS["builtin"])
        interpreter.allocate_tensors()
        return interpreter

    def inspect(self):
        """Say what is in the graph, and how much of it delegates take."""
        interpreter = self._plain()
        operators, tensors, computed = _tflite_parts(interpreter)
        layers = self._layers(interpreter)
        return {
            "layers": layers,
            "stateful": any(re.search("LSTM|RNN|SVDF|VAR_HANDLE|READ_VARIABLE", layer["op"]) for layer in layers),
            "partitions": len(self._interpreter._get_ops_details()) - len(operators),
            "delegated": self._delegated(len(operators)),
            "graph": _tflite_graph(operators, tensors, computed),
        }

    def _layers(self, interpreter):
        operators, tensors, computed = _tflite_parts(interpreter)
        return [_tflite_layer(interpreter, operator, tensors, computed) for operator in operators]

    def _delegated(self, operators):
        """Return how many partitions the external delegate takes, alone with the file; None where there is none."""
        if not self._spec.get("delegate"):
            return None
        interpreter = self._open(KERNELS["builtin"], delegates(self._module, self._spec))
        interpreter.allocate_tensors()
        return len(interpreter._get_ops_details()) - operators


def delegates(module, spec):
    """Load the external delegate that a job wants. What is none is the device's fault, not the model's."""
    if not spec.get("delegate"):
        return []
    path = spec["delegate"]["path"]
    if not os.path.isfile(path):
        raise Unavailable(f"delegate {path}: no such file on the device")
    try:
        return [module.load_delegate(path, spec["delegate"]["options"])]
    except (ValueError, OSError, AttributeError, RuntimeError) as error:
        words = " ".join(str(error).split()).replace(f"{path}: ", "")
        raise Unavailable(f"delegate {path}: {words or 'it does not load'}") from error


def _tflite_parts(interpreter):
    """Return operators, tensors by index, and the indices of tensors that are not constant."""
    operators = interpreter._get_ops_details()
    tensors = {int(details["index"]): details for details in interpreter.get_tensor_details()}
    computed = {int(index) for operator in operators for index in operator["outputs"]}
    computed.update(int(details["index"]) for details in interpreter.get_input_details())
    return operators, tensors, computed


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

    def __init__(self, package, spec, inputs):
        version = _version("ai-edge-litert") or "0"
        if tuple(map(int, version.split(".")[:2])) not in self.RELEASES:
            known = " and ".join(".".join(map(str, each)) for each in self.RELEASES)
            raise Untold(f"operators are timed with LiteRT {known}; this is {version}")
        self._library = ctypes.CDLL(os.path.join(package, "libLiteRt.so"))
        self._environment = self._new("CreateEnvironment", 0, None)
        file = self._new("CreateModelFromFile", self._environment, os.fsencode(spec["path"]))
        self._model = self._new("CreateCompiledModel", self._environment, file, self._options(spec))
        signature = self._new("GetModelSignature", file, ctypes.c_size_t(0))
        names, self._inputs = self._buffers(signature, "Input")
        _, self._outputs = self._buffers(signature, "Output")
        self._order = [inputs.index(name) for name in names]  # of samples
        self._profiler = self._new("CompiledModelGetProfiler", self._model)

    def runs(self, samples):
        """Return, for each of many runs, (operator, its number or None, microseconds) in the order of execution."""
        for i in range(SETTLE):
            self._run(samples[i % len(samples)])
        return repeated(lambda i: self._profile(samples[i % len(samples)]))

    def _call(self, function, *arguments):
        status = getattr(self._library, "LiteRt" + function)(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{function}: status {status}")

    def _new(self, function, *arguments):
        """Call a function whose last argument is where it puts a handle."""
        handle = ctypes.c_void_p()
        self._call(function, *arguments, ctypes.byref(handle))
        return handle

    def _options(self, spec):
        options = self._new("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, 1)  # the processor
        self._add(options, b"runtime_options_string", b"enable_profiling = true\n")
        self._add(options, b"xnnpack", f'kernel_mode = "{spec["kernels"]}"\nnum_threads = {spec["threads"]}\n'.encode())
        return options

    def _add(self, options, name, toml):
        text, release = ctypes.create_string_buffer(toml), ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda text: None)
        self._kept = (*getattr(self, "_kept", ()), text, release)
        self._call("AddOpaqueOptions", options, self._new("CreateOpaqueOptions", name, text, release))

    def _buffers(self, signature, end):
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

    def _run(self, sample):
        for handle, place in zip(self._inputs, self._order):
            self._write(ctypes.c_void_p(handle), sample[place])
        count = ctypes.c_size_t
        ends = (count(len(self._inputs)), self._inputs, count(len(self._outputs)), self._outputs)
        self._call("RunCompiledModel", self._model, count(0), *ends)

    def _write(self, buffer, array):
        size = ctypes.c_size_t()
        self._call("GetTensorBufferPackedSize", buffer, ctypes.byref(size))
        if size.value != array.nbytes:
            raise Untold(f"LiteRT's profiler takes inputs of fixed size, and this one holds {size.value} bytes")
        address = ctypes.c_void_p()
        self._call("LockTensorBuffer", buffer, ctypes.byref(address), 1)  # for writing
        ctypes.memmove(address, array.ctypes.data, array.nbytes)
        self._call("UnlockTensorBuffer", buffer)

    def _profile(self, sample):
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


def _tensor(details):
    scales = details["quantization_parameters"]["scales"]
    zero_points = details["quantization_parameters"]["zero_points"]
    return {
        "name": details["name"],
        "shape": [int(size) for size in details["shape"]],
        "free": [int(size) < 0 for size in details.get("shape_signature", details["shape"])],
        "dtype": np.dtype(details["dtype"]).name,
        "scale": float(scales[0]) if len(scales) else None,
        "zero_point": int(zero_points[0]) if len(zero_points) else None,
    }


def _tflite_layer(interpreter, operator, tensors, computed):
    """Say what an operator computes in: an operator with any float result is a float operator."""
    outputs = [tensors[int(index)] for index in operator["outputs"] if int(index) in tensors]
    constants = [int(index) for index in operator["inputs"] if int(index) in tensors and int(index) not in computed]
    results = [np.dtype(details["dtype"]) for details in outputs]
    weights = max(constants, key=lambda index: np.prod(tensors[index]["shape"]), default=None)
    weights = tensors[weights] if weights is not None and len(tensors[weights]["shape"]) > 1 else None
    conversion = operator["op_name"] in ("QUANTIZE", "DEQUANTIZE")
    floating = any(dtype.kind == "f" for dtype in results)
    quantized = any(len(details["quantization_parameters"]["scales"]) for details in outputs)
    dtype = results[0].name if results else "none"
    if floating and not conversion and weights is not None and np.dtype(weights["dtype"]).kind != "f":
        dtype += f" ({np.dtype(weights['dtype']).name} weights)"
    return {
        "name": outputs[0]["name"] if outputs else "",
        "op": operator["op_name"],
        "dtype": dtype,
        "kind": "conversion" if conversion else "float" if floating else "quantized" if quantized else "index",
        "sparsity": None if weights is None else _zeros(interpreter.get_tensor(weights["index"])),
    }


def _tflite_graph(operators, tensors, computed):
    """Say which tensors each operator reads and writes, and how large they are: what planning memory needs."""
    used = {int(index) for operator in operators for end in ("inputs", "outputs") for index in operator[end]}
    return {
        "operators": [
            {end: [int(index) for index in operator[end] if int(index) >= 0] for end in ("inputs", "outputs")}
            for operator in operators
        ],
        "tensors": {
            index: {
                "shape": [int(size) for size in tensors[index]["shape"]],
                "dtype": np.dtype(tensors[index]["dtype"]).name,
                "scales": len(tensors[index]["quantization_parameters"]["scales"]),
                "computed": index in computed,
            }
            for index in sorted(used & set(tensors))
        },
    }


def _zeros(values):
    return float(np.mean(values == 0)) if values.size else None


class OnnxRuntime:
    """An .onnx file in ONNX Runtime on the CPU, its inputs and outputs bound so that `invoke` is inference alone."""

    def __init__(self, module, spec):
        self._module, self._path = module, spec["path"]
        options = onnx_options(module, spec["threads"])
        options.log_severity_level = 3
        options.enable_profiling = bool(spec.get("profile"))
        options.profile_file_prefix = os.path.join(os.path.dirname(spec["path"]), "profile")
        # Idle threads of one model must not burn the core while the next model is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = module.InferenceSession(spec["path"], options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self.inputs = [_onnx_tensor(value) for value in self._session.get_inputs()]
        self.outputs = [_onnx_tensor(value) for value in self._session.get_outputs()]
        self._values = []

    def reset(self):
        """ONNX files carry no state between inferences: state is an input and an output of the graph."""

    def resize(self, shapes):
        for tensor, shape in zip(self.inputs, shapes):
            tensor["shape"] = list(shape)

    def set(self, arrays):
        if not self._values:
            self._bind(arrays)
        for value, array in zip(self._values, arrays):
            value.update_inplace(array)

    def _bind(self, arrays):
        # Copies: on a CPU the value shares the array's memory, and `update_inplace` would write into a sample.
        self._values = [self._module.OrtValue.ortvalue_from_numpy(np.array(array)) for array in arrays]
        for tensor, value in zip(self.inputs, self._values):
            self._binding.bind_ortvalue_input(tensor["name"], value)
        for tensor in self.outputs:
            self._binding.bind_output(tensor["name"], "cpu")

    def feeds(self, samples):
        self.set(samples[0])
        calls = [list(zip([value.update_inplace for value in self._values], arrays)) for arrays in samples]

        def feed(i):
            for update, array in calls[i % len(calls)]:
                update(array)

        return feed

    def invoke(self):
        self._session.run_with_iobinding(self._binding)

    def get(self, index):
        return self._binding.get_outputs()[index].numpy()

    def profile(self, samples):
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
        return {"layers": OnnxGraph(onnx, graph).layers(), "stateful": False, "partitions": None}


def onnx_options(module, threads=1):
    """Return the options of a session that computes integers exactly on this processor.

    Without VNNI, ONNX Runtime adds products of unsigned and signed bytes in 16 bits, which overflow; told to be
    precise, it makes the weights unsigned, which costs some speed.
    """
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if lacks_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


ONNX_DTYPES = {"float": "float32", "double": "float64"}


def _onnx_tensor(value):
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

    def __init__(self, onnx, graph):
        self._onnx, self._graph = onnx, graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._producer = {name: node for node in graph.node for name in node.output}
        self._consumers = {}
        for node in graph.node:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)

    def layers(self):
        return [self._layer(node) for node in self._graph.node]

    def _layer(self, node):
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
            "sparsity": None if values is None else _zeros(values),
        }

    def _dtype(self, node, kind):
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

    def _is_data(self, name):
        """Leave out absent inputs and integer constants such as shapes and axes."""
        constant = self._constants.get(name)
        return name != "" and (constant is None or constant.data_type in self._floats())

    def _floats(self):
        types = self._onnx.TensorProto
        return (types.FLOAT, types.FLOAT16, types.DOUBLE)

    def _indexes(self, node):
        """True for constants and for arithmetic on shapes, which have no numeric format to speak of."""
        if node.op_type in ("Constant", "Shape", "ConstantOfShape"):
            return True
        sources = [name for name in node.input if name in self._producer or self._is_data(name)]
        return bool(sources) and all(name in self._producer and self._indexes(self._producer[name]) for name in sources)

    def _from_integer(self, name):
        node = self._producer.get(name)
        if node is None:
            return False
        if node.op_type in ("DequantizeLinear", "Constant", "Shape"):
            return True
        fused = [user for user in self._consumers.get(name, []) if user.op_type in self.FUSED]
        return bool(fused) and all(self._from_integer(source) for source in node.input if self._is_data(source))

    def _to_integer(self, name):
        users = self._consumers.get(name, [])
        return bool(users) and all(
            user.op_type == "QuantizeLinear" or (user.op_type in self.FUSED and self._to_integer(user.output[0]))
            for user in users
        )

    def _weights(self, node):
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


# ---- The three modes


def inspect(job, say):
    """Report operators, number formats, inputs and outputs of one model."""
    model = load(job["models"][0])
    with refusing():
        found = model.inspect()
        kinds = [layer.pop("kind") for layer in found["layers"]]
        graph = found.pop("graph", None)
        if graph:
            say("graph", **graph)
        say(
            "model",
            inputs=model.inputs,
            outputs=model.outputs,
            quantized_ops=kinds.count("quantized") if kinds else None,
            float_ops=kinds.count("float") if kinds else None,
            **found,
        )


def accuracy(job, say):
    """Run every sample once, batch 1; write the float outputs to `outputs`, an .npy that is whole or absent.

    Also reported: load time, time of the first inference, and the peak of resident memory above what the process
    held before the file was opened (the runtime's library is not counted, the model and its buffers are).
    """
    spec = job["models"][0]
    runtime_module(spec["runtime"])
    before = start_peak()
    started = time.perf_counter_ns()
    model = load(spec)
    load_us = microseconds_since(started)
    samples = Samples(job["inputs"], model)
    if not len(samples):
        raise Unavailable("there are no samples to run")
    output = job.get("output", 0)
    first, first_us = run_once(model, samples[0], output, spec.get("stateful"))
    for i in range(1, min(PEAK_AFTER, len(samples))):
        run_once(model, samples[i], output, spec.get("stateful"))
    peak = peak_bytes()
    target = job["outputs"]
    shape = (len(samples), *first.shape)
    values = np.lib.format.open_memmap(target + ".part", mode="w+", dtype=first.dtype, shape=shape)
    model.reset()
    said = time.monotonic()
    for i in range(len(samples)):
        values[i], _ = run_once(model, samples[i], output, spec.get("stateful"))
        if time.monotonic() - said > 0.5:
            said = time.monotonic()
            say("progress", done=i + 1, total=len(samples))
    values.flush()
    os.replace(target + ".part", target)
    say(
        "accuracy",
        n=len(samples),
        load_us=load_us,
        first_us=first_us,
        peak_ram_bytes=None if peak is None or before is None else max(0, peak - before),
    )


def run_once(model, sample, output, stateful):
    """Run one sample from a fresh state. Returns (the float output without its batch of 1, microseconds)."""
    with refusing():
        if stateful:
            model.reset()
        model.set(sample)
        started = time.perf_counter_ns()
        model.invoke()
        elapsed = microseconds_since(started)
        return unbatched(dequantize(model.get(output), model.outputs[output])), elapsed


def latency(job, say):
    """Time several models in turns, in blocks of many inferences, each round in a new random order.

    Reads `cores` (list to run on, or null), `block_us`, `min_rounds`, `max_rounds`, `max_seconds`, `seed`, and for an
    early end `pairs` [[candidate, baseline], ...] and `precision`: stop once the interval of every pair's speed-up is
    that narrow (relative half width).

    Where its memory happens to lie makes one load of a small model up to 2% faster than another (measured). So each
    block runs on a fresh load, shifted by a random amount: that luck is averaged out, and what is left of it shows in
    the interval. Only where loading would take several times as long as the blocks, every model keeps its first load.
    """
    pinned = pin(job.get("cores"))
    random = np.random.default_rng(job.get("seed", 0))
    timed = []
    for index, spec in enumerate(job["models"]):
        say("load", model=index)
        verify(spec)
        timed.append(Timed(spec, job["inputs"], random))
    for index, model in enumerate(timed):
        stable = model.warm_up(job["block_us"])
        say("warm", model=index, stable=stable, block=model.count)
    reload = sum(model.load_ns for model in timed) < LOAD_BLOCKS * sum(model.block_ns for model in timed)
    say("rounds", pinned=pinned, reload=reload)
    gc.disable()
    begun = time.monotonic()
    medians = []
    while not enough(medians, time.monotonic() - begun, job, random):
        if len(medians) % 10 == 0:
            say("telemetry", t=round(time.monotonic() - begun, 4), **telemetry(pinned))
        row = np.zeros(len(timed))
        for index in random.permutation(len(timed)).tolist():
            if reload:
                timed[index].load()
            switches = involuntary_switches()
            nanoseconds = timed[index].block()
            switches = involuntary_switches() - switches
            row[index] = np.median(nanoseconds)
            say(
                "block",
                model=index,
                round=len(medians),
                t=round(time.monotonic() - begun, 4),
                switches=switches,
                us=[value / 1000 for value in nanoseconds],
            )
        medians.append(row)
    say("telemetry", t=round(time.monotonic() - begun, 4), peak_ram_bytes=peak_bytes(), **telemetry(pinned))


def enough(medians, elapsed_s, job, random):
    """True at the last round, after `max_seconds` (but ten rounds), or when the speed-ups are known precisely."""
    rounds = len(medians)
    if rounds >= job["max_rounds"] or (elapsed_s > job["max_seconds"] and rounds >= min(10, job["min_rounds"])):
        return True
    return rounds >= job["min_rounds"] and rounds % 10 == 0 and precise(np.array(medians), job, random)


def probe(job, say):
    """Say what this device has: memory, instructions that matter to int8, runtimes, and how its clock is governed."""
    flags = cpu_flags()
    memory = re.search(r"MemTotal:\s*(\d+) kB", _read("/proc/meminfo") or "")
    say(
        "probe",
        runtimes={name: _version(distribution) for name, (_, distribution, _) in RUNTIMES.items()},
        features=[flag for flag in FEATURES if flag in flags],
        memory_bytes=1024 * int(memory.group(1)) if memory else None,
        allowed_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        **telemetry(None),
    )


def _version(distribution):
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def profile(job, say):
    """Report how long each operator of one model takes; `rows` is null, and `reason` says why, where none tells.

    Beside it, for comparison, the median of inferences that nobody looked into. Reads `cores`, as latency does.
    """
    pin(job.get("cores"))
    model = load(dict(job["models"][0], profile=True))
    samples = Samples(job["inputs"], model)
    try:
        with refusing():
            rows, nanoseconds = model.profile([samples[i] for i in range(min(FEEDS, len(samples)))])
    except Untold as error:
        say("profile", rows=None, reason=str(error))
        return
    total = sum(row["us"] for row in rows)
    if not total:
        say("profile", rows=None, reason="no operator takes a microsecond, which is the runtime's clock")
        return
    for row in rows:
        row["share"] = row["us"] / total
    say("profile", rows=rows, inferences=len(nanoseconds), inference_us=float(np.median(nanoseconds)) / 1000)


def repeated(run):
    """Call `run(i)` until the profile has seen enough inferences; return what the calls returned."""
    begun, found = time.monotonic(), []
    while len(found) < PROFILED and (len(found) < 10 or time.monotonic() - begun < PROFILE_S):
        found.append(run(len(found)))
    return found


def middle(runs):
    """Return (operator, its number or None, microseconds) by place in an inference, over runs of the same operators.

    runs: lists of (operator, number, microseconds).
    """
    places = [event[:2] for event in runs[-1]]
    alike = [run for run in runs if [event[:2] for event in run] == places]
    return [(*place, middle_mean([run[i][2] for run in alike])) for i, place in enumerate(places)]


def middle_mean(values):
    """Return the mean of the middle half: finer than the whole microseconds runtimes count in, and deaf to outliers."""
    ordered = np.sort(np.asarray(values, float))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def named(places, layers):
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


MODES = {"profile": profile, "probe": probe, "inspect": inspect, "accuracy": accuracy, "latency": latency}


class Timed:
    """A model with what it takes to time it."""

    def __init__(self, spec, inputs, random):
        self._spec, self._inputs, self._random = spec, inputs, random
        self.count = 1  # inferences in a block
        self.block_ns = 0.0
        self.load()

    def load(self):
        self._feed = self._invoke = self._pad = None  # free the load before
        self._pad = np.ones(64 * int(self._random.integers(1, 4096)), np.uint8)
        started = time.perf_counter_ns()
        model = open_model(self._spec)
        self.load_ns = time.perf_counter_ns() - started
        samples = Samples(self._inputs, model)
        with refusing():
            self._feed = model.feeds([samples[i] for i in range(min(FEEDS, len(samples)))])
        self._invoke = model.invoke
        if self._spec.get("stateful"):
            self._feed = after(model.reset, self._feed)

    def warm_up(self, block_us, window_us=100_000, tolerance=0.03, windows=10):
        """Run until the medians of two windows in a row agree; return whether they ever did. Then size the block."""
        self.load()  # the first load also paid for starting the runtime
        typical_ns = previous_ns = 0.0
        for _ in range(windows):
            typical_ns, previous_ns = float(np.median(self._window(window_us))), typical_ns
            if abs(typical_ns - previous_ns) < tolerance * typical_ns:
                break
        self.count = int(min(MOST_IN_BLOCK, max(5, round(1000 * block_us / typical_ns))))
        self.block_ns = self.count * typical_ns
        return abs(typical_ns - previous_ns) < tolerance * typical_ns

    def _window(self, window_us):
        times = []
        started = time.perf_counter_ns()
        with refusing():
            while not times or microseconds_since(started) < window_us:
                times += run_timed(self._feed, self._invoke, 8 if times else 1)
        return times

    def block(self):
        """Return the nanoseconds of each inference of one block."""
        with refusing():
            run_timed(self._feed, self._invoke, max(2, min(SETTLE, self.count // 4)))
            return run_timed(self._feed, self._invoke, self.count)


def after(reset, feed):
    def feed_fresh(i):
        reset()
        feed(i)

    return feed_fresh


def run_timed(feed, invoke, count):
    """Time `count` inferences one by one, in nanoseconds; placing the sample is not timed."""
    clock = time.perf_counter_ns
    times = [0] * count
    for i in range(count):
        feed(i)
        started = clock()
        invoke()
        times[i] = clock() - started
    return times


def precise(medians, job, random):
    """True when the interval of every pair's speed-up is narrow enough, with a tenth to spare for this rough estimate.

    medians: (rounds, models) in nanoseconds.
    """
    if not job.get("precision"):
        return False
    for candidate, baseline in job.get("pairs", []):
        ratios = medians[:, baseline] / medians[:, candidate]
        resampled = np.median(ratios[random.integers(0, len(ratios), (400, len(ratios)))], axis=1)
        low, high = np.percentile(resampled, [2.5, 97.5])
        if (high - low) / 2 > 0.9 * job["precision"] * np.median(ratios):
            return False
    return True


# ---- Samples in, float values out


class Samples:
    """The samples as a model wants them: one at a time with a leading batch of 1, quantized where its inputs are."""

    def __init__(self, paths, model):
        arrays = {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in paths.items()}
        self._arrays = [_matching(arrays, tensor["name"]) for tensor in model.inputs]
        if len(self._arrays) != len(arrays):
            raise Rejected(f"the model has {len(self._arrays)} inputs, the samples {len(arrays)}")
        self._fit(model)
        self._tensors = model.inputs

    def _fit(self, model):
        """Check shapes; where the file leaves a size open, settle it."""
        shapes = [(1, *array.shape[1:]) for array in self._arrays]
        resize = False
        for tensor, shape in zip(model.inputs, shapes):
            wanted = tensor["shape"]
            fits = len(wanted) == len(shape) and all(
                free or size == given for size, given, free in zip(wanted, shape, tensor["free"])
            )
            if not fits:
                raise Rejected(f"input {tensor['name']!r} takes shape {wanted}, a sample has {list(shape)}")
            resize = resize or list(wanted) != list(shape)
        if resize:
            with refusing():
                model.resize(shapes)

    def __len__(self):
        return len(self._arrays[0])

    def __getitem__(self, i):
        return [quantize(array[i : i + 1], tensor) for array, tensor in zip(self._arrays, self._tensors)]


def _matching(arrays, name):
    """Find an input's samples by its name, which converters decorate; a lone array needs no name."""
    if list(arrays) == [""]:
        return arrays[""]
    plain = re.sub(r"^serving_default_|:\d+$", "", name)
    for candidate in (name, plain):
        if candidate in arrays:
            return arrays[candidate]
    raise Rejected(f"no samples for input {plain!r}; there are samples for {sorted(arrays)}")


def quantize(values, tensor):
    """Turn float samples into what the input tensor holds; other samples only change their integer width."""
    dtype = np.dtype(tensor["dtype"])
    if values.dtype.kind == "f" and dtype.kind in "iu":
        if not tensor["scale"]:
            raise Rejected(f"input {tensor['name']!r} takes {dtype.name} and gives no scale for float samples")
        limits = np.iinfo(dtype)
        steps = np.rint(values / np.float32(tensor["scale"])) + tensor["zero_point"]
        values = np.clip(steps, limits.min, limits.max)
    return np.ascontiguousarray(values, dtype)


def dequantize(values, tensor):
    """Return outputs as float32; integers without a scale (labels, tokens) stay as they are."""
    if tensor["scale"] and values.dtype.kind in "iu":
        return (values.astype(np.float32) - tensor["zero_point"]) * np.float32(tensor["scale"])
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def unbatched(values):
    return values[0] if values.ndim and values.shape[0] == 1 else values


# ---- Loading, and the limits of this process


class refusing:
    """Whatever a runtime raises here is its refusal of the model: Rejected, with its words."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and isinstance(error, Exception) and not isinstance(error, OURS):
            words = str(error).strip().splitlines()
            raise Rejected(f"{kind.__name__}: {words[0] if words else 'no message'}") from error
        return False


def runtime_module(name):
    try:
        return importlib.import_module(RUNTIMES[name][0])
    except ImportError as error:
        raise Unavailable(f"the device's Python has no {RUNTIMES[name][1]}") from error


class Unavailable(Exception):
    """The device lacks what the job needs: no fault of the model."""


OURS = (Rejected, Untold, Unavailable, OSError)  # what says itself whose fault it is


def load(spec):
    verify(spec)
    return open_model(spec)


def verify(spec):
    with open(spec["path"], "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if digest != spec["sha256"]:
        raise Unavailable("the file on the device is not the one that was sent (sha256 differs)")


def open_model(spec):
    module = runtime_module(spec["runtime"])
    with refusing():
        return globals()[RUNTIMES[spec["runtime"]][2]](module, spec)


def confine(job):
    """Die with the parent, at the time limit even inside native code, and before the memory limit is passed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if job.get("parent") and os.getppid() != job["parent"]:
            sys.exit("the process that started this job is gone")
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, job["time_limit_s"])
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if job.get("memory_bytes"):
            resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))


def pin(cores):
    """Keep this process, and the threads a runtime will start, on `cores`; return where it runs or None.

    cores: a list, None, or how many of the last ones: interrupts tend to land on the first, and big cores come last.
    """
    if cores is None or not hasattr(os, "sched_setaffinity"):
        return None
    if isinstance(cores, int):
        allowed = sorted(os.sched_getaffinity(0))
        if cores > len(allowed):
            raise Unavailable(f"threads={cores}, but the device has only {len(allowed)} cores for us")
        cores = allowed[-cores:]
    os.sched_setaffinity(0, cores)
    return sorted(os.sched_getaffinity(0))


# ---- What the device says about itself


def environment(job):
    """Describe the device: system, processor, versions of the runtimes the job uses."""
    packages = {"numpy": np.__version__}
    for spec in job["models"]:
        distribution = RUNTIMES[spec["runtime"]][1]
        packages[distribution] = _version(distribution) or "absent"
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_name() + (" (no VNNI)" if lacks_vnni() else ""),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": packages,
    }


def _cpu_name():
    if "EDGEWRIGHT_CPU" in os.environ:  # set where the processor is emulated
        return os.environ["EDGEWRIGHT_CPU"]
    for path, pattern in (("/proc/cpuinfo", r"model name\s*:\s*(.+)"), ("/proc/device-tree/model", r"([^\x00]+)")):
        found = re.search(pattern, _read(path) or "")
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def cpu_flags():
    """Return the instructions that the processor announces. Of an emulated one the file shows the host's: none."""
    label = "flags" if is_x86() else "Features"
    found = re.search(label + r"\s*:\s*(.+)", _read("/proc/cpuinfo") or "")
    return set(found.group(1).split()) if found and "EDGEWRIGHT_CPU" not in os.environ else set()


def is_x86():
    return platform.machine() in ("x86_64", "AMD64", "i686")


def lacks_vnni():
    """Tell whether this is an x86 processor that is not known to have VNNI."""
    return is_x86() and not VNNI & cpu_flags()


def telemetry(cores):
    """Read load, and clock, governor and temperature where the system shows them; what it hides is left out."""
    core = f"/sys/devices/system/cpu/cpu{cores[0] if cores else 0}/cpufreq/"
    zones = [_read(f"/sys/class/thermal/thermal_zone{zone}/temp") for zone in range(8)]
    frequency = _read(core + "scaling_cur_freq")
    found = {
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "mhz": int(frequency) / 1000 if frequency else None,
        "governor": _read(core + "scaling_governor"),
        "celsius": max((int(zone) / 1000 for zone in zones if zone), default=None),
    }
    return {name: value for name, value in found.items() if value is not None}


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:  # absent, or not for us: the caller leaves the value out
        return None


def start_peak():
    """Start a new peak of resident memory, where the kernel lets us, and return what is resident now, in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # then the peak includes what importing the runtime took: higher, never lower
    return _resident("VmRSS")


def peak_bytes():
    """Peak of resident memory. Not ru_maxrss where /proc has it: that one inherits the parent's across exec."""
    return _resident("VmHWM")


def _resident(field):
    found = re.search(field + r":\s*(\d+) kB", _read("/proc/self/status") or "")
    if found:
        return 1024 * int(found.group(1))
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def involuntary_switches():
    if os.name != "posix":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def microseconds_since(started_ns):
    return (time.perf_counter_ns() - started_ns) / 1000


def lines():
    """Return `say(event, **fields)`; what native code prints to standard output goes to standard error instead."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event, **fields):
        channel.write(json.dumps(dict(fields, event=event), separators=(",", ":")) + "\n")
        channel.flush()

    return say


def main(path):
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    confine(job)
    say = lines()
    say("start", **environment(job))
    try:
        MODES[job["mode"]](job, say)
        say("done")
    except Rejected as error:
        say("rejected", reason=str(error))
    except (Unavailable, OSError) as error:
        say("unavailable", reason=str(error))


if __name__ == "__main__":
    main(sys.argv[1])
