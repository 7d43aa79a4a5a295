"""The transducer: its loss against all ways to emit a text, and when it says what."""

from itertools import combinations

import keras
import numpy as np
import pytest
from edgewright import metrics
from edgewright.training.transduction import TransducerLoss, log_likelihood, said_greedily

R = np.random.default_rng(0)


def brute_force(logits, symbols):
    """Return the log of the summed chances of all ways: of T + U answers the last is a blank."""
    frames = len(logits)
    likely = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    total = 0.0
    for spoken in combinations(range(frames + len(symbols) - 1), len(symbols)):
        t = u = 0
        chance = 0.0
        for answer in range(frames + len(symbols)):
            symbol = symbols[u] if answer in spoken else 0
            chance += likely[t, u, symbol]
            t, u = (t, u + 1) if answer in spoken else (t + 1, u)
        total += np.exp(chance)
    return np.log(total)


@pytest.mark.parametrize(("frames", "places"), [(1, 1), (1, 3), (3, 1), (2, 3), (4, 3), (3, 4)])
def test_the_loss_is_that_of_all_ways(frames, places):
    logits = R.normal(size=(2, frames, places, 4)).astype("f4")
    symbols = R.integers(1, 4, (2, places - 1)).astype("int32")
    if places > 2:
        symbols[1, -1] = 0  # a shorter text
    expected = [brute_force(lattice, row[row != 0]) for lattice, row in zip(logits, symbols, strict=True)]
    np.testing.assert_allclose(log_likelihood(symbols, logits), expected, atol=1e-5)
    loss = TransducerLoss()(symbols, logits)
    np.testing.assert_allclose(loss, -np.mean(expected) / max(1, places - 1), atol=1e-5)


def test_one_symbol_in_two_frames_by_hand():
    """Chances .5 of the blank and of the symbol everywhere: said in the first frame or the second, 2 x .5^3."""
    logits = np.zeros((1, 2, 2, 2), "f4")
    np.testing.assert_allclose(log_likelihood(np.array([[1]]), logits), [np.log(0.25)], atol=1e-6)


def test_the_gradient_is_finite_where_a_way_has_no_chance():
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        pytest.skip("a tape is TensorFlow's")
    logits = tf.Variable(np.array(1e3 * R.normal(size=(2, 3, 3, 3)), "f4"))
    with tf.GradientTape() as tape:
        loss = TransducerLoss()(np.array([[1, 2], [1, 0]]), logits)
    assert np.isfinite(np.asarray(tape.gradient(loss, logits))).all()


def test_greedy_speech_stays_at_a_frame_until_it_has_nothing_to_say():
    """Frames ask for a number of symbols; the prediction net knows how many were said."""
    frames = np.array([[[1], [0], [2]], [[0], [0], [1]]], "f4")
    said = np.zeros((2, 1))

    def before(tokens, who):
        said[who] += tokens[who] != 0
        return said.copy()

    heard = {}

    def logits(frame, told):
        rows = []
        for sample in range(2):
            at = heard.setdefault(sample, [])
            at.append(float(frame[sample, 0, 0]))
            rows.append([0.5, frame[sample, 0, 0] - len([x for x in at[:-1] if x == frame[sample, 0, 0]])])
        return np.array(rows)

    np.testing.assert_array_equal(said_greedily(frames, before, logits, 4)[:, :3], [[1, 1, 1], [1, 0, 0]])


def test_symbol_errors_by_hand():
    """kitten to sitting is three edits; nothing said of two symbols is two."""
    kitten, sitting = ([ord(letter) for letter in word] for word in ("kitten", "sitting"))
    metric = metrics.get("symbol_error_rate")
    rows = metric.scores(np.array([[*kitten, 0], [0] * 7]), np.array([sitting, [1, 2, 0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(rows, [[3, 7], [2, 2]])
    assert metric.reduce(rows) == pytest.approx(5 / 9) and not metric.higher_is_better
