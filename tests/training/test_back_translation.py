"""Back-translation: text of the target language becomes training pairs, whose sources a reverse model says."""

from types import SimpleNamespace

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.pipeline import back_translating
from edgewright.pipeline.find import find
from edgewright.pipeline.saved import save_networks
from edgewright.training import data
from edgewright.training.back_translation import with_text
from edgewright.training.data import translation
from edgewright.training.data.languages import turned

SHAPE = {"source": (16,), "target": (10,)}


@pytest.fixture(scope="module")
def pairs():
    return data.load("number_words", input_shape=SHAPE, task="translation", vocabulary=60)


def test_the_tokenizer_comes_back_from_its_tokens(pairs):
    texts = [translation.text_of(ids, pairs.labels) for ids in (*pairs.train.x["source"][:200], *pairs.train.y[:50])]
    own = translation.tokenizer_of(pairs.labels)
    rows = translation.padded(([*own.encode(text).ids, translation.EOS] for text in texts[:200]), 16)
    np.testing.assert_array_equal(rows, pairs.train.x["source"][:200])
    words = ["the cat, the hat.", "a cat sat. The end", "catnip athat"]
    made = translation.byte_pairs(words, 80)
    again = translation.tokenizer_of(translation.pieces(made))
    assert [made.encode(text).ids for text in words] == [again.encode(text).ids for text in words]


def test_pairs_are_turned_round_and_back(pairs):
    back = turned(pairs)
    np.testing.assert_array_equal(back.test.x["source"], pairs.test.y)
    np.testing.assert_array_equal(back.test.y, pairs.test.x["source"])
    assert (back.test.x["target"][:, 0] == translation.BOS).all()
    for name in ("source", "target"):
        np.testing.assert_array_equal(turned(back).train.x[name], pairs.train.x[name])
    other = data.load("number_words_back", input_shape={"source": (10,), "target": (16,)}, vocabulary=60)
    assert other.labels == pairs.labels and np.array_equal(other.train.y, back.train.y)


def test_lines_become_pairs_by_hand(pairs):
    """Of four lines one is too long to be said, one has no translation: two are learned, none of them tested."""
    said = np.zeros((3, 16), np.int32)
    said[0, :3], said[2, :4] = (9, 8, translation.EOS), (7, 7, 7, translation.EOS)
    given = []
    lines = ["1 2 3", "", "4 5", " ".join("1" * 40), "6 7 8 "]
    more = with_text(pairs, lines, lambda ids: given.append(ids) or said)
    texts = [translation.text_of(row, pairs.labels) for row in given[0]]
    assert texts == ["1 2 3", "4 5", "6 7 8"]
    count = len(pairs.train)
    assert len(more.train) == count + 2 and more.test is pairs.test and more.validation is pairs.validation
    np.testing.assert_array_equal(more.train.x["source"][count:], said[[0, 2]])
    np.testing.assert_array_equal(more.train.y[count:], given[0][[0, 2]])
    read = more.train.x["target"][count:]
    np.testing.assert_array_equal(read[0, :4], [translation.BOS, *given[0][0][:3]])
    np.testing.assert_array_equal(more.train.y[:count], pairs.train.y)
    with pytest.raises(BadInput, match="of 1 lines none has at most 9 tokens"):
        with_text(pairs, [" ".join("1" * 40)], lambda ids: ids)


def test_a_file_says_the_sources(tmp_path, monkeypatch):
    """What the reverse networks say greedily of each line is its source; other tokens are refused."""
    work = find("encoder_decoder", "number_words")
    reverse = find("encoder_decoder", "number_words_back")
    path, text = tmp_path / "back-sequence.keras", tmp_path / "digits.txt"
    save_networks(reverse.make(), tmp_path / "back.keras", lambda name: {**reverse.facts(name)})
    text.write_text("1 2 3 4 5\n9 8 7 6 5\n")
    said = np.tile(np.int32([9, 8, translation.EOS] + [0] * 13), (2, 1))
    monkeypatch.setattr(back_translating, "greedy", lambda speaker: said[: speaker.count])
    more = back_translating.with_monolingual(work, str(path), str(text))
    np.testing.assert_array_equal(more.dataset.train.x["source"][-2:], said)
    assert [translation.text_of(row, work.dataset.labels) for row in more.dataset.train.y[-2:]] == [
        "1 2 3 4 5", "9 8 7 6 5",
    ]  # fmt: skip
    monkeypatch.setattr(back_translating, "noted", lambda file: {"labels": ["<pad>"]})
    with pytest.raises(BadInput, match="says 1 tokens"):
        back_translating.with_monolingual(work, str(path), str(text))
    with pytest.raises(BadInput, match="is for pairs of sentences"):
        back_translating.with_monolingual(SimpleNamespace(dataset=data.load("digits")), str(path), str(text))
