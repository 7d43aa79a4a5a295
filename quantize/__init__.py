"""Quantization-aware training on the graph of operations of a Keras 3 model."""
