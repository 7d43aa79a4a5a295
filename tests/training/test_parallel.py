"""All tokens at once: the length stands first, and cuts what is said."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import tasks
from edgewright.training.data.dataset import Split
from edgewright.training.tasks.parallel import with_lengths

TASK = tasks.get("parallel_translation")
NAME = "non_autoregressive_transformer"
SIZES = {"input_shape": (12,), "width": 8, "heads": 2, "depth": 1, "feed_forward": 8}


def test_targets_begin_with_their_length():
    split = Split(x={"source": np.array([[7, 2, 0], [8, 9, 2]]), "target": np.array([[1, 5, 0], [1, 6, 7]])},
                  y=np.array([[5, 2, 0], [6, 7, 2]]))  # fmt: skip
    made = with_lengths(split)
    np.testing.assert_array_equal(made.y, [[1, 5, 0], [2, 6, 7]])
    np.testing.assert_array_equal(made.x, split.x["source"])


@pytest.fixture(scope="module")
def presented():
    networks = registry.networks(NAME, "edge", classes=120, **SIZES)
    return networks, TASK.present("number_words", networks, limit=32, test_limit=8)


def says(dataset, counts, tokens):
    """Return a runner that says these tokens, and that so many of them count."""
    logits = np.zeros((len(tokens), 12, dataset.classes), np.float32)
    answers = np.concatenate([counts[:, None], tokens], axis=1)
    np.put_along_axis(logits, answers[..., None], 1.0, axis=-1)
    return lambda network, inputs: {"logits": logits}


def test_what_is_said_behind_the_length_does_not_count(presented):
    _, dataset = presented
    truth = dataset.test.y
    counts, tokens = truth[:, 0], np.where(truth[:, 1:] == 0, 7, truth[:, 1:])
    assert (counts == 5).all()  # of five digits
    right, short = (TASK.evaluate(says(dataset, given, tokens), dataset) for given in (counts, counts - 1))
    assert TASK.metric.reduce(right.rows) == pytest.approx(100)
    assert TASK.metric.reduce(short.rows) < 90


def test_the_net_answers_each_place_and_is_as_long_as_the_source(presented):
    networks, dataset = presented
    assert networks[NAME].output_shape == (None, 12, 120) and dataset.input_shape == (12,)
    assert TASK.samples(dataset, NAME, 5)["inputs"].shape == (5, 12)
    answers = np.asarray(networks[NAME](dataset.test.x))
    assert answers.shape == (8, 12, 120) and np.ptp(answers) > 0.1
    with pytest.raises(BadInput, match=r"token id .* is 32, outside"):
        TASK.present("number_words", registry.networks(NAME, "edge", classes=20, **{**SIZES, "input_shape": (64,)}))
