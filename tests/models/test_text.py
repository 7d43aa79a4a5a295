"""Classifiers of texts: their sizes, what order and padding mean to each, and a step token by token."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training import data
from edgewright.training.data import made_up, tokens
from edgewright.training.data.arrays import Input
from edgewright.training.data.sets import Asked
from edgewright.training.runner import KerasRunner

RANDOM = np.random.default_rng(0)


def built(name, length=6, **options):
    """Return the networks of a row for texts of 20 ids; weights are larger than fresh ones, or logits hardly differ."""
    shape = registry.get(name).input_shape
    shape = {"ids": (length,), "count": (1,)} if isinstance(shape, dict) else (length,)
    networks = registry.networks(name, input_shape=shape, vocabulary=20, seed=2, **options)
    for weight in next(iter(networks.values())).weights:
        weight.assign(4 * weight)
    return networks


def answers(network, ids, count=None):
    ids = np.asarray(ids, np.int32)
    given = ids if count is None else {"ids": ids, "count": np.full((len(ids), 1), count, np.int32)}
    return np.asarray(network(given, training=False))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sentence_mlp", 8000 * 16 + 64 * (64 * 16 + 1) + 2 * (64 + 1)),
        ("text_rnn", 8000 * 50 + 64 * (50 + 64 + 1) + 2 * (64 + 1)),
        ("text_lstm", 8000 * 50 + 4 * 64 * (50 + 64 + 1) + 2 * (64 + 1)),
        ("fasttext_classifier", (8000 + 20_000) * 16 + 2 * (16 + 1)),
        ("text_cnn", 18_766 * 300 + (3 + 4 + 5) * 300 * 100 + 300 + 2 * (300 + 1)),
    ],
)
def test_sizes(name, expected):
    assert registry.get(name).params == expected


def test_the_sizes_of_the_recurrences_are_those_of_the_literature():
    assert registry.get("text_rnn").params == 407_490 and registry.get("text_lstm").params == 429_570


def test_a_bag_of_words_knows_no_order_and_pairs_do():
    texts = {"train": ["a b c d", "d c b a", "a c b d"], "validation": ["a b"], "test": ["a b"]}
    classes = {part: np.zeros(len(each), np.int32) for part, each in texts.items()}
    network = built("fasttext_classifier", 8)["fasttext_classifier"]
    inputs = (
        Input(name="ids", shape=(8,), dtype="int32", vocabulary=20),
        Input(name="count", shape=(1,), dtype="int32"),
    )
    asked = Asked(input_shape=(8,), dtype="int32", task="classification", inputs=inputs)
    said = {}
    for present in (tokens.as_words, tokens.as_bigrams):
        train = present(tokens.Texts(name="letters", sentences=texts, classes=classes), asked).train.x
        said[present.__name__] = np.asarray(network(train))
    assert np.abs(said["as_words"] - said["as_words"][:1]).max() < 1e-5
    assert np.abs(said["as_bigrams"] - said["as_bigrams"][:1])[1:].max(1).min() > 1e-2


def test_mean_is_that_of_the_words():
    network = built("fasttext_classifier")["fasttext_classifier"]
    vectors, kernel, bias = network.get_weights()
    expected = vectors[[3, 9, 3]].mean(0) @ kernel + bias
    np.testing.assert_allclose(answers(network, [[3, 9, 3, 0, 0, 0]], 3)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["fasttext_classifier", "text_rnn", "text_lstm"])
def test_padding_does_not_change_the_logits(name):
    short, long = built(name, 6), built(name, 11)
    one, other = next(iter(short.values())), next(iter(long.values()))
    other.set_weights(one.get_weights())
    ids = RANDOM.integers(2, 20, (5, 4))
    expected = answers(one, np.pad(ids, [(0, 0), (0, 2)]), 4)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(answers(other, np.pad(ids, [(0, 0), (0, 7)]), 4), expected, atol=1e-5)
    np.testing.assert_allclose(answers(one, np.pad(ids, [(0, 0), (0, 2)], constant_values=7), 4), expected, atol=1e-5)


def test_moving_a_sentence_by_a_slot_changes_the_logits_of_a_perceptron():
    network = built("sentence_mlp")["sentence_mlp"]
    ids = RANDOM.integers(2, 20, (5, 5))
    first, moved = (answers(network, np.pad(ids, [(0, 0), pad])) for pad in ((0, 1), (1, 0)))
    assert np.abs(first - moved).max() > 0.1


def test_a_filter_has_one_feature_wherever_its_words_are():
    network = built("text_cnn", 13, maps=3)["text_cnn"]
    assert network.get_layer("features").output.shape[1:] == (9,)  # three widths of three filters
    ids = np.full((1, 13), 5)
    ids[0, 5:8] = range(8, 11)  # every window that holds a part of it there is at either place
    moved = np.roll(ids, 1, axis=1)
    np.testing.assert_allclose(answers(network, ids), answers(network, moved), atol=1e-5)


@pytest.mark.parametrize("name", ["text_rnn", "text_lstm"])
def test_the_step_is_the_sequence_of_the_text_so_far(name):
    networks = built(name)
    deployable = registry.get(name).deploy[1]
    step = derive(networks["step"], networks["sequence"], deployable.states)
    run = KerasRunner({"step": step}, [deployable])
    ids = RANDOM.integers(2, 20, (5, 6)).astype(np.int32)
    stepped = run.unroll("step", {"token": ids[..., None]})["logits"]
    for length in range(1, 7):
        expected = answers(networks["sequence"], ids, length)
        np.testing.assert_allclose(stepped[:, length - 1], expected, atol=1e-5)


# ---------------------------------------------------------------- what they read


def test_hashes_are_the_published_ones():
    """Test vectors of the authors, FNV-1a of 32 bits."""
    size = 1 << 32
    assert tokens.hashed(["", "a", "foobar"], 0, size) == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]
    assert tokens.hashed(["a"], 5, 105) == [5 + 0xE40C292C % 100]


def test_pairs_lie_behind_the_words_and_runs_of_letters_at_each_place():
    reviews = data.load("made_up_reviews_bigrams", input_shape=(30,), vocabulary=210)
    sentence = made_up.reviews()[0][0].split()
    assert "modulo 150 from 60" in reviews.preprocessing
    first = next(row for row in reviews.train.x if (row > 0).sum() == 2 * len(sentence) - 1)
    assert (first[: len(sentence)] < 60).all() and (first[len(sentence) : 2 * len(sentence) - 1] >= 60).all()
    languages = data.load("made_up_languages", input_shape=(7,), vocabulary=5000)
    english = languages.train.x[languages.train.y == 0]
    runs = [" ", " a", " a ", " a s", "a", "a ", "a s"]  # of "a small dog ..."
    assert any((row == tokens.hashed(runs, 1, 5000)).all() for row in english)
    assert languages.labels == ("English", "German")


def test_their_number_comes_along_where_a_model_asks_for_it():
    inputs = (
        Input(name="ids", shape=(9,), dtype="int32", vocabulary=30),
        Input(name="count", shape=(1,), dtype="int32"),
    )
    reviews = data.load("made_up_reviews", inputs=inputs)
    ids, count = reviews.train.x["ids"], reviews.train.x["count"]
    assert ids.max() < 30 and ids.shape[1] == 9
    np.testing.assert_array_equal((ids > 0).sum(1, keepdims=True), count)
