"""Boosting by hand, its bound on the training error, and a run that goes on after its rounds."""

import keras
import numpy as np
import pytest
from edgewright.errors import EdgewrightError
from edgewright.models import registry
from edgewright.training.config import TrainConfig
from edgewright.training.data import load
from edgewright.training.learners import ensemble
from edgewright.training.learners.ensemble import member_weight, reweighted
from edgewright.training.train import train

CONFIG = TrainConfig(epochs=1, batch_size=64, learning_rate=0.01, jit_compile=False)


def test_a_round_of_adaboost_by_hand():
    """10 samples of equal weight, 3 wrong: a vote of ln(.7/.3)/2; the wrong ones weigh half of all afterwards."""
    wrong = np.arange(10) < 3
    assert member_weight(0.3, 2) == pytest.approx(0.42365, abs=5e-6)
    weights = reweighted(np.full(10, 0.1), wrong, 2)
    np.testing.assert_allclose(weights, np.where(wrong, 0.16667, 0.07143), atol=5e-6)
    assert pytest.approx(0.91652, abs=5e-6) == 2 * (0.3 * 0.7) ** 0.5


def test_ten_classes_raise_the_vote():
    assert member_weight(0.3, 10) == pytest.approx(3.04452, abs=5e-6)
    assert member_weight(0.9, 10) == pytest.approx(0, abs=1e-6)  # as good as chance


@pytest.fixture(scope="module")
def boosted(tmp_path_factory):
    """Return an ensemble on two classes, its data, history and folder."""
    dataset, folder = load("breast_cancer", input_shape=(30,)), tmp_path_factory.mktemp("boosted")
    model = registry.build("boosting", input_shape=(30,), classes=2, members=4, hidden=(2,), hard=True, seed=2)
    return model, dataset, train(model, dataset, CONFIG, learner="boosting", out=folder).history, folder


def test_the_training_error_is_below_the_bound(boosted):
    model, dataset, history, _ = boosted
    bound = np.cumprod([2 * np.sqrt(row["error"] * (1 - row["error"])) for row in history])
    assert len(history) == 4 and all(0 < row["error"] < 0.5 for row in history)
    wrong = (np.asarray(model(dataset.train.x)).argmax(1) != dataset.train.y).mean()
    assert 0 < wrong <= bound[-1] < 1


def test_votes_are_the_members_weights_as_shares_and_their_sum_is_what_the_net_says(boosted):
    model, dataset, history, _ = boosted
    expected = np.array([member_weight(row["error"], 2) for row in history])
    votes = np.asarray(model.get_layer("logits").votes)
    np.testing.assert_allclose(votes, expected / expected.sum(), rtol=1e-5)
    members = keras.Model(model.input, [model.get_layer(f"member_{k}_logits").output for k in range(1, 5)])
    classes = [np.eye(2)[np.asarray(one).argmax(1)] for one in members(dataset.test.x)]
    np.testing.assert_allclose(model(dataset.test.x), np.tensordot(votes, classes, 1), atol=1e-6)


def test_softmax_votes_add_up_to_probabilities():
    model = registry.build("boosting", "edge")
    found = np.asarray(model(np.random.default_rng(0).normal(size=(4, 64))))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_a_run_that_ended_after_two_rounds_goes_on_to_the_same_bits(boosted, tmp_path, monkeypatch):
    model, dataset, history, _ = boosted

    def net():
        return registry.build("boosting", input_shape=(30,), classes=2, members=4, hidden=(2,), hard=True, seed=2)

    rounds, weigh = [], ensemble.member_weight

    def ends_in_the_third(error, classes):
        rounds.append(error)
        if len(rounds) == 3:
            raise EdgewrightError("killed")
        return weigh(error, classes)

    monkeypatch.setattr(ensemble, "member_weight", ends_in_the_third)
    monkeypatch.setattr("edgewright.training.state.RunDir.due", lambda self: self.folder is not None)
    with pytest.raises(EdgewrightError, match="killed"):
        train(net(), dataset, CONFIG, learner="boosting", out=tmp_path)
    again = net()
    again.set_weights([np.zeros_like(weight) for weight in again.get_weights()])  # the checkpoint has what counts
    assert train(again, dataset, CONFIG, learner="boosting", out=tmp_path).history == history
    for one, same in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
