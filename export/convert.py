"""Float conversions by TensorFlow's converter and tf2onnx, in a process of their own.

A converter can take its process down (one infinite constant is enough), so it never runs in the host. The host freezes
the model to a GraphDef, the one form that both converters read, and a worker process turns it into a file. The worker
lives as long as the host, since starting TensorFlow costs more than most conversions.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from ..errors import BadInput, EdgewrightError
from ..quantize import graph, simplify

TIME_LIMIT_S = 600


@dataclass(frozen=True)
class Frozen:
    """A frozen TensorFlow graph: GraphDef bytes and the names of its tensors (`node:0`)."""

    graph_def: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def freeze(model: keras.Model) -> Frozen:
    """Freeze `model` with batch 1 and its weights as constants.

    Recurrent layers are unrolled first: their loops over tensor lists need operators that LiteRT does not carry.
    Raises: BadInput if the Keras backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise BadInput(
            f"float export needs the TensorFlow backend, this process runs Keras on {keras.backend.backend()}: "
            "save the model and export it under KERAS_BACKEND=tensorflow"
        )
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    has_recurrence = any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers())
    traced = simplify.simplify(graph.trace(model)) if has_recurrence else None
    structure = graph.symbolic_inputs(model)

    def forward(*arguments: Any) -> Any:
        if traced is not None:
            return graph.run(traced, list(arguments))
        outputs = model(keras.tree.pack_sequence_as(structure, list(arguments)), training=False)
        return [tf.identity(leaf) for leaf in keras.tree.flatten(outputs)]

    specs = [
        tf.TensorSpec((1, *leaf.shape[1:]), leaf.dtype, name=_plain(leaf.name))
        for leaf in keras.tree.flatten(structure)
    ]
    concrete = tf.function(forward, autograph=False).get_concrete_function(*specs)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return Frozen(
        frozen.graph.as_graph_def().SerializeToString(),
        tuple(leaf.name for leaf in frozen.inputs),
        tuple(leaf.name for leaf in frozen.outputs),
    )


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def convert(frozen: Frozen, kind: str, precision: str = "float32") -> bytes:
    """Convert to `kind` ("tflite" or "onnx") in the worker. Raises: EdgewrightError with the converter's last words."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        source, target = Path(folder, "graph.pb"), Path(folder, "model")
        source.write_bytes(frozen.graph_def)
        job = {
            "graph": str(source),
            "out": str(target),
            "inputs": frozen.inputs,
            "outputs": frozen.outputs,
            "kind": kind,
            "precision": precision,
        }
        _shared_worker().run(job)
        return target.read_bytes()


class _Worker:
    """A converter process that takes one JSON job a line and answers with one JSON line."""

    def __init__(self):
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
        command = [sys.executable, "-m", f"{__package__}.worker"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            start_new_session=True,
        )

    def run(self, job: dict[str, Any]) -> None:
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            ready, _, _ = select.select([self.process.stdout], [], [], TIME_LIMIT_S)
            answer = self.process.stdout.readline() if ready else b""
        except (BrokenPipeError, KeyboardInterrupt):
            self.stop()
            raise
        if not answer:
            self.stop()
            reason = (
                f"gave no answer in {TIME_LIMIT_S} s" if not ready else f"died with status {self.process.returncode}"
            )
            raise EdgewrightError(
                f"the {job['kind']} converter {reason} on precision {job['precision']}: {self.last_words()}"
            )
        error = json.loads(answer).get("error")
        if error:
            raise EdgewrightError(f"the {job['kind']} converter refused the model: {error}")

    def last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


_worker: _Worker | None = None


def _shared_worker() -> _Worker:
    global _worker  # noqa: PLW0603  (one converter per host process)
    if _worker is None or _worker.process.poll() is not None:
        _worker = _Worker()
        atexit.register(_worker.stop)
    return _worker
