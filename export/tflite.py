"""Export to TFLite: float through TensorFlow's converter, w8a8 straight from the quantization-aware graph."""

from __future__ import annotations

import functools
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..errors import BadInput, refuse_unknown
from ..precision import WEIGHTS_ONLY
from ..progress import say
from ..quantize.qat import QatConfig
from .artifact import ELSEWHERE, Artifact, make_manifest
from .facts import Facts
from .lower import INTEGER_IO
from .plain import float_file
from .quantized import quantized_file, source_of
from .reference import samples_of
from .shortlist import cut_network, shortlist_of
from .tflite_writer import write_tflite


def export_tflite(
    model: keras.Model,
    *,
    precision: str | None = None,
    calibration: Any = None,
    config: QatConfig | None = None,
    integer_io: bool | str = False,
    states: Mapping[str, str] | None = None,
    shortlist: Sequence[int] | None = None,
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
    or "uint8". states: output -> the input that it becomes in the next call, of a step network; those of recurrences
    are found. shortlist: the ids of the tokens that output "logits" still tells apart, ascending; whoever runs files
    answers -inf for the others. manifest: entries to add to the manifest. Raises: BadInput, WrongOrder naming the call
    that comes first; EdgewrightError where the file does not load or answers otherwise.
    """
    refuse_unknown("export_tflite", unknown, KEYWORDS, ELSEWHERE)
    if integer_io not in INTEGER_IO:
        raise BadInput(f"integer_io={integer_io!r} is unknown; allowed: {', '.join(map(repr, INTEGER_IO))}")
    samples = samples_of(model, calibration)
    source = source_of(model, precision, samples, config)
    kept = shortlist_of(model, shortlist)
    more: dict[str, Any] = {"shortlist": kept.facts()} if kept else {}
    if source.layer is None:
        _refuse_in_float(source.precision, integer_io)
        whole = model if kept is None else cut_network(model, kept)
        data, facts, verified = float_file(whole, "tflite", source.precision, samples, states)
    else:
        write = functools.partial(write_tflite, description=f"edgewright {source.precision}")
        data, facts, verified = quantized_file(
            model, source, "tflite", write, samples, states=states, integer_io=integer_io, shortlist=kept
        )
        if integer_io:
            more["integer_io"] = "int8" if integer_io is True else integer_io
            for line in _left_in_float(facts):
                say(f"{model.name}: integer_io={integer_io!r}: {line}")
    known = {"name": name or f"{model.name}-{source.precision}", "format": "tflite", "precision": source.precision}
    return Artifact(data, make_manifest(data, model, **{**known, **facts, **verified, **more, **(manifest or {})}))


KEYWORDS = [name for name in inspect.signature(export_tflite).parameters if name not in ("model", "unknown")]


def _refuse_in_float(precision: str, integer_io: bool | str) -> None:
    """Raise BadInput for what a float precision does not have here."""
    if integer_io:
        raise BadInput(f"integer_io={integer_io!r} needs a quantized precision such as w8a8-ptq, not {precision!r}")
    if precision in WEIGHTS_ONLY and importlib.util.find_spec("ai_edge_quantizer") is None:
        raise BadInput(f"precision={precision!r} needs the package ai-edge-quantizer; pip install ai-edge-quantizer")


def _left_in_float(facts: Facts) -> list[str]:
    """Say which borders have no integers: a scale is that of the operator inside, and there is none in float."""
    borders = (
        ("input", "that reads", facts["inputs"]),
        ("output", "that makes", facts["outputs"]),
    )
    return [
        f"{what} {end['name']!r} stays {end['dtype']}: the operator {how} it is in float"
        for what, how, ends in borders
        for end in ends
        if end["dtype"].startswith("float")
    ]
