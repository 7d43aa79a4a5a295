"""One time step with its states outside: it computes what the sequence does, and its files round as it does."""

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from edgewright.devices.agent.agent import onnx_options
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.streaming import run, streaming
from keras import layers

STEPS, FEATURES = 8, 4
NETS = {
    "lstm": lambda x: layers.Dense(3)(layers.LSTM(5)(x)),
    "gru after lstm": lambda x: layers.Dense(3)(
        layers.GRU(6, return_sequences=True)(layers.LSTM(5, return_sequences=True)(layers.Dense(4, "relu")(x)))
    ),
    "stacked cells": lambda x: layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])(x * 0.5),
    "simple": lambda x: layers.SimpleRNN(5, return_sequences=True)(layers.LayerNormalization()(x)),
}


def network(body):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, FEATURES), name="frames")
    return keras.Model(inputs, body(inputs), name="net")


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(0).normal(size=(48, STEPS, FEATURES)).astype("float32")


@pytest.mark.parametrize("name", NETS)
def test_float_steps_compute_the_sequence(name, sequences):
    model = network(NETS[name])
    expected = model.predict(sequences, verbose=0)
    found = run(streaming(model), sequences)
    np.testing.assert_allclose(found if expected.ndim == 3 else found[:, -1], expected, atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_quantized_steps_round_as_their_file_and_stay_near_the_sequence(name, sequences):
    qat, _ = prepare_qat(network(NETS[name]), calibration=sequences)
    step = streaming(qat)
    artifact = export_tflite(step)
    size = artifact.manifest["outputs"][0]["scale"]
    stepped = run(step, sequences)
    assert np.ptp(stepped) > 20 * size
    assert (np.abs(_by_litert(artifact.data, sequences) - stepped) < 1.5 * size).mean() >= 0.99
    assert (np.abs(_by_onnxruntime(export_onnx(step).data, sequences) - stepped) < 1.5 * size).mean() >= 0.99
    whole = np.asarray(qat(sequences))
    last = stepped if whole.ndim == 3 else stepped[:, -1]
    assert np.corrcoef(last.reshape(-1), whole.reshape(-1))[0, 1] > 0.99


def test_states_go_in_and_come_out_at_one_scale(sequences):
    qat, _ = prepare_qat(network(NETS["gru after lstm"]), calibration=sequences)
    manifest = export_tflite(streaming(qat), integer_io=True).manifest
    assert len(manifest["states"]) == 3 and not manifest["stateful"]
    entries = {entry["name"]: entry for entry in [*manifest["inputs"], *manifest["outputs"]]}
    for output, source in manifest["states"].items():
        given, new = entries[source], entries[output]
        assert (given["dtype"], new["dtype"]) == ("int8", "int8")
        assert (given["scale"], given["zero_point"]) == (new["scale"], new["zero_point"])


def test_a_saved_step_is_the_same_step(sequences, tmp_path):
    qat, _ = prepare_qat(network(NETS["lstm"]), calibration=sequences)
    qat.save(tmp_path / "qat.keras")
    step = streaming(keras.models.load_model(tmp_path / "qat.keras"))
    step.save(tmp_path / "step.keras")
    loaded = keras.models.load_model(tmp_path / "step.keras")
    expected = run(streaming(qat), sequences)
    np.testing.assert_array_equal(run(step, sequences), expected)
    np.testing.assert_array_equal(run(loaded, sequences), expected)


def test_masks_and_learned_ranges_are_taken_over(sequences):
    model = network(NETS["lstm"])
    kernel = model.layers[1].cell.kernel
    kernel.assign(np.where(np.abs(kernel) < 0.2, 0, kernel))
    qat, _ = prepare_qat(model, QatConfig(ranges="learned"), calibration=sequences)
    qat.compile("adam", "mse", jit_compile=False)
    qat.fit(sequences, np.zeros((48, 3)), verbose=0)
    trained, step = find_quantized(qat), find_quantized(streaming(qat))
    assert len(step.mask_of) == 1 and 0 < np.mean(next(iter(step.mask_of.values()))) < 1
    assert {float(width) for width in step.width_of.values()} <= {float(width) for width in trained.width_of.values()}
    assert any(float(width) != 0 for width in step.width_of.values())


def _last(layer):
    return lambda x: layers.Dense(3)(layer()(x))


REFUSED = {
    "mixes time steps": lambda x: layers.GlobalAveragePooling1D()(layers.LSTM(4, return_sequences=True)(x)),
    "mixes time steps .*convolution": lambda x: layers.LSTM(3)(layers.Conv1D(3, 3, padding="causal")(x)),
    "cannot be called on one time step: Computed": lambda x: layers.LSTM(3)(layers.Conv1D(3, 3)(x)),
    "cannot be called on one time step: Layer": lambda x: layers.Dense(3)(
        layers.Flatten()(layers.LSTM(3, return_sequences=True)(x))
    ),
    "'both' hides the recurrence": _last(lambda: layers.Bidirectional(layers.LSTM(3), name="both")),
    "'back' runs backwards": _last(lambda: layers.LSTM(3, go_backwards=True, name="back")),
    "no recurrence": _last(lambda: layers.Dense(3)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_needs_more_than_the_past_is_refused(reason):
    with pytest.raises(BadInput, match=reason):
        streaming(network(REFUSED[reason]))


def test_fused_operators_have_no_state_outside(sequences):
    qat, _ = prepare_qat(network(NETS["lstm"]), QatConfig(recurrence="fused"), calibration=sequences)
    with pytest.raises(BadInput, match="recurrence='unrolled'"):
        streaming(qat)


def _by_litert(data, sequences):
    runner = Interpreter(model_content=data)
    runner.allocate_tensors()
    given, made = runner.get_input_details(), runner.get_output_details()

    def step(arrays):
        for detail, array in zip(given, arrays, strict=True):
            runner.set_tensor(detail["index"], array)
        runner.invoke()
        return [runner.get_tensor(detail["index"]).copy() for detail in made]

    return _loop(step, [detail["shape"] for detail in given[1:]], sequences)


def _by_onnxruntime(data, sequences):
    session = onnxruntime.InferenceSession(data, onnx_options(onnxruntime), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    shapes = [one.shape for one in session.get_inputs()[1:]]
    return _loop(lambda arrays: session.run(None, dict(zip(names, arrays, strict=True))), shapes, sequences)


def _loop(step, shapes, sequences):
    results = []
    for sequence in sequences:
        states = [np.zeros(shape, np.float32) for shape in shapes]
        outputs = []
        for frame in sequence:
            output, *states = step([frame[None, None], *states])
            outputs.append(output.reshape(-1))
        results.append(outputs)
    return np.array(results)
