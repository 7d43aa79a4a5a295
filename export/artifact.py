"""What an export yields: the bytes of a model file and a manifest that says what they are."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..files import gzip_bytes, sha256, write, write_json

# What other exporters call it, and what it is called here.
ELSEWHERE = {
    **dict.fromkeys(
        ("inference_input_type", "inference_output_type"),
        "integers at the borders are integer_io='int8' or 'uint8', of export_tflite",
    ),
    **dict.fromkeys(("representative_dataset", "samples"), "give calibration=samples"),
    **dict.fromkeys(("optimizations", "quantize", "dtype"), "give precision='w8a8-ptq' and calibration=samples"),
    **dict.fromkeys(("path", "out", "filepath", "filename"), "write the file by .save(path) of what is returned"),
    **dict.fromkeys(("preprocessing", "task", "labels", "metadata"), "further entries go in manifest={...}"),
}


@dataclass(frozen=True)
class Artifact:
    """A model file in memory. `manifest` holds name, format, precision, sizes, hashes, inputs, outputs and layers."""

    data: bytes
    manifest: dict[str, Any]

    def __str__(self) -> str:
        inside = [f"{len(self.data):,} bytes"]
        if self.manifest.get("float_ops"):
            inside.append(f"{self.manifest['float_ops']} operators in float")
        return f"{self.name}{self.suffix}: {self.manifest['precision']}, {', '.join(inside)}"

    __repr__ = __str__

    @property
    def name(self) -> str:
        """The name of the file, without its suffix."""
        return self.manifest["name"]

    @property
    def suffix(self) -> str:
        """The suffix of its format, with the dot."""
        return f".{self.manifest['format']}"

    def save(self, path: str | Path) -> Path:
        """Write the file at `path` and its manifest at `path`.json. Each appears whole or not at all."""
        path = Path(path)
        if path.suffix != self.suffix:
            path = path / f"{self.name}{self.suffix}" if path.is_dir() else path.with_name(path.name + self.suffix)
        write(path, self.data)
        write_json(path.with_name(f"{path.name}.json"), self.manifest)
        return path


def make_manifest(data: bytes, model: keras.Model, /, **known: Any) -> dict[str, Any]:
    """Return the manifest of `data`, exported from `model`; `known` adds or replaces entries, whatever their names."""
    return {
        "schema": 1,
        "bytes": len(data),
        "gzip_bytes": gzip_bytes(data),
        "sha256": sha256(data),
        "weights_sha256": weights_hash(model),
        "sparsity": sparsity(model),
        "network": model.name,
        "states": {},
        "stateful": False,
        "tools": {
            name: importlib.metadata.version(name)
            for name in ("keras", "tensorflow", "tf2onnx", "onnx", "ai-edge-litert")
        },
        **known,
    }


def weights_hash(model: keras.Model) -> str:
    """Return the SHA-256 over all weights of `model`, in their order."""
    return sha256(b"".join(np.ascontiguousarray(weight).tobytes() for weight in model.get_weights()))


def sparsity(model: keras.Model) -> float:
    """Return the fraction of exact zeros among the kernels (trainable weights of two or more dimensions)."""
    kernels = [np.asarray(weight) for weight in model.trainable_weights if len(weight.shape) > 1]
    total = sum(kernel.size for kernel in kernels)
    return sum(int((kernel == 0).sum()) for kernel in kernels) / total if total else 0.0
