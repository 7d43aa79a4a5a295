"""Sentences as word pieces (Schuster 2012, Wu 2016), and the text that their readers are pre-trained on.

A sample is "[CLS] sentence [SEP]", or two sentences of which the second ends in [SEP] too, filled up with [PAD].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from .arrays import Input
from .dataset import Dataset, Split
from .sets import Asked
from .tokens import Texts

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNKNOWN, BEGIN, END, MASK = range(len(SPECIAL))
VOCABULARY = 2000  # pieces, where the model sets none
IDS, TOLD, SECOND, LANGUAGES = "ids", "mask", "segments", "languages"  # inputs: the first two, and one of the others


@dataclass(frozen=True, kw_only=True)
class Text:
    """Sentences to learn a language from. documents: of each the number of the text that it is from, in their order.

    translations: the same sentences in a second language, or none.
    """

    sentences: Sequence[str]
    documents: np.ndarray
    translations: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A `Text` as token ids, a vector (n,) int32 a sentence, without the marks of a sample.

    vocabulary: how many ids there are.
    """

    sentences: Sequence[np.ndarray]
    documents: np.ndarray
    translations: Sequence[np.ndarray] = ()
    vocabulary: int


@dataclass(frozen=True)
class WordPieces:
    """A vocabulary of word pieces, in the order of their ids; those that go on with a word begin with ##.

    Letters are made small and lose their accents, as in BERT's uncased models.
    """

    tokens: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str], size: int) -> WordPieces:
        """Learn at most `size` pieces from texts.  Raises: BadInput for less than their letters and marks need."""
        from tokenizers import trainers

        texts = list(texts)
        learning = _tokenizer({token: index for index, token in enumerate(SPECIAL)})
        # Left to itself the trainer numbers letters within words as its hash table has them, and chooses between pairs
        # that are as frequent by their numbers: each run learns other pieces (tokenizers 0.23).
        alphabet = [f"##{letter}" for letter in _within_words(learning, texts)]
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=[*SPECIAL, *alphabet], show_progress=False)
        learning.train_from_iterator(texts, trainer)
        found = sorted(learning.get_vocab().items(), key=lambda entry: entry[1])
        if len(found) > size:
            raise BadInput(
                f"vocabulary {size}: letters and marks of these texts alone are {len(found)} word pieces; give the "
                "model a larger one"
            )
        return cls(tuple(token for token, _ in found))

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text, (n,) int32, without marks of beginning and end."""
        tokenizer = _tokenizer({token: index for index, token in enumerate(self.tokens)})
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(each.ids, np.int32) for each in encoded]


def _within_words(tokenizer: Any, texts: Sequence[str]) -> list[str]:
    """Return the letters that do not begin a word, in their order."""
    words = {word for text in texts for word in tokenizer.normalizer.normalize_str(text).split()}
    split = (part for word in words for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(word))
    return sorted({letter for part in split for letter in part[1:]})


def _tokenizer(vocabulary: Mapping[str, int]):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(vocab=dict(vocabulary), unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=True, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def classified(texts: Texts, text: Text, asked: Asked) -> Dataset:
    """Return sentences as a model of inputs "ids", "mask" and "segments" or "languages" takes them, and their classes.

    text: to pre-train on; the pieces are learned from it and the training sentences.
    Raises: BadInput for other inputs.
    """
    inputs = {each.name: each for each in asked.inputs}
    length = _length(inputs, texts.name)
    learned_from = [*texts.sentences["train"], *text.sentences, *text.translations]
    pieces = WordPieces.of(learned_from, inputs[IDS].vocabulary or VOCABULARY)
    splits = {}
    for part, sentences in texts.sentences.items():
        x = framed([(ids,) for ids in pieces.encode(sentences)], length)
        splits[part] = Split(x={each: x.get(each, x[SECOND]) for each in inputs}, y=texts.classes[part])
    return Dataset(
        name=texts.name,
        task=asked.task,
        classes=len(texts.labels),
        labels=texts.labels,
        vocabulary=len(pieces.tokens),
        tokens=pieces.tokens,
        corpus=Corpus(
            sentences=pieces.encode(text.sentences),
            documents=text.documents,
            translations=pieces.encode(text.translations),
            vocabulary=len(pieces.tokens),
        ),
        preprocessing=(
            f"BERT's word pieces, {len(pieces.tokens)} learned from the training text, small letters without accents; "
            f"{SPECIAL[BEGIN]} before, {SPECIAL[END]} behind the sentence, {PAD} fills up to {length}; mask: 1 where "
            "there is a token; segments, languages: of each token, from 0"
        ),
        source=texts.source,
        **splits,
    )


def _length(inputs: Mapping[str, Input], name: str) -> int:
    """Return how many tokens a sample has."""
    shapes = {each.shape for each in inputs.values()}
    if not {IDS, TOLD} <= inputs.keys() <= {IDS, TOLD, SECOND, LANGUAGES} or len(shapes) != 1 or (None,) in shapes:
        raise BadInput(
            f"data set {name!r} cannot be shown to inputs {', '.join(inputs)}; of several it can as {IDS}, {TOLD} and, "
            f"if asked, {SECOND} or {LANGUAGES}, of one length each"
        )
    ((length,),) = shapes
    assert length is not None
    return length


def framed(samples: Sequence[Sequence[np.ndarray]], length: int) -> dict[str, np.ndarray]:
    """Return samples of one or two sentences between their marks; what is too long loses its end, the longer first.

    Shapes: ids, mask (1 for a token), segments (0 or 1, of padding 0): (N, length) int32.
    """
    arrays = {each: np.zeros((len(samples), length), np.int32) for each in (IDS, TOLD, SECOND)}
    for row, sentences in enumerate(samples):
        at = 1
        arrays[IDS][row, 0] = BEGIN
        for segment, sentence in enumerate(cut(sentences, length)):
            end = at + len(sentence)
            arrays[IDS][row, at:end], arrays[IDS][row, end] = sentence, END
            arrays[SECOND][row, at : end + 1] = segment
            at = end + 1
        arrays[TOLD][row, :at] = 1
    return arrays


def cut(sentences: Sequence[np.ndarray], length: int) -> list[np.ndarray]:
    """Return one or two sentences cut so that with their marks they have at most `length` tokens."""
    room = length - 1 - len(sentences)
    if len(sentences) == 1:
        return [sentences[0][:room]]
    first, second = map(len, sentences)
    second = min(second, max(room - first, room // 2))
    return [sentences[0][: room - second], sentences[1][:second]]


__all__ = ["Corpus", "Text", "WordPieces", "classified", "cut", "framed"]
