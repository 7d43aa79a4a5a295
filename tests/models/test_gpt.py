"""Decoders: the counts of the papers, and a device's prompt and steps against the sequence net that was trained."""

import numpy as np
import pytest
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.prune import prune
from edgewright.quantize import find_quantized, prepare_qat
from edgewright.quantize.streaming import derive
from edgewright.training import tasks
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.language import SEQUENCE, STEP, continued

TASK = tasks.get("language_model")
SIZES = {"input_shape": (8,), "width": 16}


def counted(name, of="", **options):
    """Return the trainable parameters of the published sizes, without allocating one: of layers beginning with `of`."""
    with without_weights():
        entry = registry.get(name)
        sequence = entry.builder(**entry.arguments(**{"steps": False, **options}))["sequence"]
        layers = [layer for layer in sequence.layers if layer.name.startswith(of)]
        return sum(int(np.prod(weight.shape)) for layer in layers for weight in layer.trainable_weights)


def test_blocks_of_the_first_gpt():
    assert counted("gpt1", "block_") == 85_054_464


def test_the_largest_gpt2():
    assert counted("gpt2", depth=48, width=1600, heads=25) == 1_557_611_200


def test_gpt3_within_a_percent():
    of_block = counted("gpt3", "block_", depth=1)
    rest = counted("gpt3", depth=1) - of_block
    assert 96 * of_block + rest == registry.get("gpt3").params == pytest.approx(175e9, rel=0.01)


def test_gpt3_goes_to_no_device_and_says_why():
    entry = registry.get("gpt3")
    assert entry.deploy == () and "175 billion" in entry.undeployed


def completed(networks, name, sequence):
    """Return the networks of a model with those derived that a device runs, and how they are deployed."""
    deploy = registry.with_states(registry.get(name).deploy, networks)
    derived = {each.network: derive(networks[each.network], sequence, each.states or None) for each in deploy}
    return KerasRunner({"sequence": sequence, **derived}, deploy), derived


@pytest.fixture(scope="module", params=["gpt2", "gpt1"])
def model(request):
    """Return a small model whose weights say something, its data and its runner."""
    probe = registry.networks(request.param, "edge", **SIZES)
    dataset = TASK.present("scikit_learn_texts", probe, rebuilt=True, limit=64, test_limit=12)
    networks = registry.networks(request.param, "edge", classes=dataset.classes, seed=2, **SIZES)
    for weight in networks["sequence"].trainable_weights:
        if "norm" not in weight.path:
            weight.assign(3 * np.asarray(weight) if "embedding" not in weight.path else 10 * np.asarray(weight))
    return request.param, networks, dataset, completed(networks, request.param, networks["sequence"])[0]


def test_a_prompt_and_steps_from_its_caches_score_as_the_whole(model):
    _, _, dataset, run = model
    tokens = dataset.test.x
    whole = run(SEQUENCE, {"tokens": tokens})["logits"]
    expected = TASK.metric.scores(whole, dataset.test.y)
    scores = TASK.evaluate(run, dataset)
    assert dataset.prompt == 4 and np.ptp(whole) > 3
    np.testing.assert_allclose(scores.rows.reshape(expected.shape), expected, atol=1e-4)
    begun = dict(run("prefill", {"tokens": np.where(np.arange(8) < 4, tokens, 0)}))
    np.testing.assert_allclose(begun["logits"][:, :4], whole[:, :4], atol=1e-4)


def test_steps_say_token_for_token_what_the_whole_does(model):
    *_, run = model
    first = np.arange(12, dtype=np.int32)
    tokens, text = first[:, None], continued(run, first, 7, positions=True)
    for step in range(7):
        padded = np.pad(tokens, [(0, 0), (0, 8 - tokens.shape[1])])
        said = run(SEQUENCE, {"tokens": padded})["logits"][:, step].argmax(-1)
        np.testing.assert_array_equal(text[:, step], said)
        tokens = np.concatenate([tokens, said[:, None].astype(np.int32)], axis=1)
    assert len(np.unique(text)) > 2


def test_later_tokens_change_nothing_before(model):
    _, _, dataset, run = model
    tokens = dataset.test.x.copy()
    before = run(SEQUENCE, {"tokens": tokens})["logits"]
    tokens[:, 5] = (tokens[:, 5] + 1) % dataset.classes
    after = run(SEQUENCE, {"tokens": tokens})["logits"]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (np.abs(before - after)[:, 5].max(-1) > 1e-4).all()


def test_quantized_steps_are_the_quantized_whole_and_embedding_and_output_one_table(model):
    name, networks, dataset, _ = model
    pruned, report = prune(networks["sequence"])
    (row,) = [row for row in report.rows if row["name"].startswith("embedding")]
    assert "looked up" in row["reason"]  # and what is tied to it is whole, too
    qat, _ = prepare_qat(pruned, calibration=TASK.samples(dataset, SEQUENCE, 64)["tokens"])
    table = find_quantized(qat).weight_of["embedding.embeddings"]
    table.assign(1.25 * np.asarray(table))  # as training would
    run, derived = completed(networks, name, qat)
    whole = run(SEQUENCE, {"tokens": dataset.test.x})["logits"]
    expected = TASK.metric.reduce(TASK.metric.scores(whole, dataset.test.y).reshape(-1, 1))
    found = TASK.metric.reduce(TASK.evaluate(run, dataset).rows)
    assert found == pytest.approx(expected, rel=0.002)
    for network in derived.values():
        layer = find_quantized(network)
        tables = [key for key, weight in layer.weight_of.items() if tuple(weight.shape) == tuple(table.shape)]
        assert tables == ["embedding.embeddings"]
        np.testing.assert_array_equal(layer.weight_of[tables[0]], table)


def test_the_task_gives_positions_to_a_step_that_reads_them(model):
    _, networks, dataset, _ = model
    given = TASK.samples(dataset, STEP, 5)
    assert given.keys() == {"token", "position"} and given["position"].shape == (5, 8, 1)
    np.testing.assert_array_equal(given["position"][3, :, 0], np.arange(8))
    alone = TASK.present("scikit_learn_texts", {SEQUENCE: networks[SEQUENCE]}, limit=64, test_limit=12)
    run = KerasRunner(networks)
    expected = TASK.metric.scores(run(SEQUENCE, {"tokens": alone.test.x})["logits"], alone.test.y)
    np.testing.assert_array_equal(TASK.evaluate(run, alone).rows[:, 0], expected.reshape(-1))
    assert TASK.samples(registry_free(dataset), STEP, 2).keys() == {"token"}


def registry_free(dataset):
    """Return the data in their own form, as no task presented them."""
    from edgewright.training.data import load

    return load(dataset.name, input_shape=(8,), dtype="int32", task="language_model", limit=8)
