"""Pruning and QAT by TensorFlow Model Optimization, in a process of its own with Keras 2."""
