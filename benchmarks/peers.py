"""The peers of the benchmarks, TensorFlow Model Optimization and TensorFlow's converter, in a process of their own.

The process stays alive, so that what it does can be timed in turns with ours, both warm.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
from edgewright.quantize.tfmot.model import describe


class Refused(Exception):
    """The peer cannot do this; the message is its own."""


class Peer:
    """A peer process: `with Peer() as peer: peer.hold("float", model); peer.ask("steps", ...)`."""

    def __enter__(self) -> "Peer":
        self._folder = tempfile.TemporaryDirectory(prefix="edgewright-peer-")
        self.folder = Path(self._folder.name)
        self._log = open(self.folder / "log", "wb")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("peer_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
            text=True,
        )
        return self

    def __exit__(self, *error: Any) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have the peer do `what` and return its answer. Raises: Refused with the peer's words, also if it died."""
        print(json.dumps({"what": what, **arguments}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise Refused(f"{what}: the peer's process died with status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def hold(self, name: str, model: keras.Model, *, batch: int | None = None) -> None:
        """Rebuild `model` in tf-keras under `name`, with a fixed batch size if one is given."""
        described = describe(model)
        document = described.to_json()
        if batch is not None:
            for leaf in document["inputs"]:
                leaf["shape"][0] = batch
        weights = self.folder / "weights.npz"
        np.savez(weights, allow_pickle=False, **described.weights())
        self.ask("hold", name=name, described=document, weights=str(weights))

    def tfmot(self, model: keras.Model, samples: np.ndarray, path: Path) -> Path:
        """Write the int8 file of `quantize_model` and TFLiteConverter, ranges from `samples`."""
        self.hold("float", model)
        self.ask("quantize", source="float", name="quantized")
        self.ask("observe", name="quantized", samples=self._samples(samples))
        self.ask("convert", name="quantized", out=str(path), samples=None)
        return path

    def keras_export(self, model: keras.Model, path: Path, samples: np.ndarray | None = None) -> Path:
        """Write `model` by Keras 3's own export and TFLiteConverter: float32, or int8 calibrated on `samples`."""
        saved = self.folder / "saved_model"
        archive = keras.export.ExportArchive()
        archive.track(model)
        import tensorflow as tf

        signature = [tf.TensorSpec((1, *leaf.shape[1:]), leaf.dtype, name=leaf.name) for leaf in model.inputs]
        archive.add_endpoint("serve", lambda x: model(x, training=False), signature)
        archive.write_out(str(saved), verbose=False)
        self.ask("convert_saved", saved=str(saved), out=str(path), samples=self._samples(samples))
        return path

    def _samples(self, samples: np.ndarray | None) -> str | None:
        if samples is None:
            return None
        np.save(self.folder / "samples.npy", samples, allow_pickle=False)
        return str(self.folder / "samples.npy")
