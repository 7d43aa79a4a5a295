"""Truncated backpropagation: batches in the order of the text, states carried, gradients cut at the border."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.prune import PruneConfig, prepare_prune
from edgewright.training import data
from edgewright.training.config import TrainConfig
from edgewright.training.data import Dataset, Split
from edgewright.training.distillation import Distillation
from edgewright.training.learners.carrying import GOES_ON, SAMPLES, Carried, Streams, carrying
from edgewright.training.train import train

KINDS, LENGTH = 9, 5


def windows(text):
    cut = np.lib.stride_tricks.sliding_window_view(np.asarray(text, np.int32), LENGTH + 1)[::LENGTH]
    return Split(x=cut[:, :-1].copy(), y=cut[:, 1:].copy())


def net(length=LENGTH, recurrence=keras.layers.LSTM):
    inputs = keras.Input((length,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(KINDS, 4, embeddings_initializer="normal", name="table")(inputs)
    for name in ("first", "second"):
        x = recurrence(3, return_sequences=True, name=name)(x)
    return keras.Model(inputs, keras.layers.Dense(KINDS, name="logits")(x), name="net")


def test_rows_go_on_from_batch_to_batch_and_from_pass_to_pass():
    split = windows(np.arange(61))
    batches = Streams(split, split.y, TrainConfig(batch_size=3, passes=2))
    seen = [batches[step] for step in range(len(batches))]
    assert len(seen) == 8 and seen[0][0][GOES_ON].tolist() == [0, 1, 1]
    rows = np.stack([given[SAMPLES][:, 0] for given, _ in seen], axis=1)  # (3, 8)
    assert rows[0].tolist() == list(range(0, 40, 5)) and rows[2].tolist() == [*range(40, 60, 5), *range(0, 20, 5)]
    assert sum(given[GOES_ON].sum() for given, _ in seen) == 22  # the text begins twice
    batches.begin(1)
    np.testing.assert_array_equal(batches[0][0][SAMPLES], seen[0][0][SAMPLES])


@pytest.mark.parametrize("form", [lambda model: model, lambda model: prepare_prune(model, PruneConfig())[0]])
def test_a_text_in_pieces_is_read_as_the_whole(form):
    model, whole, tokens = net(), net(3 * LENGTH), np.random.default_rng(0).integers(0, KINDS, (2, 3 * LENGTH))
    model.set_weights([4 * weight for weight in model.get_weights()])
    whole.set_weights(model.get_weights())
    trained = Carried(form(model), (), 2)
    assert len(trained.states) == 2 and len(trained.trainable_variables) == len(model.trainable_variables)
    pieces = np.split(tokens, 3, axis=1)

    def said(goes_on):
        return [np.asarray(trained({SAMPLES: piece, GOES_ON: np.float32(goes_on)}, training=True)) for piece in pieces]

    together = np.concatenate(said([1, 1]), axis=1)
    np.testing.assert_allclose(together, np.asarray(whole(tokens)), rtol=1e-4, atol=1e-5)
    trained.begin_epoch(1, 2)
    anew = said([1, 0])
    np.testing.assert_allclose(np.concatenate(anew, axis=1)[0], together[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(anew[2][1], np.asarray(model(pieces[2]))[1], rtol=1e-4, atol=1e-5)
    plain = np.asarray(trained.network(pieces[2], training=False))
    np.testing.assert_array_equal(np.asarray(trained(pieces[2], training=False)), plain)


def test_the_gradient_ends_at_the_border_the_state_does_not():
    """A token that only the window before has changes what is lost, and learns nothing of it."""
    model = carrying(net(), (), 1)
    model.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def step(token, goes_on):
        given = {SAMPLES: np.full((1, LENGTH), token, np.int32), GOES_ON: np.float32([goes_on])}
        return float(model.train_on_batch(given, np.full((1, LENGTH), 2)))

    before, states = model.network.get_weights(), [np.asarray(state) for state in keras.tree.flatten(model.states)]
    table = model.network.get_layer("table").embeddings
    assert not any(state.any() for state in states)
    step(1, 0.0)
    learned = np.asarray(table)[1]
    carried = step(3, 1.0)
    assert not np.array_equal(learned, before[0][1]) and np.array_equal(np.asarray(table)[1], learned)
    model.network.set_weights(before)
    step(1, 0.0)
    assert carried != step(3, 0.0)


def text_data():
    text = np.tile(np.arange(KINDS), 60)
    return Dataset(name="text", task="next_token", classes=KINDS, vocabulary=KINDS,
                   train=windows(text), validation=windows(text[:80]), test=windows(text[:80]))  # fmt: skip


def test_a_training_carries_and_repeats():
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = net(recurrence=keras.layers.GRU)
        config = TrainConfig(epochs=2, batch_size=9, learning_rate=0.02, carry_states=True)
        history = train(model, text_data(), config).history
        weights.append(model.get_weights())
    assert history[1]["val_loss"] < history[0]["val_loss"]
    assert all(np.array_equal(one, other) for one, other in zip(*weights, strict=True))


def test_what_does_not_go_on_is_refused():
    config, texts = TrainConfig(carry_states=True), text_data()
    shuffled = replace(texts, train=texts.train.take(np.random.default_rng(0).permutation(len(texts.train))))
    inputs = keras.Input((LENGTH,), dtype="int32")
    both = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True), name="both")
    table = keras.layers.Embedding(KINDS, 4)(inputs)
    plain = keras.Model(inputs, keras.layers.Dense(KINDS)(table), name="plain")
    backwards = keras.Model(inputs, keras.layers.Dense(KINDS)(both(table)))
    digits = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    for model, given, words, more in (
        (net(), shuffled, "begin where the one before ends", {}),
        (plain, texts, "'plain' has no recurrence", {}),
        (backwards, texts, "reads backwards", {}),
        (net(), texts, "a teacher reads each window", {"teaching": Distillation(teacher=plain)}),
        (digits, data.load("digits"), "no recurrence|windows of tokens", {}),
    ):
        with pytest.raises(BadInput, match=words):
            train(model, given, config, **more)


def test_a_quantization_aware_network_reads_each_window_from_zero(capsys):
    class Operators(keras.layers.Layer):
        is_quantization_aware = True

        def call(self, x):
            return 2.0 * x

    inputs = keras.Input((2,))
    model = carrying(keras.Model(inputs, Operators()(inputs), name="aware"), (), 1)
    x = np.ones((1, 2), np.float32)
    for given, training in (({SAMPLES: x, GOES_ON: np.ones(1, np.float32)}, True), (x, False)):
        np.testing.assert_array_equal(np.asarray(model(given, training=training)), 2 * x)
    assert "no state is carried" in capsys.readouterr().err
