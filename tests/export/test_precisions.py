"""16-bit activations and 4-bit kernels: LiteRT and ONNX Runtime compute what was trained, and what gains by it."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.pipeline.check import quantization_for
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from int8_run import run
from keras import layers
from operator_cases import build

# How many of 65536 steps a kernel may be off: LiteRT tabulates tanh and exp coarsely and rounds products twice.
WIDE = {"conv2d_same_stride": 1, "depthwise_conv2d": 1, "dense": 1, "separable_conv1d": 2, "attention": 4, "sigmoid": 1,
        "average_pool2d": 1, "global_average": 1, "concatenate": 2, "lstm": 8, "softmax": 4, "embedding": 1,
        "attention_causal": 8, "batch_normalization": 1}  # fmt: skip
NARROW = ("conv2d_same_stride", "conv2d_grouped", "depthwise_conv2d", "dense_on_sequence", "lstm")


def signal_to_noise(expected, found):
    return 10 * np.log10(np.square(expected).mean() / np.square(found - expected).mean())


def quantized(name, precision):
    model, x = build(name)
    qat, report = prepare_qat(model, QatConfig(default=precision), calibration=x)
    scale = find_quantized(qat).plan.scale_of(find_quantized(qat).plan.graph.outputs[0])
    low, high = (float(end) for end in find_quantized(qat).range(scale))
    step = (high - low) / (2**scale.bits - 1)
    return model, qat, report, x, step


@pytest.mark.parametrize("name", WIDE)
def test_sixteen_bits_are_a_hundred_times_finer_and_run_everywhere(name):
    model, qat, report, x, step = quantized(name, "w8a16")
    assert {row["precision"] for row in report.rows} <= {"w8a16", "bool"}
    expected = np.asarray(qat(x, training=False))
    tflite = export_tflite(qat)
    assert tflite.manifest["precision"] == "w8a16-qat" and tflite.manifest["float_ops"] == 0
    assert {layer["dtype"] for layer in tflite.manifest["layers"]} <= {"int16", "bool"}
    for artifact, allowed in ((tflite, WIDE[name]), (export_onnx(qat), 2)):
        off = np.abs(run(artifact, x) - expected) / step
        assert (off < allowed + 0.5).mean() >= 0.99
    if "kernel" not in str([weight.path for weight in model.weights]):  # nothing but activations is rounded
        assert signal_to_noise(np.asarray(model(x, training=False)), expected) > 75


@pytest.mark.parametrize("name", NARROW)
def test_four_bit_kernels_run_as_trained_and_take_half_the_room(name):
    model, qat, report, x, step = quantized(name, "w4a8")
    assert "w4a8" in {row["precision"] for row in report.rows}
    expected = np.asarray(qat(x, training=False))
    tflite = export_tflite(qat)
    assert tflite.manifest["precision"] == "w4a8-qat" and tflite.manifest["float_ops"] == 0
    for artifact in (tflite, export_onnx(qat)):
        assert (np.abs(run(artifact, x) - expected) / step < 1.5).mean() >= 0.99
    eight = export_tflite(quantized(name, "w8a8")[1])
    kernels = sum(weight.shape.num_elements() for weight in model.trainable_weights if len(weight.shape) > 1)
    assert len(eight.data) - len(tflite.data) >= kernels / 2 - 64


def test_a_target_may_leave_four_bits_to_convolutions():
    """The interpreter of microcontrollers takes 4-bit kernels in convolutions alone, vela in nothing."""
    model, x = small_convnet()
    both = ["CONV_2D", "FULLY_CONNECTED"]
    for target, narrow in (("cortex-m", both[:1]), ("ethos-u55-128", []), ("cpu-x86", both)):
        qat, report = prepare_qat(model, quantization_for(target, default="w4a8"), calibration=x)
        assert [row["operator"] for row in report.rows if row["precision"] == "w4a8"] == narrow, target
        assert ("QatConfig.narrow leaves out FULLY_CONNECTED" in str(report)) == (narrow != both)
        export_tflite(qat)  # runs as trained, else it is refused
    with pytest.raises(BadInput, match="narrow='MUL' has no kernel for 4-bit weights; allowed: CONV_2D"):
        QatConfig(narrow=["MUL"])


def test_interpreter_of_microcontrollers_runs_what_its_target_asks_for():
    micro = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs the package tflite-micro")
    model, x = small_convnet()
    qat, _ = prepare_qat(model, quantization_for("cortex-m", default="w4a8"), calibration=x)
    artifact = export_tflite(qat)
    runner = micro.Interpreter.from_bytes(artifact.data, arena_size=100_000)
    found = []
    for sample in x:
        runner.set_input(sample[None], 0)
        runner.invoke()
        found.append(runner.get_output(0)[0].copy())
    step = artifact.manifest["outputs"][0]["scale"]
    assert np.ptp(found) > 20 * step
    assert np.abs(np.stack(found) - run(artifact, x)).max() < 2.5 * step


def small_convnet():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="x")
    hidden = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, layers.Dense(4, name="dense")(layers.Flatten()(hidden)), name="small")
    return model, np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")


def test_precisions_meet_at_a_requantization():
    model, x = build("attention")
    config = QatConfig(by_name={"attention/query": "w8a16", "attention/*/softmax": None})
    qat, report = prepare_qat(model, config, calibration=x)
    kinds = {row["precision"] for row in report.rows}
    assert {"w8a8", "w8a16"} <= kinds
    layer = find_quantized(qat)
    assert {scale.bits for scale in layer.plan.distinct_scales} == {8, 16}
    low, high = (float(end) for end in layer.range(layer.plan.scale_of(layer.plan.graph.outputs[0])))
    expected = np.asarray(qat(x, training=False))
    for artifact in (export_tflite(qat), export_onnx(qat)):
        assert (np.abs(run(artifact, x) - expected) / ((high - low) / 255) < 1.5).mean() >= 0.99


def test_what_has_no_wide_kernel_stays_in_eight_bits_and_says_so():
    _, _, report, _, _ = quantized("exponential", "w8a16")
    (row,) = [row for row in report.rows if row["operator"] == "TABLE"]
    assert row["precision"] == "w8a8" and "16-bit" in row["reason"]


def test_ptq_takes_the_same_names():
    model, x = build("dense")
    artifact = export_tflite(model, precision="w8a16-ptq", calibration=x, config=QatConfig(observer="mse"))
    assert artifact.manifest["precision"] == "w8a16-ptq"
    assert signal_to_noise(np.asarray(model(x)), run(artifact, x)) > 40


def test_reduced_range_leaves_a_bit_for_the_sum_of_two_products():
    import onnx

    _, qat, report, x, step = quantized("dense_on_sequence", "w7a8")
    artifact = export_onnx(qat)
    stored = {
        one.name: onnx.numpy_helper.to_array(one) for one in onnx.load_from_string(artifact.data).graph.initializer
    }
    kernels = [values for values in stored.values() if values.dtype == np.int8 and values.ndim == 2]
    assert kernels and all(60 <= np.abs(values.astype(int)).max() <= 63 for values in kernels)
    for file in (artifact, export_tflite(qat)):
        assert (np.abs(run(file, x) - np.asarray(qat(x, training=False))) / step < 1.5).mean() >= 0.99
    assert {row["precision"] for row in report.rows} == {"w7a8"}
