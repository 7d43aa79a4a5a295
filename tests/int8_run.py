"""Small models to quantize, and exported files run in a process of their own: a runtime may take its process down."""

import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

LITERT = """
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
runner = Interpreter(model_path=sys.argv[1], num_threads=1)
runner.allocate_tensors()
source, target = runner.get_input_details()[0], runner.get_output_details()[0]
results = []
for sample in np.load(sys.argv[2]):
    runner.reset_all_variables()
    runner.set_tensor(source["index"], sample[None])
    runner.invoke()
    results.append(runner.get_tensor(target["index"])[0].copy())
np.save(sys.argv[3], np.stack(results))
"""
ONNX = """
import sys, numpy as np, onnxruntime
from edgewright.devices.agent.agent import onnx_options
session = onnxruntime.InferenceSession(sys.argv[1], onnx_options(onnxruntime), providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
np.save(sys.argv[3], np.stack([session.run(None, {name: sample[None]})[0][0] for sample in np.load(sys.argv[2])]))
"""


def run(artifact, x):
    """Return the outputs of an exported model on the samples `x`, one at a time.  Shapes: (N, ...) -> (N, ...)."""
    with tempfile.TemporaryDirectory() as folder:
        model, source, target = (Path(folder, name) for name in (f"model{artifact.suffix}", "x.npy", "y.npy"))
        model.write_bytes(artifact.data)
        np.save(source, x)
        script = {".tflite": LITERT, ".onnx": ONNX}[artifact.suffix]
        done = subprocess.run(
            [sys.executable, "-c", script, model, source, target],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return np.load(target)


def by_keras(function, *inputs):
    """Return what Keras computes; channels-first convolutions by XLA where TensorFlow has no kernel for them."""
    try:
        return function(*inputs)
    except Exception as error:
        if "only supports the NHWC" not in str(error):
            raise
        import tensorflow

        return tensorflow.function(function, jit_compile=True, autograph=False)(*inputs)


def output_step(layer):
    """Return the real value of one quantization step of a quantized graph's first output."""
    low, high = layer.range(layer.plan.scale_of(layer.plan.graph.outputs[0]))
    return (float(high) - float(low)) / 255


def share_within_one_step(a, b, step):
    """Return the share of values that differ by at most one quantization step."""
    return float((np.abs(a - b) < 1.5 * step).mean())


def cnn():
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = keras.layers.BatchNormalization(name="stem_norm")(x)
    shortcut = x = keras.layers.ReLU(name="stem_relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="depthwise_norm")(x)
    x = keras.layers.Activation("relu", name="depthwise_relu")(x)
    x = keras.layers.Add(name="add")([x, shortcut])
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    x = keras.layers.MaxPooling2D(2, name="maxpool")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return _filled(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x), name="cnn"))


def lstm():
    inputs = keras.Input((6, 5), name="series")
    x = keras.layers.LSTM(7, name="lstm")(inputs)
    return _filled(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x), name="lstm"))


def attention():
    """Self-attention of two heads by Dense and keras.ops, on embedded tokens."""
    ops = keras.ops

    def heads(x):
        return ops.transpose(ops.reshape(x, (-1, 6, 2, 4)), (0, 2, 1, 3))  # (N, heads, T, d)

    inputs = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(20, 8, embeddings_initializer="normal", name="embedding")(inputs)
    query, key, value = (keras.layers.Dense(8, name=part)(x) for part in ("query", "key", "value"))
    weights = ops.softmax(ops.matmul(heads(query) / 2.0, ops.swapaxes(heads(key), -1, -2)))
    mixed = ops.reshape(ops.transpose(ops.matmul(weights, heads(value)), (0, 2, 1, 3)), (-1, 6, 8))
    x = keras.layers.LayerNormalization(epsilon=1e-3, name="norm")(x + keras.layers.Dense(8, name="output")(mixed))
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return _filled(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x), name="attention"))


MODELS = {"cnn": cnn, "lstm": lstm, "attention": attention}


def _filled(model):
    """Give every weight values as after a training: none at its neutral start, variances positive."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(random.uniform(0.5, 1.5, shape))
        else:
            fan_in = np.prod(shape[:-1]) if len(shape) > 1 and "embedding" not in weight.path else 4
            weight.assign(random.normal(size=shape) / np.sqrt(fan_in))
    return model


def samples(model, count=64, seed=1):
    """Return random samples as `model` takes them: normal floats, or token ids below 20."""
    shape, dtype = (count, *model.inputs[0].shape[1:]), model.inputs[0].dtype
    random = np.random.default_rng(seed)
    return random.integers(0, 20, shape).astype(dtype) if "int" in dtype else random.normal(size=shape).astype(dtype)
