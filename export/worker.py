"""The converter process: reads one JSON job a line on standard input, answers one JSON line on standard output."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import imports
from ..workers import Order, serve
from .flatbuffer import packed, unpacked, with_select_v2


def convert(job: Order) -> Order:
    """Convert a file, or say why that failed."""
    try:
        imports.load("tensorflow")
        data = CONVERTERS[job["kind"]](job)
        Path(job["out"]).write_bytes(NAMERS[job["kind"]](data, *job["names"]) if job["names"] else data)
        return {"ok": True}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}


# Precisions that AI Edge Quantizer makes of a float file, by its recipe.
RECIPES = {
    "w4": "dynamic_wi4_afp32",
    "w8-weight-only": "weight_only_wi8_afp32",
    "w4-weight-only": "weight_only_wi4_afp32",
}


def to_tflite(job: dict) -> bytes:
    """Convert with TFLiteConverter; precision "float32", "float16", "w8" (dynamic range) or one of `RECIPES`."""
    import tensorflow as tf

    graph_def = _read(job)

    def restore():
        tf.import_graph_def(graph_def, name="")

    wrapped = tf.compat.v1.wrap_function(restore, [])
    function = wrapped.prune(
        [wrapped.graph.get_tensor_by_name(name) for name in job["inputs"]],
        [wrapped.graph.get_tensor_by_name(name) for name in job["outputs"]],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if job["precision"] in RECIPES:
        return quantize(converter.convert(), RECIPES[job["precision"]])
    if job["precision"] != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job["precision"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def quantize(float_file: bytes, recipe: str) -> bytes:
    """Quantize the weights of a float .tflite file by a recipe of AI Edge Quantizer."""
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes

    tool = quantizer.Quantizer(bytearray(float_file), getattr(recipes, recipe)())
    quantized: Any = tool.quantize(enable_progress_report=False)
    return bytes(quantized.quantized_model)


def to_onnx(job: dict) -> bytes:
    """Convert with tf2onnx, which lets operators through that ONNX does not have."""
    import onnx
    import tf2onnx

    graph_def = _read(job)
    _spell_out(graph_def)
    with _whole_sizes():
        model, _ = tf2onnx.convert.from_graph_def(
            graph_def,
            input_names=list(job["inputs"]),
            output_names=list(job["outputs"]),
            opset=18,
            inputs_as_nchw=job["first"],
        )
    onnx.checker.check_model(model)
    return model.SerializeToString()


@contextlib.contextmanager
def _whole_sizes() -> Iterator[None]:
    """Round the scales of a resize up: 32 / 62 in float32 times 62 is less than 32, which ONNX cuts to 31."""
    from tf2onnx import graph

    owner: Any = graph.Graph
    make = owner.make_const

    def make_const(self: Any, name: str, values: Any, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("scales"):
            values = np.where(values == np.round(values), values, np.nextafter(values, np.float32(np.inf)))
        return make(self, name, values, *args, **kwargs)

    owner.make_const = make_const
    try:
        yield
    finally:
        owner.make_const = make


def _read(job: dict):
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph_def = GraphDef()
    graph_def.ParseFromString(Path(job["graph"]).read_bytes())
    return graph_def


# TensorFlow's name -> the operation that tf2onnx does know, and whether 1 is taken from it, or it from 1.
SPELT = {"Expm1": ("Exp", True), "Erfc": ("Erf", False)}


def _spell_out(graph_def: Any) -> None:
    """Write exp(x) - 1 and 1 - erf(x), which is in Gelu, as they are read: tf2onnx knows neither as one operation."""
    for node in [node for node in graph_def.node if node.op in SPELT]:
        known, one_last = SPELT[node.op]
        unit, inner = graph_def.node.add(), graph_def.node.add()
        unit.name, unit.op = f"{node.name}/one", "Const"
        unit.attr["dtype"].CopyFrom(node.attr["T"])
        unit.attr["value"].tensor.dtype = node.attr["T"].type
        unit.attr["value"].tensor.float_val.append(1.0)
        unit.attr["value"].tensor.tensor_shape.SetInParent()
        inner.CopyFrom(node)
        inner.name, inner.op = f"{node.name}/{known.lower()}", known
        node.op = "Sub"
        del node.input[:]
        node.input.extend([inner.name, unit.name] if one_last else [unit.name, inner.name])


def name_tflite(data: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    """Give the ends of a .tflite file, and of its signature, these names in their order."""
    model = with_select_v2(unpacked(data))
    graph = model.subgraphs[0]
    for ends, names in ((graph.outputs, outputs), (graph.inputs, inputs)):  # an input that is returned stays an input
        for index, name in zip(ends, names, strict=True):
            graph.tensors[index].name = name
    for signature in model.signatureDefs or []:
        for ends, names, entries in (
            (graph.inputs, inputs, signature.inputs),
            (graph.outputs, outputs, signature.outputs),
        ):
            name_of = dict(zip((int(index) for index in ends), names, strict=True))
            for entry in entries or []:
                entry.name = name_of.get(int(entry.tensorIndex), entry.name)
    return packed(model, size=len(data) + 1024)


def name_onnx(data: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    """Give the ends of an .onnx file these names in their order; what had one of them inside gets another."""
    import onnx

    model = onnx.load_from_string(data)
    ends = [*model.graph.input, *model.graph.output]
    new = dict(zip((end.name for end in ends), [*inputs, *outputs], strict=True))
    wanted, taken = set(new.values()), _values(model.graph)
    for name in (wanted & taken) - set(new):
        new[name] = next(f"{name}_{i}" for i in range(len(taken) + 2) if f"{name}_{i}" not in taken | wanted)
    _rename(model.graph, new)
    return model.SerializeToString(deterministic=True)


def _values(graph: Any) -> set[str]:
    """Return the names of all values of an ONNX graph."""
    named = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    return named | {name for node in graph.node for name in node.output}


def _rename(graph: Any, new: dict[str, str]) -> None:
    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        value.name = new.get(value.name, value.name)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new.get(name, name) for name in names]
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _rename(inner, new)


NAMERS = {"tflite": name_tflite, "onnx": name_onnx}
CONVERTERS = {"tflite": to_tflite, "onnx": to_onnx}

if __name__ == "__main__":
    serve(convert)
