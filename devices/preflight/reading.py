"""Read what a .tflite file holds, operator by operator, from the file itself: LiteRT gives 4-bit tensors as 8-bit.

Run as a process of its own, `python -m edgewright.devices.preflight.reading FILE`, which prints it as JSON; of an .onnx
file its opset alone.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import EdgewrightError
from ..targets.graph import Graph, Operation, Tensor
from ..transports.child import follow

TIME_LIMIT_S = 60.0
FEW = 64  # values of a constant that are told: axes, shapes, paddings


class Unreadable(EdgewrightError):
    """A file whose operators cannot be read."""


def read(path: Path) -> Graph:
    """Return what a .tflite file holds. It is opened in a process of its own.  Raises: Unreadable."""
    return _graph(_told(path))


def opset_of(path: Path) -> int:
    """Return the opset of an .onnx file. It is opened in a process of its own.  Raises: Unreadable."""
    return _told(path)["opset"]


def _told(path: Path) -> dict[str, Any]:
    lines: list[str] = []
    command = [sys.executable, "-m", __name__, str(path)]
    ended = follow(command, lines.append, limit_s=TIME_LIMIT_S)
    if ended.timed_out or ended.code or not lines:
        last = ended.stderr.strip().splitlines()[-1:] or [f"code {ended.code}"]
        raise Unreadable(f"the file's operators cannot be read: {last[0]}")
    return json.loads("".join(lines))


def _graph(told: Mapping[str, Any]) -> Graph:
    tensors = tuple(Tensor(**{**entry, "shape": tuple(entry["shape"]), "values": _tuple(entry["values"])})
                    for entry in told["tensors"])  # fmt: skip
    ends = ("inputs", "outputs", "intermediates")
    operators = tuple(Operation(**{**entry, **{end: tuple(entry[end]) for end in ends}}) for entry in told["operators"])
    return Graph(tensors=tensors, operators=operators, inputs=tuple(told["inputs"]), outputs=tuple(told["outputs"]),
                 subgraphs=told["subgraphs"], offsets=tuple(told["offsets"]))  # fmt: skip


def _tuple(values: list[int] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(values)


# ---------------------------------------------------------------- in the process that opens the file


def opened(data: bytes) -> dict[str, Any]:
    """Return the document of a file."""
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    names = {kind: {number: name for name, number in vars(getattr(schema, kind)).items() if name[0] != "_"}
             for kind in ("TensorType", "BuiltinOperator")}  # fmt: skip
    graph = model.subgraphs[0]
    written = {int(index) for operator in graph.operators for index in operator.outputs}
    given = written | set(map(int, graph.inputs))
    tensors = [_tensor(names["TensorType"], model.buffers, entry, index in given)
               for index, entry in enumerate(graph.tensors)]  # fmt: skip
    operators = [_operation(names["BuiltinOperator"], model.operatorCodes, entry) for entry in graph.operators]
    return {"tensors": tensors, "operators": operators, "inputs": _ints(graph.inputs), "outputs": _ints(graph.outputs),
            "subgraphs": len(model.subgraphs), "offsets": list(_offsets(model))}  # fmt: skip


def _offsets(model: Any) -> Iterator[int]:
    """Yield where a compiler has put the tensors: behind a version, a graph and their number."""
    for entry in model.metadata or []:
        if entry.name == b"OfflineMemoryAllocation":
            yield from map(int, np.frombuffer(bytes(model.buffers[entry.buffer].data), np.int32)[3:])


def opset(path: Path) -> dict[str, Any]:
    """Return the document of an .onnx file."""
    onnx = importlib.import_module("onnx")
    model = onnx.load(path, load_external_data=False)
    return {"opset": max((entry.version for entry in model.opset_import if not entry.domain), default=0)}


def _ints(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def _tensor(types: Mapping[int, str], buffers: Any, entry: Any, is_computed: bool) -> dict[str, Any]:
    data = b"" if buffers[entry.buffer].data is None else bytes(buffers[entry.buffer].data)
    dtype = types[entry.type].lower()
    quantization = entry.quantization
    scales = [] if quantization is None or quantization.scale is None else quantization.scale
    points = [] if quantization is None or quantization.zeroPoint is None else quantization.zeroPoint
    is_constant = bool(data) and not is_computed
    values = None
    if is_constant and dtype in ("int32", "int64"):
        numbers = np.frombuffer(data, dtype)
        values = numbers.tolist() if len(numbers) <= FEW else None
    return {
        "name": (entry.name or b"").decode("utf-8", "replace"),
        "shape": _ints(entry.shape),
        "dtype": dtype,
        "scales": len(scales),
        "scale": float(scales[0]) if len(scales) else None,
        "zero_point": int(points[0]) if len(points) else None,
        "is_constant": is_constant,
        "is_state": bool(entry.isVariable),
        "is_open": any(size < 0 for size in _ints(entry.shapeSignature)),
        "values": values,
    }


def _operation(names: Mapping[int, str], codes: Any, entry: Any) -> dict[str, Any]:
    code = codes[entry.opcodeIndex]
    name = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")
    if name == "CUSTOM":
        name = (code.customCode or b"CUSTOM").decode("utf-8", "replace")
    options = vars(entry.builtinOptions) if entry.builtinOptions is not None else {}
    return {
        "op": name,
        "inputs": _ints(entry.inputs),
        "outputs": _ints(entry.outputs),
        "intermediates": _ints(entry.intermediates),
        "options": dict(_plain(options)),
    }


def _plain(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, bool | int | float):
            yield key, value
        elif isinstance(value, np.ndarray | list):
            yield key, _ints(value)


if __name__ == "__main__":
    given = Path(sys.argv[1])
    print(json.dumps(opset(given) if given.suffix == ".onnx" else opened(given.read_bytes())))
