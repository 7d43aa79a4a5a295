"""n-grams: chances by counts worked by hand, and the network of sorted tables against the smoothed model."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.training.learners.ngram_counts import assign
from edgewright.training.ngrams import Counted, Smoothed

ONES = {"#": 1000, "that": 10, "I": 10, "we": 5, "he": 9, "she": 4, "talk": 8, "talks": 7}
TWOS = {("#", "I"): 7, ("that", "I"): 3, ("I", "talk"): 2, ("we", "talk"): 1, ("he", "talks"): 3, ("she", "talks"): 1}


@pytest.fixture
def counted():
    return Counted([{(word,): count for word, count in ONES.items()}, TWOS], 10_000)


@pytest.mark.parametrize(
    ("word", "before", "chance"),
    [("I", "#", 0.007), ("I", "that", 0.3), ("talk", "I", 0.2), ("talk", "we", 0.2), ("talks", "he", 0.3333),
     ("talks", "she", 0.25)],
)  # fmt: skip
def test_pairs_by_counts(counted, word, before, chance):
    assert counted.likeliest(word, before) == pytest.approx(chance, abs=5e-5)


def test_sentences_by_counts(counted):
    assert counted.of_pairs("I", "talk") == pytest.approx(0.0002)
    assert counted.likeliest("I") * counted.likeliest("talk") == pytest.approx(8e-7)
    assert counted.of_pairs("I", "talks") == 0  # which is why counts are smoothed
    assert counted.likeliest("talk", "nobody") == 0


@pytest.fixture(scope="module")
def text():
    random = np.random.default_rng(0)
    chain = np.cumsum(random.integers(0, 4, 4000)) % 23 * (random.random(4000) < 0.8)
    return np.lib.stride_tricks.sliding_window_view(chain.astype(np.int32), 3)


def test_smoothed_chances_add_up_and_know_what_never_occurred(text):
    model = Smoothed.of(Counted.of(text), 25)
    for before in ((), (3,), (24,), (3, 5), (24, 3), (5, 24)):
        chances = [model.chance(word, *before) for word in range(25)]
        assert sum(chances) == pytest.approx(1) and min(chances) > 0
    assert model.left(24) == 1 and model.chance(7, 24) == model.chance(7)


def test_discounts_and_what_they_leave_by_hand():
    # Pairs ab ab ac: b is discounted to 2 - d, c to 1 - d; d left over of 3 for each of two kinds.
    model = Smoothed.of(Counted([{}, {(0, 1): 2, (0, 2): 1}], 3), 4)
    d = 1 / (1 + 2)  # one pair occurs once, one twice
    assert model.discounts[1] == pytest.approx(d)
    assert model.seen(1, 0) == pytest.approx((2 - d) / 3) and model.left(0) == pytest.approx(2 * d / 3)
    single = (1 - 0.5) / 2 + 0.5 * 2 / 2 / 4  # 1 and 2 follow one kind of word each; no counts of counts: d = .5
    assert model.chance(1) == pytest.approx(single)
    assert model.chance(1, 0) == pytest.approx((2 - d) / 3 + 2 * d / 3 * single)


@pytest.mark.parametrize("order", [2, 3])
def test_the_network_says_what_the_model_does(text, order):
    network = registry.build("ngram_lm", input_shape=(order - 1,), classes=25, contexts=600, runs=1500)
    model = Smoothed.of(Counted.of(text[:, 3 - order :]), 25)
    assign(network.get_layer("logits"), model)
    asked = np.concatenate([text[::97, 3 - order : 2], np.full((1, order - 1), 24)]).astype(np.int32)
    own = [[np.log(model.chance(word, *map(int, before))) for word in range(25)] for before in asked]
    np.testing.assert_allclose(np.asarray(network(asked)), own, rtol=1e-4)


def test_contexts_without_room_leave_all_to_shorter_ones(text):
    network = registry.build("ngram_lm", input_shape=(2,), classes=25, contexts=30, runs=200)
    assign(network.get_layer("logits"), Smoothed.of(Counted.of(text), 25))
    chances = np.exp(np.asarray(network(text[::97, :2])))
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-4)
    with pytest.raises(Exception, match=r"contexts=2000000000.*2\*\*31"):
        registry.build("ngram_lm", contexts=2_000_000_000)
