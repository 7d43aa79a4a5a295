"""What is in the graph of a .tflite file, as an interpreter tells it or the file itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .samples import zeros

DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "INT8": "int8", "UINT8": "uint8", "INT16": "int16", "INT32": "int32",
    "INT64": "int64", "BOOL": "bool", "INT4": "int8",
}  # fmt: skip


def parts_of(interpreter: Any):
    """Return operators, tensors by index, and the indices of tensors that are not constant."""
    operators = interpreter._get_ops_details()
    tensors = {int(details["index"]): details for details in interpreter.get_tensor_details()}
    computed = {int(index) for operator in operators for index in operator["outputs"]}
    computed.update(int(details["index"]) for details in interpreter.get_input_details())
    return operators, tensors, computed


def tensor_of(details: Any):
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


def layer_of(interpreter: Any, operator: Any, tensors: Any, computed: Any):
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
        "sparsity": None if weights is None else zeros(interpreter.get_tensor(weights["index"])),
    }


def keeps_state(layer: Any):
    """Tell if an operator keeps state from one inference to the next, in a tensor that is a variable."""
    return bool(re.search("LSTM|RNN|SVDF|VAR_HANDLE|READ_VARIABLE", layer["op"]))


def graph_of(operators: Any, tensors: Any, computed: Any):
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


class FlatFile:
    """What LiteRT's interpreter would tell of a file, read from the file itself by the schema that the wheel brings."""

    def __init__(self, schema: Any, data: bytes):
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        self._graph = self._model.subgraphs[0]
        self._operators, self._types = ({value: name for name, value in vars(kind).items() if isinstance(value, int)}
                                        for kind in (schema.BuiltinOperator, schema.TensorType))  # fmt: skip

    def get_input_details(self):
        """Return what is known of the inputs."""
        return [self._details(index) for index in self._graph.inputs]

    def get_output_details(self):
        """Return what is known of the outputs."""
        return [self._details(index) for index in self._graph.outputs]

    def get_tensor_details(self):
        """Return what is known of every tensor."""
        return [self._details(index) for index in range(len(self._graph.tensors))]

    def _get_ops_details(self):
        return [
            {"op_name": self._name(operator), "inputs": _listed(operator.inputs), "outputs": _listed(operator.outputs)}
            for operator in self._graph.operators or []
        ]

    def _name(self, operator: Any):
        code = self._model.operatorCodes[operator.opcodeIndex]
        return self._operators[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def _details(self, index: int):
        tensor = self._graph.tensors[index]
        quantization = tensor.quantization
        told = [] if quantization is None else [quantization.scale, quantization.zeroPoint]
        scales, zero_points = told or (None, None)
        kind = self._types[tensor.type]
        return {
            "index": int(index),
            "name": (tensor.name or b"").decode(errors="replace"),
            "shape": _listed(tensor.shape),
            "dtype": DTYPES.get(kind, "void"),
            "quantization_parameters": {"scales": _listed(scales), "zero_points": _listed(zero_points)},
        }

    def get_tensor(self, index: int):
        """Return a constant's values, flat; none where the file has none."""
        tensor = self._graph.tensors[index]
        data = bytes(_listed(self._model.buffers[tensor.buffer].data))
        if self._types[tensor.type] == "INT4":  # two to a byte
            pairs = np.frombuffer(data, np.uint8)
            return np.stack([pairs & 15, pairs >> 4], -1).ravel()
        return np.frombuffer(data, self._details(index)["dtype"])


def _listed(values: Any):
    return [] if values is None else list(values)
