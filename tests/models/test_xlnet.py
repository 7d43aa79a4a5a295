"""XLNet: no token tells itself, no order tells what comes behind it, and the device's network says the same."""

from dataclasses import replace

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.permuted import Permuting
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.permuted_language import seen_from

R = np.random.default_rng(0)
TINY = {"input_shape": (8,), "segment": 4, "classes": 20, "depth": 2, "width": 12, "heads": 2}


def built():
    networks = registry.networks("xlnet", "edge", seed=1, **TINY)
    for weight in networks["sequence"].trainable_weights:
        if weight.name != "gamma":
            weight.assign(4 * np.asarray(weight))
    return networks


def mask_of(order):
    """Return what each of 8 tokens in two segments knows, of the zeros and of each other, by their order."""
    rank, segment = np.argsort(order), np.arange(8) // 4
    told = (segment[:, None] == segment) & (rank[None] <= rank[:, None]) | (segment[:, None] == segment + 1)
    return np.concatenate([np.tile(segment[:, None] == 0, (1, 4)), told], 1).astype("int32")[None]


def test_no_token_changes_its_own_prediction_nor_those_before_it_in_the_order():
    sequence, order = built()["sequence"], np.array([2, 0, 3, 1, 5, 7, 4, 6])
    rank, tokens = np.argsort(order), R.integers(0, 20, (1, 8)).astype("int32")
    before = np.asarray(sequence({"tokens": tokens, "mask": mask_of(order)}))[0]
    for place in range(8):
        other = tokens.copy()
        other[0, place] = (other[0, place] + 7) % 20
        moved = np.abs(np.asarray(sequence({"tokens": other, "mask": mask_of(order)}))[0] - before).max(-1)
        behind = (rank > rank[place]) | ((np.arange(8) // 4) > place // 4)
        np.testing.assert_array_equal(moved > 1e-4, behind)


def test_the_learner_draws_orders_in_which_nothing_leaks():
    networks = built()
    model = Permuting(networks["sequence"], 0)
    masks = []
    model.network = lambda given, training: masks.append(np.asarray(given["mask"])) or given["tokens"]
    model(np.zeros((300, 8), "int32"), training=True)
    (mask,) = masks
    own = mask[:, :, 4:]
    assert (
        (own[:, np.arange(8), np.arange(8)] == 1).all() and (own[:, :4, 4:] == 0).all() and (own[:, 4:, :4] == 1).all()
    )
    assert (mask[:, :4, :4] == 1).all() and (mask[:, 4:, :4] == 0).all()
    inside = own[:, :4, :4]
    np.testing.assert_array_equal(np.sort(inside.sum(-1), -1), np.tile([1, 2, 3, 4], (300, 1)))
    assert ((inside + inside.transpose(0, 2, 1)) >= 1).all()  # of two one knows the other
    np.testing.assert_allclose(inside[:, 0, 1].mean(), 0.5, atol=0.12)  # 4 deviations


def test_the_content_stream_asked_for_each_token_says_what_the_query_stream_says():
    networks = built()
    deploy = registry.with_states(registry.get("xlnet").deploy, networks)
    content = derive(networks["content"], networks["sequence"], dict(deploy[0].states))
    run, task = KerasRunner({**networks, "content": content}, deploy), tasks.get("permuted_language_model")
    tokens = R.integers(0, 20, (3, 8)).astype("int32")
    whole = run("sequence", {"tokens": tokens, "mask": np.repeat(mask_of(np.arange(8)), 3, 0)})["logits"]
    nats = np.log(np.exp(whole).sum(-1)) - np.take_along_axis(whole, tokens[..., None], -1)[..., 0]
    words = task.present("scikit_learn_words", networks, limit=16, rebuilt=True)
    asked = type(words.test)(x=tokens, y=tokens)
    scores = task.evaluate(run, replace(words, test=asked))
    np.testing.assert_allclose(scores.rows.reshape(3, 8), nats, atol=1e-4)
    np.testing.assert_array_equal(scores.unit, np.repeat(np.arange(3), 8))


def test_the_question_is_the_last_id_of_networks_built_for_the_words():
    """The probe knows more words than there are, and what is built then has no row for an id of its own."""
    task, probe = tasks.get("permuted_language_model"), registry.networks("xlnet", "edge", **{**TINY, "classes": 5000})
    words = task.present("scikit_learn_words", probe, limit=16, rebuilt=True)
    assert words.question == words.classes < 5000
    networks = registry.networks("xlnet", "edge", **{**TINY, "classes": words.classes})
    assert task.present("scikit_learn_words", networks, limit=16).question == words.question
    given = task.samples(words, "content", n=4)
    assert given["tokens"].max() == words.question
    assert np.isfinite(np.asarray(networks["content"]({name: x[:, 0] for name, x in given.items()} | {
        name: np.zeros((4, 4, 12), "float32") for name in ("memory_1", "memory_2")})["logits"])).all()  # fmt: skip


def test_who_asks_is_seen_by_nobody():
    known = seen_from(2, 4)
    np.testing.assert_array_equal(known[:, :4], np.ones((4, 4)))
    np.testing.assert_array_equal(known[:, 4:], [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]])
    np.testing.assert_array_equal(seen_from(4, 4)[:, 4:], np.tri(4))


def test_size_by_formula():
    """Without the projections of relative positions, 12 x 768^2, and their biases; the id that asks is a row more."""
    block = 4 * 768**2 + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    assert registry.get("xlnet").params == 32_001 * 768 + 12 * block


def test_texts_are_learned():
    networks = registry.networks("xlnet", "edge", seed=0, classes=100, width=16, depth=1, input_shape=(8,), segment=4)
    entry, task = registry.get("xlnet"), tasks.get("permuted_language_model")
    words = task.present("scikit_learn_words", networks)
    history = learners.get(entry.learner)(registry.trained(networks, entry.deploy), words, task,
                                          TrainConfig(epochs=3, learning_rate=4e-3), RunDir(None))  # fmt: skip
    assert history[-1]["val_loss"] < history[0]["val_loss"] - 0.1


def test_a_length_that_is_no_whole_segments_is_refused():
    with pytest.raises(ValueError, match="segment=3 must divide the length 8"):
        registry.networks("xlnet", "edge", **{**TINY, "segment": 3})
