"""The reciprocal root of normalizations: looked up in a table or computed by the operator, which targets ask for."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from edgewright.errors import BadInput
from edgewright.export import export_tflite
from edgewright.export.program import Array, Program, Unary
from edgewright.export.tflite_writer import write_tflite
from edgewright.pipeline.check import quantization_for
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from int8_run import by_keras, output_step, run
from keras import layers

OPERATOR = QatConfig(reciprocal_root="operator")
KERNELS = {
    "xnnpack": OpResolverType.AUTO,
    "built-in": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(64, 6, 16)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 16), name="x")
    hidden = layers.LayerNormalization()(inputs + layers.Dense(16, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(4)(layers.LayerNormalization()(hidden)), name="normalized")


@pytest.fixture(scope="module")
def prepared(model, samples):
    return {form: prepare_qat(model, QatConfig(reciprocal_root=form), calibration=samples)[0]
            for form in ("table", "operator")}  # fmt: skip


def operators(qat):
    runner = Interpreter(model_content=export_tflite(qat).data)
    runner.allocate_tensors()
    return [row["op_name"] for row in runner._get_ops_details() if row["op_name"] != "DELEGATE"]


def test_a_target_asks_for_the_form_that_its_kernels_have(prepared):
    looked_up, computed = operators(prepared["table"]), operators(prepared["operator"])
    assert looked_up.count("GATHER") == looked_up.count("CAST") == 2 and "RSQRT" not in looked_up
    assert computed.count("RSQRT") == 2 and not {"GATHER", "CAST"} & set(computed)
    wanted = {"ethos-u55-128": "operator", "cortex-m": "operator", "cpu-x86": "table"}
    assert {target: quantization_for(target).reciprocal_root for target in wanted} == wanted


def test_either_form_answers_as_training_did(prepared, model, samples):
    wanted = np.asarray(by_keras(model, samples))
    for form, qat in prepared.items():
        expected, step = np.asarray(by_keras(qat, samples)), output_step(find_quantized(qat))
        steps = np.abs(run(export_tflite(qat), samples) - expected) / step
        assert (steps < 1.5).mean() >= 0.99, form
        assert np.sqrt(np.mean((expected - wanted) ** 2)) < 0.05 * wanted.std(), form


def test_the_choice_is_kept_and_names_go_on_meaning_the_operation(prepared, model, samples, tmp_path):
    prepared["operator"].save(tmp_path / "qat.keras")
    loaded = keras.models.load_model(tmp_path / "qat.keras")
    assert export_tflite(loaded).data == export_tflite(prepared["operator"]).data
    for form in ("table", "operator"):
        config = QatConfig(reciprocal_root=form, by_type={"Rsqrt": None})
        _, report = prepare_qat(model, config, calibration=samples)
        assert [row["operator"] for row in report.float_ops] == ["Rsqrt"] * 2
    with pytest.raises(BadInput, match="reciprocal_root='lookup' is unknown; allowed: table, operator"):
        QatConfig(reciprocal_root="lookup")


@pytest.mark.parametrize("largest", [0.07, 0.9, 13.0])
def test_kernel_is_a_step_off_on_three_of_256_integers_at_most(largest):
    data, q, expected = every_integer(largest)
    found = {name: by_litert(data, q, kernels) for name, kernels in KERNELS.items()}
    for name, integers in found.items():
        off = np.abs(integers - expected)
        assert off.max() <= 1 and (off > 0).sum() <= 3, name
    assert len({integers.tobytes() for integers in found.values()}) == 1


def test_interpreter_of_microcontrollers_has_the_same_kernel():
    micro = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs the package tflite-micro")
    data, q, _ = every_integer(0.9)
    runner = micro.Interpreter.from_bytes(data, arena_size=100_000)
    runner.set_input(q[None], 0)
    runner.invoke()
    np.testing.assert_array_equal(runner.get_output(0)[0], by_litert(data, q, OpResolverType.BUILTIN_REF))


def every_integer(largest):
    """Return a file of one operator, the integers of 8 bits, and what rounding gives for them."""
    given, made = np.float32(largest / 255), np.float32(1 / np.sqrt(largest / 100) / 255)
    x = Array("x", (1, 256), "int8", np.array([given]), -128)
    y = Array("y", (1, 256), "int8", np.array([made]), -128)
    q = np.arange(-128, 128).astype(np.int8)
    with np.errstate(divide="ignore"):
        roots = 1 / np.sqrt((q.astype(np.float64) + 128) * given)
    expected = np.clip(np.rint(roots / made) - 128, -128, 127).astype(int)
    return write_tflite(Program("root", [x], [y], [Unary([x], [y], function="rsqrt")])), q, expected


def by_litert(data, q, kernels):
    runner = Interpreter(model_content=data, experimental_op_resolver_type=kernels)
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], q[None])
    runner.invoke()
    return runner.get_tensor(runner.get_output_details()[0]["index"])[0].astype(int)
