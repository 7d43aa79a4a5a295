"""The generated schema of .tflite files behind few functions: it says of every field that it may be absent."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

Table = Any  # a class that the schema's compiler wrote, or an object of it


@functools.cache
def schema() -> Any:
    """Return the module that the schema's compiler wrote."""
    return importlib.import_module("ai_edge_litert.schema_py_generated")


def table(kind: str, **fields: Any) -> Table:
    """Return a new table such as "Conv2DOptions" with `fields` set.  Raises: TypeError for a field that it lacks."""
    return getattr(schema(), f"{kind}T")(**fields)


def number(enumeration: str, name: str) -> int:
    """Return the number of a name, as of "RELU" in "ActivationFunctionType"."""
    return getattr(getattr(schema(), enumeration), name)


@functools.cache
def names(enumeration: str) -> dict[int, str]:
    """Return number -> name of an enumeration."""
    members = vars(getattr(schema(), enumeration))
    return {value: name for name, value in members.items() if not name.startswith("_")}


def view(data: bytes) -> Table:
    """Return a file to be read field by field."""
    return schema().Model.GetRootAsModel(data, 0)


def unpacked(data: bytes) -> Table:
    """Return a file as tables that may be changed and packed again."""
    return schema().ModelT.InitFromObj(view(data))


def packed(model: Table, shares: bool = False, size: int = 1 << 16) -> bytes:
    """Return a model as the bytes of a file. shares: equal vectors are written once."""
    import flatbuffers

    builder = _sharing()(size) if shares else flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def with_select_v2(model: Table) -> Table:
    """Return the model with each SELECT between tensors of one shape as a SELECT_V2, which gives the same and which
    runtimes for microcontrollers have too.
    """
    old, new = (number("BuiltinOperator", name) for name in ("SELECT", "SELECT_V2"))
    codes = model.operatorCodes
    for graph in model.subgraphs:
        for entry in graph.operators or []:
            shapes = {tuple(graph.tensors[index].shape) for index in entry.inputs}
            if codes[entry.opcodeIndex].builtinCode == old and len(shapes) == 1:
                known = [place for place, code in enumerate(codes) if code.builtinCode == new]
                if not known:
                    codes.append(table("OperatorCode", builtinCode=new, deprecatedBuiltinCode=new, version=1))
                entry.opcodeIndex = (known or [len(codes) - 1])[0]
                entry.builtinOptions = table("SelectV2Options")
                entry.builtinOptionsType = number("BuiltinOptions", "SelectV2Options")
    return model


@functools.cache
def _sharing() -> Any:
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):
        """Writes equal vectors once: each channel of each kernel and bias has a zero point of eight bytes, always 0."""

        def __init__(self, size: int):
            super().__init__(size)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: np.ndarray) -> int:
            key = x.dtype.str, x.tobytes()
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

    return SharingBuilder
