"""Pairs of sentences: byte pairs, the task's loss and BLEU, decoders; the same tokens from all that runs a step."""

import itertools

import keras
import numpy as np
import pytest
import sacrebleu
from edgewright import metrics
from edgewright.devices.measure import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.pipeline.find import find
from edgewright.training import data, decoding, tasks
from edgewright.training.data import translation
from edgewright.training.losses import PaddedCrossentropy, TokenAccuracy
from edgewright.training.runner import KerasRunner
from tokenizers import Tokenizer, models, trainers

# ---------------------------------------------------------------- byte pairs


def test_byte_pairs_by_hand():
    """abcdeababce -> YdeXYe, X being ab and Y being Xc."""
    made = Tokenizer(models.BPE())
    made.train_from_iterator(["abcdeababce"], trainers.BpeTrainer(vocab_size=7, show_progress=False))
    assert made.encode("abcdeababce").tokens == ["abc", "d", "e", "ab", "abc", "e"]
    ours = translation.byte_pairs(["abcdeababce"] * 9, size=4 + 6 + 2)
    assert ours.encode("abcdeababce").tokens == ["▁", "abc", "d", "e", "ab", "abc", "e"]


def test_merges_lie_within_words_and_texts_come_back():
    texts = ["the cat, the hat.", "a cat sat. The end"]
    made = translation.byte_pairs(texts, 60)
    labels = translation.pieces(made)
    assert labels[:4] == translation.SPECIAL and labels.index("▁the") > 3 and len(labels) <= 60
    for text in texts:
        ids = made.encode(text).ids
        assert translation.text_of([translation.BOS, *ids, translation.EOS, 7, 0], labels) == text
    assert not [piece for piece in labels if "▁" in piece[1:] or (len(piece) > 1 and set(piece) & set(",."))]
    assert translation.text_of(made.encode("the dog").ids, labels).count("<unk>") >= 1
    assert translation.text_of([len(labels), 999], labels) == "<unk><unk>"


def test_targets_are_what_follows():
    shape = {"source": (12,), "target": (8,)}
    dataset = data.load("number_words", input_shape=shape, vocabulary=200, task="translation")
    x, y = dataset.train.x, dataset.train.y
    assert (x["target"][:, 0] == translation.BOS).all()
    ends = y == translation.EOS
    np.testing.assert_array_equal(ends.sum(1), np.ones(len(y)))
    np.testing.assert_array_equal(x["target"][:, 1:], np.where(ends, 0, y)[:, :-1])
    assert not {tuple(row) for row in dataset.test.y} & {tuple(row) for row in y}
    with pytest.raises(BadInput, match="no pair of train has at most 2 and 7"):
        data.load("number_words", input_shape={"source": (3,), "target": (8,)}, task="translation")
    with pytest.raises(BadInput, match="source"):
        data.load("number_words", input_shape=(8,))


@pytest.mark.parametrize(
    ("number", "words"),
    [(10_000, "ten thousand"), (90_817, "ninety thousand eight hundred seventeen"),
     (20_040, "twenty thousand forty"), (111_101, "one hundred eleven thousand one hundred one")],
)  # fmt: skip
def test_numbers_in_words(number, words):
    assert translation.in_words(number) == words


@pytest.mark.data
def test_multi30k_as_published():
    if not data.available("multi30k"):
        pytest.skip("multi30k is not in $EDGEWRIGHT_DATA")
    dataset = data.load("multi30k", input_shape={"source": (120,), "target": (120,)}, vocabulary=1000)
    assert [len(split) for split in dataset.splits.values()] == [29_000, 1_014, 1_000]
    assert dataset.classes == 1000 and "left out: train 0 of 29000" in dataset.preprocessing
    first = translation.text_of(dataset.test.y[0], dataset.labels)
    assert first == "A man in an orange hat starring at something."


# ---------------------------------------------------------------- loss and metric


def test_padding_is_neither_learned_nor_counted():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4")
    truth = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 4, 4, 1]])
    logits[0, 0, 1] = logits[2, 1, 4] = logits[1, 1, 0] = 5.0
    there = truth > 0
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    exact = -np.log(np.take_along_axis(chances, truth[..., None], -1))[..., 0][there].mean()
    assert float(PaddedCrossentropy()(truth, logits)) == pytest.approx(exact, rel=1e-5)
    smooth = 0.9 * exact - 0.1 * np.log(chances).mean(-1)[there].mean()
    assert float(PaddedCrossentropy(0.1)(truth, logits)) == pytest.approx(smooth, rel=1e-5)
    accuracy = TokenAccuracy()
    accuracy.update_state(truth, logits)
    right = (logits.argmax(-1) == truth)[there]
    assert 0 < right.mean() < 1 and float(accuracy.result()) == pytest.approx(right.mean())
    row = tasks.get("translation").right(logits, truth, 0.0)
    np.testing.assert_allclose(row, [right[:2].mean(), right[2], right[3:].mean()])


def test_bleu_is_that_of_sacrebleu_for_any_resample():
    said = ["the cat sat on the mat today .", "a dog", "he reads the book because he likes it", "no"]
    truth = ["the cat sat on the mat .", "a dog barks at night", "he reads a book because he likes books", "no"]
    bleu = metrics.get("bleu")
    rows = bleu.scores(said, truth)
    for chosen in ([0, 1, 2, 3], [0, 0, 2], [1, 3], [2, 2, 2, 1, 0]):
        whole = sacrebleu.corpus_bleu([said[k] for k in chosen], [[truth[k] for k in chosen]]).score
        assert bleu.reduce(rows[chosen]) == pytest.approx(whole)
    assert bleu.reduce(bleu.scores(truth, truth)) == pytest.approx(100)
    assert bleu.gain(30.5, 30.0) == pytest.approx(0.005) and bleu.allowance(0.01, 30.0) == pytest.approx(1.0)


def test_share_of_the_gap_closed():
    """Wu 2016, table 10: people's scores of the old system, the new one and people, six pairs of languages."""
    scores = [(4.885, 5.428, 5.504), (4.932, 5.295, 5.496), (4.035, 4.594, 4.987), (4.872, 5.187, 5.372),
              (5.046, 5.343, 5.404), (3.694, 4.263, 4.636)]  # fmt: skip
    closed = [metrics.gap_closed(new, old, human) for old, new, human in scores]
    assert closed[0] == pytest.approx(0.8772, abs=5e-5) and np.mean(closed) == pytest.approx(0.6953, abs=5e-5)


# ---------------------------------------------------------------- decoders


class Fixed:
    """A runner of a step whose chances depend on the token before, and on how many tokens came: (K, K) each."""

    def __init__(self, kinds=5, steps=3, seed=0):
        self.tables = 2 * np.random.default_rng(seed).normal(size=(steps, kinds, kinds))

    def __call__(self, network, inputs):
        at, tokens = inputs["position"][:, 0], inputs["token"][:, 0]
        return {"logits": self.tables[at, tokens] + inputs["memory"]}

    def unroll(self, network, given, *, first=None, steps=None, feed=None, held=None):
        said, token = [], first["token"]
        for step in range(steps):
            said.append(self(network, {"position": given["position"][:, step], "token": token, **held})["logits"])
            token = said[-1].argmax(-1)[:, None]
        return {"logits": np.stack(said, 1)}


def speaker(seed=0, kinds=5, steps=3, count=4):
    memory = np.random.default_rng(seed + 1).normal(size=(count, kinds))
    return decoding.Speaker(run=Fixed(kinds, steps, seed), network="step", count=count, length=steps,
                            held={"memory": memory}, position="position")  # fmt: skip


def brute_force(each, penalty):
    """Return the best of all sentences: those that end, and those of the full length."""
    kinds, run, found = each.run.tables.shape[1], each.run, []
    for memory in each.held["memory"]:
        best, judged = None, -np.inf
        for sentence in itertools.product(range(kinds), repeat=each.length):
            cut = sentence.index(each.end) + 1 if each.end in sentence else each.length
            before, total = each.begin, 0.0
            for step, token in enumerate(sentence[:cut]):
                total += decoding.logarithms(run.tables[step, before] + memory)[token]
                before = token
            value = total / ((5 + cut) / 6) ** penalty
            if value > judged + 1e-12:
                best, judged = [*sentence[:cut], *[0] * (each.length - cut)], value
        found.append(best)
    return np.array(found)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.5])
def test_a_beam_of_all_is_brute_force(penalty):
    for seed in range(4):
        each = speaker(seed)
        np.testing.assert_array_equal(decoding.beam(each, width=125, penalty=penalty), brute_force(each, penalty))


def test_a_beam_of_one_and_the_likeliest_alone_are_greedy():
    unlike = 0
    for seed in range(6):
        each = speaker(seed, steps=6)
        said = decoding.greedy(each)
        np.testing.assert_array_equal(decoding.beam(each, width=1), said)
        np.testing.assert_array_equal(decoding.sample(each, top_k=1, seed=seed), said)
        np.testing.assert_array_equal(decoding.sample(each, nucleus=1e-9, seed=seed), said)
        unlike += (decoding.beam(each, width=4, penalty=0.0) != said).any()
    assert unlike


def test_chances_by_hand():
    logits = np.array([2, 1, 0.1])
    np.testing.assert_allclose(decoding.chances(logits, temperature=2.0), [0.5017, 0.3043, 0.1940], atol=5e-5)
    np.testing.assert_allclose(decoding.chances(logits, top_k=2), [0.7311, 0.2689, 0], atol=5e-5)
    np.testing.assert_allclose(decoding.chances(logits, nucleus=0.66), [0.7311, 0.2689, 0], atol=5e-5)
    np.testing.assert_allclose(decoding.chances(logits, nucleus=0.65), [1, 0, 0])
    np.testing.assert_allclose(decoding.chances(logits[::-1], nucleus=0.95), [0.0986, 0.2424, 0.6590], atol=5e-5)
    for wrong in ({"temperature": 0.0}, {"top_k": 0}, {"nucleus": 1.5}):
        with pytest.raises(BadInput, match=next(iter(wrong))):
            decoding.chances(logits, **wrong)
    with pytest.raises(BadInput, match="width=0"):
        decoding.beam(speaker(), width=0)


def test_what_is_drawn_is_drawn_by_its_chances_and_the_seed():
    each = speaker(steps=1, count=20_000)
    each.held["memory"][:] = each.held["memory"][0]
    said = decoding.sample(each, temperature=0.7, seed=3)
    np.testing.assert_array_equal(said, decoding.sample(each, temperature=0.7, seed=3))
    expected = decoding.chances(each.run.tables[0, each.begin] + each.held["memory"][0], temperature=0.7)
    np.testing.assert_allclose(np.bincount(said[:, 0], minlength=5) / len(said), expected, atol=0.012)


# ---------------------------------------------------------------- networks


@pytest.fixture(scope="module")
def attending():
    """A net with attention and three states, its weights sharpened so that its sentences differ."""
    work = find("luong_input_feeding", "number_words", quick=True)
    networks = work.make()
    for weight in networks["sequence"].trainable_weights:
        weight.assign(3 * np.asarray(weight))
    return work, work.complete(networks)


def spoken(work, run, count=6):
    source = work.dataset.test.x["source"][:count]
    each = work.task.speaker(run, work.dataset, source)
    return {
        "greedy": decoding.greedy(each),
        "beam": decoding.beam(each, 3),
        "sample": decoding.sample(each, temperature=0.8, seed=1),
    }


@pytest.mark.parametrize("export", [export_tflite, export_onnx])
def test_files_say_the_same_tokens_as_keras(attending, export, tmp_path):
    work, networks = attending
    files = {}
    for name in ("encoder", "step"):
        artifact = export(networks[name], name=name)
        path = artifact.save(tmp_path / f"{name}{artifact.suffix}")
        states = {"manifest": {**artifact.manifest, "network": name, "states": work.states(name)}}
        files[name] = ModelFile(name=path.name, path=path, format=artifact.suffix[1:], **states)
    expected = spoken(work, KerasRunner(networks, work.deploy))
    assert len({tuple(row) for row in expected["greedy"]}) > 1
    with open_runner(files) as run:
        found = spoken(work, run)
    for decoder, ids in expected.items():
        np.testing.assert_array_equal(found[decoder], ids, err_msg=decoder)


def test_data_are_presented_to_three_networks(attending):
    work, networks = attending
    task = tasks.get("translation")
    with pytest.raises(BadInput, match="'encoder'"):
        task.present("number_words", {"sequence": networks["sequence"]})
    with pytest.raises(BadInput, match=r"token id .* outside"):
        small = keras.Model(networks["sequence"].input, networks["sequence"].output[..., :20])
        task.present(work.dataset, {**networks, "sequence": small})
    with pytest.raises(BadInput, match="presented"):
        task.samples(data.load("number_words"), "step", 3)
