"""What manifests say of every file: outputs with their scales, layers, states; of float files too."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import streaming
from keras import layers, ops

EXPORTS = {"tflite": export_tflite, "onnx": export_onnx}
SEQUENCES = np.random.default_rng(0).normal(size=(48, 6, 5)).astype("float32")


def several():
    """Return a model whose outputs are quantized, of integers, and one of them given away twice."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    scores = layers.Dense(3, name="scores")(inputs)
    return keras.Model(inputs, {"a": scores, "b": scores, "where": ops.argmax(scores, axis=-1)}, name="several")


def recurrent():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 5), name="series")
    hidden = layers.LSTM(4, return_sequences=True, name="memory")(inputs)
    return keras.Model(
        inputs, layers.Dense(3, name="logits")(layers.GRU(2, return_sequences=True, name="next")(hidden))
    )


@pytest.mark.parametrize("format", EXPORTS)
def test_each_output_has_the_scale_of_its_integers_or_none(format):
    qat, _ = prepare_qat(several(), calibration=np.random.default_rng(0).normal(size=(64, 4)).astype("float32"))
    manifest = EXPORTS[format](qat).manifest
    first, again, where = manifest["outputs"]
    assert first["dtype"] == "float32" and first["scale"] > 0 and isinstance(first["zero_point"], int)
    assert (again["scale"], again["zero_point"]) == (first["scale"], first["zero_point"])
    assert manifest["float_ops"] == 0 and (where["dtype"], where["scale"], where["zero_point"]) == ("int32", None, None)
    assert manifest["network"] == "several" and manifest["states"] == {}


@pytest.mark.parametrize("format", EXPORTS)
def test_float_files_tell_outputs_and_layers(format):
    manifest = EXPORTS[format](several()).manifest
    ends = [(end["name"], end["shape"], end["dtype"], end["scale"]) for end in manifest["outputs"]]
    assert ends[:2] == [("a", [1, 3], "float32", None), ("b", [1, 3], "float32", None)]
    assert ends[2][:2] == ("where", [1]) and ends[2][2].startswith("int")
    told = {layer["op"] for layer in manifest["layers"]}
    assert told >= ({"FULLY_CONNECTED", "ARG_MAX"} if format == "tflite" else {"ArgMax"})
    assert {layer["dtype"] for layer in manifest["layers"]} >= {"float32"}


def test_layers_of_rounded_weights_are_told():
    layers_told = export_tflite(several(), precision="w8").manifest["layers"]
    assert layers_told[0]["op"] == "FULLY_CONNECTED"


@pytest.mark.parametrize("format", EXPORTS)
def test_one_time_step_carries_its_states(format, tmp_path):
    model = recurrent()
    model.save(tmp_path / "net.keras")
    step = streaming(model)
    step.save(tmp_path / "step.keras")
    plain = EXPORTS[format](step).manifest
    assert len(plain["states"]) == 3
    outputs, inputs = ({end["name"]: end["shape"] for end in plain[ends]} for ends in ("outputs", "inputs"))
    assert all(outputs[new] == inputs[given] for new, given in plain["states"].items())
    assert list(plain["states"].values()) == ["memory_state_0", "memory_state_1", "next_state_0"]
    loaded = keras.models.load_model(tmp_path / "step.keras")
    assert EXPORTS[format](loaded).manifest["states"] == plain["states"]
    qat, _ = prepare_qat(model, calibration=SEQUENCES)
    assert EXPORTS[format](streaming(qat)).manifest["states"] == plain["states"]
    assert EXPORTS[format](model).manifest["states"] == {}


def test_states_of_ones_own_step_are_told():
    keras.utils.set_random_seed(0)
    x, state = keras.Input((4,), name="x"), keras.Input((3,), name="state")
    new = layers.Dense(3, name="state_out")(layers.Concatenate()([x, state]))
    model = keras.Model([x, state], [layers.Dense(2, name="logits")(new), new], name="step")
    assert export_tflite(model).manifest["states"] == {}
    for export in EXPORTS.values():
        assert export(model, states={"state_out": "state"}).manifest["states"] == {"state_out": "state"}
    with pytest.raises(BadInput, match=r"model 'step' has no output 'state_new'; allowed: 'logits', 'state_out'"):
        export_tflite(model, states={"state_new": "state"})
    with pytest.raises(BadInput, match=r"model 'step' has no input 'given'; allowed: 'x', 'state'"):
        export_onnx(model, states={"state_out": "given"})
