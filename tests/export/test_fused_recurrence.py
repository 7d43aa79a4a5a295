"""An LSTM as one operator: what the file says of its state, what the agent makes of it, and what cannot be fused.

That its kernels round as training did is in test_operators.
"""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from edgewright.devices.measure import ModelFile, answers
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.export.flatbuffer import unpacked
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from keras import layers

FUSED = QatConfig(recurrence="fused")
STEPS, FEATURES, UNITS = 20, 8, 32


def network(**options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, FEATURES), name="x")
    hidden = layers.LSTM(UNITS, name="lstm", **options)(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(hidden), name="network")


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(64, STEPS, FEATURES)).astype("float32")


@pytest.fixture(scope="module")
def fused(samples):
    return prepare_qat(network(), FUSED, calibration=samples)[0]


def test_float_graph_computes_as_keras_does(samples):
    model = network(return_sequences=True, go_backwards=True)
    qat, _ = prepare_qat(model, FUSED, calibration=samples)
    found = find_quantized(qat).execute([keras.ops.convert_to_tensor(samples)], quantize=False)
    np.testing.assert_allclose(np.asarray(found), model.predict(samples, verbose=0), atol=1e-6)


def test_manifest_declares_the_state_and_the_agent_resets_it(fused, samples, tmp_path):
    artifact = export_tflite(fused)
    assert artifact.manifest["stateful"]
    path = artifact.save(tmp_path / "fused.tflite")
    expected = np.asarray(fused(samples))
    step = artifact.manifest["outputs"][0]["scale"]
    assert np.ptp(expected) > 20 * step
    assert (np.abs(answers(ModelFile.read(path), samples) - expected) < 1.5 * step).mean() >= 0.99
    assert (np.abs(_without_reset(artifact.data, samples) - expected) > 1.5 * step).mean() > 0.05
    path.with_name(f"{path.name}.json").unlink()  # as a file from elsewhere
    assert (np.abs(answers(path, samples) - expected) < 1.5 * step).mean() >= 0.99


def _without_reset(data, samples):
    return _answers(data, samples, resets=False)


def _answers(data, samples, resets):
    runner = Interpreter(model_content=data)
    runner.allocate_tensors()
    source, target = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]
    found = []
    for sample in samples:
        if resets:
            runner.reset_all_variables()
        runner.set_tensor(source, sample[None])
        runner.invoke()
        found.append(runner.get_tensor(target)[0].copy())
    return np.stack(found)


def test_an_unrolled_file_has_no_state_and_is_larger(fused, samples):
    unrolled = export_tflite(prepare_qat(network(), calibration=samples)[0])
    one = export_tflite(fused)
    assert not unrolled.manifest["stateful"]
    weights = 4 * UNITS * (FEATURES + UNITS) + 3 * UNITS
    assert weights < one.manifest["bytes"] < weights + 8_000 < unrolled.manifest["bytes"]


def test_training_moves_the_weights_of_the_operator_and_survives_saving(samples, tmp_path):
    qat, _ = prepare_qat(network(), FUSED, calibration=samples)
    before = export_tflite(qat).data
    qat.compile("adam", "mse", jit_compile=False)
    losses = qat.fit(samples, samples[:, -3:, 0], epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    qat.save(tmp_path / "qat.keras")
    after = export_tflite(keras.models.load_model(tmp_path / "qat.keras")).data
    assert after == export_tflite(qat).data != before


def test_state_is_kept_in_16_bits_at_a_power_of_two(fused):
    (scale,) = (one for one in find_quantized(fused).plan.distinct_scales if one.source == "state")
    low, high = (float(end) for end in find_quantized(fused).range(scale))
    assert scale.bits == 16 and np.log2(-low) % 1 == 0 and high == -low * 32767 / 32768


def test_the_operator_may_stay_in_float(samples, tmp_path):
    model = network()
    qat, report = prepare_qat(model, QatConfig(recurrence="fused", by_type={"FusedLSTM": None}), calibration=samples)
    assert [row["operator"] for row in report.float_ops] == ["FusedLSTM"]
    artifact = export_tflite(qat)
    assert artifact.manifest["stateful"] and artifact.manifest["float_ops"] == 1
    path = artifact.save(tmp_path / "float.tflite")
    expected = np.asarray(qat(samples))
    np.testing.assert_allclose(answers(path, samples), expected, atol=1.5 * artifact.manifest["outputs"][0]["scale"])


@pytest.mark.parametrize(
    ("options", "obstacle"),
    [({"activation": "relu"}, "activation other than tanh"), ({"recurrent_activation": "relu"}, "other than sigmoid")],
)
def test_what_the_kernel_does_not_know_is_refused_by_name(options, obstacle, samples):
    with pytest.raises(BadInput, match=f"'lstm.*' has .*{obstacle}.*recurrence='unrolled'"):
        prepare_qat(network(**options), FUSED, calibration=samples)


def test_a_masked_recurrence_is_refused(samples):
    inputs = keras.Input((STEPS, FEATURES))
    model = keras.Model(inputs, layers.LSTM(4)(layers.Masking()(inputs)))
    with pytest.raises(BadInput, match="has a mask"):
        prepare_qat(model, FUSED, calibration=samples)


def test_onnx_refuses_it(fused):
    with pytest.raises(BadInput, match="recurrence='unrolled'"):
        export_onnx(fused)


def test_file_has_every_slot_of_the_schema(fused):
    model = unpacked(export_tflite(fused).data)
    (graph,) = model.subgraphs
    lstm = next(entry for entry in graph.operators if len(entry.inputs) > 10)
    assert len(lstm.inputs) == 24
    assert [slot for slot, index in enumerate(lstm.inputs) if index < 0] == [9, 10, 11, 16, 17, 20, 21, 22, 23]
    assert [list(graph.tensors[index].shape) for index in lstm.intermediates] == [[0]] * 5


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_interpreter_of_microcontrollers_runs_it(precision, samples):
    micro = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs the package tflite-micro")
    config = QatConfig(default=precision, recurrence="fused")
    artifact = export_tflite(prepare_qat(network(), config, calibration=samples)[0])
    runner = micro.Interpreter.from_bytes(artifact.data, arena_size=100_000)
    found = []
    for sample in samples:
        runner.reset()
        runner.set_input(sample[None], 0)
        runner.invoke()
        found.append(runner.get_output(0)[0].copy())
    expected = _answers(artifact.data, samples, resets=True)
    # The two round gates differently, and each time step feeds the next: two steps of 8 bits are seen.
    assert np.abs(np.stack(found) - expected).max() < 0.02 * np.ptp(expected)
