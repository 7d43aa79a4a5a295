"""Networks of word vectors: their sizes, what their losses are, and cosines that int8 tables keep."""

import numpy as np
import pytest
from edgewright.export import EXPORTERS
from edgewright.models import registry, tables
from edgewright.models.word2vec import tells_around
from edgewright.quantize import prepare_qat
from edgewright.training import rows
from edgewright.training.debiasing import unit_rows
from edgewright.training.learners.word_windows import of_counts, of_turns
from edgewright.training.word_counts import huffman
from int8_run import run

VECTORS = np.array([[0.08, 0.31, 0.59, 0.47, 0.22, 0.31, 0.28], [0.02, 0.29, 0.49, 0.11, 0.12, 0.21, 0.56],
                    [0.83, 0.21, 0.09, 0.27, 0.92, 0.01, 0.77]], np.float32)  # fmt: skip
COSINES = {(0, 1): 0.8548, (1, 2): 0.5499, (0, 2): 0.5160}


@pytest.mark.parametrize("reads", [("contexts", 4), ("centre", 1)])
def test_two_tables_have_2vn_weights(reads):
    assert tells_around(reads, ("words", 0), words=50, width=7).count_params() == 2 * 50 * 7
    assert tells_around(reads, ("candidates", 6), words=50, width=7).count_params() == 2 * 50 * 7
    assert sum(network.count_params() for network in registry.networks("cbow", classes=50, width=7).values()) == 700


def test_other_sizes():
    assert tells_around(("centre", 1), ("other", 1), words=50, width=7).count_params() == 2 * 50 * 7 + 2 * 50
    assert tells_around(("pieces", 9), ("candidates", 6), words=50, width=7, pieces=30).count_params() == 130 * 7


def test_contexts_are_averaged_and_pieces_added_up():
    table = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    others = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    ids = np.array([[2, 5, 0, 0]], np.int32)  # 0 is no word
    for name, vector in (("contexts", (table[2] + table[5]) / 2), ("pieces", table[2] + table[5])):
        network = tells_around((name, 4), ("words", 0), words=9, width=3)
        network.set_weights([table, others.T])
        np.testing.assert_allclose(np.asarray(network({name: ids}))[0], others @ vector, rtol=1e-5)


def test_what_is_scored_are_products_with_rows_and_biases():
    table, others = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    given = {"centre": np.array([[4]], np.int32), "candidates": np.array([[2, 7]], np.int32)}
    network = tells_around(("centre", 1), ("candidates", 2), words=9, width=3)
    network.set_weights([table, others])
    np.testing.assert_allclose(np.asarray(network(given))[0], others[[2, 7]] @ table[4], rtol=1e-5)
    network = tells_around(("centre", 1), ("other", 1), words=9, width=3)
    for layer, value in (("table", table), ("other_table", others), ("biases", np.full((9, 1), 2.0)),
                         ("other_biases", np.full((9, 1), 0.5))):  # fmt: skip
        network.get_layer(layer).embeddings.assign(value)
    said = np.asarray(network({"centre": given["centre"], "other": np.array([[7]], np.int32)}))
    np.testing.assert_allclose(said, [[others[7] @ table[4] + 2.5]], rtol=1e-5)


def test_hierarchical_softmax_adds_up_to_one():
    random = np.random.default_rng(0)
    paths = huffman(random.integers(1, 1000, 40))
    network = tells_around(("centre", 1), ("nodes", paths.nodes.shape[1]), words=40, width=5)
    network.set_weights([random.normal(size=weight.shape) for weight in network.weights])
    logits = np.asarray(network({"centre": np.full((40, 1), 3, np.int32), "nodes": paths.nodes}))
    nats = np.asarray(of_turns(paths.turns.astype(np.float32), logits))  # of each word behind word 3
    chances = np.exp(-nats)
    assert chances.sum() == pytest.approx(1, abs=1e-5) and chances.max() > 3 * chances.min()


def test_losses_by_hand():
    nats = np.asarray(of_turns(np.array([[1.0, -1.0, 0.0]]), np.array([[2.0, 0.5, 9.0]])))
    assert nats[0] == pytest.approx(np.log1p(np.exp(-2)) + np.log1p(np.exp(0.5)))
    assert np.asarray(of_counts(np.array([[2.0, 0.3]]), np.array([[1.5]]))) == pytest.approx([0.3 * 0.25])


def scored(vectors):
    network = tables.scorer(3, 7)
    rows.assign(tables.lookup(3, 7), vectors, network)
    return network


def test_cosines_in_float_and_in_int8():
    unit = unit_rows(VECTORS)
    network = scored(unit)
    whole = np.asarray(network(unit))
    aware, _ = prepare_qat(network, calibration={"query": unit})
    files = [np.asarray(aware(unit)), run(EXPORTERS["tflite"](aware, precision="w8a8-qat"), unit)]
    for (one, other), cosine in COSINES.items():
        assert whole[one, other] == pytest.approx(cosine, abs=5e-5)
        for said in files:
            assert said[one, other] == pytest.approx(cosine, abs=0.01)
