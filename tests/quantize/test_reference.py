"""Rounding in integers, as LiteRT's reference kernels and TensorFlow Lite Micro do it, beside these kernels."""

import math

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.export.tflite_writer import write_tflite
from edgewright.pipeline.check import quantization_for
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.reference import _twice
from kernel_agreement import Server, agreements, probe
from operator_cases import build

REFERENCE = QatConfig(rounding="reference")
LOW, HIGH = -1.28, 1.27  # of an output whose step is 0.01 and whose zero point is 0
# One case for each operator that rounds twice, and two that do not; FULLY_CONNECTED rounds so in TensorFlow Lite Micro.
CASES = (
    "conv2d", "depthwise_conv2d", "conv2d_transpose", "pooled_both_ways", "average_pool2d_same", "global_average",
    "matmul", "relu", "relu6", "multiply", "concatenate", "up_sampling_bilinear",
)  # fmt: skip


def in_integers(sums, multiplier):
    """Multiply integers by a real number below 1 as 31-bit arithmetic does, by a factor and a shift, each rounding."""
    factor, exponent = math.frexp(multiplier)
    products = sums.astype(np.int64) * round(factor * 2**31)
    nudged = products + np.where(products >= 0, 2**30, 1 - 2**30)
    high = np.sign(nudged) * (np.abs(nudged) // 2**31)
    divisor = 2**-exponent
    return np.sign(high) * ((np.abs(high) + divisor // 2) // divisor)


@pytest.mark.parametrize("multiplier", [0.5, 0.25, 1 / 256, 0.01, 0.3, 0.0007, 0.8713])
def test_products_round_as_in_integers(multiplier):
    most = int(100 / multiplier)
    sums = np.unique(np.random.default_rng(0).integers(-most, most, 20000))
    real = np.float32(multiplier * 0.01)
    made = np.asarray(_twice((sums * np.float64(real)).astype("float32"), LOW, HIGH, 8, real, 1)) / 0.01
    assert np.mean(np.round(made) == in_integers(sums, multiplier)) > 0.9999


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("reference")) as server:
        yield server


@pytest.mark.parametrize("name", CASES)
def test_kernels_round_as_training_does(server, name):
    model, x = build(name)
    layer = find_quantized(prepare_qat(model, REFERENCE, calibration=x)[0])
    given = probe(layer, name)
    values = {"reference": given.parts(server.run(write_tflite(given.program), "reference", x))}
    for kernel in agreements(layer, x, values)["reference"]:
        if kernel.operator != "FULLY_CONNECTED":
            assert not kernel.fault and kernel.off <= kernel.values / 5000, kernel


def test_training_passes_gradients_as_before():
    model, x = build("conv2d")
    weights = {}
    for rounding in ("xnnpack", "reference"):
        layer = find_quantized(prepare_qat(model, QatConfig(rounding=rounding), calibration=x)[0])
        trained = keras.Model(layer_input := keras.Input(model.input_shape[1:]), layer(layer_input))
        trained.compile(keras.optimizers.SGD(0.01), "mse")
        trained.fit(x, np.zeros(model(x).shape, np.float32), batch_size=64, verbose=0)
        weights[rounding] = [np.asarray(weight) for weight in layer.trainable_variables]
    for one, other in zip(*weights.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_target_says_whose_rounding():
    assert quantization_for("cortex-m").rounding == "reference"
    assert quantization_for("cpu-x86").rounding == "xnnpack"
    with pytest.raises(BadInput, match="rounding='nearest' is unknown; allowed: xnnpack, reference"):
        QatConfig(rounding="nearest")
