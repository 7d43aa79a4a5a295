"""Mixed precision: the layers that int8 ruins are found and kept in float, and no other."""

from dataclasses import replace

import edgewright
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput, EdgewrightError
from edgewright.export import export_tflite
from edgewright.pipeline import find
from edgewright.pipeline.mixed import mixed_for, mixed_precision
from edgewright.pipeline.training import evaluated
from edgewright.quantize import prepare_qat
from edgewright.training.presented import takes
from int8_run import run


@pytest.fixture(scope="module")
def digits():
    return edgewright.load_data("digits", input_shape=(64,))


@pytest.fixture(scope="module")
def classifier(digits):
    model = edgewright.build("softmax_regression", input_shape=(64,))
    edgewright.train(model, data=digits)
    return model


@pytest.fixture(scope="module")
def lopsided(classifier):
    return stretched(classifier, 10_000)


def stretched(classifier, largest):
    """A classifier behind two layers: one stretches a feature to `largest` times, the next takes that back."""
    inputs = keras.Input((64,), name="x")
    x = keras.layers.Dense(64, name="stretch")(inputs)
    x = keras.layers.Dense(64, name="restore")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x), name="lopsided")
    kernel, bias = classifier.get_weights()
    factor = np.ones(64, np.float32)
    factor[36] = largest
    model.set_weights([np.diag(factor), np.zeros(64), np.diag(1 / factor), np.zeros(64), kernel, bias])
    return model


def test_the_two_layers_around_the_wide_values_are_kept_in_float(lopsided, digits):
    found = mixed_precision(lopsided, digits, max_drop=0.02)
    assert found.metric["float32"] - found.metric["w8a8"] > 0.2
    assert found.metric["float32"] - found.metric["chosen"] <= 0.02
    assert [row["precision"] for row in found.rows] == ["float32", "float32", "w8a8"]
    assert found.rows[2]["layer"] == "logits" and found.rows[2]["snr_db"] > found.rows[1]["snr_db"] + 10
    qat, report = prepare_qat(lopsided, found.config, calibration=digits.train.x[:256])
    assert [row["name"] for row in report.float_ops] == ["stretch/add", "restore/add"]
    artifact = export_tflite(qat)
    assert artifact.manifest["float_ops"] == 2
    x = digits.test.x[:100]
    assert (run(artifact, x).argmax(-1) == np.asarray(qat(x)).argmax(-1)).mean() > 0.98


def test_sixteen_bits_are_tried_before_float(classifier, digits):
    found = mixed_precision(stretched(classifier, 1000), digits, max_drop=0.02)
    assert found.metric["float32"] - found.metric["w8a8"] > 0.02 >= found.metric["float32"] - found.metric["chosen"]
    assert {row["precision"] for row in found.rows} == {"w8a16", "w8a8"}
    assert "layers in w8a16" in str(found)


def test_decibels_are_asked_in_place_of_points(lopsided, digits):
    """Two layers ruin the outputs; with them in float 45 dB are left, which no metric has to be read for."""
    found = mixed_precision(lopsided, digits, keep_db=30, ladder=("float32",))
    assert found.metric["w8a8"] < 10 and found.metric["chosen"] >= 30 and "float32" not in found.metric
    assert [row["precision"] for row in found.rows] == ["float32", "float32", "w8a8"]
    assert "decibels of the outputs: w8a8" in str(found)
    with pytest.raises(EdgewrightError, match="keep_db=300: lower it"):
        mixed_precision(lopsided, digits, keep_db=300, ladder=("w8a16",))
    with pytest.raises(BadInput, match=r"max_drop=0\.1, keep_db=30: give one of the two"):
        mixed_precision(lopsided, digits, 0.1, keep_db=30)


def test_nothing_is_kept_where_nothing_is_lost(lopsided, digits):
    plain = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10, name="logits")])
    plain.set_weights([np.random.default_rng(0).normal(size=(64, 10)), np.zeros(10)])
    found = mixed_precision(plain, digits, max_drop=0.02)
    assert not found.config.by_name and "0 of 1 layers" in str(found)


def test_anomaly_detection_has_no_metric_to_keep(lopsided):
    with pytest.raises(BadInput, match="validation"):
        mixed_precision(lopsided, edgewright.load_data("digits", input_shape=(64,), task="anomaly_detection"), 0.01)


def test_several_inputs_are_probed_by_name_and_a_few_samples_of_each():
    """What is probed is samples of every input, not some of the inputs."""
    random = np.random.default_rng(0)
    inputs = {"right": keras.Input((6,), name="right"), "left": keras.Input((4,), name="left")}
    x = keras.layers.Concatenate(name="both")([inputs["left"], inputs["right"]])
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name="pair")
    samples = {"left": random.normal(size=(400, 4)), "right": random.normal(size=(400, 6))}
    samples = {name: values.astype("float32") for name, values in samples.items()}
    labels = np.asarray(model(samples)).argmax(-1)
    data = edgewright.load_data((samples, labels), inputs=takes(model)["inputs"], outputs=takes(model)["outputs"])
    found = mixed_precision(model, data, max_drop=0.1)
    assert {row["layer"] for row in found.rows} == {"both", "logits"} and found.rows[0]["snr_db"] > 20
    assert found.metric["float32"] == 1.0


# ---------------------------------------------------------------- what is judged by its own task


OWN = {
    "char_rnn": ("scikit_learn_texts", {"input_shape": (8,), "units": 12, "classes": 91}, "perplexity"),
    "tabular_q": ("grid_world", {}, "mean_return"),
}


@pytest.mark.parametrize("name", OWN)
def test_a_network_that_its_task_runs_is_judged_so(name):
    data, options, metric = OWN[name]
    made = edgewright.build(name, "edge", **options)
    if name == "tabular_q":
        made.set_weights([np.random.default_rng(0).normal(size=(11, 4))])  # of zeros nothing is left in eight bits
    networks, work = find.of(made, data, limit=64)
    few = work.dataset.validation.take(np.arange(8))
    networks, work = work.complete(networks), replace(work, dataset=replace(work.dataset, validation=few, test=few))
    found = mixed_for(networks, work, 10.0)
    assert work.task.metric.name == metric and all(row["precision"] == "w8a8" for row in found.rows)
    assert found.metric["float32"] == pytest.approx(evaluated(networks, work).value)
    assert np.isfinite(found.metric["w8a8"]) and found.metric["chosen"] == found.metric["w8a8"]


def test_of_several_networks_that_are_quantized_none_is_chosen_for():
    networks, work = find.of(edgewright.build("gan_mlp", "edge"), "digits")
    with pytest.raises(BadInput, match="one network is quantized, not generator, discriminator; leave it out"):
        mixed_for(networks, work, 0.01)
