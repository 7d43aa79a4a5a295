"""A look before the training: what a fresh net loses, and one batch learnt by heart."""

from dataclasses import replace

import numpy as np
import pytest
from edgewright.errors import BadInput, EdgewrightError
from edgewright.pipeline import find, sanity
from edgewright.training.config import TrainConfig


@pytest.fixture(scope="module")
def work():
    return find.find("softmax_regression", "digits")


def test_a_fresh_classifier_loses_the_log_of_its_classes_and_learns_a_batch(work):
    found = sanity.check(work, TrainConfig(learning_rate=0.02))
    assert found.chance == pytest.approx(2.3026, abs=1e-4) and 2 < found.fresh < 3.4
    assert found.learnt < 0.5 * found.fresh and "nothing loses 2.3026" in str(found)


def test_a_net_that_cannot_learn_is_refused_before_the_training(work):
    def frozen():
        networks = work.make()
        for model in networks.values():
            model.get_layer("logits").kernel.assign(np.zeros((64, 10)))
            model.get_layer("logits").trainable_variables[0].trainable = False
        return networks

    with pytest.raises(EdgewrightError, match="not learnt by heart"):
        sanity.check(replace(work, make=frozen), TrainConfig())


def test_inputs_out_of_scale_are_told(work):
    big = replace(work.dataset, train=replace(work.dataset.train, x=work.dataset.train.x * 100))
    assert "out of scale" in str(sanity.check(replace(work, dataset=big), TrainConfig(learning_rate=0.02)))


def test_a_game_has_no_loss_of_samples():
    with pytest.raises(BadInput, match="adversarial"):
        sanity.check(find.find("gan_mlp", "digits"), TrainConfig())
