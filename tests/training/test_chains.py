"""Linear chains against every path there is; chunks against seqeval."""

import itertools

import numpy as np
import pytest
from edgewright import metrics
from edgewright.training.chains import HIDDEN, PathLoss, log_partition, packed, path_score, viterbi
from edgewright.training.chunks import counted
from edgewright.training.data.tagging import TAGS

COUNT, STEPS, KINDS = 4, 4, 3
LENGTHS = np.array([4, 3, 2, 1])


@pytest.fixture(scope="module")
def chain():
    """Emissions, the table of a chain, true tags."""
    random = np.random.default_rng(0)
    emissions = random.normal(size=(COUNT, STEPS, KINDS)).astype("f4")
    table = random.normal(size=(KINDS + 2, KINDS)).astype("f4")
    tags = random.integers(0, KINDS, (COUNT, STEPS)).astype("i4")
    tags[np.arange(STEPS) >= LENGTHS[:, None]] = HIDDEN
    return emissions, table, tags


def score(emissions, table, path):
    """Return the score of one path, term by term."""
    steps = sum(table[a, b] for a, b in itertools.pairwise(path))
    places = sum(emissions[place, tag] for place, tag in enumerate(path))
    return places + steps + table[KINDS, path[0]] + table[KINDS + 1, path[-1]]


def paths(length):
    return list(itertools.product(range(KINDS), repeat=int(length)))


def test_the_partition_is_the_sum_over_all_paths(chain):
    emissions, table, tags = chain
    every = [np.log(sum(np.exp(score(emissions[n], table, path)) for path in paths(LENGTHS[n]))) for n in range(COUNT)]
    np.testing.assert_allclose(log_partition(emissions, tags != HIDDEN, table), every, rtol=1e-5)


def test_viterbi_finds_the_best_of_all_paths(chain):
    emissions, table, _ = chain
    found = viterbi(emissions, LENGTHS, table)
    for n, length in enumerate(LENGTHS):
        best = max(paths(length), key=lambda path: score(emissions[n], table, path))
        np.testing.assert_array_equal(found[n], [*best, *[HIDDEN] * (STEPS - length)])
    greedy = viterbi(emissions, LENGTHS)
    np.testing.assert_array_equal(greedy[0], emissions[0].argmax(-1))
    assert (greedy != found).any()  # the table matters


def test_the_loss_is_the_surprise_at_the_true_path_and_padding_says_nothing(chain):
    emissions, table, tags = chain
    true = [score(emissions[n], table, tags[n, : LENGTHS[n]]) for n in range(COUNT)]
    np.testing.assert_allclose(path_score(emissions, tags, table), true, rtol=1e-5)
    surprise = np.asarray(log_partition(emissions, tags != HIDDEN, table)) - true
    np.testing.assert_allclose(PathLoss().call(tags, packed(emissions, table)), surprise / STEPS, rtol=1e-4)
    other = np.where((tags == HIDDEN)[..., None], 99.0, emissions).astype("f4")
    np.testing.assert_allclose(PathLoss().call(tags, packed(other, table)), surprise / STEPS, rtol=1e-4)


def test_jax_computes_the_same(chain, tmp_path, on_jax):
    emissions, table, tags = chain
    loss = np.asarray(PathLoss().call(tags, packed(emissions, table)))
    np.savez(tmp_path / "chain.npz", emissions=emissions, table=table, tags=tags, loss=loss)
    script = """
import sys, numpy as np, jax
from edgewright.training.chains import PathLoss, packed
kept = np.load(sys.argv[1])
loss = jax.jit(lambda emissions: PathLoss().call(kept["tags"], packed(emissions, kept["table"])))
np.testing.assert_allclose(loss(kept["emissions"]), kept["loss"], rtol=1e-4)
"""
    on_jax.says(script, tmp_path / "chain.npz")


def test_chunks_are_counted_as_seqeval_does():
    from seqeval.metrics import f1_score

    random = np.random.default_rng(0)
    truth = random.integers(0, len(TAGS), (30, 12))
    said = np.where(random.random(truth.shape) < 0.3, random.integers(0, len(TAGS), truth.shape), truth)
    lengths = random.integers(1, 13, 30)
    truth[np.arange(12) >= lengths[:, None]] = HIDDEN
    metric = metrics.get("chunk_f1")
    rows = counted(said, truth, TAGS)
    named = [[[TAGS[tag] for tag in row[:length]] for row, length in zip(tags, lengths, strict=True)]
             for tags in (truth, said)]  # fmt: skip
    assert metric.reduce(metric.scores(rows, None)) == pytest.approx(f1_score(*named), abs=1e-12)
    assert 0.2 < metric.reduce(rows) < 0.9 and metric.reduce(np.zeros((1, 3))) == 0


def test_a_chunk_counts_by_kind_begin_and_end():
    tags = {name: place for place, name in enumerate(TAGS)}
    truth = np.array([[tags[name] for name in ("B-NP", "I-NP", "B-VP", "B-NP", "O")]])
    said = np.array([[tags[name] for name in ("B-NP", "I-NP", "B-NP", "B-NP", "B-PP")]])
    np.testing.assert_array_equal(counted(said, truth, TAGS), [[2, 4, 3]])
    assert metrics.get("chunk_f1").reduce(counted(said, truth, TAGS)) == pytest.approx(2 * 2 / 7)
