"""Edgewright: from a Keras 3 model to a statistical verdict on a device.

Names load on first use, so that importing the package imports neither Keras nor TensorFlow.
"""

import difflib
import importlib
import sys
from types import ModuleType

_HOME = {
    "Artifact": ".export",
    "BenchConfig": ".devices.measure",
    "ChannelConfig": ".prune",
    "Dataset": ".training.data",
    "Distillation": ".training.distillation",
    "PruneConfig": ".prune",
    "QatConfig": ".quantize.qat",
    "Split": ".training.data",
    "Thresholds": ".devices.verdict.compare",
    "TrainConfig": ".training.train",
    "bench": ".pipeline.stages",
    "build": ".pipeline.stages",
    "compare": ".pipeline.stages",
    "evaluate": ".training.train",
    "export_onnx": ".export",
    "export_tflite": ".export",
    "fix_shapes": ".quantize.shapes",
    "load_data": ".pipeline.stages",
    "load_model": ".pipeline.saved",
    "prepare_prune": ".pipeline.stages",
    "prepare_qat": ".pipeline.stages",
    "prune": ".pipeline.stages",
    "prune_channels": ".prune",
    "register": ".models.registry",
    "save_model": ".pipeline.saved",
    "streaming": ".quantize.streaming",
    "strip_prune": ".pipeline.stages",
    "train": ".pipeline.stages",
}
__version__ = "0.1.0"


class _Package(ModuleType):
    """Keeps `edgewright.prune` the verb: the import system would bind the subpackage of that name over it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str):
    if name not in _HOME:
        near = difflib.get_close_matches(name, _HOME, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise AttributeError(f"module 'edgewright' has no attribute {name!r}{hint}")
    from . import backend

    backend.check()
    return getattr(importlib.import_module(_HOME[name], __name__), name)


if __name__ == "edgewright":  # a test runner loads this file by its path, too, under the name of the folder
    from .registered import register as _register

    _register()


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
