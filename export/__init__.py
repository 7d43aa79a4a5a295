"""Export a Keras model to files that devices run, with a manifest beside each.

Names load on first use: who writes an integer program as a file needs neither Keras nor TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artifact import Artifact
    from .onnx import export_onnx
    from .tflite import export_tflite

    EXPORTERS = {"tflite": export_tflite, "onnx": export_onnx}  # by format

__all__ = ["EXPORTERS", "Artifact", "export_onnx", "export_tflite"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .artifact import Artifact
    from .onnx import export_onnx
    from .tflite import export_tflite

    loaded = {
        "Artifact": Artifact,
        "EXPORTERS": {"tflite": export_tflite, "onnx": export_onnx},
        "export_onnx": export_onnx,
        "export_tflite": export_tflite,
    }
    globals().update(loaded)
    return loaded[name]
