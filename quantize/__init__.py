"""Quantization-aware training on the graph of operations of a Keras 3 model."""

from .qat import QatConfig, QatReport, find_quantized, prepare_qat

__all__ = ["QatConfig", "QatReport", "find_quantized", "prepare_qat"]
