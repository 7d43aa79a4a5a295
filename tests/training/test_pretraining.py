"""Encoders pre-trained on text: word pieces, masked words, pairs of sentences, and what a classifier keeps of it."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import pretraining as nets
from edgewright.models import registry
from edgewright.pipeline import find
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Input, load
from edgewright.training.data.pieces import BEGIN, END, MASK, PAD, SPECIAL, UNKNOWN, Corpus, WordPieces, cut, framed
from edgewright.training.learners.masking import NOT_ASKED, Rules, masked, samples
from edgewright.training.learners.pretraining import KINDS, LOSSES, _turn, of_replaced, unlabelled
from edgewright.training.state import RunDir

SIZES = {"depth": 1, "width": 8, "heads": 2, "feed_forward": 8, "vocabulary": 500}


def corpus(sentences=400, vocabulary=300, documents=20, translations=False):
    """Return sentences of 5 to 29 words; no two have a word in the same place in common with their number."""
    random = np.random.default_rng(0)
    made = [random.integers(5, vocabulary, random.integers(5, 30)).astype("int32") for _ in range(sentences)]
    for number, sentence in enumerate(made):
        sentence[:2] = 5 + number // 100, 105 + number % 100
    return Corpus(
        sentences=made,
        documents=np.arange(sentences) * documents // sentences,
        translations=[sentence + vocabulary for sentence in made] if translations else (),
        vocabulary=vocabulary * (1 + translations),
    )


def number(ids):
    """Return which sentence of `corpus` begins with these ids."""
    return 100 * (ids[0] - 5) + ids[1] - 105


# ---------------------------------------------------------------- word pieces


def test_pieces_are_the_same_each_time_they_are_learned():
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcdefgh"), random.integers(2, 7))) for _ in range(300)]
    learned = [WordPieces.of(words, 100).tokens for _ in range(4)]
    assert len(set(learned)) == 1 and len(learned[0]) == 100 and learned[0][:5] == SPECIAL
    with pytest.raises(BadInput, match="vocabulary 10"):
        WordPieces.of(words, 10)


def test_a_word_is_cut_into_its_longest_pieces():
    pieces = WordPieces((*SPECIAL, "un", "##aff", "##able", "##a", "[", "a"))
    (ids,) = pieces.encode(["Unaffable \u00e1 [MASK] xyz"])
    assert [pieces.tokens[k] for k in ids] == ["un", "##aff", "##able", "a", "[MASK]", "[UNK]"]
    assert ids[-1] == UNKNOWN


def test_samples_stand_between_marks_and_lose_what_is_too_long():
    one, two = np.arange(10, 14), np.arange(20, 29)
    x = framed([(one,), (one, two), (two, one)], 10)
    np.testing.assert_array_equal(x["ids"][0], [BEGIN, 10, 11, 12, 13, END, PAD, PAD, PAD, PAD])
    np.testing.assert_array_equal(x["ids"][1], [BEGIN, 10, 11, 12, 13, END, 20, 21, 22, END])
    np.testing.assert_array_equal(x["segments"][1], [0] * 6 + [1] * 4)
    np.testing.assert_array_equal(x["ids"][2], [BEGIN, 20, 21, 22, 23, END, 10, 11, 12, END])
    np.testing.assert_array_equal(x["mask"].sum(1), [6, 10, 10])
    assert [len(part) for part in cut([np.arange(2), np.arange(50)], 13)] == [2, 8]


def test_opinions_are_the_same_for_all_and_their_words_known():
    inputs = [Input(name=name, shape=(24,), dtype="int32", vocabulary=400) for name in ("ids", "segments", "mask")]
    data, again = (load("opinions", inputs=inputs, task="classification") for _ in range(2))
    assert [len(split) for split in data.splits.values()] == [4000, 500, 1500] and len(data.tokens) <= 400
    np.testing.assert_array_equal(data.train.x["ids"], again.train.x["ids"])
    assert not (data.test.x["ids"] == UNKNOWN).any() and 0.45 < data.train.y.mean() < 0.55
    said = [" ".join(data.tokens[k] for k in row if k != PAD).replace(" ##", "") for row in data.train.x["ids"][:400]]
    plain = [(text, label) for text, label in zip(said, data.train.y, strict=False) if "but" not in text
             and "although" not in text]  # fmt: skip
    for text, label in plain:
        good = any(f" {word} " in text for word in ("good", "great", "lovely", "superb", "clever", "wonderful",
                                                    "charming", "excellent", "delightful", "impressive"))  # fmt: skip
        turned = any(f" {word} " in text for word in ("not", "never", "hardly"))
        assert label == (good != turned)
    with pytest.raises(BadInput, match="cannot be shown to inputs left, right"):
        load("opinions", inputs=[Input(name=name, shape=(24,), dtype="int32") for name in ("left", "right")])


# ---------------------------------------------------------------- masked words


def test_masking_rates():
    """15% of 1e5 words are asked for, of these 80% masked, 10% another word, 10% as they were; within a point."""
    random = np.random.default_rng(1)
    lengths = random.integers(6, 41, 5000)
    ids = framed([(random.integers(5, 2000, length).astype("int32"),) for length in lengths], 48)["ids"]
    shown, places, originals = masked(ids, 2000, Rules(), random)
    words = lengths.sum()
    assert words > 1e5
    asked = originals != PAD
    assert asked.sum() / words == pytest.approx(0.15, abs=0.01)
    now = np.take_along_axis(shown, places, 1)[asked]
    hidden, same = now == MASK, now == originals[asked]
    assert hidden.mean() == pytest.approx(0.8, abs=0.01)
    assert same.mean() == pytest.approx(0.1, abs=0.01) and (~hidden & ~same).mean() == pytest.approx(0.1, abs=0.01)
    changed = shown != ids
    assert changed.sum() == (~same).sum() and not changed[ids < len(SPECIAL)].any()
    np.testing.assert_array_equal(np.take_along_axis(ids, places, 1)[asked], originals[asked])
    short = lengths < 10
    assert asked[short].sum() / lengths[short].sum() == pytest.approx(0.15, abs=0.015)


def test_every_second_sentence_is_the_next():
    text = corpus()
    x, y = samples(text, ["ids", "segments"], 200, 400, Rules(pairs="next", hidden=0.0, other=0.0),
                   np.random.default_rng(0))  # fmt: skip
    assert y["pair"].mean() == pytest.approx(0.5, abs=0.06)
    for ids, segments, true in zip(x["ids"], x["segments"], y["pair"], strict=True):
        first, second = number(ids[1:]), number(ids[segments == 1])
        assert (second == first + 1) == true and text.documents[first] == text.documents[first + 1]


def test_sentences_in_order_and_in_the_wrong_one():
    x, y = samples(corpus(), ["ids", "segments"], 200, 200, Rules(pairs="order", hidden=0.0, other=0.0),
                   np.random.default_rng(0))  # fmt: skip
    for ids, segments, true in zip(x["ids"], x["segments"], y["pair"], strict=True):
        assert number(ids[segments == 1]) - number(ids[1:]) == (1 if true else -1)


def test_translations_are_told_by_language():
    x, _ = samples(corpus(translations=True), ["ids", "languages", "mask"], 200, 200,
                   Rules(pairs="translation", hidden=0.0, other=0.0), np.random.default_rng(0))  # fmt: skip
    words = x["ids"] >= len(SPECIAL)
    np.testing.assert_array_equal((x["ids"] >= 300 + len(SPECIAL))[words], x["languages"][words])
    both = np.array([len(np.unique(kinds[told == 1])) for kinds, told in zip(x["languages"], x["mask"], strict=True)])
    assert (both == 2).mean() == pytest.approx(0.5, abs=0.1)
    assert not x["languages"][x["mask"] == 0].any()


def test_masks_are_new_in_each_epoch_or_come_again():
    assert [_turn(Rules(maskings=10), epoch) for epoch in (0, 9, 10, 23)] == [0, 9, 0, 3]
    assert _turn(Rules(), 23) == 23
    assert KINDS["masked_words_and_next_sentence"].rules.maskings == 10 and KINDS["masked_words"].rules.maskings is None
    one, same, other = (samples(corpus(), ["ids"], 40, 8, Rules(), np.random.default_rng([0, turn]))[0]["ids"]
                        for turn in (0, 0, 1))  # fmt: skip
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_only_words_that_are_asked_for_count():
    logits = np.random.default_rng(0).normal(size=(2, 3, 7)).astype("f4")
    words = np.array([[1, 5, NOT_ASKED], [NOT_ASKED, 2, NOT_ASKED]])
    chances = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    exact = -np.mean([chances[0, 0, 1], chances[0, 1, 5], chances[1, 1, 2]])
    assert float(LOSSES["words"](words, logits)) == pytest.approx(exact, rel=1e-5)
    judged = np.array([[[2.0, 1, 1], [-1.0, 0, 1], [9.0, 1, 0]]], "f4")
    exact = (np.log1p(np.exp(-2)) + np.log1p(np.exp(-1))) / 2
    assert float(of_replaced(None, judged)) == pytest.approx(exact, rel=1e-5)


# ---------------------------------------------------------------- nets


def test_a_generator_replaces_words_where_it_was_asked():
    layer = nets.Replace(name="replace")
    ids, places = np.array([[2, 4, 7, 4, 3]], "int32"), np.array([[1, 3, 0]], "int32")
    originals = np.array([[6, 8, 0]], "int32")
    logits = np.full((1, 3, 9), -1e4, "f4")
    logits[0, [0, 1, 2], [6, 5, 1]] = 0  # the first is drawn right, the second wrong, the third was not asked for
    made, replaced = layer(logits, ids, places, originals)
    np.testing.assert_array_equal(made, [[2, 6, 7, 5, 3]])
    np.testing.assert_array_equal(replaced, [[0, 0, 0, 1, 0]])


def test_a_generator_draws_by_its_chances():
    logits = np.log(np.tile(np.array([0.5, 0.3, 0.2], "f4"), (2000, 1, 1)))
    ids, one = np.zeros((2000, 1), "int32"), np.ones((2000, 1), "int32")
    drawn, _ = nets.Replace(name="replace")(logits, ids, 0 * one, one)
    np.testing.assert_allclose(np.bincount(np.ravel(drawn), minlength=3) / 2000, [0.5, 0.3, 0.2], atol=0.04)


def test_a_student_is_like_every_second_block_of_its_teacher():
    student = registry.build("tiny_bert", "edge")
    teacher = nets.teacher_of(student)
    assert [each.name for each in teacher.inputs] == [each.name for each in student.inputs]
    pairs = nets.like_the_teacher(student, teacher)
    assert pairs["encoder_1_attention_weights"] == "encoder_2_attention_weights"
    assert pairs["encoder_2_feed_forward_norm"] == "encoder_4_feed_forward_norm" and len(pairs) == 5


# ---------------------------------------------------------------- learning


def learned(name, epochs=2, out=None, **options):
    """Return the classifier of a row trained on a few opinions, its data and history."""
    entry = registry.get(name)
    model = registry.build(name, "edge", seed=3, **SIZES, **options)
    task = tasks.get("classification")
    dataset = task.present("opinions", {name: model}, limit=64, test_limit=16)
    config = TrainConfig(epochs=epochs, batch_size=16, learning_rate=entry.learning_rate, schedule="constant")
    keras.utils.set_random_seed(0)
    history = learners.get(entry.learner)({name: model}, dataset, task, config, RunDir(out))
    return model, dataset, history


def told(folder):
    """Return the words of the log of a pre-training."""
    return (folder / "pretraining" / "history.jsonl").read_text()


def test_pretraining_that_stopped_goes_on_to_the_same_bits(tmp_path):
    whole, _, rows = learned("bert_base", epochs=4)
    learned("bert_base", epochs=2, out=tmp_path)  # half of that are of pre-training
    (tmp_path / "checkpoint.npz").unlink()
    checkpoint = tmp_path / "pretraining" / "checkpoint.npz"
    state = np.load(checkpoint)
    note = bytes(state["_note"]).replace(b'"done": true', b'"done": false')
    np.savez(checkpoint, **{**state, "_note": np.frombuffer(note, np.uint8)})
    again, _, resumed = learned("bert_base", epochs=4, out=tmp_path)
    assert resumed == rows and len(rows) == 4 and {"loss", "val_loss", "val_accuracy"} <= set(rows[0])
    assert told(tmp_path).count("val_pair_loss") == 2
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_discriminator_learns_beside_its_generator(tmp_path):
    model, _, _ = learned("electra", out=tmp_path, embedding=4)
    assert "val_replaced_loss" in told(tmp_path) and "val_words_loss" in told(tmp_path)
    start = registry.build("electra", "edge", seed=3, **SIZES, embedding=4)
    for weight, old in zip(model.trainable_weights, start.trainable_weights, strict=True):
        assert (np.asarray(weight) != np.asarray(old)).any(), weight.path


@pytest.mark.slow
@pytest.mark.parametrize(("name", "loss"), [("albert", "val_pair_loss"), ("xlm", "val_loss"), ("roberta", "val_loss")])
def test_the_others_learn_from_text_too(name, loss, tmp_path):
    _, _, history = learned(name, out=tmp_path, **({"embedding": 4} if name == "albert" else {}))
    assert len(history) == 2 and loss in told(tmp_path)


@pytest.mark.slow
def test_a_student_learns_from_a_teacher_that_learned_first(tmp_path):
    _, dataset, history = learned("tiny_bert", epochs=1, out=tmp_path)
    assert len(history) == 1 and "val_pair_loss" in told(tmp_path / "teacher")
    more = unlabelled(dataset, TrainConfig())
    assert set(more) == set(dataset.train.x) and len(more["ids"]) == len(dataset.train)


def test_pruning_and_qat_go_on_with_the_task_alone():
    for name in (*KINDS, "distilled_encoder"):
        assert learners.get(name).tuner == "fit"
    model = registry.build("roberta", "edge", **SIZES)
    dataset = tasks.get("classification").present("opinions", {"roberta": model}, limit=16, test_limit=16)
    _, work = find.of(model, dataset, learner="masked_words")
    assert work.learner == "masked_words" and work.tuned.learner == "fit" == work.tuned.tuned.learner
