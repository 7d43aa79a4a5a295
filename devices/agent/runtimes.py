"""Which runtimes there are, and how a model file is opened in one."""

from __future__ import annotations

import hashlib
import importlib

from .faults import Unavailable, refusing
from .kinds import Job
from .layouts import with_channels_last
from .litert import LiteRT
from .onnx_runtime import OnnxRuntime
from .openvino import OpenVino
from .qnn import Qnn
from .tflite_micro import TfliteMicro

RUNTIMES = {  # name in a job: (module, distribution, adapter)
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", LiteRT),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime", LiteRT),
    "tflite-micro": ("tflite_micro.python.tflite_micro.runtime", "tflite-micro", TfliteMicro),
    "onnxruntime-qnn": ("onnxruntime", "onnxruntime-qnn", Qnn),
    "openvino": ("openvino", "openvino", OpenVino),
    "onnxruntime": ("onnxruntime", "onnxruntime", OnnxRuntime),
}


def runtime_module(name: str):
    """Import a runtime.  Raises: Unavailable if the device does not have it."""
    try:
        return importlib.import_module(RUNTIMES[name][0])
    except ImportError as error:
        raise Unavailable(f"the device's Python has no {RUNTIMES[name][1]}") from error


def load(spec: Job):
    """Open the file that was meant."""
    verify(spec)
    return open_model(spec)


def verify(spec: Job):
    """Compare a file with the one that was sent.  Raises: Unavailable."""
    with open(spec["path"], "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if digest != spec["sha256"]:
        raise Unavailable("the file on the device is not the one that was sent (sha256 differs)")


def open_model(spec: Job):
    """Open a file in its runtime.  Raises: Rejected with the runtime's words."""
    module = runtime_module(spec["runtime"])
    with refusing():
        return with_channels_last(RUNTIMES[spec["runtime"]][2](module, spec), spec)
