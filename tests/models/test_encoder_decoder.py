"""Encoders and decoders: counts, what a device runs against the sequence net, blocks that are skipped and removed."""

import numpy as np
import pytest
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.models.attention import LayerDrop, RelativeBias, bucket_of
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import derive
from edgewright.training import tasks
from edgewright.training.decoding import greedy
from edgewright.training.runner import KerasRunner

SIZES = {"width": 16, "heads": 2, "feed_forward": 24}
NAMES = ("transformer_base", "t5")


def test_parameters_without_embeddings():
    entry = registry.get("transformer_base")
    with without_weights():
        sequence = entry.builder(**entry.arguments())["sequence"]
    weights = [weight for weight in sequence.trainable_weights if not weight.path.startswith("embedding")]
    assert sum(int(np.prod(weight.shape)) for weight in weights) == 44_101_632
    assert not [weight.path for weight in weights if "attention/" in weight.path and "bias" in weight.path]


def presented(name, **options):
    entry = registry.get(name)
    task = tasks.get(entry.task)
    dataset = task.present(
        entry.data[-1], registry.networks(name, "edge", **SIZES, **options), rebuilt=True, limit=64, test_limit=6
    )
    networks = registry.networks(name, "edge", classes=dataset.classes, seed=1, **SIZES, **options)
    for weight in networks["sequence"].trainable_weights:
        weight.assign(2 * np.asarray(weight) if "kernel" in weight.path else np.asarray(weight))
    return task, dataset, networks


def completed(name, networks, sequence):
    """Return the networks that a device runs, with the weights and ranges of the sequence."""
    deploy = registry.with_states(registry.get(name).deploy, networks)
    derived = {each.network: derive(networks[each.network], sequence, each.states or None) for each in deploy}
    return KerasRunner({"sequence": sequence, **derived}, deploy)


def step_by_step(task, run, dataset):
    """Return what the step says when it is told the true tokens, (N, T, K), and what the sequence net says."""
    source, target = dataset.test.x["source"], dataset.test.x["target"]
    speaker = task.speaker(run, dataset, source)
    positions = np.tile(np.arange(target.shape[1], dtype=np.int32)[None, :, None], (len(target), 1, 1))
    given = {"token": target[..., None], "position": positions}
    said = run.unroll("step", given, first=speaker.first, held=speaker.held)["logits"]
    whole = run("sequence", dict(dataset.test.x))["logits"]
    return said.reshape(whole.shape), whole


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    task, dataset, networks = presented(request.param)
    return request.param, task, dataset, networks, completed(request.param, networks, networks["sequence"])


def test_encoder_and_cached_steps_are_the_whole(model):
    _, task, dataset, _, run = model
    said, whole = step_by_step(task, run, dataset)
    assert np.ptp(whole) > 3
    np.testing.assert_allclose(said, whole, atol=1e-4)


def test_greedy_decoding_says_what_the_whole_would(model):
    _, task, dataset, _, run = model
    source, (count, length) = dataset.test.x["source"], dataset.test.y.shape
    said = greedy(task.speaker(run, dataset, source))
    target = np.zeros((count, length), np.int32)
    target[:, 0] = 1
    alive = np.ones(count, bool)
    for step in range(length):
        best = run("sequence", {"source": source, "target": target})["logits"][:, step].argmax(-1)
        np.testing.assert_array_equal(said[alive, step], best[alive])
        alive &= best != 2
        if step + 1 < length:
            target[:, step + 1] = best


def test_padding_behind_a_source_changes_nothing(model):
    _, _, dataset, networks, run = model
    source, target = dataset.test.x["source"].copy(), dataset.test.x["target"]
    source[:, 6:] = 0
    before = run("sequence", {"source": source, "target": target})["logits"]
    weight = next(weight for weight in networks["sequence"].weights if weight.path.startswith("embedding"))
    kept = np.array(weight)
    try:
        weight.assign(np.concatenate([5 + kept[:1], kept[1:]]))  # the vector of the padding
        after = run("sequence", {"source": source, "target": target})["logits"]
    finally:
        weight.assign(kept)
    there = target != 0
    np.testing.assert_allclose(before[there][:, 1:], after[there][:, 1:], atol=1e-4)


def test_quantized_encoder_and_steps_are_the_quantized_whole(model):
    """Also the table that the encoder only looks up: that of the output layer, which is symmetric there."""
    name, task, dataset, networks, _ = model
    qat, report = prepare_qat(networks["sequence"], calibration=dict(task.samples(dataset, "sequence", 64)))
    assert not report.float_ops
    said, whole = step_by_step(task, completed(name, networks, qat), dataset)
    assert (np.abs(said - whole) < 1e-4).mean() > 0.99  # but for sums that end on a border between two steps
    truth = dataset.test.y != 0
    values = []
    for logits in (said, whole):
        scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        values.append(np.exp(-np.take_along_axis(scores, dataset.test.y[..., None], -1)[..., 0][truth].mean()))
    assert values[0] == pytest.approx(values[1], rel=0.005)  # perplexity


# ---------------------------------------------------------------- blocks that are skipped


def test_a_block_is_skipped_at_random_in_training_only():
    before, made = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    layer = LayerDrop(0.3)
    drawn = np.array([np.asarray(layer([before, made], training=True)) for _ in range(200)])
    assert set(np.unique(drawn)) == {0, 1} and (drawn == drawn[:, :1, :1]).all()
    assert drawn.mean() == pytest.approx(0.7, abs=0.12)
    np.testing.assert_array_equal(layer([before, made]), made)


def test_the_deployed_net_has_no_removed_block():
    """What is left of three blocks without the second is a net of two blocks with the weights of the others."""
    task, dataset, networks = presented("layerdrop_transformer")
    names = [layer.name for layer in (*networks["encoder"].layers, *networks["step"].layers)]
    assert not [name for name in names if "coder_2_" in name] and "decoder_3_attention" in names
    run = completed("layerdrop_transformer", networks, networks["sequence"])
    smaller = registry.networks("transformer_base", "edge", classes=dataset.classes, **SIZES)
    theirs = {weight.path: weight for weight in networks["sequence"].weights}
    for weight in smaller["sequence"].weights:
        weight.assign(theirs[weight.path.replace("coder_2_", "coder_3_")])
    said, whole = step_by_step(task, run, dataset)
    expected = KerasRunner(smaller)("sequence", dict(dataset.test.x))["logits"]
    np.testing.assert_allclose(said, expected, atol=1e-4)
    assert np.abs(whole - expected).max() > 0.1  # the sequence net keeps all three


# ---------------------------------------------------------------- biases by distance


def test_buckets_of_distances():
    both = bucket_of(np.array([0, -1, -7, -8, -11, -12, -16, -23, -127, -500, 1, 7, 12, 500]), 32, both=True)
    np.testing.assert_array_equal(both, [0, 1, 7, 8, 8, 9, 10, 11, 15, 15, 17, 23, 25, 31])
    earlier = bucket_of(np.array([5, 0, -1, -15, -16, -20, -127, -500]), 32, both=False)
    np.testing.assert_array_equal(earlier, [0, 0, 1, 15, 16, 17, 31, 31])


def test_a_step_has_the_biases_of_its_position():
    x = np.zeros((2, 6, 4), np.float32)
    layer = RelativeBias(3, 6, 8, both=False)
    whole = np.asarray(layer(x))
    assert whole.shape == (3, 6, 6) and np.ptp(whole[0, 5]) > 0
    np.testing.assert_array_equal(whole[:, 1, 0], whole[:, 5, 4])  # as far apart
    found = np.asarray(layer(x[:, :1], np.array([[4], [1]])))
    np.testing.assert_array_equal(found[0, :, 0], whole[:, 4])
    np.testing.assert_array_equal(found[1, :, 0], whole[:, 1])
