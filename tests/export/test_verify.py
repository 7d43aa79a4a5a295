"""Files are run beside their model: what does not load or answers otherwise is refused, and nothing good is."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow
from device_models import write_crashing
from edgewright.errors import BadInput, EdgewrightError, WrongOrder
from edgewright.export import export_onnx, export_tflite, verify
from edgewright.export.program import Array, Binary, Program
from edgewright.export.reference import float_reference
from edgewright.export.tflite_writer import write_tflite
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.streaming import streaming
from int8_run import LITERT, MODELS, cnn, lstm, output_step, run, samples
from keras import layers, ops

EXPORTS = {"tflite": export_tflite, "onnx": export_onnx}


def dense(name="dense", seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, layers.Dense(3, name="logits")(inputs), name=name)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("format", EXPORTS)
@pytest.mark.parametrize("name", MODELS)
def test_good_files_are_said_to_be_verified(name, format):
    model = MODELS[name]()
    for precision in ("float32", "w8a8-ptq"):
        artifact = EXPORTS[format](model, precision=precision, calibration=samples(model))
        assert artifact.manifest["verified"] is True and "unverified" not in artifact.manifest


@pytest.mark.parametrize("precision", ["float16", "w8", "w4", "w8-weight-only", "w4-weight-only"])
def test_rounded_weights_are_no_mismatch(precision):
    assert export_tflite(cnn(), precision=precision).manifest["verified"]


@pytest.mark.parametrize("format", EXPORTS)
def test_a_file_of_other_weights_is_refused_by_output_and_size(format):
    data, reference = EXPORTS[format](dense(seed=1)).data, float_reference(dense(), 1)
    with pytest.raises(EdgewrightError) as caught:
        verify.verify(data, format, "float32", reference)
    words = str(caught.value)
    assert "'dense' as float32 answers otherwise than the model: output 'logits' is " in words
    assert " off, where its values measure " in words and "\n" not in words


def test_a_file_that_does_not_load_is_refused_by_operation():
    inputs = [Array("x", (1, 4), "int32"), Array("keep", (1, 4), "bool")]
    made = Array("masked/minimum", (1, 4), "int32")
    data = write_tflite(Program("mixed", inputs, [made], [Binary(inputs, [made], function="minimum")]))
    with pytest.raises(EdgewrightError, match=r"does not load: .*MINIMUM.* It is operation 'masked/minimum'") as caught:
        verify.verify(data, "tflite", "float32", float_reference(dense(), 1))
    assert "\n" not in str(caught.value)


def test_a_file_that_takes_its_process_down_is_refused(tmp_path):
    data = write_crashing(tmp_path / "crash.tflite").read_bytes()
    with pytest.raises(EdgewrightError, match="does not run: litert died with status"):
        verify.verify(data, "tflite", "float32", float_reference(dense(), 1))
    assert export_tflite(dense()).manifest["verified"]  # the next one has a new process


def test_without_a_runtime_the_manifest_says_that_nothing_was_verified(monkeypatch):
    monkeypatch.setitem(verify.RUNTIMES, "tflite", "tflite-runtime")
    manifest = export_tflite(dense()).manifest
    assert manifest["verified"] is False and "tflite-runtime" in manifest["unverified"]


@pytest.mark.parametrize("format", EXPORTS)
def test_a_layer_behind_the_quantized_model_is_not_dropped(format):
    qat, _ = prepare_qat(dense(), calibration=normal(64, 4))
    behind = keras.Model(qat.inputs, layers.Softmax(name="shares")(qat.outputs[0]))
    with pytest.raises(WrongOrder, match="has 'shares' around a quantization-aware model"):
        EXPORTS[format](behind)


def test_answers_of_nan_are_refused_with_the_weight():
    inputs = keras.Input((4,), name="x")
    hidden = layers.Dense(3, activation="relu", kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(ops.log(hidden)), name="logs")
    with pytest.raises(BadInput, match=r"'logs' answers every sample with NaN or infinity at output 'logits': mend"):
        export_tflite(model)
    broken = dense()
    broken.set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    with pytest.raises(BadInput, match=r"weight 'logits/kernel' is not finite"):
        export_onnx(broken)


def test_models_of_positive_numbers_alone_pass():
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, layers.Dense(2)(ops.log(inputs)))
    assert export_tflite(model).manifest["verified"]


class Noise(layers.Layer):
    def __init__(self, draw, **kwargs):
        super().__init__(**kwargs)
        self.draw, self.generator = draw, keras.random.SeedGenerator(0)

    def call(self, x):
        return x + self.draw(self.generator)


def test_random_answers_cannot_be_verified():
    inputs = keras.Input((4,), name="x")
    noise = Noise(lambda generator: tensorflow.random.normal((1, 4)), name="noise")
    manifest = export_tflite(keras.Model(inputs, noise(inputs))).manifest
    assert manifest["verified"] is False and "something else each time" in manifest["unverified"]
    noise = Noise(lambda generator: keras.random.normal((1, 4), seed=generator), name="noise")
    for export in EXPORTS.values():
        with pytest.raises(BadInput, match=r"noise.* changes a variable each time it is called, as random"):
            export(keras.Model(inputs, noise(inputs)))


def test_fused_states_are_reset_between_samples():
    qat, _ = prepare_qat(lstm(), QatConfig(recurrence="fused"), calibration=samples(lstm()))
    manifest = export_tflite(qat).manifest
    assert manifest["verified"] and manifest["stateful"]


@pytest.mark.parametrize("format", EXPORTS)
def test_steps_with_states_outside_are_verified(format):
    inputs = keras.Input((6, 5), name="series")
    model = keras.Model(inputs, layers.Dense(4, name="logits")(layers.GRU(5, return_sequences=True)(inputs)))
    qat, _ = prepare_qat(model, calibration=normal(64, 6, 5))
    assert EXPORTS[format](streaming(qat)).manifest["verified"]
    assert EXPORTS[format](streaming(model)).manifest["verified"]


def test_a_state_kept_from_call_to_call_is_refused():
    model = keras.Sequential([keras.Input(batch_shape=(1, 6, 4)), layers.LSTM(5, stateful=True, name="memory")])
    for export in EXPORTS.values():
        with pytest.raises(BadInput, match=r"layer 'memory' .* \(stateful=True\).*edgewright.streaming"):
            export(model)
    with pytest.raises(BadInput, match=r"layer 'memory' is stateful.*streaming\(model\)"):
        prepare_qat(model, calibration=normal(16, 6, 4))


@pytest.mark.parametrize("format", EXPORTS)
def test_a_softmax_over_one_entry_is_one(format):
    inputs = keras.Input((1, 4), name="x")
    with warnings.catch_warnings(action="ignore"):
        model = keras.Model(inputs, layers.Dense(3)(layers.MultiHeadAttention(1, 3)(inputs, inputs)))
    x = normal(64, 1, 4)
    qat, _ = prepare_qat(model, calibration=x)
    expected = np.asarray(qat(x, training=False))
    np.testing.assert_allclose(run(EXPORTS[format](qat), x), expected, atol=1.01 * output_step(find_quantized(qat)))


FLOATS = {
    "grouped convolution": ((9, 9, 4), lambda: layers.Conv2D(8, 3, groups=2)),
    "grouped convolution of a sequence": ((16, 4), lambda: layers.Conv1D(8, 3, groups=4)),
    "transposed, kernel below stride": ((5, 5, 4), lambda: layers.Conv2DTranspose(3, 2, strides=3)),
    "transposed, padded outside": ((5, 5, 4), lambda: layers.Conv2DTranspose(3, 3, strides=2, output_padding=1)),
    "celu": ((6, 4), lambda: layers.Activation("celu")),
    "expm1": ((6, 4), lambda: layers.Lambda(ops.expm1)),
    "gelu": ((6, 4), lambda: layers.Activation("gelu")),
}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("format", EXPORTS)
def test_float_files_of_what_converters_cannot_write(name, format):
    shape, layer = FLOATS[name]
    inputs = keras.Input(shape, name="x")
    model = keras.Model(inputs, layer()(inputs))
    x = normal(8, *shape)
    artifact = EXPORTS[format](model)
    assert artifact.manifest["verified"]
    np.testing.assert_allclose(run(artifact, x), np.asarray(model(x)), atol=1e-5)


def test_what_no_format_has_is_refused_in_one_line():
    inputs = keras.Input((8,), name="x")
    model = keras.Model(inputs, ops.fft((inputs, ops.zeros_like(inputs)))[0], name="spectrum")
    for export in EXPORTS.values():
        with pytest.raises(
            EdgewrightError, match=r"it has no operator Complex, which 'spectrum.*' computes: leave"
        ) as error:
            export(model)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("slope", [0.01, 0.2, 0.3, 1.5])
@pytest.mark.parametrize(
    ("kernels", "equal"),
    [("AUTO", 0.9995), ("BUILTIN_WITHOUT_DEFAULT_DELEGATES", 0.97)],  # that round products twice
)
def test_leaky_relu_rounds_as_training_did(slope, kernels, equal, monkeypatch):
    inputs = keras.Input((16, 8), name="x")
    qat, _ = prepare_qat(keras.Model(inputs, layers.LeakyReLU(slope)(inputs)), calibration=3 * normal(64, 16, 8))
    x = 3 * normal(512, 16, 8)
    resolver = "OpResolverType\nInterpreter = __import__('functools').partial(Interpreter, "
    resolver += f"experimental_op_resolver_type=OpResolverType.{kernels})"
    monkeypatch.setattr("int8_run.LITERT", LITERT.replace("import Interpreter", f"import Interpreter, {resolver}"))
    step = output_step(find_quantized(qat))
    off = np.abs(run(export_tflite(qat), x) - np.asarray(qat(x, training=False)))
    assert off.max() < 1.01 * step and np.mean(off < step / 2) > equal


class Mixed(layers.Layer):
    """Combines a padding mask in integers with a causal one in truths."""

    def __init__(self, how):
        super().__init__()
        self.how, self.dense = how, layers.Dense(6)

    def call(self, x, padding):
        causal = ops.arange(8)[:, None] >= ops.arange(8)
        mask = getattr(ops, self.how)(padding[:, None, :], causal[None])
        scores = ops.matmul(self.dense(x), ops.transpose(x, (0, 2, 1)))
        return ops.matmul(ops.softmax(ops.where(ops.cast(mask, "bool"), scores, -1e9)), x)


@pytest.mark.parametrize("how", ["minimum", "multiply", "logical_and", "add", "greater", "equal"])
def test_integers_and_truths_meet_as_in_keras(how):
    x, padding = keras.Input((8, 6), name="x"), keras.Input((8,), dtype="int32", name="padding")
    model = keras.Model([x, padding], layers.Dense(4)(Mixed(how)(x, padding)))
    given = [normal(32, 8, 6), np.random.default_rng(0).integers(0, 2, (32, 8), "int32")]
    qat, report = prepare_qat(model, calibration=given)
    assert not report.float_ops
    for export in EXPORTS.values():
        assert export(qat).manifest["verified"] and export(model).manifest["verified"]


def test_differences_are_judged_by_most_samples():
    expected = normal(10, 4)
    found = expected.copy()
    found[:3] = 9  # an early step may have decided for another branch
    assert verify.difference(found, expected, 0.1) == ""
    found[3:6] = 9
    assert "off, where its values measure" in verify.difference(found, expected, 0.1)
    assert verify.difference(expected + 0.4, expected, 0.1, free=0.5) == ""
    assert verify.difference(np.full_like(expected, np.nan), expected, 10.0) == "is NaN"
    assert verify.difference(np.ones((10, 3)), expected, 0.1) == "has shape (3,), not (4,)"
    truths = expected > 0
    assert verify.difference(truths, truths, 0.1) == "" and "equal in 0%" in verify.difference(~truths, truths, 0.1)
