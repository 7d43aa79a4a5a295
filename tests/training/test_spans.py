"""Spans taken out of texts come back; the task's perplexity is that of the sequence net."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data
from edgewright.training.data.spans import corrupted, reassembled, spans_of, taken, text_length

SHAPE = {"source": (32,), "target": (8,)}


def test_a_worked_example():
    """Thank you for inviting me to your party last week: figure 2 of arXiv:1910.10683."""
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week"]
    ids = np.arange(len(words))
    source, target = corrupted(ids, [(2, 4), (8, 9)], first=100)
    assert source == [0, 1, 100, 4, 5, 6, 7, 101, 9] and target == [100, 2, 3, 101, 8]
    assert reassembled(source, target, first=100) == list(ids)


def test_lengths_are_those_of_the_published_model():
    length = text_length(512)
    noise, count = taken(length)
    assert (length, length - noise + count + 1, noise + count + 1) == (568, 512, 114)


def test_spans_do_not_touch_and_are_as_many_tokens_as_asked():
    random, starts = np.random.default_rng(0), set()
    for _ in range(300):
        spans = spans_of(40, random)
        assert len(spans) == 2 and sum(stop - start for start, stop in spans) == 6
        (first, end), (second, last) = spans
        assert 0 < first < end < second < last <= 40
        starts.add(first)
    assert len(starts) > 20


def test_every_text_comes_back():
    dataset = data.load("text_spans", input_shape=SHAPE, task="span_corruption")
    first = dataset.labels.index("<span 0>")
    for split in dataset.splits.values():
        for source, target, truth in zip(split.x["source"], split.x["target"], split.y, strict=True):
            given, said = source[source != 0], truth[truth != 0]
            assert given[-1] == said[-1] == 2 and target[0] == 1  # both end, and the decoder begins with <s>
            np.testing.assert_array_equal(target[1 : len(said)], said[:-1])
            whole = reassembled(given[:-1], said[:-1], first)
            assert len(whole) == text_length(32) and max(whole) < first and min(whole) > 3
    text = "".join(dataset.labels[token] for token in whole)
    import importlib.resources

    pages = importlib.resources.files("sklearn.datasets.descr").iterdir()
    assert any(text in page.read_text("utf-8") for page in pages if page.name.endswith(".rst"))


def test_a_target_that_is_too_short_is_refused():
    with pytest.raises(BadInput, match="target of 8"):
        data.load("text_spans", input_shape={"source": (32,), "target": (7,)}, task="span_corruption")
    with pytest.raises(BadInput, match="source"):
        data.load("text_spans", input_shape=(32,))
