"""Results that lie halfway between two steps, as many do where one scale is a simple ratio of another."""

import functools

import keras
import numpy as np
import pytest
from edgewright.export.onnx_writer import write_onnx
from edgewright.export.tflite_writer import write_tflite
from edgewright.quantize import find_quantized, prepare_qat
from keras import layers, ops
from kernel_agreement import Server, agreements, probe

IMAGES, ROWS = (8, 8, 4), (8, 2, 6)
CASES = {
    "pools_side_by_side": (
        IMAGES, lambda x: ops.concatenate([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)], axis=-1)
    ),
    "means_beside_maxima": (
        IMAGES, lambda x: ops.concatenate([ops.max(x, axis=(1, 2)), ops.mean(x, axis=(1, 2))], axis=-1)
    ),
    "mean_of_two": (ROWS, lambda x: ops.mean(x, axis=2)),
    "sum_of_two": (ROWS, lambda x: ops.sum(x, axis=2)),
    "sigmoid_beside_tanh": (ROWS, lambda x: ops.concatenate([ops.sigmoid(x), ops.tanh(x)], axis=-1)),
    "resized": (IMAGES, layers.UpSampling2D(2, interpolation="bilinear")),
    "resized_by_three": (IMAGES, layers.UpSampling2D(3, interpolation="bilinear")),
}  # fmt: skip
HIGHEST = (3.0, 2.7)  # of inputs from -2: zero points of -26, which is even, and -19


def samples(shape, highest):
    """Return 64 samples in [-2, highest], of which one is all of the least and one all of the most."""
    x = np.clip(np.random.default_rng(0).normal(size=(64, *shape)).astype("float32"), -2, highest)
    x[0], x[1] = -2, highest
    return x


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What gives the agreements of a case by runtime."""
    with Server(tmp_path_factory.mktemp("halves")) as server:

        @functools.cache
        def of(name, highest):
            shape, body = CASES[name]
            inputs = keras.Input(shape, name="x")
            x = samples(shape, highest)
            layer = find_quantized(prepare_qat(keras.Model(inputs, body(inputs), name=name), calibration=x)[0])
            given = probe(layer, name)
            files = {"xnnpack": write_tflite(given.program), "onnxruntime": write_onnx(given.program)}
            values = {runtime: given.parts(server.run(data, runtime, x)) for runtime, data in files.items()}
            return agreements(layer, x, values)

        yield of


@pytest.mark.parametrize("runtime", ["xnnpack", "onnxruntime"])
@pytest.mark.parametrize("highest", HIGHEST)
@pytest.mark.parametrize("name", CASES)
def test_kernels_round_halves_as_training_does(outcome, name, highest, runtime):
    for kernel in outcome(name, highest)[runtime]:
        assert not kernel.fault and kernel.off <= kernel.values / 2000, kernel
