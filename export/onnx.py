"""Export to ONNX: float through tf2onnx, w8a8 in QDQ form from the quantization-aware graph."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..errors import BadInput, refuse_unknown
from ..quantize.qat import QatConfig
from . import layouts
from .artifact import ELSEWHERE, Artifact, make_manifest
from .layouts import Layout
from .onnx_writer import write_onnx
from .plain import float_file
from .quantized import quantized_file, source_of
from .reference import samples_of
from .shortlist import cut_network, shortlist_of


def export_onnx(
    model: keras.Model,
    *,
    precision: str | None = None,
    calibration: Any = None,
    config: QatConfig | None = None,
    states: Mapping[str, str] | None = None,
    shortlist: Sequence[int] | None = None,
    layout: Layout = "nhwc",
    name: str | None = None,
    manifest: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> Artifact:
    """Export `model` to a .onnx file in memory, which was run beside the model and answers as it does.

    precision: "float32", "w8a8-ptq" (needs `calibration`; `config` says how) or "w8a8-qat" (the default for a model
    from `prepare_qat`); w8a16 and w4a8 in place of w8a8 likewise, 4-bit kernels stored as bytes. calibration: also
    what the file is run on; without it, made-up samples. states: output -> the input that it becomes in the next call,
    of a step network; those of recurrences are found. shortlist: as of `export_tflite`. layout: of inputs of images,
    "nhwc" as Keras has them or "nchw", which many converters of ONNX take for granted; the manifest says which.
    manifest: entries to add to the manifest.
    Raises: BadInput, WrongOrder naming the call that comes first; EdgewrightError where the file does not load or
    answers otherwise.
    """
    refuse_unknown("export_onnx", unknown, KEYWORDS, ELSEWHERE)
    layouts.check(layout)
    samples = samples_of(model, calibration)
    source = source_of(model, precision, samples, config)
    kept = shortlist_of(model, shortlist)
    if source.layer is None and source.precision != "float32":
        raise BadInput(
            f"precision={source.precision!r} is not available in ONNX; allowed: float32, w8a8-ptq, w8a8-qat, ..."
        )
    if source.layer is None:
        whole = model if kept is None else cut_network(model, kept)
        data, facts, verified = float_file(whole, "onnx", samples=samples, states=states, layout=layout)
    else:
        data, facts, verified = quantized_file(
            model, source, "onnx", write_onnx, samples, states=states, layout=layout, shortlist=kept
        )
    is_wide = any(layer["dtype"] == "int16" for layer in facts["layers"])
    more: dict[str, Any] = {"kernels": IN_FLOAT} if is_wide else {}
    more |= {"shortlist": kept.facts()} if kept else {}
    known = {"name": name or f"{model.name}-{source.precision}", "format": "onnx", "precision": source.precision}
    return Artifact(data, make_manifest(data, model, **{**known, **facts, **verified, **more, **(manifest or {})}))


# What a manifest says of a file with 16-bit activations.
IN_FLOAT = "ONNX Runtime has none for 16-bit activations: it computes in float32 and rounds between operators"
KEYWORDS = [name for name in inspect.signature(export_onnx).parameters if name not in ("model", "unknown")]
