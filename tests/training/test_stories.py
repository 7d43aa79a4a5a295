"""Stories and questions: the official form, made-up ones, chains of facts, sets of what is carried; copies of bits."""

from itertools import pairwise

import numpy as np
import pytest
from edgewright import metrics
from edgewright.errors import BadInput
from edgewright.training.data import Input, load
from edgewright.training.data.copying import copied
from edgewright.training.data.stories import chains, hands, moves, read_babi, words_of
from edgewright.training.losses import AskedCrossentropy

TEXT = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is Daniel? \thallway\t4
1 Sandra got the apple.
2 What is Sandra carrying? \tapple,milk\t1
"""


def inputs(*shape, question=4):
    return {"story": shape, "question": (question,)}


def test_the_official_form_is_read():
    (first, second), (third,) = read_babi(TEXT)
    assert first.story == (words_of("mary moved to the bathroom"), words_of("john went to the hallway"))
    assert first.question == ("where", "is", "mary") and first.answers == ("bathroom",) and first.facts == (0,)
    assert len(second.story) == 3 and second.facts == (2,)  # the line of a question is none of the story
    assert third.answers == ("apple", "milk") and len(third.story) == 1


def test_made_up_answers_follow_from_the_last_move():
    for questions in (moves(np.random.default_rng(seed)) for seed in range(5)):
        assert [len(each.story) for each in questions] == [2, 4, 6, 8, 10]
        for each in questions:
            who = each.question[-1]
            last = max(place for place, sentence in enumerate(each.story) if sentence[0] == who)
            assert each.facts == (last,) and each.answers == (each.story[last][-1],)


def test_chains_take_three_facts():
    for each in chains(np.random.default_rng(0)):
        first, second, third = (each.story[fact] for fact in each.facts)
        assert first[0] == each.question[-1] and first[-1] == second[-1]
        assert second[0] == third[0] != first[0] and each.answers == (third[-1],)
        assert sum(sentence[0] == first[0] for sentence in each.story) == 1  # its own colour is not told


def test_what_is_carried_is_a_set():
    questions = [each for seed in range(20) for each in hands(np.random.default_rng(seed))]
    for each in questions:
        held = []
        for sentence in each.story:
            if sentence[0] == each.question[2] and sentence[1] == "picked":
                held.append(sentence[-1])
            elif sentence[0] == each.question[2] and sentence[1] == "dropped":
                held.remove(sentence[-1])
        assert sorted(each.answers) == sorted(held)
    grown = [
        (before, after)
        for before, after in pairwise(questions)
        if after.question == before.question and after.story[:-1] == before.story and after.story[-1][1] == "picked"
    ]
    assert any(len(before.answers) == 1 and len(after.answers) == 2 for before, after in grown)
    assert all(set(before.answers) < set(after.answers) for before, after in grown)


def test_stories_are_rows_of_words():
    data = load("made_up_stories", input_shape=inputs(6, 7), dtype="int32", task="classification")
    story, words = data.train.x["story"], data.tokens
    assert data.classes == len(words) == data.vocabulary and [len(data.train), len(data.test)] == [8000, 600]
    assert story.shape[1:] == (6, 7) and (story[:, -1, 0] > 0).all() and (story[0, :4] == 0).all()
    assert {words[answer] for answer in data.train.y} == {"bathroom", "hallway", "garden", "office", "bedroom",
                                                          "kitchen"}  # fmt: skip
    with pytest.raises(BadInput, match="the model takes 3"):
        load("made_up_stories", input_shape=inputs(6, 3), dtype="int32")
    with pytest.raises(BadInput, match="story, question"):
        load("made_up_stories", inputs=[Input(name="a", shape=(3,)), Input(name="b", shape=(3,))])


def test_sets_are_yes_or_no_a_word():
    data = load("carrying", input_shape=inputs(10, 6), dtype="int32", task="multilabel")
    assert data.train.y.shape[1] == len(data.tokens) and set(data.train.y.sum(-1)) >= {0, 1, 2}
    assert {data.tokens[word] for word in data.train.y.any(0).nonzero()[0]} == {"football", "apple", "milk"}
    chain = load("fact_chains", input_shape=inputs(9, 4), dtype="int32")
    assert {chain.tokens[word] for word in np.unique(chain.test.y)} == {"red", "green", "white"}


def test_official_stories_where_they_are():
    from edgewright.training.data import available

    if not available("babi"):
        pytest.skip("bAbI is not in EDGEWRIGHT_DATA")
    data = load("babi", input_shape=inputs(10, 7), dtype="int32", task="classification")
    assert [len(split) for split in data.splits.values()] == [9000, 1000, 1000] and data.classes == 20
    counts = dict(zip(*np.unique([data.tokens[y] for y in [*data.train.y, *data.validation.y]], return_counts=True),
                      strict=True))  # fmt: skip
    assert counts["bathroom"] == 1733 and counts["kitchen"] == 1644


# ---------------------------------------------------------------- copies


def test_bits_are_said_again_behind_a_mark():
    split = copied(np.random.default_rng(0), np.array([2, 1]), 5, 3)
    x, y = np.asarray(split.x), split.y
    assert x[0, 2].tolist() == [0, 0, 0, 1] and x[1, 1].tolist() == [0, 0, 0, 1] and not x[0, 3:].any()
    np.testing.assert_array_equal(y[0, 3:], x[0, :2, :3])
    assert (y[0, :3] == -1).all() and (y[1, [0, 1, 3, 4]] == -1).all()
    with pytest.raises(BadInput, match="mark"):
        load("copy_task", input_shape=(2, 9))


def test_only_what_is_asked_for_is_judged():
    targets = np.array([[[1.0, 0.0], [-1.0, -1.0]]], "float32")
    answers = np.array([[[2.0, 3.0], [9.0, 9.0]]], "float32")
    assert metrics.get("bits").scores(answers, targets).tolist() == [[0.5]]
    loss = float(AskedCrossentropy()(targets, answers))
    assert loss == pytest.approx((np.log1p(np.exp(-2)) + 3 + np.log1p(np.exp(-3))) / 2, rel=1e-5)
