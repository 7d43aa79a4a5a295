"""Edgewright: from a Keras 3 model to a statistical verdict on a device.

Names load on first use, so that importing the package imports neither Keras nor TensorFlow.
"""

import importlib

_HOME = {}
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'edgewright' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
