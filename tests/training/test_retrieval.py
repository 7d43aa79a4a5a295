"""Retrieval: ranks worked by hand, queries made of looked-up rows, and units that are queries."""

import numpy as np
import pytest
from edgewright import metrics
from edgewright.errors import BadInput
from edgewright.metrics.ranking import rank
from edgewright.models import tables
from edgewright.training import rows, tasks
from edgewright.training.data import Split
from edgewright.training.data.queries import Queries, known_of
from edgewright.training.runner import KerasRunner

TABLE = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], np.float32)


def queries(x, y, **facts):
    split = Split(x=np.array(x, np.int32), y=np.array(y, np.int32))
    task = facts.pop("task", "retrieval")
    return Queries(name="four rows", task=task, classes=4, train=split, validation=split, test=split, **facts)


@pytest.fixture
def networks():
    made = {"lookup": tables.lookup(4, 2), "scorer": tables.scorer(4, 2)}
    rows.assign(made["lookup"], TABLE, made["scorer"])
    return made


def judged(networks, data, task="retrieval"):
    entry = tasks.get(task)
    scores = entry.evaluate(KerasRunner(networks), entry.present(data, networks))
    return entry.metric.reduce(scores.rows), scores


def test_a_rank_counts_what_is_better_and_half_of_what_is_as_good():
    scores = np.array([3.0, 1.0, 2.0, 2.0, 5.0])
    assert rank(scores, 4) == 1 and rank(scores, 0) == 2
    assert rank(scores, 2) == 3.5  # 4 and 0 are better, 3 is as good
    assert rank(scores, 1) == 5
    assert rank(scores, 2, np.array([4, 3])) == 2  # of the others 0 alone is left
    assert rank(scores, 2, np.array([2])) == 3.5  # the answer itself is never left out


def test_metrics_of_ranks():
    ranks = np.array([1, 2, 4, 20])
    for name, value in (("mrr", (1 + 1 / 2 + 1 / 4 + 1 / 20) / 4), ("hits@1", 1 / 4), ("hits@10", 3 / 4)):
        metric = metrics.get(name)
        assert metric.reduce(metric.scores(ranks, ranks)) == pytest.approx(value)
        assert metric.gain(0.5, 0.4) == pytest.approx(0.1)


def test_rows_that_are_known_do_not_count_and_a_query_is_a_unit(networks):
    # By products with row 2, (1, 1): 2 has 2, 0 and 1 have 1, 3 has -1.
    data = queries([[2], [2], [0]], [0, 3, 3])
    value, scores = judged(networks, data)
    np.testing.assert_allclose(scores.rows[:, 0], [1 / 2.5, 1 / 4, 1 / 4])
    assert value == pytest.approx(0.3)
    assert scores.unit.tolist() == [1, 1, 0]  # both answers of row 2 are one unit
    known = known_of((np.array([[2]]), np.array([2])), (np.array([[2], [2]]), np.array([0, 1])))
    assert {query: found.tolist() for query, found in known.items()} == {(2,): [0, 1, 2]}
    _, scores = judged(networks, queries([[2], [2], [0]], [0, 3, 3], known=known))
    np.testing.assert_allclose(scores.rows[:, 0], [1, 1, 1 / 4])


def test_an_analogy_is_a_sum_of_rows(networks):
    # 2 - 0 + 0: (1, 1), and with rows of unit length (0.707, 0.707) - (1, 0) + (0, 1) = (-0.29, 1.71).
    _, scores = judged(networks, queries([[0, 2, 0]], [2], signs=(-1, 1, 1)))
    np.testing.assert_allclose(scores.rows, 1)
    task = tasks.get("retrieval_first")
    told = task.present(queries([[0, 2, 1]], [1], signs=(-1, 1, 1), unit_length=True, task="retrieval_first"), networks)
    np.testing.assert_allclose(task.observed(KerasRunner(networks), told, "scorer")["query"], [[-0.2929, 1.7071]],
                               atol=1e-4)  # fmt: skip
    scores = task.evaluate(KerasRunner(networks), told)
    assert scores.rows[0, 0] == 1.0


def test_further_columns_go_to_the_scorer(networks):
    import keras

    query = keras.Input((2,), name="query")
    relation = keras.Input((1,), dtype="int32", name="relation")
    turned = keras.layers.Multiply()([query, keras.layers.Flatten()(keras.layers.Embedding(2, 2, name="of")(relation))])
    dense = keras.layers.Dense(4, use_bias=False, name="scores")
    model = keras.Model({"query": query, "relation": relation}, dense(turned))
    model.get_layer("of").set_weights([np.array([[1, 1], [-1, 1]], np.float32)])
    dense.set_weights([TABLE.T])
    data = queries([[0, 0], [0, 1]], [0, 3], further=("relation",))
    _, scores = judged({**networks, "scorer": model}, data)
    np.testing.assert_allclose(scores.rows[:, 0], [1 / 1.5, 1])
    given = tasks.get("retrieval").samples(
        tasks.get("retrieval").present(data, {**networks, "scorer": model}), "scorer"
    )
    assert given["relation"].shape == (2, 1) and given["query"].shape == (2, 2)


def test_data_that_do_not_fit_are_refused(networks):
    task = tasks.get("retrieval")
    with pytest.raises(BadInput, match="needs networks 'scorer'"):
        task.present(queries([[0]], [0]), {"scorer": networks["scorer"]})
    with pytest.raises(BadInput, match="hold no queries that a network 'lookup'"):
        task.present(queries([[0]], [0], signs=()), networks)
    with pytest.raises(BadInput, match="scores 3 rows"):
        task.present(queries([[0]], [0]), {**networks, "scorer": tables.scorer(3, 2)})


def test_rows_are_assigned_and_followed(networks):
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    rows.assign(networks["lookup"], vectors, networks["scorer"], -vectors)
    np.testing.assert_array_equal(networks["scorer"].get_layer("scores").kernel, -vectors.T)
    rows.follow(networks["lookup"], networks["scorer"])
    np.testing.assert_array_equal(networks["scorer"].get_layer("scores").kernel, vectors.T)
    with pytest.raises(BadInput, match="0 trainable matrices"):
        import keras

        rows.matrix_of(keras.Sequential([keras.layers.ReLU()]))
