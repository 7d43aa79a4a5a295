"""Pairs both ways: what is asked for is named by the first target token, and decoding begins with it."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import data, tasks
from edgewright.training.data.dataset import Split
from edgewright.training.data.languages import both_ways
from edgewright.training.decoding import Speaker, greedy

SHAPE = {"source": (12,), "target": (12,)}


def test_a_worked_pair():
    split = Split(x={"source": np.array([[7, 8, 9, 2, 0]]), "target": np.array([[1, 5, 6, 0, 0]])},
                  y=np.array([[5, 6, 2, 0, 0]]))  # fmt: skip
    both = both_ways(split, first=20)
    np.testing.assert_array_equal(both.x["source"], [[7, 8, 9, 2, 0], [5, 6, 2, 0, 0]])
    np.testing.assert_array_equal(both.x["target"], [[20, 5, 6, 0, 0], [21, 7, 8, 9, 0]])
    np.testing.assert_array_equal(both.y, [[5, 6, 2, 0, 0], [7, 8, 9, 2, 0]])
    assert split.x["target"][0, 0] == 1  # the argument is untouched


def test_numbers_in_words_and_digits():
    dataset = data.load("number_words_both", input_shape=SHAPE, vocabulary=90, task="translation")
    assert dataset.labels[-2:] == ("<to digits>", "<to words>") and dataset.classes == len(dataset.labels) <= 90
    first = dataset.test.x["target"][:, 0]
    np.testing.assert_array_equal(np.unique(first, return_counts=True)[1], [len(first) / 2] * 2)
    digits = [sum(dataset.labels[token].lstrip("▁").isdigit() for token in row) for row in dataset.test.y]
    assert (np.array(digits)[::2] == 5).all() and (np.array(digits)[1::2] == 0).all()
    with pytest.raises(BadInput, match="as long"):
        data.load("number_words_both", input_shape={"source": (12,), "target": (8,)}, task="translation")


class Told:
    """A runner that remembers what a step reads first."""

    def __call__(self, network, inputs):
        return {name: np.zeros((len(inputs["source"]), 12, 8)) for name in ("memory_key_1", "memory_value_1")}

    def unroll(self, network, given, *, first, steps, feed, held):
        self.first = first
        return {"logits": np.zeros((len(first["token"]), steps, 9))}


def test_decoding_begins_with_the_token_of_each_sentence():
    run = Told()
    greedy(Speaker(run=run, network="step", count=3, length=2, begin=np.array([7, 8, 7])))
    np.testing.assert_array_equal(run.first["token"], [[7], [8], [7]])
    speaker = Speaker(run=run, network="step", count=2, length=2, begin=np.array([7, 8]))
    np.testing.assert_array_equal(speaker.tokens(4), [[7], [7], [8], [8]])  # of a beam


def test_the_task_asks_for_the_language_of_each_target():
    sizes = {"input_shape": SHAPE, "width": 8, "heads": 2, "depth": 1, "feed_forward": 8}
    networks, task, run = registry.networks("multilingual_nmt", "edge", **sizes), tasks.get("translation"), Told()
    dataset = task.present("number_words_both", networks, rebuilt=True, limit=32, test_limit=6)
    task.evaluate(run, dataset)
    first = run.first["token"][:, 0]
    np.testing.assert_array_equal(first, dataset.test.x["target"][:, 0])
    assert set(first) == {dataset.classes - 2, dataset.classes - 1}
