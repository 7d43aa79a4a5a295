"""Learning to rank: the margin, negatives that a batch shares, rows that are looked up and scored, pairs of samples."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.metrics.ranking import rank
from edgewright.models import registry
from edgewright.prune import PruneConfig, prepare_prune
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.ranking_pairs import Ranked, Ranking, follow, kernel
from edgewright.training.rows import rows_of
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir


def presented(name, data):
    """Return the networks of an edge preset built for its data, and the data."""
    entry = registry.get(name)
    task = tasks.get(entry.task)
    probe = registry.networks(name, "edge")
    dataset = task.present(data, probe, rebuilt=True)
    given = {size: count for size, count in dataset.sizes.items() if size in entry.options}
    networks = registry.networks(name, "edge", **({"classes": dataset.classes} if entry.classes else {}), **given)
    return networks, task.present(data, networks)


def prepared(networks, dataset, **options):
    move = Ranked(networks, dataset, Ranking(**options))
    return move.prepare(move.options.loss, keras.optimizers.SGD(0.1), TrainConfig())


def test_the_margin_is_kept_or_costs():
    loss = Ranking(margin=0.5).loss
    values = [float(loss(np.array([0]), np.array([[own, 1.0, 0.2]], np.float32))) for own in (0.0, 0.6, 1.0, 1.5, 2.0)]
    np.testing.assert_allclose(values, [1.5 + 0.7, 0.9 + 0.1, 0.5, 0, 0], atol=1e-6)  # 0 from f(e') + 0.5 on


def test_options_are_checked():
    for wrong in ({"margin": -1.0}, {"negatives": -1}, {"temperature": 0.0}, {"cosine": 2}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            Ranking(**wrong)
    with pytest.raises(BadInput, match="no option 'size'"):
        learners.get("ranking_pairs:size=3")


def test_a_batch_shares_its_negatives():
    networks, dataset = presented("kg_translation", "family_tree")
    move = Ranked(networks, dataset, Ranking(negatives=20))
    random = np.random.default_rng(0)
    for start in (0, 8, 16):
        chosen = np.arange(start, start + 8)
        given, places = move.drawn(chosen, random)
        rows = given["candidates"]
        assert rows.shape == (8, 28) and (rows == rows[0]).all()
        assert len(np.unique(rows[0])) == 28 and rows.min() >= 0 and rows.max() < dataset.classes
        np.testing.assert_array_equal(rows[0, places], dataset.train.y[chosen])


def test_rows_that_are_looked_up_are_those_that_are_scored():
    networks, dataset = presented("kg_translation", "family_tree")
    move = prepared(networks, dataset, cosine=1, negatives=20)
    own = kernel(networks["scorer"])
    assert not [each for each in move.trainable_variables if each is own]
    before, table = np.array(own), rows_of(networks["lookup"])
    relations = np.array(networks["scorer"].get_layer("vectors").embeddings)
    random, chosen = np.random.default_rng(0), np.arange(32)
    move.make(*move.drawn(chosen, random))
    after = rows_of(networks["lookup"])
    changed = (after != table).any(1)
    assert changed[dataset.train.y[chosen]].all() and changed[dataset.train.x[chosen, 0]].all()
    assert (np.array(networks["scorer"].get_layer("vectors").embeddings) != relations).any()
    np.testing.assert_array_equal(own, before)  # until the end of an epoch
    follow(networks, dataset, move.options)
    np.testing.assert_allclose(own, (after / np.linalg.norm(after, axis=1, keepdims=True)).T, atol=1e-6)


def test_a_scorer_that_grows_sparse_counts_its_steps():
    networks, dataset = presented("kg_diagonal", "family_tree")
    pruning, _ = prepare_prune(networks["scorer"], PruneConfig(sparsity=0.5))
    move = prepared({**networks, "scorer": pruning}, dataset)
    for _ in range(2):
        move.make(*move.drawn(np.arange(16), np.random.default_rng(0)))
    assert int(pruning.step) == 2


def popularity(dataset):
    """Return the MRR of rows by how often they answered in training, where there are relations by relation."""
    asked = [np.asarray(split.x)[:, len(dataset.signs) :] if dataset.further else np.zeros((len(split), 1))
             for split in (dataset.train, dataset.test)]  # fmt: skip
    found = []
    for kind, query, answer in zip(asked[1].tolist(), dataset.test.x.tolist(), dataset.test.y.tolist(), strict=True):
        alike = (asked[0] == kind).all(1)
        counts = np.bincount(dataset.train.y[alike], minlength=dataset.classes).astype(float)
        found.append(1 / rank(counts, answer, dataset.known.get(tuple(query))))
    return np.mean(found)


@pytest.mark.parametrize(
    ("name", "data", "epochs"),
    [
        ("tagspace", "made_up_posts", 6),
        ("pagespace", "liked_pages", 2),
        ("videospace", "watched_videos", 2),
        ("world2vec", "made_up_world", 2),
        ("kg_diagonal", "family_tree", 8),
        ("kb_question_answering", "family_questions", 5),
    ],
)
def test_ranking_beats_popularity(name, data, epochs):
    networks, dataset = presented(name, data)
    entry, task = registry.get(name), tasks.get("retrieval")
    config = TrainConfig(epochs=epochs, learning_rate=entry.learning_rate)
    learners.get(entry.learner)(networks, dataset, task, config, RunDir(None))
    scores = task.evaluate(KerasRunner(networks), dataset)
    assert task.metric.reduce(scores.rows) > 1.3 * popularity(dataset)


def test_the_scorer_of_sentences_holds_what_the_encoder_makes_of_them():
    task = tasks.get("sentence_retrieval")
    shape = {"ids": (16,), "mask": (16,)}
    small = {"input_shape": shape, "vocabulary": 200, "width": 8, "units": 8}
    probe = registry.networks("sentence_encoder", "edge", **small)
    with pytest.raises(BadInput, match="stored=50"):
        task.present("number_words", probe, limit=160, test_limit=10)
    dataset = task.present("number_words", probe, limit=160, test_limit=10, rebuilt=True)
    assert dataset.sizes == {"stored": 50} and dataset.test.y.tolist() == list(range(40, 50))
    asked = tuple(dataset.test.x[0].tolist())
    np.testing.assert_array_equal(dataset.known[asked], np.arange(40))  # rows of validation are none of the test's
    networks = registry.networks("sentence_encoder", "edge", stored=50, **small)
    learner = learners.get("ranking_pairs:temperature=0.1,cosine=1")
    history = learner(networks, dataset, task, TrainConfig(epochs=3, learning_rate=0.01), RunDir(None))
    assert history[-1]["loss"] < history[0]["loss"]
    encoder, rows = networks["encoder"], dataset.stored
    vectors = np.asarray(encoder({"ids": rows[:, :16], "mask": rows[:, 16:]}, training=False))
    table = np.array(kernel(networks["scorer"])).T
    np.testing.assert_allclose(table, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-5)
