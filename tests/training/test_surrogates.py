"""Surrogate tasks: what is asked, worked by hand; and the probe that judges what was learned from them."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.metrics import get
from edgewright.training import data, surrogates, tasks
from edgewright.training.data.coloured import LIGHT, inks
from edgewright.training.data.images import GREY
from edgewright.training.surrogates import READINGS, SURROGATES
from edgewright.training.tasks.linear_probe import fitted

IMAGES = np.random.default_rng(0).random((40, 6, 6, 1)).astype(np.float32)


def asked(name, samples=IMAGES, answer=(4,), seed=1):
    return SURROGATES[name].ask(samples, answer, np.random.default_rng(seed))


def test_a_constant_answer_to_rotations_scores_a_quarter():
    parts, turns = asked("rotation")
    for answer in range(4):
        constant = np.eye(4)[np.full(len(turns), answer)]
        assert get("accuracy").reduce(get("accuracy").scores(constant, turns)) == 0.25
    for image, part, turn in zip(IMAGES, parts[:, 0], turns, strict=True):
        np.testing.assert_array_equal(np.rot90(part, -turn), image)
    with pytest.raises(BadInput, match="square"):
        asked("rotation", np.zeros((4, 6, 5, 1), np.float32))


def test_tiles_are_cut_in_reading_order_and_come_back_by_the_order_that_is_told():
    whole = np.arange(36.0, dtype=np.float32).reshape(1, 6, 6, 1)
    cut = surrogates.tiles(whole)[0, ..., 0]
    np.testing.assert_array_equal(cut[:4], [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]],
                                            [[12, 13], [18, 19]]])  # fmt: skip
    parts, chosen = asked("jigsaw", answer=(8,))
    orders = surrogates.distant_orders(8)
    for image, part, order in zip(surrogates.tiles(IMAGES), parts, orders[chosen], strict=True):
        np.testing.assert_array_equal(part[np.argsort(order)], image)


def test_orders_of_tiles_are_as_unlike_as_can_be():
    orders = surrogates.distant_orders(9)
    assert all(sorted(order) == list(range(9)) for order in orders.tolist())
    apart = (orders[:, None] != orders).sum(-1)
    assert (apart[~np.eye(9, dtype=bool)] == 9).all()  # nine orders can differ in every place: the next ones cannot
    more = surrogates.distant_orders(12)
    np.testing.assert_array_equal(more[:9], orders)
    assert (more[9:, None] != more[:9]).sum(-1).min() == 8


def test_opponents_of_known_colours():
    red, white, grey = surrogates.opponents(np.array([[1.0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]]))
    assert red == pytest.approx([53.24, 80.09, 67.20], abs=0.02)  # of CIE 1976 under D65
    assert white == pytest.approx([100, 0, 0], abs=0.01)
    assert grey == pytest.approx([53.39, 0, 0], abs=0.01)


def test_what_is_asked_of_grey_pictures_is_their_colour():
    colours = np.array([[0.9, 0.1, 0.1], [0.1, 0.6, 0.1], [0.5, 0.5, 0.5]], np.float32)
    images = np.broadcast_to(colours[:, None, None], (3, 4, 4, 3))
    parts, truth = asked("colorization", images, (2, 2, 32))
    entries = surrogates.palette(32)
    assert entries.shape == (32, 2) and len(np.unique(entries, axis=0)) == 32
    assert parts.shape == (3, 1, 4, 4, 1) and parts[:, 0, 0, 0, 0] == pytest.approx(colours @ GREY)
    assert truth.shape == (3, 2, 2) and all(len(np.unique(each)) == 1 for each in truth)
    for colour, place in zip(surrogates.opponents(colours)[:, 1:], truth[:, 0, 0], strict=True):
        assert place == np.linalg.norm(entries - colour, axis=1).argmin()
    assert (entries[truth[2, 0, 0]] == 0).all()


def test_a_distorted_picture_has_the_same_values_and_stands_as_often_first_as_second():
    parts, truth = asked("original_or_distorted")
    first = np.arange(len(IMAGES))
    np.testing.assert_array_equal(parts[first, truth], IMAGES)
    distorted = parts[first, 1 - truth]
    np.testing.assert_array_equal(np.sort(distorted.reshape(40, -1)), np.sort(IMAGES.reshape(40, -1)))
    changed = (distorted != IMAGES).reshape(40, -1).sum(1)
    assert len(np.unique(changed)) == 1 and changed[0] >= 8  # of 3x3 turned by half the middle stays
    assert 10 < truth.sum() < 30


def test_the_last_frame_is_asked_for_and_not_shown():
    videos = np.random.default_rng(0).random((2, 5, 4, 4, 1)).astype(np.float32)
    parts, truth = asked("next_frame", videos)
    np.testing.assert_array_equal(truth, videos[:, -1])
    np.testing.assert_array_equal(parts[:, 0, ..., 3], videos[:, 3, ..., 0])
    assert parts.shape == (2, 1, 4, 4, 4)


@pytest.mark.parametrize(
    ("kind", "own", "sample"),
    [
        ("whole", (4, 4, 3), (4, 4, 3)),
        ("tiles", (2, 2, 1), (6, 6, 1)),
        ("grey", (4, 4, 1), (4, 4, 3)),
        ("past", (4, 4, 2), (3, 4, 4, 1)),
    ],
)
def test_a_reading_gives_parts_as_the_encoder_takes_them(kind, own, sample):
    assert READINGS[kind].shape(own) == sample
    parts = READINGS[kind].read(np.zeros((5, *sample), np.float32))
    assert parts.shape[0] == 5 and parts.shape[2:] == own


def test_views_are_other_pictures_of_the_same_range_and_a_function_of_chance():
    one, again, other = (surrogates.views(IMAGES, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1 and one.min() >= 0 and one.max() <= 1
    flat = surrogates.views(np.full((50, 6, 6, 1), 0.5, np.float32), np.random.default_rng(0))
    assert np.ptp(flat, axis=(1, 2, 3)).max() < 1e-6  # a part of nothing shows nothing
    assert 0.35 <= flat.min() < 0.4 and 0.6 < flat.max() <= 0.65  # but in another light


def test_coloured_digits_tell_their_class_by_hue_and_not_by_light():
    found = data.load("coloured_digits", input_shape=(8, 8, 3))
    plain = data.load("digits", input_shape=(8, 8, 1))
    np.testing.assert_allclose(found.test.x @ GREY, LIGHT * plain.test.x[..., 0], atol=1e-5)
    hues = inks(2 * np.pi * np.arange(12) / 12)
    assert hues.min() >= -1e-6 and hues.max() <= 1 + 1e-6 and hues @ GREY == pytest.approx(LIGHT, abs=1e-5)
    assert len(np.unique(hues.round(3), axis=0)) == 12
    with pytest.raises(BadInput, match=r"height, width, 3"):
        data.load("coloured_digits", input_shape=(8, 8, 1))


def test_the_probe_is_logistic_regression_and_leaves_out_classes_that_it_never_saw():
    vectors = np.array([[0.0, 5], [1, 5], [4, 5], [5, 5]])
    chances = fitted(vectors, np.array([0, 0, 2, 2]))(np.array([[0.5, 5], [4.5, 5]]))
    assert chances.shape == (2, 3) and chances.sum(1) == pytest.approx(1)
    assert chances.argmax(1).tolist() == [0, 2] and (chances[:, 1] == 0).all()


def test_a_probe_of_pixels_is_what_scikit_learn_makes_of_them():
    """An encoder that does nothing: the runner is a function."""
    from sklearn.linear_model import LogisticRegression

    whole = data.load("digits", input_shape=(8, 8, 1))
    probe = tasks.get("linear_probe")
    dataset = probe.present(whole, {"encoder": _nothing()})

    def run(network, inputs):
        (x,) = inputs.values()
        return {"vector": x.reshape(len(x), -1)}

    x, x_test = (np.asarray(split.x).reshape(len(split), -1) for split in (whole.train, whole.test))
    mean, deviation = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1)
    model = LogisticRegression(max_iter=1000).fit((x - mean) / deviation, whole.train.y)
    expected = model.score((x_test - mean) / deviation, whole.test.y)
    scores = probe.evaluate(run, dataset)
    assert probe.metric.reduce(scores.rows) == expected > 0.9 and len(scores.units) == len(whole.test)
    shown = probe.pictures(run, dataset)
    assert shown["samples"].shape == shown["nearest"].shape == (8, 8, 8, 1)
    pixels = shown["nearest"].reshape(8, 1, -1), x.reshape(1, -1, 64)
    assert (np.abs(pixels[0] - pixels[1]).max(-1).min(1) == 0).all()  # they are training samples


def _nothing():
    import keras

    inputs = keras.Input((8, 8, 1), name="images")
    return keras.Model(inputs, keras.layers.Flatten(name="vector")(inputs))
