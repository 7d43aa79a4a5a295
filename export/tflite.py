"""Export to TFLite: float through TensorFlow's converter, w8a8 straight from the quantization-aware graph."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ..errors import BadInput, WrongOrder, refuse_unknown
from ..precision import EXPORTS, WEIGHTS_ONLY
from ..progress import say
from ..quantize.qat import QatConfig, QuantizedGraph, find_quantized, prepare_qat
from .artifact import ELSEWHERE, Artifact, make_manifest
from .lower import INTEGER_IO, Array, Program, lower
from .plain import float_file
from .subject import quantized_subject, samples_of
from .tflite_writer import write_tflite
from .verify import steps_of, verify


def export_tflite(
    model: keras.Model,
    *,
    precision: str | None = None,
    calibration: Any = None,
    config: QatConfig | None = None,
    integer_io: bool | str = False,
    name: str | None = None,
    manifest: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> Artifact:
    """Export `model` to a .tflite file in memory, which was run beside the model and answers as it does.

    precision: "float32", "float16", "w8" (8-bit weights, dynamic range), "w4" likewise, "w8-weight-only" and
    "w4-weight-only" (dequantized on the device; these three need the package ai-edge-quantizer), "w8a8-ptq" (needs
    `calibration`, samples as `prepare_qat` takes them; `config` says how), "w8a8-qat" (the default for a model from
    `prepare_qat`); w8a16, w7a8 and w4a8 in place of w8a8 likewise. calibration: also what the file is run on; without
    it, made-up samples. integer_io: integers at the borders instead of float32, True or "int8" as the graph has them,
    or "uint8". manifest: entries to add to the manifest. Raises: BadInput, WrongOrder naming the call that comes first;
    EdgewrightError where the file does not load or answers otherwise.
    """
    refuse_unknown("export_tflite", unknown, KEYWORDS, ELSEWHERE)
    if integer_io not in INTEGER_IO:
        raise BadInput(f"integer_io={integer_io!r} is unknown; allowed: {', '.join(map(repr, INTEGER_IO))}")
    samples = samples_of(model, calibration)
    layer, precision, answering = quantized_part(model, precision, samples, config)
    if layer is None:
        if integer_io:
            raise BadInput(f"integer_io={integer_io!r} needs a quantized precision such as w8a8-ptq, not {precision!r}")
        if precision in WEIGHTS_ONLY and importlib.util.find_spec("ai_edge_quantizer") is None:
            raise BadInput(
                f"precision={precision!r} needs the package ai-edge-quantizer; pip install ai-edge-quantizer"
            )
        data, facts = float_file(model, "tflite", precision, samples)
    else:
        subject = quantized_subject(answering, layer, samples)
        subject.answers()  # before any work: what answers NaN has no integers
        program = lower(layer, model.name, integer_io=integer_io, **subject.names)
        data = write_tflite(program, f"edgewright {precision}")
        facts = describe(program, layer.carried)
        facts |= verify(data, "tflite", precision, subject, steps_of(facts))
        if integer_io:
            facts["integer_io"] = "int8" if integer_io is True else integer_io
            for line in _left_in_float(facts):
                say(f"{model.name}: integer_io={integer_io!r}: {line}")
    name = name or f"{model.name}-{precision}"
    known = {"name": name, "format": "tflite", "precision": precision, **facts, **(manifest or {})}
    return Artifact(data, make_manifest(data, model, **known))


KEYWORDS = [name for name in inspect.signature(export_tflite).parameters if name not in ("model", "unknown")]


def quantized_part(
    model: keras.Model, precision: str | None, samples: Sequence[np.ndarray], config: QatConfig | None = None
) -> tuple[QuantizedGraph | None, str, keras.Model]:
    """Return the quantized graph to lower (None for float precisions), the precision, checked against the model, and
    the model that the file has to answer like.
    """
    layer = find_quantized(model)
    check_states(model)
    trained = f"{layer.config.default or 'w8a8'}-qat" if layer is not None else ""
    precision = precision or trained or "float32"
    if precision not in EXPORTS:
        raise BadInput(f"precision={precision!r} is unknown; allowed: {', '.join(EXPORTS)}")
    bits, _, how = precision.partition("-")
    if how == "qat" and layer is None:
        raise WrongOrder(
            f"model {model.name!r} has no quantizers: "
            "call qat, report = prepare_qat(model, calibration=samples), train qat, then export it"
        )
    if layer is not None and precision not in (trained, trained.replace("-qat", "-ptq")):
        raise WrongOrder(
            f"model {model.name!r} is quantization-aware: "
            f"export it as {trained}, or the model it was made from as {precision}"
        )
    if how == "ptq" and layer is None:
        if not samples:
            raise BadInput(f"precision={precision!r} needs calibration=samples: some hundred from the training data")
        model, _ = prepare_qat(model, replace(config or QatConfig(), default=bits), calibration=list(samples))
        layer = find_quantized(model)
    return layer, precision, model


def check_states(model: keras.Model) -> None:
    """Refuse a recurrence that goes on where it was left, which no file does.  Raises: BadInput naming the layer."""
    layers = [each for each in model._flatten_layers() if isinstance(each, keras.layers.RNN)]
    kept = next((each.name for each in layers if each.stateful), None)
    if kept is not None:
        raise BadInput(
            f"layer {kept!r} of model {model.name!r} keeps its state from call to call (stateful=True), a file forgets "
            "it: build the layer with stateful=False, or export edgewright.streaming(model), whose states go in and out"
        )


def describe(program: Program, carried: Sequence[tuple[int, int]] = ()) -> dict[str, Any]:
    """Return what the manifest says of a lowered program. carried: outputs to give back as inputs, see `streaming`."""
    operators = [one for one in program.operators if not one.is_border]
    borders = {id(one.outputs[0]): one.inputs[0] for one in program.operators if one.name == "DEQUANTIZE"}
    entered = {id(one.inputs[0]): one.outputs[0] for one in program.operators if one.name == "QUANTIZE"}
    return {
        "inputs": [{**_entry(array), **_range(entered.get(id(array), array))} for array in program.inputs],
        "outputs": [
            {**_entry(array), "step": float(inside.scale[0])} if inside.scale is not None else _entry(array)
            for array in program.outputs
            for inside in [borders.get(id(array), array)]
        ],
        "stateful": program.is_stateful,
        "states": [
            {"input": program.inputs[given].name, "output": program.outputs[new].name} for given, new in carried
        ],
        "quantized_ops": len(operators) - len(program.float_operators),
        "float_ops": len(program.float_operators),
        "layers": [
            {
                "name": one.outputs[0].name,
                "op": one.name,
                "dtype": "float32" if one.is_float else one.outputs[0].dtype,
            }
            for one in operators
        ],
    }


def _left_in_float(facts: Mapping[str, Any]) -> list[str]:
    """Say which borders have no integers: a scale is that of the operator inside, and there is none in float."""
    return [
        f"{what} {one['name']!r} stays {one['dtype']}: the operator {how} it is in float"
        for what, how in (("input", "that reads"), ("output", "that makes"))
        for one in facts[f"{what}s"]
        if one["dtype"].startswith("float")
    ]


def _range(array: Array) -> dict[str, Any]:
    """Return the least and the largest value that an input can hold, which calibration found."""
    if array.scale is None:
        return {}
    limits, scale = np.iinfo(array.dtype), float(array.scale[0])
    return {"range": [(limits.min - array.zero_point) * scale, (limits.max - array.zero_point) * scale]}


def _entry(array: Array) -> dict[str, Any]:
    quantization = {"scale": float(array.scale[0]), "zero_point": array.zero_point} if array.scale is not None else {}
    return {"name": array.name, "shape": list(array.shape), "dtype": array.dtype, **quantization}
