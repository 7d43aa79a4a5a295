"""Export a Keras model to files that devices run, with a manifest beside each."""

from .artifact import Artifact
from .onnx import export_onnx
from .tflite import export_tflite

EXPORTERS = {"tflite": export_tflite, "onnx": export_onnx}  # by format

__all__ = ["EXPORTERS", "Artifact", "export_onnx", "export_tflite"]
