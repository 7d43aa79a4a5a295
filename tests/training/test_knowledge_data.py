"""Facts and interactions: relations that compose, both ways of asking, what does not count, parts that are apart."""

import numpy as np
import pytest
from edgewright.training.data import available, load
from edgewright.training.data.knowledge import divided, family, of_facts
from edgewright.training.data.sets import Asked

ASKED = Asked(input_shape=(2,), dtype="int32", task="retrieval")


def test_relations_of_a_family_compose():
    facts = set(family(0).facts())
    of = {relation: {(a, b) for a, r, b in facts if r == relation} for _, relation, _ in facts}
    assert of["grandparent"] == {(a, c) for a, b in of["parent"] for b2, c in of["parent"] if b == b2}
    assert of["uncle or aunt"] == {(a, c) for a, b in of["sibling"] for b2, c in of["parent"] if b == b2}
    for relation in ("sibling", "spouse"):
        assert of[relation] == {(b, a) for a, b in of[relation]}
    assert all(sum(child == name for _, child in of["parent"]) == 2 for _, name in of["parent"])


def test_facts_are_asked_both_ways():
    parts = {"train": [("ann", "likes", "bob"), ("ann", "likes", "cy"), ("bob", "knows", "cy")],
             "validation": [("bob", "likes", "cy")], "test": [("cy", "likes", "cy")]}  # fmt: skip
    data = of_facts("three", parts, ASKED, ("generated",))
    assert data.labels == ("ann", "bob", "cy") and data.classes == 3 and data.sizes == {"relations": 4}
    # knows is 0 and likes 1; turned round they are 2 and 3.
    assert data.train.x.tolist() == [[1, 1], [2, 1], [2, 0], [0, 3], [0, 3], [1, 2]]
    assert data.train.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.known[(2, 1)].tolist() == [0, 1, 2]  # who likes cy, in any part


def test_held_out_facts_are_about_those_that_were_met():
    parts = divided(family(0).facts(), seed=1)
    met = {name for head, _, tail in parts["train"] for name in (head, tail)}
    for part in ("validation", "test"):
        assert len(parts[part]) > 80 and not set(parts[part]) & set(parts["train"])
        assert {name for head, _, tail in parts[part] for name in (head, tail)} <= met


@pytest.mark.skipif(not available("wn18rr"), reason="the official files are not here")
def test_wordnet_has_its_published_size():
    data = load("wn18rr")
    assert data.classes == 40_943 and data.sizes == {"relations": 22}
    assert [len(split) for split in data.splits.values()] == [2 * 86_835, 2 * 3_034, 2 * 3_134]


@pytest.mark.parametrize("name", ["made_up_posts", "liked_pages", "watched_videos", "family_questions"])
def test_no_query_is_in_two_parts(name):
    data = load(name)
    seen = [{tuple(row) for row in np.asarray(split.x).tolist()} for split in data.splits.values()]
    assert not seen[0] & seen[2] and not seen[1] & seen[2]
    assert data.classes > max(split.y.max() for split in data.splits.values())
    answers = {}
    for split in data.splits.values():
        for query, row in zip(split.x.tolist(), split.y.tolist(), strict=True):
            answers.setdefault(tuple(query), set()).add(row)
    assert all(rows <= set(data.known[query].tolist()) for query, rows in answers.items())


def test_a_page_that_was_given_is_no_answer():
    data = load("liked_pages")
    for query, row in zip(data.test.x.tolist(), data.test.y.tolist(), strict=True):
        assert row + 1 not in query and {page - 1 for page in query} <= set(data.known[tuple(query)].tolist())
