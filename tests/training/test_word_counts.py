"""What is counted of a text: windows, subsampling, negatives, trees, co-occurrences; numbers worked by hand."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import word_counts as counts

#        leash, walk, run, owner, bark
NOUNS = {"dog": [3, 5, 2, 5, 2], "cat": [0, 3, 3, 2, 0], "bark": [1, 0, 0, 2, 5], "car": [0, 0, 1, 3, 0]}


def test_words_of_negatives_are_drawn_by_the_three_quarter_power():
    np.testing.assert_allclose(counts.noise_shares(np.array([90, 9, 1])), [0.825, 0.147, 0.028], atol=5e-4)
    assert counts.noise_shares(np.array([0, 1])).tolist() == [0, 1]  # what never occurs is never drawn


def test_frequent_words_are_left_out():
    kept = counts.kept_shares(np.array([0.0026, 0.01, 0.1, 1.0]))
    np.testing.assert_allclose(kept, [1, 0.4162, 0.1100, 0.0326], atol=1e-3)
    np.testing.assert_allclose(kept[1:], [0.4162, 0.1100, 0.0326], atol=5e-5)
    text = np.repeat([0, 1], [90_000, 10_000])
    left = counts.thinned(text, np.random.default_rng(0))
    shares = np.bincount(left) / [90_000, 10_000]
    np.testing.assert_allclose(shares, counts.kept_shares(np.array([0.9, 0.1])), atol=0.01)
    assert counts.thinned(text, np.random.default_rng(0), 0) is text


@pytest.mark.parametrize(
    ("pair", "cosine"),
    [(("dog", "cat"), 0.8074), (("dog", "car"), 0.6568), (("cat", "car"), 0.6068), (("dog", "bark"), 0.5130),
     (("bark", "car"), 0.3464), (("cat", "bark"), 0.1557)],
)  # fmt: skip
def test_cosines_of_counts(pair, cosine):
    assert counts.cosine(*(np.array(NOUNS[word]) for word in pair)) == pytest.approx(cosine, abs=5e-5)


def test_a_row_of_zeros_has_no_cosine():
    with pytest.raises(BadInput, match="zeros has no cosine"):
        counts.cosine(np.zeros(5), np.array(NOUNS["dog"]))


def test_windows_do_not_reach_into_the_next_sentence():
    text = counts.joined([[1, 2, 3], [4, 5]])
    found = counts.pairs(text, 2)
    pairs = set(zip(found.centres.tolist(), found.contexts.tolist(), strict=True))
    assert pairs == {(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2), (4, 5), (5, 4)} and len(found.centres) == 8


def test_the_reach_of_each_word_is_drawn_from_one_to_the_window():
    text = counts.joined([list(range(11))] * 4000)
    found = counts.pairs(text, 5, np.random.default_rng(0))
    middle = found.centres == 5  # which has five words on either side
    distances = np.bincount(np.abs(found.contexts[middle] - 5))[1:] / 8000
    np.testing.assert_allclose(distances, [1, 0.8, 0.6, 0.4, 0.2], atol=0.02)


def test_bags_hold_what_is_around_a_word():
    text = counts.joined([[7, 8, 9]])
    contexts, centres = counts.bags(counts.pairs(text, 2), 2, 0)
    told = {int(centre): sorted(row.tolist()) for centre, row in zip(centres, contexts, strict=True)}
    assert told == {7: [0, 0, 8, 9], 8: [0, 0, 7, 9], 9: [0, 0, 7, 8]}
    assert contexts[0].tolist()[2:] == [0, 0]  # the fillers lie behind the words


def test_a_huffman_tree_is_as_short_as_can_be_and_its_leaves_are_its_words():
    paths = counts.huffman(np.array([40, 30, 20, 10]))
    lengths = np.abs(paths.turns).sum(1)
    assert lengths.tolist() == [1, 2, 3, 3]
    assert paths.nodes.max() == 2 and set(np.unique(paths.turns)) == {-1, 0, 1}
    assert len(set(paths.nodes[:, 0])) == 1  # the root
    codes = {tuple(row[row != 0]) for row in paths.turns}
    assert len(codes) == 4
    with pytest.raises(BadInput, match="at least two"):
        counts.huffman(np.array([3]))


def test_cooccurrences_are_weighed_by_distance():
    text = counts.joined([[0, 1, 2], [2, 0]])
    whole = counts.cooccurrences(text, 3, 2).toarray()
    np.testing.assert_allclose(whole, [[0, 1, 1.5], [1, 0, 1], [1.5, 1, 0]])
    np.testing.assert_allclose(
        counts.cooccurrences(text, 3, 1, weighted=False).toarray(), [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    )


def test_information_of_pairs_is_what_they_occur_together_beyond_chance():
    from scipy.sparse import csr_matrix

    table = csr_matrix(np.array([[0.0, 4.0, 0.0], [4.0, 0.0, 2.0], [0.0, 2.0, 0.0]]))
    # p(0, 1) = 4/12, p(0) = 4/12, p(1) = 6/12: log 2; of 1 and 2 likewise.
    told = counts.positive_information(table, 1.0).toarray()
    np.testing.assert_allclose(told, np.log(2) * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
