"""TFLite exports run in LiteRT: they compute what the trained graph computes, within a step of the output's scale."""

import keras
import numpy as np
import pytest
from edgewright.devices.measure import answers
from edgewright.errors import BadInput, WrongOrder
from edgewright.export import export_onnx, export_tflite
from edgewright.models import registry
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from int8_run import MODELS, attention, cnn, lstm, output_step, run, samples, share_within_one_step
from keras import layers, ops

# The edge presets at sizes that build and run fast; the operators are those of the full ones.
ZOO = {
    "softmax_regression": {"input_shape": (64,)},
    "mlp": {"input_shape": (64,), "hidden": (32, 16)},
    "lenet5": {"input_shape": (24, 24, 1)},
    "resnet8": {"input_shape": (16, 16, 3), "width": 4},
    "ds_cnn": {"input_shape": (20, 10, 1), "width": 8, "depth": 2},
    "lstm": {"input_shape": (6, 8), "units": 8},
    "transformer_classifier": {"input_shape": (8,), "vocabulary": 20, "depth": 1, "width": 16, "feed_forward": 16},
    "autoencoder": {"input_shape": (64,), "code": 16},
    "anomaly_detector": {"input_shape": (64,), "hidden": (32, 32), "code": 8},
}


def outputs_of(model, x):
    return np.asarray(model(x, training=False))


def check_against_training(qat, x, **options):
    """Export, run in LiteRT and compare with the fake-quantized outputs: 99 % within a step, clear winners the same."""
    artifact = export_tflite(qat, **options)
    assert artifact.manifest["float_ops"] == 0
    assert all(layer["dtype"] == "int8" for layer in artifact.manifest["layers"])
    expected, actual = outputs_of(qat, x), run(artifact, x)
    step = output_step(find_quantized(qat))
    assert np.ptp(expected) > 10 * step  # else agreement says nothing
    assert share_within_one_step(actual, expected, step) >= 0.99
    ranked = np.sort(expected, axis=-1)
    clear = ranked[:, -1] - ranked[:, -2] > 2.5 * step  # where a step up and a step down cannot swap the first two
    assert clear.mean() > 0.5 or expected.shape[-1] > 12
    np.testing.assert_array_equal(actual.argmax(-1)[clear], expected.argmax(-1)[clear])


@pytest.fixture(scope="module")
def prepared():
    """The three small models, quantization-aware, with their samples."""
    pairs = {}
    for name, build in MODELS.items():
        model = build()
        x = samples(model)
        pairs[name] = prepare_qat(model, calibration=x)[0], x
    return pairs


@pytest.mark.parametrize("name", MODELS)
def test_int8_file_computes_what_training_saw(prepared, name):
    check_against_training(*prepared[name])


def test_int8_file_follows_the_trained_weights():
    model = cnn()
    x = samples(model)
    qat, _ = prepare_qat(model, calibration=x)
    qat.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    before = outputs_of(qat, x)
    qat.fit(x, np.arange(len(x)) % 4, batch_size=16, verbose=0)
    assert np.abs(outputs_of(qat, x) - before).max() > output_step(find_quantized(qat))
    check_against_training(qat, x)


@pytest.mark.parametrize("name", ZOO)
def test_models_of_the_zoo_run_in_int8(name):
    model = registry.build(name, "edge", **ZOO[name])
    x = samples(model, 32)
    check_against_training(prepare_qat(model, calibration=x)[0], x)


@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_integer_borders_carry_the_same_integers(prepared, name):
    qat, x = prepared[name]
    whole, bare = export_tflite(qat), export_tflite(qat, integer_io=True)
    source, target = bare.manifest["inputs"][0], bare.manifest["outputs"][0]
    assert source["dtype"] == target["dtype"] == "int8"
    assert not {"QUANTIZE", "DEQUANTIZE"} & {layer["op"] for layer in bare.manifest["layers"]}
    integers = np.clip(np.round(x / np.float32(source["scale"])) + source["zero_point"], -128, 127).astype(np.int8)
    results = run(bare, integers)
    assert results.dtype == np.int8
    real = (results.astype(np.float64) - target["zero_point"]) * target["scale"]
    assert share_within_one_step(real, run(whole, x), target["scale"]) >= 0.99


def test_same_model_gives_the_same_bytes(prepared):
    qat, _ = prepared["attention"]
    assert export_tflite(qat).data == export_tflite(qat).data
    first, second = (export_tflite(cnn(), precision="w8a8-ptq", calibration=samples(cnn())) for _ in range(2))
    assert first.data == second.data
    assert first.manifest == second.manifest


# Largest error as a share of the largest output. float32: order of sums; float16: 11 bits of mantissa in weights, a few
# layers deep; w8: half a step of 1/127 of each weight's range, averaged over sums of some ten terms.
FLOATS = {"float32": 1e-5, "float16": 5e-3, "w8": 5e-2}
WEIGHTS_ONLY = {"w4": 0.5, "w8-weight-only": 5e-2, "w4-weight-only": 0.5}  # 4 bits: half a step of 1/7 and more


@pytest.mark.parametrize("precision", FLOATS)
@pytest.mark.parametrize("build", [cnn, lstm, attention])
def test_float_files_are_close_to_the_model(build, precision):
    model = build()
    x = samples(model, 32)
    expected = outputs_of(model, x)
    artifact = export_tflite(model, precision=precision)
    assert artifact.manifest["precision"] == precision
    assert np.abs(run(artifact, x) - expected).max() < FLOATS[precision] * np.abs(expected).max()


def test_float16_halves_the_weights():
    inputs = keras.Input((256,))
    model = keras.Model(inputs, keras.layers.Dense(256)(inputs))
    sizes = {precision: len(export_tflite(model, precision=precision).data) for precision in FLOATS}
    assert sizes["float16"] < 0.55 * sizes["float32"]
    assert sizes["w8"] < 0.3 * sizes["float32"]


@pytest.mark.parametrize("precision", WEIGHTS_ONLY)
def test_recipes_of_ai_edge_quantizer(precision):
    pytest.importorskip("ai_edge_quantizer", reason="package ai-edge-quantizer (extra recipes) is not installed")
    inputs = keras.Input((64,), name="x")
    x = keras.layers.Dense(128, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(8, name="logits")(x), name="net")
    x = samples(model, 16)
    expected = outputs_of(model, x)
    artifact = export_tflite(model, precision=precision)
    whole = len(export_tflite(model).data)
    assert len(artifact.data) < (0.25 if "w4" in precision else 0.35) * whole
    error = np.abs(run(artifact, x) - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < WEIGHTS_ONLY[precision]


def test_operators_kept_in_float_are_float_in_the_file():
    model = cnn()
    x = samples(model)
    qat, report = prepare_qat(model, QatConfig(by_name={"logits": None}), calibration=x)
    artifact = export_tflite(qat)
    assert {layer["op"] for layer in artifact.manifest["layers"] if layer["dtype"] == "float32"} >= {"FULLY_CONNECTED"}
    assert artifact.manifest["float_ops"] == len(report.float_ops)
    np.testing.assert_allclose(run(artifact, x), outputs_of(qat, x), atol=0.05 * np.abs(outputs_of(qat, x)).max())


def test_model_without_quantizers_is_told_the_right_call():
    with pytest.raises(WrongOrder, match="prepare_qat"):
        export_tflite(cnn(), precision="w8a8-qat")


@pytest.mark.parametrize("precision", ["float32", "float16", "w8"])
def test_quantization_aware_model_has_no_float_file(prepared, precision):
    with pytest.raises(WrongOrder, match="quantization-aware"):
        export_tflite(prepared["cnn"][0], precision=precision)


def test_calibration_is_asked_for():
    with pytest.raises(BadInput, match="calibration"):
        export_tflite(cnn(), precision="w8a8-ptq")


def test_unknown_precision_lists_the_known_ones():
    with pytest.raises(BadInput, match=r"'int4'.*float32.*w8a8-qat"):
        export_tflite(cnn(), precision="int4")


def test_integer_borders_need_integers_inside():
    with pytest.raises(BadInput, match="integer_io"):
        export_tflite(cnn(), integer_io=True)


@pytest.mark.parametrize(("epsilon", "operator"), [(1e-6, "QUANTIZE"), (0.1, "ADD")])
def test_a_sum_too_small_to_see_is_a_change_of_scale(epsilon, operator):
    """XNNPACK refuses scales this far apart: the epsilon of a norm would be added outside it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 8), name="x")
    model = keras.Model(inputs, keras.layers.LayerNormalization(epsilon=epsilon, name="norm")(inputs))
    layers = export_tflite(model, precision="w8a8-ptq", calibration=samples(model)).manifest["layers"]
    assert {row["name"]: row["op"] for row in layers}["norm/add"] == operator


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_a_channel_pruned_to_zeros_keeps_its_bias(format):
    """Its scale would be so small that the bias overflows its 32 bits."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs))
    kernel, bias = model.layers[1].get_weights()
    kernel[:, 1], bias[1] = 0, 0.05
    model.layers[1].set_weights([kernel, bias])
    x = np.random.default_rng(0).uniform(0, 1e-3, (64, 4)).astype("float32")
    qat, _ = prepare_qat(model, calibration=x)
    expected = outputs_of(qat, x)
    np.testing.assert_allclose(expected[:, 1], 0.05, atol=output_step(find_quantized(qat)))
    artifact = {"tflite": export_tflite, "onnx": export_onnx}[format](qat)
    np.testing.assert_allclose(run(artifact, x), expected, atol=1.5 * output_step(find_quantized(qat)))


def dead(x):
    return layers.Dense(4, activation="relu", bias_initializer=keras.initializers.Constant(-100.0))(x)


@pytest.mark.parametrize("body", [
    lambda x: layers.Dense(3)(dead(x)) + layers.Dense(3)(x),
    lambda x: layers.Dense(3)(x - dead(x)[..., :1]),
    lambda x: layers.Dense(3)(x - x),
    lambda x: layers.Dense(3)(x - 0.9999 * x),
    lambda x: x * dead(x)[..., :1],
    lambda x: ops.matmul(dead(x), ops.swapaxes(x, 1, 2)[:, :4]),
    lambda x: ops.sum(dead(x), axis=1),
    lambda x: layers.LayerNormalization()(dead(x)),
], ids=["dense", "subtract", "nothing", "tiny", "multiply", "matmul", "sum", "norm"])  # fmt: skip
def test_what_is_always_zero_has_a_scale_that_kernels_take(body, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 8), name="x")
    x = np.random.default_rng(0).normal(size=(40, 6, 8)).astype("float32")
    qat, _ = prepare_qat(keras.Model(inputs, body(inputs)), calibration=x)
    artifact = export_tflite(qat)
    given, step = answers(artifact.save(tmp_path / "net.tflite"), x), artifact.manifest["outputs"][0]["scale"]
    assert (np.abs(given - qat.predict(x, verbose=0)) < 1.5 * step).mean() >= 0.99


@pytest.mark.parametrize("export", [export_tflite, export_onnx])
def test_a_table_that_is_the_last_layer_too_is_held_once(export):
    """In LiteRT it is weights of a layer, which are packed when the file is loaded, not at every inference."""
    ids = keras.Input((5,), dtype="int32", name="ids")
    table = keras.layers.ReversibleEmbedding(512, 64, name="table")
    model = keras.Model(ids, table(keras.layers.Dense(64, name="dense")(table(ids)), reverse=True), name="tied")
    x = np.random.default_rng(0).integers(0, 512, (64, 5)).astype("int32")
    qat, _ = prepare_qat(model, calibration=x)
    artifact = export(qat)
    if artifact.suffix == ".tflite":
        kinds = [layer["op"] for layer in artifact.manifest["layers"]]
        assert not {"TRANSPOSE", "BATCH_MATMUL"} & set(kinds) and kinds.count("FULLY_CONNECTED") == 2
    assert len(artifact.data) < 1.5 * 512 * 64
    step = output_step(find_quantized(qat))
    assert share_within_one_step(run(artifact, x), np.asarray(qat(x)), step) >= 0.99
