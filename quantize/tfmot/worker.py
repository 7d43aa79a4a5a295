"""The process that runs TensorFlow Model Optimization: `python worker.py FOLDER`.

It reads job.json and arrays.npz from the folder and leaves answer.json, result.npz and, for QAT, model.tflite there.
It imports nothing of Edgewright, so that Keras 3 is never loaded beside tf-keras.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # before TensorFlow: its converter must take tf-keras for Keras

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras.clustering_registry import ClusteringRegistry
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantize_registry
from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry

Rows = list[dict[str, str]]
# Its quantization table lacks these, but its rewrites take them on behind a convolution or a dense layer.
_TAKEN_BY_REWRITES = (
    tf_keras.layers.BatchNormalization,
    tf_keras.layers.SeparableConv1D,
    tf_keras.layers.SeparableConv2D,
)


class Refused(Exception):
    """Layers that cannot be taken over: rows of {name, type, reason}."""

    def __init__(self, rows: Rows):
        super().__init__(rows)
        self.rows = rows


def rebuild(described: dict[str, Any], arrays: Any) -> tf_keras.Model:
    """Return the described model in tf-keras with its weights (`LAYER/INDEX` in `arrays`). Raises: Refused."""
    layers: list[Any] = []
    tensors = {
        one["tensor"]: tf_keras.Input(batch_shape=one["shape"], dtype=one["dtype"], name=one["name"])
        for one in described["inputs"]
    }
    refused: Rows = []
    for entry in described["layers"]:
        try:
            layers.append(getattr(tf_keras.layers, entry["type"]).from_config(entry["config"]))
        except Exception as error:
            refused.append(_row(entry, error))
    if refused:
        raise Refused(refused)
    for call in described["calls"]:
        inputs = [tensors[number] for number in call["inputs"]]
        try:
            outputs = layers[call["layer"]](inputs[0] if call["single"] else inputs)
        except Exception as error:
            raise Refused([_row(described["layers"][call["layer"]], error)]) from error
        tensors.update(zip(call["outputs"], tf.nest.flatten(outputs), strict=True))
    for number, (entry, layer) in enumerate(zip(described["layers"], layers, strict=True)):
        try:
            layer.set_weights([arrays[f"{number}/{index}"] for index in range(entry["weights"])])
        except ValueError as error:
            refused.append(_row(entry, error))
    if refused:
        raise Refused(refused)
    outputs = [tensors[number] for number in described["outputs"]]
    return tf_keras.Model(
        [tensors[one["tensor"]] for one in described["inputs"]],
        outputs[0] if len(outputs) == 1 else outputs,
        name=described["name"],
    )


def check_rebuilt(model: tf_keras.Model, arrays: Any) -> None:
    """Refuse a rebuilt model that does not compute what the original did on its probe."""
    found = tf.nest.flatten(model(_numbered(arrays, "probe"), training=False))
    for index, (output, expected) in enumerate(zip(found, _numbered(arrays, "expected"), strict=True)):
        if not np.allclose(output, expected, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(expected).max()))):
            worst = float(np.abs(np.asarray(output) - expected).max())
            raise ValueError(f"rebuilt in tf-keras, output {index} differs by up to {worst:.3g} from the Keras 3 model")


def prune(model: tf_keras.Model, job: dict[str, Any], arrays: Any, folder: Path) -> tf_keras.Model:
    """Train with `prune_low_magnitude` and return the stripped model."""
    _refuse_unless(model, PruneRegistry.supports, "has no pruning rule")
    options = job["options"]
    if options["schedule"] == "constant":
        schedule: Any = tfmot.sparsity.keras.ConstantSparsity(
            options["sparsity"], options["begin_step"], frequency=options["frequency"]
        )
    else:
        schedule = tfmot.sparsity.keras.PolynomialDecay(
            0.0, options["sparsity"], options["begin_step"], options["end_step"], frequency=options["frequency"]
        )
    pruning = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    fit(pruning, job["training"], arrays, [tfmot.sparsity.keras.UpdatePruningStep()])
    return tfmot.sparsity.keras.strip_pruning(pruning)


def cluster(model: tf_keras.Model, job: dict[str, Any], arrays: Any, folder: Path) -> tf_keras.Model:
    """Train with `cluster_weights` and return the stripped model."""
    _refuse_unless(model, ClusteringRegistry.supports, "has no clustering rule")
    clustering = tfmot.clustering.keras.cluster_weights(
        model,
        number_of_clusters=job["options"]["clusters"],
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    )
    fit(clustering, job["training"], arrays)
    return tfmot.clustering.keras.strip_clustering(clustering)


def qat(model: tf_keras.Model, job: dict[str, Any], arrays: Any, folder: Path) -> tf_keras.Model:
    """Train with `quantize_model`, convert to int8 TFLite and return the quantization-aware model."""
    registry = default_8bit_quantize_registry.Default8BitQuantizeRegistry()
    _refuse_unless(
        model,
        lambda layer: isinstance(layer, _TAKEN_BY_REWRITES) or registry.supports(layer),
        "has no 8-bit quantization rule",
    )
    quantized = tfmot.quantization.keras.quantize_model(model)
    fit(quantized, job["training"], arrays)
    (folder / "model.tflite").write_bytes(convert(quantized))
    return quantized


def convert(quantized: tf_keras.Model) -> bytes:
    """Return the TFLite file of a quantization-aware tf-keras model: int8 inside, float32 at its borders."""
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def fit(model: Any, training: dict[str, Any], arrays: Any, callbacks: Any = ()) -> None:
    """Train `model` as the job says; nothing happens where it says no epochs."""
    compile_for(model, training)
    if training["epochs"]:
        model.fit(
            _numbered(arrays, "x"),
            arrays["y"],
            epochs=training["epochs"],
            batch_size=training["batch_size"],
            callbacks=list(callbacks),
            verbose=0,
        )


def compile_for(model: tf_keras.Model, training: dict[str, Any]) -> None:
    """Compile with Adam and the loss that `training` names; classifiers return logits."""
    loss: Any = training["loss"]
    if loss == "sparse_categorical_crossentropy":
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.Adam(training["learning_rate"]), loss, jit_compile=False)


def _refuse_unless(model: tf_keras.Model, supports: Any, reason: str) -> None:
    rows = [
        {"name": layer.name, "type": type(layer).__name__, "reason": f"{type(layer).__name__} {reason}"}
        for layer in model.layers
        if not isinstance(layer, tf_keras.layers.InputLayer) and not supports(layer)
    ]
    if rows:
        raise Refused(rows)


def _numbered(arrays: Any, name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}/") for key in arrays.files)
    return [arrays[f"{name}/{index}"] for index in range(count)]


def _row(entry: dict[str, Any], error: Exception) -> dict[str, str]:
    return {"name": entry["name"], "type": entry["type"], "reason": f"tf-keras: {_first_line(error)}"}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _weights(model: Any, described: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        f"{number}/{index}": weight
        for number, entry in enumerate(described["layers"])
        for index, weight in enumerate(model.get_layer(entry["name"]).get_weights())
    }


def _sparsity(model: tf_keras.Model) -> float:
    kernels = [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]
    return sum(int((kernel == 0).sum()) for kernel in kernels) / max(1, sum(kernel.size for kernel in kernels))


KINDS = {"prune": prune, "cluster": cluster, "qat": qat}


def run(folder: Path) -> dict[str, Any]:
    """Do the job in `folder` and return the answer."""
    job = json.loads((folder / "job.json").read_text())
    tf_keras.utils.set_random_seed(job["training"]["seed"])
    try:
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            model = rebuild(job["model"], arrays)
            check_rebuilt(model, arrays)
            result: Any = KINDS[job["kind"]](model, job, arrays, folder)
            judge = _numbered(arrays, "judge")
        outputs = {"outputs": result.predict(judge, batch_size=256, verbose=0)} if judge else {}
        found = {"sparsity": _sparsity(result)} if job["kind"] == "qat" else _weights(result, job["model"])
        np.savez(folder / "result.npz", **found, **outputs)
    except Refused as refused:
        return {"refused": refused.rows}
    except Exception as error:
        return {"error": _first_line(error)}
    return {"ok": True}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "answer.json").write_text(json.dumps(run(place)))
