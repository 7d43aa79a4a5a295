"""Reading: passages of stories, the best span, and a reader judged by it."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.reading import passage
from edgewright.training import tasks
from edgewright.training.data import load
from edgewright.training.data.reading import ALPHABET
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.reading import best_spans


def test_the_best_span_ends_behind_its_start_and_on_no_padding():
    start, end = np.array([[0.0, 0, 3, 1]]), np.array([[3.5, 0, 1, 9]])
    assert best_spans(start, end, np.array([[1, 1, 1, 0]]) > 0).tolist() == [[2, 2]]  # 3 + 1 is more than 0 + 3.5
    assert best_spans(start, end, np.ones((1, 4)) > 0).tolist() == [[2, 3]]
    assert best_spans(np.array([[5.0, 0]]), np.array([[0.0, 5]]), np.ones((1, 2)) > 0).tolist() == [[0, 1]]


def test_the_best_span_is_the_best_of_all():
    random = np.random.default_rng(0)
    for _ in range(10):
        start, end = random.normal(size=(2, 1, 6))
        best = max((start[0, i] + end[0, j], i, j) for i in range(6) for j in range(i, 6))[1:]
        assert best_spans(start, end, np.ones((1, 6)) > 0).tolist() == [list(best)]


def test_an_answer_is_a_span_of_the_last_words():
    data = load("made_up_stories", input_shape=passage(14, 4, 10), dtype="int32", task="reading")
    x, y = data.test.x, data.test.y
    words = [[data.tokens[word] for word in row] for row in x["context"]]
    said = {row[place] for row, place in zip(words, y["start"], strict=True)}
    assert said == {"bathroom", "hallway", "garden", "office", "bedroom", "kitchen"}
    np.testing.assert_array_equal(y["start"], y["end"])
    assert len(data.test) < 600 and "questions left out" in data.preprocessing  # told too long ago
    np.testing.assert_array_equal(x["context_mask"] == 1, x["context"] > 0)
    people = {"mary", "john", "daniel", "sandra"}
    assert all(row[0] in people for row in words)  # a sentence that does not fit is not there at all
    who = [data.tokens[word] for word in x["question"][:, 2]]
    assert all(name in row[:place] for name, row, place in zip(who, words, y["start"], strict=True))
    spelled = ["".join(ALPHABET[letter] for letter in word).strip() for word in x["context_letters"][0]]
    assert spelled == words[0]


@pytest.fixture(scope="module")
def presented():
    small = {"input_shape": passage(12, 4, 10), "units": 3, "filters": 4}
    networks, task = registry.networks("bidaf", "edge", **small), tasks.get("reading")
    return networks, task, task.present("made_up_stories", networks, limit=64, test_limit=32)


def test_a_reader_is_judged_by_whole_spans(presented):
    networks, task, data = presented
    assert list(data.heads) == ["end", "start"] and data.task == "reading"
    scores = task.evaluate(KerasRunner(networks), data)
    answers = networks["bidaf"](dict(data.test.x))
    said = best_spans(*(np.asarray(answers[head]) for head in ("start", "end")), there=data.test.x["context_mask"] != 0)
    right = (said == np.stack([data.test.y["start"], data.test.y["end"]], -1)).all(-1)
    np.testing.assert_array_equal(scores.rows[:, 0], right)
    assert len(task.samples(data, "bidaf", 8)["context"]) == 8 and task.metric.name == "accuracy"
