"""Export to ONNX: float through tf2onnx, w8a8 in QDQ form from the quantization-aware graph."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from ..errors import BadInput, refuse_unknown
from ..quantize.qat import QatConfig
from .artifact import ELSEWHERE, Artifact, make_manifest
from .lower import lower
from .onnx_writer import write_onnx
from .plain import float_file
from .subject import quantized_subject, samples_of
from .tflite import describe, quantized_part
from .verify import steps_of, verify


def export_onnx(
    model: keras.Model,
    *,
    precision: str | None = None,
    calibration: Any = None,
    config: QatConfig | None = None,
    name: str | None = None,
    manifest: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> Artifact:
    """Export `model` to a .onnx file in memory, which was run beside the model and answers as it does.

    precision: "float32", "w8a8-ptq" (needs `calibration`; `config` says how) or "w8a8-qat" (the default for a model
    from `prepare_qat`); w8a16 and w4a8 in place of w8a8 likewise, 4-bit kernels stored as bytes. calibration: also
    what the file is run on; without it, made-up samples. manifest: entries to add to the manifest.
    Raises: BadInput, WrongOrder naming the call that comes first; EdgewrightError where the file does not load or
    answers otherwise.
    """
    refuse_unknown("export_onnx", unknown, KEYWORDS, ELSEWHERE)
    samples = samples_of(model, calibration)
    layer, precision, answering = quantized_part(model, precision, samples, config)
    if layer is None and precision != "float32":
        raise BadInput(f"precision={precision!r} is not available in ONNX; allowed: float32, w8a8-ptq, w8a8-qat, ...")
    if layer is None:
        data, facts = float_file(model, "onnx", precision, samples)
    else:
        subject = quantized_subject(answering, layer, samples)
        subject.answers()  # before any work: what answers NaN has no integers
        program = lower(layer, model.name, **subject.names)
        if program.is_stateful:
            raise BadInput("ONNX knows no fused int8 recurrence: use QatConfig(recurrence='unrolled') for it")
        data = write_onnx(program)
        facts = describe(program, layer.carried)
        facts |= verify(data, "onnx", precision, subject, steps_of(facts))
    name = name or f"{model.name}-{precision}"
    known = {"name": name, "format": "onnx", "precision": precision, **facts, **(manifest or {})}
    return Artifact(data, make_manifest(data, model, **known))


KEYWORDS = [name for name in inspect.signature(export_onnx).parameters if name not in ("model", "unknown")]
