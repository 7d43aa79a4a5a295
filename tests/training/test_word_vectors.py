"""Word vectors as they are learned: data of analogies, windows as samples, tables that follow, debiasing."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.prune import PruneConfig, prepare_prune, strip_prune
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import available
from edgewright.training.data.analogies import analogies
from edgewright.training.data.kinships import GENDERED, OCCUPATIONS, World
from edgewright.training.data.pieces_of_words import ngrams, pieces_of
from edgewright.training.debiasing import DEFINING, EQUALISED, debiased, direction, known, unit_rows
from edgewright.training.learners.word_windows import Drawn, Reader, Windows
from edgewright.training.rows import principal, rows_of
from edgewright.training.state import RunDir
from edgewright.training.train import train
from edgewright.training.word_counts import counts_of

TASK = tasks.get("retrieval_first")


@pytest.fixture(scope="module")
def data():
    world = World()
    return analogies("few", world.sentences(6000, 0), world.sentences(100, 1), world.questions()[0], ("generated",))


def presented(data, **sizes):
    networks = registry.networks("cbow", classes=data.classes, **sizes)
    return networks, TASK.present(data, networks)


def reader(data, **options):
    return Reader(Windows(**options), data.tokens, counts_of(data.corpus.train, len(data.tokens)))


def test_questions_are_of_known_words_and_their_own_words_do_not_answer():
    told = analogies("two", [["a", "b", "c", "d", "e"]] * 2, [["a", "x"]], [("a", "b", "c", "d"), ("a", "b", "c", "z"),
                     ("b", "c", "d", "e"), ("c", "d", "e", "a"), ("a", "b", "c", "d")], ())  # fmt: skip
    assert told.tokens == ("<pad>", "<unk>", "a", "b", "c", "d", "e") and told.classes == 7
    rows = sorted(
        (*x, y) for split in told.splits.values() for x, y in zip(split.x.tolist(), split.y.tolist(), strict=True)
    )
    assert rows == [(2, 3, 4, 5), (3, 4, 5, 6), (4, 5, 6, 2)]
    assert told.known[2, 3, 4].tolist() == [0, 1, 2, 3, 4]
    assert told.corpus.train.tolist() == [2, 3, 4, 5, 6, -1] * 2 and told.corpus.validation.tolist() == [2, 1, -1]
    with pytest.raises(BadInput, match="of 1 questions 0 are about words"):
        analogies("none", [["a"]], [["a"]], [("a", "b", "c", "d")], ())


def test_the_treebank_knows_the_words_of_a_quarter_of_the_questions():
    if not available("ptb_analogies"):
        pytest.skip("ptb or word_analogy is not in $EDGEWRIGHT_DATA")
    networks = registry.networks("cbow", "edge")
    told = TASK.present("ptb_analogies", networks, rebuilt=True)
    assert told.classes == 10_000 and sum(map(len, told.splits.values())) == 4_682


def test_samples_of_each_kind(data):
    random, text = np.random.default_rng(0), data.corpus.validation
    words = len(data.tokens)
    told = reader(data, reads="contexts", tells="words", window=2).draw(text, random)
    assert told.x["contexts"].shape == (len(told), 4) and told.y.min() >= 2
    told = reader(data, reads="centre", tells="candidates", negatives=3).draw(text, random)
    assert told.x["candidates"].shape == (len(told), 4) and (told.y[:, 0] == 1).all()
    same = told.x["candidates"][:, 1:] == told.x["candidates"][:, :1]
    np.testing.assert_array_equal(told.y[:, 1:], np.where(same, 0, -1))
    told = reader(data, reads="centre", tells="nodes").draw(text, random)
    assert told.x["nodes"].max() <= words - 2 and told.y.shape == told.x["nodes"].shape
    told = reader(data, reads="centre", tells="other", window=2).draw(text, random)
    assert told.y.shape == (len(told), 2) and 0 < told.y[:, 1].max() <= 1
    told = reader(data, reads="pieces").draw(text, random)
    assert told.x["pieces"].max() >= words


def test_negatives_come_by_their_shares(data):
    told = reader(data, negatives=20)
    noise = told._among_noise(np.zeros(20_000, int), np.random.default_rng(0))[0][:, 1:]
    shares = np.bincount(noise.ravel(), minlength=len(data.tokens)) / noise.size
    wanted = told.counts**0.75 / (told.counts**0.75).sum()
    np.testing.assert_allclose(shares, wanted, atol=1.2e-3)


def test_ngrams_of_words():
    assert ngrams("where")[:5] == ["<wh", "whe", "her", "ere", "re>"]  # Bojanowski 2017, section 3.2
    assert ngrams("a") == [] and "<her>" not in ngrams("her")
    rows = pieces_of(("<pad>", "walk", "walks"), 1000, 8)
    assert rows.shape == (3, 8) and not rows[0].any() and rows[1, 0] == 1 and rows[2, 0] == 2
    assert len(set(rows[1, 1:]) & set(rows[2, 1:]) - {0}) >= 3  # "<wa", "wal", "alk"


@pytest.mark.parametrize(
    ("options", "said"), [({"reads": "all"}, "reads=all"), ({"window": 0}, "window=0"),
                          ({"reads": "pieces", "tells": "other"}, "reads=centre")],
)  # fmt: skip
def test_other_options_are_refused(options, said):
    with pytest.raises(BadInput, match=said):
        Windows(**options)


def test_each_epoch_is_drawn_anew_in_steps_of_one_size(data):
    told = reader(data)
    drawn = Drawn(lambda epoch: told.draw(data.corpus.validation, np.random.default_rng(epoch)), 5, 0)
    sizes, first = [len(y) for _, y in map(drawn.__getitem__, range(5))], drawn[0][0]["centre"]
    drawn.begin(1)
    assert len(drawn) == 5 and set(sizes) == {drawn.size} and (drawn[0][0]["centre"] != first).any()
    drawn.begin(0)
    np.testing.assert_array_equal(drawn[0][0]["centre"], first)


def test_training_ends_in_two_equal_tables_of_unit_rows_and_is_restored(data, tmp_path):
    networks, told = presented(data, width=8)
    config = TrainConfig(epochs=2, batch_size=24)
    result = train(networks, told, config, learner="word_windows:window=2", out=tmp_path)
    table = rows_of(networks["lookup"])
    np.testing.assert_array_equal(table, networks["scorer"].get_weights()[0].T)
    lengths = np.linalg.norm(table, axis=1)
    np.testing.assert_allclose(lengths[2:], 1, rtol=1e-5)
    assert not lengths[0]  # of no word
    networks["lookup"].set_weights([0 * table])
    assert train(networks, told, config, learner="word_windows:window=2", out=tmp_path).history == result.history
    np.testing.assert_array_equal(rows_of(networks["lookup"]), table)


@pytest.fixture(scope="module")
def components(data):
    networks, told = presented(data, width=32)
    result = train(networks, told, TrainConfig(), learner="cooccurrence_components")
    return networks, told, result


def test_components_of_cooccurrences_answer_analogies(components):
    assert components[2].metric > 0.8


def test_a_pruned_table_has_what_is_left_of_the_rows_at_unit_length(components):
    networks, told, _ = components
    pruned, _ = prepare_prune(networks["scorer"], PruneConfig(sparsity=0.5, schedule="constant"))
    given = {**networks, "scorer": pruned}
    learners.get("cooccurrence_components")(given, told, TASK, TrainConfig(), RunDir(None))
    kernel = strip_prune(pruned).get_weights()[0]
    assert 0.45 < (kernel == 0).mean() < 0.55
    left = unit_rows(np.where(kernel == 0, 0, rows_of(networks["lookup"]).T).T)
    np.testing.assert_allclose(kernel.T, left, atol=1e-6)


def test_principal_axes_change_no_product_and_leave_more_to_pruning():
    random = np.random.default_rng(0)
    mixed, _ = np.linalg.qr(random.normal(size=(16, 16)))
    vectors = (
        random.normal(size=(200, 16)) * 0.8 ** np.arange(16)
    ) @ mixed  # long in some directions, but in no column
    turned = principal(vectors)
    np.testing.assert_allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-9)
    squares = turned.T @ turned
    np.testing.assert_allclose(squares, np.diag(np.diag(squares)), atol=1e-9)
    assert (np.diff(np.diag(squares)) < 0).all()

    def kept(table):
        return np.sum(np.sort(np.abs(table).ravel())[table.size // 2 :] ** 2) / np.sum(table**2)

    assert kept(turned) > kept(vectors) + 0.03


def test_data_without_a_text_are_refused(data):
    from dataclasses import replace

    networks, told = presented(data, width=4)
    with pytest.raises(BadInput, match="no text"):
        train(networks, replace(told, corpus=None), TrainConfig(), learner="cooccurrence_components")


def test_hard_debiasing(components, data):
    table, words = rows_of(components[0]["lookup"]), list(data.tokens)
    gender = direction(unit_rows(table), known(GENDERED, words))
    leaning = table[[words.index(word) for word in OCCUPATIONS]] @ gender
    half = len(OCCUPATIONS) // 2
    assert abs(leaning[:half].mean() - leaning[half:].mean()) > 0.1  # the text leans as it was made to
    fair = debiased(table, words)
    np.testing.assert_allclose(np.linalg.norm(fair[2:], axis=1), 1, rtol=1e-6)
    pairs = known(EQUALISED, words)
    neutral = np.array([words.index(word) for word in OCCUPATIONS])
    cosines = np.einsum("nd,pkd->npk", fair[neutral], fair[pairs])
    np.testing.assert_allclose(cosines[..., 0], cosines[..., 1], atol=1e-6)  # as near to either of a pair
    along = direction(unit_rows(table), known(DEFINING, words))
    np.testing.assert_allclose(fair[neutral] @ along, 0, atol=1e-6)
    with pytest.raises(BadInput, match="none of the pairs"):
        debiased(table[:3], ["tree", "sky", "sun"])
