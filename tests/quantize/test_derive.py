"""A step network written by hand takes over what the sequence network learned, by the paths of their layers."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.export import export_tflite
from edgewright.models import registry
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from edgewright.quantize.streaming import derive, run, streaming
from keras import layers, ops

LENGTH, WORDS, UNITS = 7, 11, 6
STATES = {"lstm": 2, "gru": 1}
RECURRENCES = {"lstm": (layers.LSTM, layers.LSTMCell), "gru": (layers.GRU, layers.GRUCell)}


def sequence_network(kind):
    keras.utils.set_random_seed(1)
    words = keras.Input((LENGTH,), dtype="int32", name="words")
    x = layers.Embedding(WORDS, 5, keras.initializers.RandomNormal(stddev=1.0), name="embedding")(words)
    x = RECURRENCES[kind][0](UNITS, return_sequences=True, name="recurrence")(x)
    return keras.Model(words, layers.Dense(WORDS, name="logits")(x), name="chars")


def step_network(kind, units=UNITS, dense="logits"):
    """One step, its cell called by itself, with weights of its own that are to be replaced."""
    keras.utils.set_random_seed(2)
    word = keras.Input((), dtype="int32", name="word")
    given = [keras.Input((units,), name=f"state_{i}") for i in range(STATES[kind])]
    cell = RECURRENCES[kind][1](units, name="recurrence")
    x, new = cell(layers.Embedding(WORDS, 5, name="embedding")(word), given if kind == "lstm" else given[0])
    outputs = {"a_logits": layers.Dense(WORDS, name=dense)(x)}
    outputs |= {f"new_{i}": state for i, state in enumerate(new if isinstance(new, (list, tuple)) else [new])}
    return keras.Model([word, *given], outputs, name="chars_step")


def unrolled(step, words, kind):
    states = [ops.zeros((len(words), UNITS))] * STATES[kind]
    made = []
    for index in range(words.shape[1]):
        outputs = step([ops.convert_to_tensor(words[:, index]), *states], training=False)
        made.append(np.asarray(outputs["a_logits"]))
        states = [outputs[f"new_{i}"] for i in range(STATES[kind])]
    return np.stack(made, axis=1)


@pytest.fixture(scope="module")
def words():
    return np.random.default_rng(0).integers(0, WORDS, (40, LENGTH)).astype("int32")


def names(kind):
    return {f"new_{i}": f"state_{i}" for i in range(STATES[kind])}


@pytest.mark.parametrize("kind", RECURRENCES)
def test_float_steps_compute_the_sequence(kind, words):
    trained, step = sequence_network(kind), step_network(kind)
    before = [np.array(weight) for weight in step.weights]
    derived = derive(step, trained)
    np.testing.assert_allclose(unrolled(derived, words, kind), np.asarray(trained(words)), atol=1e-6)
    for weight, old in zip(step.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)  # the argument is untouched


@pytest.mark.parametrize("kind", RECURRENCES)
def test_quantized_steps_round_as_those_of_streaming(kind, words):
    qat, _ = prepare_qat(sequence_network(kind), calibration=words)
    derived = derive(step_network(kind), qat, names(kind))
    found = unrolled(derived, words, kind)
    np.testing.assert_array_equal(found, run(streaming(qat), words))
    whole, size = np.asarray(qat(words)), export_tflite(qat).manifest["outputs"][0]["scale"]
    assert np.ptp(whole) > 50 * size
    assert (np.abs(found - whole) < 2.5 * size).mean() > 0.95  # the first step rounds states of zero besides


def test_states_are_the_last_inputs_and_outputs_unless_named(words):
    qat, _ = prepare_qat(sequence_network("lstm"), calibration=words)
    step = step_network("lstm")
    as_list = keras.Model(step.inputs, list(step.output.values()), name="plain")
    manifest = export_tflite(derive(as_list, qat), integer_io=True).manifest
    assert len(manifest["states"]) == 2
    np.testing.assert_array_equal(
        unrolled(derive(step, qat, names("lstm")), words, "lstm"), unrolled(derive(step, qat), words, "lstm")
    )


def test_precisions_and_what_stays_in_float_follow_the_sequence(words):
    config = QatConfig(by_name={"logits": None, "recurrence/lstm_cell": "w8a16"})
    qat, _ = prepare_qat(sequence_network("lstm"), config, calibration=words)
    layer = find_quantized(derive(step_network("lstm"), qat, names("lstm")))
    rows = {row["name"]: row["precision"] for row in layer.describe()}
    assert rows["logits/add"] == "float32"
    assert "w8a16" in {name for path, name in rows.items() if path.startswith("recurrence/")}
    theirs = {row["name"]: row["precision"] for row in find_quantized(qat).describe()}
    assert theirs["logits/add"] == "float32"


@pytest.mark.parametrize(("wide", "bits"), [("add_[34]", 16), ("subtract*", 8), ("multiply_[34]", 8), ("*", 16)])
def test_states_that_a_cell_reshapes_are_as_precise_as_what_makes_them(wide, bits, words):
    keras.utils.set_random_seed(0)
    sizes = {"input_shape": (LENGTH,), "classes": WORDS, "depth": 1, "width": 8, "heads": 2, "feed_forward": 8}
    networks = registry.networks("linear_attention", "edge", **sizes)
    config = QatConfig(by_name={f"block_1_attention/cell/{wide}": "w8a16"}, least_db=None)
    qat, _ = prepare_qat(networks["sequence"], config, calibration=words)
    states = {name: networks["step"].input[name] for name in networks["step"].input if name.startswith("block")}
    step = derive(networks["step"], qat, {f"{name}_out": name for name in states})
    given, made = find_quantized(step), find_quantized(qat)
    state = next(scale for scale in given.plan.distinct_scales if scale.name == "block_1_sums")
    maker = next(scale for scale in made.plan.distinct_scales if scale.name == "block_1_attention.cell.add_4")
    assert state.bits == maker.bits == bits
    np.testing.assert_array_equal(given.range_of[state.name], made.range_of[maker.name])
    export_tflite(qat)  # is compared with the model: the first share is looked up in a table, of 8 bits, the others not


def test_a_saved_step_is_the_same_step(words, tmp_path):
    qat, _ = prepare_qat(sequence_network("gru"), calibration=words)
    derived = derive(step_network("gru"), qat, names("gru"))
    derived.save(tmp_path / "step.keras")
    loaded = keras.models.load_model(tmp_path / "step.keras")
    np.testing.assert_array_equal(unrolled(loaded, words, "gru"), unrolled(derived, words, "gru"))


@pytest.mark.parametrize("quantized", [False, True])
def test_what_does_not_match_is_refused_by_name_and_shapes(quantized, words):
    trained = sequence_network("lstm")
    if quantized:
        trained, _ = prepare_qat(trained, calibration=words)
    with pytest.raises(BadInput, match=r"'recurrence'.*kernel \(5, 32\).*kernel \(5, 24\)"):
        derive(step_network("lstm", units=8), trained)
    with pytest.raises(BadInput, match=r"'scores'.*kernel \(6, 11\).*no layer of.*alike"):
        derive(step_network("lstm", dense="scores"), trained)


def test_states_that_are_no_names_or_of_another_shape_are_refused(words):
    qat, _ = prepare_qat(sequence_network("lstm"), calibration=words)
    with pytest.raises(BadInput, match=r"states: 'state_9' is no input of step 'chars_step'; it has 'word'"):
        derive(step_network("lstm"), qat, {"new_0": "state_9"})
    with pytest.raises(BadInput, match=r"states: 'h' is no output"):
        derive(step_network("lstm"), qat, {"h": "state_0"})
    with pytest.raises(BadInput, match=r"states: input 'state_0'.*\(None, 6\).*\(None, 11\)"):
        derive(step_network("lstm"), qat, {"a_logits": "state_0"})
