"""Words that are spelled: ids by hand, the texts that come back, decoding on two levels, Spanish numbers."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.training import data, tasks
from edgewright.training.data import numerals, spelled
from edgewright.training.data.arrays import Input
from edgewright.training.data.marks import BOS, EOS, PAD, UNKNOWN
from edgewright.training.data.sets import Asked
from edgewright.training.decoding import Speaker
from edgewright.training.decoding import spelled as say

PAIRS = {part: [("ab b, ab", "ba ab ba")] * 3 + [("abab", "toolong")] for part in ("train", "validation", "test")}


def asked(names, task="spelled_translation", vocabulary=0):
    shapes = {"source": (5, 4), "target": (4, 4), "target_letters": (4, 4)}
    if len(names) == 4:
        shapes = {"source": (5,), "source_letters": (5, 4), "target": (4,), "target_letters": (4, 4)}
    inputs = tuple(Input(name=name, shape=shapes[name], dtype="int32", vocabulary=7) for name in names)
    return Asked(input_shape=(), dtype="int32", task=task, vocabulary=vocabulary, inputs=inputs)


def test_spelled_words_by_hand():
    """Letters by frequency in training, ties by spelling, for seven ids in all."""
    dataset = spelled.of_words("pairs", PAIRS, asked(spelled.SPELLED), ("made up",))
    x, y = dataset.train.x, dataset.train.y
    a, b, comma = 5, 4, 6
    assert dataset.labels == ("<pad>", "<s>", "</s>", "<unk>", "b", "a", ",")
    assert len(y) == 3 and "train 1 of 4" in dataset.preprocessing
    np.testing.assert_array_equal(x["source"][0], [[a, b, EOS, 0], [b, EOS, 0, 0], [comma, EOS, 0, 0],
                                                   [a, b, EOS, 0], [EOS, 0, 0, 0]])  # fmt: skip
    words = [[b, a, EOS, 0], [a, b, EOS, 0], [b, a, EOS, 0], [EOS, 0, 0, 0]]
    np.testing.assert_array_equal(y[0], words)
    np.testing.assert_array_equal(x["target"][0], [[BOS, 0, 0, 0], *words[:3]])
    np.testing.assert_array_equal(
        x["target_letters"][0], [[BOS, b, a, 0], [BOS, a, b, 0], [BOS, b, a, 0], [BOS, 0, 0, 0]]
    )
    assert spelled.text_of_letters(y[0], dataset.labels) == "ba ab ba"


def test_unknown_words_alone_are_spelled_in_a_vocabulary():
    dataset = spelled.of_words("pairs", PAIRS, asked(spelled.MIXED, "mixed_translation", vocabulary=5), ("made up",))
    x, y, labels = dataset.train.x, dataset.train.y, dataset.named_labels
    assert labels["logits"] == ("<pad>", "<s>", "</s>", "<unk>", "ab") and dataset.classes == 5
    a, b = labels["letters"].index("a"), labels["letters"].index("b")
    np.testing.assert_array_equal(x["source"][0], [4, UNKNOWN, UNKNOWN, 4, EOS])
    np.testing.assert_array_equal(x["source_letters"][0, :2], [[0, 0, 0, 0], [b, EOS, 0, 0]])
    np.testing.assert_array_equal(y["logits"][0], [UNKNOWN, 4, UNKNOWN, EOS])
    np.testing.assert_array_equal(x["target"][0], [BOS, UNKNOWN, 4, UNKNOWN])
    np.testing.assert_array_equal(y["letters"][0], [[b, a, EOS, 0], [0] * 4, [b, a, EOS, 0], [0] * 4])
    np.testing.assert_array_equal(x["target_letters"][0, :2], [[BOS, b, a, 0], [0] * 4])
    text = spelled.text_of_words(y["logits"][0], y["letters"][0], labels["logits"], labels["letters"])
    assert text == "ba ab ba"


def test_pairs_that_fit_nothing_are_told():
    short = {**PAIRS, "test": [("a", "toolong")]}
    with pytest.raises(BadInput, match="no pair of test has at most 4 and 3 words of 3 letters"):
        spelled.of_words("pairs", short, asked(spelled.SPELLED), ())
    with pytest.raises(BadInput, match="inputs source, target, target_letters, asked is"):
        data.load("numbers_in_spanish", input_shape=(8,))


@pytest.mark.parametrize(
    ("number", "words"),
    [(21_001, "veintiún mil uno"), (31_100, "treinta y un mil cien"), (10_000, "diez mil"), (100, "cien"),
     (55_516, "cincuenta y cinco mil quinientos dieciséis"), (1_999, "mil novecientos noventa y nueve"), (0, "cero")],
)  # fmt: skip
def test_spanish_numbers(number, words):
    assert numerals.in_spanish(number) == words


class Counting:
    """Networks that spell: word t of sentence n has n + t letters, and sentence n has n words; letters count up."""

    def __call__(self, network, inputs):
        assert network == "step" and inputs["token"].shape[1:] == (1, 5)
        before, at = inputs["token"][:, 0], inputs["at"][:, 0]
        if at[0]:  # the word before comes back as it was spelled
            sizes = (before > EOS).sum(1)
            expected = np.where(inputs["number"][:, 0] >= at, inputs["number"][:, 0] + at - 1, 0)
            np.testing.assert_array_equal(sizes, expected)
        size = np.where(inputs["number"][:, 0] > at, inputs["number"][:, 0] + at, 0)
        return {"word": size[:, None, None], "at_out": inputs["at"] + 1}

    def unroll(self, network, given, *, first, steps, feed, held):
        place = np.arange(steps)
        ids = np.where(place < first["word"], 4 + place, EOS)
        np.testing.assert_array_equal(first["token"][:, 0], BOS)
        return {"logits": np.eye(9)[ids][:, :, None]}


def test_words_are_spelled_one_after_the_other():
    run, number = Counting(), np.array([[0], [1], [2]])
    words = Speaker(run=run, network="step", count=3, length=4, first={"at": np.zeros((3, 1))},
                    held={"number": number}, states={"at_out": "at"})  # fmt: skip

    def spell(answers):
        first = {"word": answers["word"].reshape(3, 1)}
        return Speaker(run=run, network="spelling", count=3, length=5, first=first)

    said = say(words, spell, 5)
    np.testing.assert_array_equal((said > EOS).sum(-1), [[0, 0, 0, 0], [1, 0, 0, 0], [2, 3, 0, 0]])
    np.testing.assert_array_equal(said[2, 1], [4, 5, 6, EOS, PAD])


def test_a_word_that_is_said_to_be_unknown_is_spelled_from_what_the_step_made_of_it():
    task, dataset = tasks.get("mixed_translation"), None
    dataset = spelled.of_words("pairs", PAIRS, asked(spelled.MIXED, "mixed_translation", vocabulary=5), ("made up",))
    facts = {name: getattr(dataset, name) for name in data.Dataset.__dataclass_fields__}
    from edgewright.training.tasks.translation import Sentences, Stepped

    token, word = Input(name="token", shape=(1,), dtype="int32"), Input(name="word", shape=(1,))
    steps = {"step": Stepped(inputs=(token, Input(name="memory", shape=(1,))), states={}),
             "spelling": Stepped(inputs=(token, word), states={"word_out": "word"})}  # fmt: skip
    shown = Sentences(**facts, steps=steps)

    class Run:
        def __call__(self, network, inputs):
            assert network == "encoder" and set(inputs) == {"source", "source_letters"}
            return {"memory": np.zeros((len(inputs["source"]), 1))}

        def unroll(self, network, given, *, first, steps, feed, held):
            if network == "step":
                ids = np.tile([4, UNKNOWN, EOS, 4], (len(held["memory"]), 1))
                return {
                    "logits": np.eye(5)[ids][:, :, None],
                    "word": np.tile(np.arange(4.0)[:, None, None], (3, 1, 1, 1)),
                }
            np.testing.assert_array_equal(first["word"], np.ones((3, 1)))  # that of the second word
            return {"logits": np.eye(7)[np.tile([5, EOS, 4, 4], (3, 1))][:, :, None]}

    letter = dataset.named_labels["letters"][5]
    assert task.said(Run(), shown, dataset.train.x) == [f"ab {letter}"] * 3
