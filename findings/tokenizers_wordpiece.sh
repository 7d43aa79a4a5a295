#!/usr/bin/env bash
# tokenizers 0.23.3
# WordPieceTrainer, and BpeTrainer with a continuing_subword_prefix, learn another vocabulary from the same text each time,
# in one process too: other ids, and other pieces. BpeTrainer without a prefix is repeatable.
# Letters within words ("##a") are numbered as a hash table has them, and ties between pairs are decided by number.
# Given as special tokens in an order of one's own, they are not, and the vocabulary is the same each time.
# Matters: a model trained in one process reads other words in the next, though text, settings and seed are the same; what is
# derived from token ids (cached data, calibration, a resumed training) silently no longer fits.
# Seen:
#   WordPieceTrainer: 6 trainings, 6 vocabularies, 5 sets of pieces
#   BpeTrainer, prefix: 6 trainings, 6 vocabularies, 5 sets of pieces
#   WordPieceTrainer, letters given: 6 trainings, 1 vocabularies, 1 sets of pieces
#   BpeTrainer, no prefix: 6 trainings, 1 vocabularies, 1 sets of pieces
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q tokenizers==0.23.3
venv/bin/python - 2>err.txt <<'PY' || { tail -3 err.txt; exit 1; }
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

draw = random.Random(0)
words = ["".join(draw.choice("abcdefgh") for _ in range(draw.randint(2, 6))) for _ in range(300)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [f"##{letter}" for letter in sorted({letter for word in words for letter in word[1:]})]


def learned(kind, special, **options):
    model = (models.WordPiece if kind is trainers.WordPieceTrainer else models.BPE)(unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(words, kind(vocab_size=100, special_tokens=special, show_progress=False, **options))
    return tokenizer.get_vocab()


def seen(name, *arguments, **options):
    found = [learned(*arguments, **options) for _ in range(6)]
    vocabularies = {str(sorted(each.items())) for each in found}
    sets = {str(sorted(each)) for each in found}
    print(f"{name}: {len(found)} trainings, {len(vocabularies)} vocabularies, {len(sets)} sets of pieces")
    return len(vocabularies), len(sets)


assert min(seen("WordPieceTrainer", trainers.WordPieceTrainer, SPECIAL)) > 1
assert min(seen("BpeTrainer, prefix", trainers.BpeTrainer, SPECIAL, continuing_subword_prefix="##")) > 1
assert seen("WordPieceTrainer, letters given", trainers.WordPieceTrainer, SPECIAL + LETTERS) == (1, 1)
assert seen("BpeTrainer, no prefix", trainers.BpeTrainer, SPECIAL) == (1, 1)
PY
