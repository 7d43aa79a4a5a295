"""Nets of sequences to sequences: sizes by formula, attention by hand, steps against sequences, in float and int8."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.devices.measure import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.export import export_tflite
from edgewright.models import registry
from edgewright.models.attending import Alignment, AttentiveRecurrence
from edgewright.pipeline.find import find
from edgewright.quantize import find_quantized, prepare_qat
from edgewright.training import learners
from edgewright.training.config import TrainConfig
from edgewright.training.data.sorting import pointed
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.pointing import pointed_at

R = np.random.default_rng(0)


def lstm(reads, units):
    return 4 * units * (reads + units + 1)


def gru(reads, units):
    return 3 * units * (reads + units + 2)  # two biases: the reset gate stands behind the product


def test_sizes_by_formula():
    """Sutskever 2014 tells 384 million parameters, 64 of them in the recurrences; Shazeer 2017 278 million of GNMT."""
    recurrences = 2 * 4 * lstm(1000, 1000)
    stacks = recurrences + 50_000 * 1000 * 2 + 1001 * 50_000
    search = 2 * gru(620, 1000) + 2001 * 1000 + 1001 * 1000 + gru(620 + 2000, 1000) + 1000**2 + 1000
    search += (1000 + 620 + 2000 + 1) * 1000 + 500 * 30_000 + 2 * 30_000 * 620
    google = 2 * lstm(1024, 1024) + lstm(2048, 1024) + 6 * lstm(1024, 1024)  # the encoder
    google += lstm(1024, 1024) + 7 * lstm(2048, 1024) + 2 * 1024**2 + 1024
    sizes = {
        "encoder_decoder": recurrences + 240_000 * 1000 + 80_000 * 1001,
        "luong_dot": stacks + 2000 * 1000,
        "luong_general": stacks + 3000 * 1000,
        "luong_concat": stacks + 4000 * 1000 + 1000,
        "luong_input_feeding": stacks + 3000 * 1000 + 4 * 1000 * 1000,
        "neural_conversation": 2 * lstm(1024, 1024) + 20_000 * (2 * 1024 + 1025),
        "bahdanau_attention": search,
        "subword_seq2seq": search + 60_000 * (2 * 620 + 500),
        "gnmt": google + 32_000 * (2 * 1024 + 1025),
        "pointer_network": 2 * lstm(1, 512) + 2 * 512**2 + 2 * 512,
    }
    assert {name: registry.get(name).params for name in sizes} == sizes
    assert round(recurrences / 1e6) == 64 and round(sizes["encoder_decoder"] / 1e6) == 384


# ---------------------------------------------------------------- attention


def seen():
    """Return a memory of three places, of which the last is padding."""
    memory = np.array([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]], np.float32)
    return memory, np.array([[True, True, False]])


def test_dot_attention_by_hand():
    memory, there = seen()
    query = np.array([[[np.log(3.0), 0.0]]], np.float32)
    np.testing.assert_allclose(Alignment()(query, memory, memory, there), [[[0.75, 0.25]]], atol=1e-6)


def test_additive_attention_by_hand():
    """Scores v . tanh(W q + k) with W = I, v = (1, 1)."""
    memory, there = seen()
    layer = Alignment(additive=True)
    query, keys = R.normal(size=(1, 2, 2)).astype("f4"), R.normal(size=(1, 3, 2)).astype("f4")
    layer.build(query.shape, memory.shape, keys.shape, there.shape)
    layer.query.kernel.assign(np.eye(2))
    layer.score.kernel.assign(np.ones((2, 1)))
    scores = np.tanh(query[:, :, None] + keys[:, None]).sum(-1)[..., :2]
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(layer(query, memory, keys, there), weights, atol=1e-6)  # memory: unit vectors


def test_keras_attention_says_the_same():
    query, memory = (R.normal(size=(2, size, 4)).astype("f4") for size in (3, 5))
    there = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    ours = Alignment()(query, memory, memory, there)
    np.testing.assert_allclose(ours, keras.layers.Attention()([query, memory], mask=[None, there]), atol=1e-5)


def test_an_input_feeding_step_by_the_layers_of_keras():
    x, memory = R.normal(size=(2, 3, 4)).astype("f4"), R.normal(size=(2, 5, 6)).astype("f4")
    there = np.ones((2, 5), bool)
    states = [R.normal(size=(2, 6)).astype("f4") for _ in range(3)]
    layer = AttentiveRecurrence("input_feeding", 6)
    outputs, said, hidden, cell = layer(x, states, memory, memory, there)
    fed, now = states[0], states[1:]
    for step in range(3):
        y, now = layer.cell.cells[0](np.concatenate([x[:, step], fed], -1), now)
        context = keras.layers.Attention()([keras.ops.expand_dims(y, 1), memory])[:, 0]
        fed = np.tanh(np.concatenate([context, y], -1) @ np.asarray(layer.cell.said.kernel))
        np.testing.assert_allclose(outputs[:, step], fed, atol=1e-5)
    for ours, theirs in zip((said, hidden, cell), (fed, *now), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


# ---------------------------------------------------------------- networks

NAMES = ["encoder_decoder", "luong_dot", "luong_concat", "luong_input_feeding", "bahdanau_attention", "gnmt",
         "conv_seq2seq"]  # fmt: skip
SMALL = {"source": (6,), "target": (5,)}


def built(name, factor=3.0):
    """Return small networks with weights sharper than fresh ones, whose logits hardly differ."""
    networks = registry.networks(name, "edge", seed=3, input_shape=SMALL, classes=17)
    for weight in networks["sequence"].trainable_weights:
        weight.assign(factor * np.asarray(weight))
    return networks


def derived(networks, deploy):
    from edgewright.quantize.streaming import derive

    steps = {each.network: derive(networks[each.network], networks["sequence"], dict(each.states) or None)
             for each in deploy}  # fmt: skip
    return {**networks, **steps}


@pytest.mark.parametrize("name", NAMES)
def test_the_step_reproduces_the_sequence_net_token_by_token(name):
    networks = built(name)
    deploy = registry.with_states(registry.get(name).deploy, networks)
    run = KerasRunner(derived(networks, deploy), deploy)
    source, target = (R.integers(1, 17, (4, size)).astype("int32") for size in (6, 5))
    source[:2, 4:] = 0
    whole = run("sequence", {"source": source, "target": target})["logits"]
    made = run("encoder", {"source": source})
    states = set(deploy[1].states.values())
    inputs = {tensor.name for tensor in networks["step"].inputs}
    given = {"token": target[..., None]}
    if "position" in inputs:
        given["position"] = np.tile(np.arange(5, dtype=np.int32)[None, :, None], (4, 1, 1))
    held = {each: made[each] for each in made if each not in states}
    held |= {"source": source} if "source" in inputs else {}
    first = {each: made[each] for each in made if each in states}
    stepped = run.unroll("step", given, first=first, held=held)["logits"]
    assert np.ptp(whole) > 0.5 and len(np.unique(whole.argmax(-1))) > 1
    np.testing.assert_allclose(stepped.reshape(whole.shape), whole, atol=2e-4)


@pytest.mark.parametrize("additive", [False, True])
def test_what_is_remembered_of_padding_has_no_part(additive):
    layer = Alignment(additive)
    query, memory = R.normal(size=(2, 3, 4)).astype("f4"), R.normal(size=(2, 5, 4)).astype("f4")
    there = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)
    before = np.asarray(layer(query, memory, memory, there))
    other = np.where(there[..., None], memory, 9.0).astype("f4")
    np.testing.assert_allclose(layer(query, other, other, there), before, atol=1e-6)
    np.testing.assert_allclose(np.sum(layer.weights_of(query, memory, there), -1), np.ones((2, 3)), atol=1e-6)


@pytest.mark.parametrize("name", ["encoder_decoder"])
def test_int8_files_of_encoder_and_step_answer_as_the_fake_quantized(name, tmp_path):
    shape, sizes = {"source": (4,), "target": (3,)}, {"units": 8, "embedding": 8, "classes": 11}
    networks = registry.networks(name, "edge", input_shape=shape, **sizes)
    deploy = registry.with_states(registry.get(name).deploy, networks)
    pairs = {each: R.integers(1, 11, (32, size)).astype("int32") for each, (size,) in shape.items()}
    aware, _ = prepare_qat(networks["sequence"], calibration=pairs)
    made = derived({**networks, "sequence": aware}, deploy)
    run, states = KerasRunner(made, deploy), set(deploy[1].states.values())
    begun = run("encoder", {"source": pairs["source"]})
    held = {each: array for each, array in begun.items() if each not in states}
    asked = {"given": {"token": pairs["target"][..., None]}, "held": held,
             "first": {each: array for each, array in begun.items() if each in states}}  # fmt: skip
    files = {}
    for each in deploy:
        artifact = export_tflite(made[each.network], name=each.network)
        path = artifact.save(tmp_path / f"{each.network}.tflite")
        manifest = {**artifact.manifest, "network": each.network, "states": dict(each.states)}
        files[each.network] = ModelFile(name=each.network, path=path, format="tflite", manifest=manifest)
    with open_runner(files) as device:
        for output, values in device("encoder", {"source": pairs["source"]}).items():
            np.testing.assert_allclose(values, begun[output], atol=1e-6)
        said = device.unroll("step", **asked)["logits"]
    expected = run.unroll("step", **asked)["logits"]
    assert np.ptp(expected) > 0 and (np.abs(said - expected.reshape(said.shape)) < 1e-5).mean() > 0.97


def test_a_step_takes_the_range_that_an_operator_prescribes_to_its_first_state():
    """The first state of RNNsearch is a tanh, whose range in int8 is fixed; that of the step is a variable."""
    sizes = {"units": 8, "embedding": 8, "maxout": 4, "classes": 11}
    networks = registry.networks("bahdanau_attention", "edge", input_shape={"source": (4,), "target": (3,)}, **sizes)
    deploy = registry.with_states(registry.get("bahdanau_attention").deploy, networks)
    pairs = {name: R.integers(1, 11, (32, size)).astype("int32") for name, size in (("source", 4), ("target", 3))}
    aware, _ = prepare_qat(networks["sequence"], calibration=pairs)
    step = find_quantized(derived({**networks, "sequence": aware}, deploy)["step"])
    np.testing.assert_allclose(step.range_of["decoder_state"], [-1, 127 / 128], atol=1e-4)


def test_the_residual_stack_begins_at_its_third_layer():
    networks = registry.networks("gnmt", "edge", input_shape=SMALL, classes=17, depth=4)
    names = {layer.name for layer in networks["sequence"].layers}
    assert {"encoder_3_add", "memory", "decoder_3_add", "decoder_4_add"} <= names
    assert not {"encoder_2_add", "decoder_1_add", "decoder_2_add"} & names


# ---------------------------------------------------------------- pointing


def test_order_by_hand():
    split = pointed(np.array([[[0.5], [0.1], [0.9]]], np.float32))
    np.testing.assert_array_equal(split.y, [[1, 0, 2]])
    np.testing.assert_allclose(split.x["last"][0, :, 0], [0, 0.1, 0.5])
    np.testing.assert_array_equal(split.x["used"][0], [[0, 0, 0], [0, 1, 0], [1, 1, 0]])


def test_what_was_pointed_at_is_not_pointed_at_again():
    class Stubborn:
        def __call__(self, network, inputs):
            if network == "encoder":
                return {"hidden": np.zeros((2, 1)), "keys": inputs["items"]}
            assert set(inputs) == {"hidden", "keys", "last", "used"}
            return {"logits": 5 - inputs["keys"][:, None, :, 0], "hidden_out": inputs["hidden"] + 1}

    items = np.array([[[3], [1], [2]], [[7], [9], [8]]], np.float32)
    np.testing.assert_array_equal(pointed_at(Stubborn(), items), [[1, 2, 0], [0, 2, 1]])


def learned(name, data, **settings):
    """Return a workload and its networks after a short training."""
    work = find(name, data, quick=True)
    networks = work.make()
    keras.utils.set_random_seed(0)
    config = TrainConfig(learning_rate=work.learning_rate, clip_norm=1.0, **settings)
    learners.get("fit")(work.learned(networks), work.dataset, work.task, config, RunDir(None))
    return work, networks


@pytest.mark.slow
def test_ten_numbers_are_sorted():
    work, networks = learned("pointer_network", "sorting", epochs=6, batch_size=32)
    run = KerasRunner(work.complete(networks), work.deploy)
    scores = work.task.evaluate(run, work.dataset)
    assert work.task.metric.reduce(scores.rows) > 0.95 and (scores.rows == 1).mean() > 0.75


@pytest.mark.slow
def test_int8_files_translate_as_the_fake_quantized_step(tmp_path):
    """Within 0.5 BLEU, on numbers in words."""
    work, networks = learned("luong_general", "number_words", epochs=5, batch_size=16)
    aware, _ = prepare_qat(networks["sequence"], calibration=work.samples("sequence"))
    made = work.complete({**networks, "sequence": aware})
    dataset = replace(work.dataset, test=work.dataset.test.take(np.arange(200)))
    expected = work.task.metric.reduce(work.task.evaluate(KerasRunner(made, work.deploy), dataset).rows)
    files = {}
    for name in ("encoder", "step"):
        artifact = export_tflite(made[name], name=name)
        path = artifact.save(tmp_path / f"{name}.tflite")
        manifest = {**artifact.manifest, "network": name, "states": work.states(name)}
        files[name] = ModelFile(name=name, path=path, format="tflite", manifest=manifest)
    with open_runner(files) as run:
        found = work.task.metric.reduce(work.task.evaluate(run, dataset).rows)
    assert expected > 60 and abs(found - expected) <= 0.5
