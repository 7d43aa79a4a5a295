"""Export a Keras model to files that devices run, with a manifest beside each."""

from .artifact import Artifact
from .onnx import export_onnx
from .tflite import export_tflite

__all__ = ["Artifact", "export_onnx", "export_tflite"]
