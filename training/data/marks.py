"""Token ids that stand for no piece of a text: what fills up, begins and ends a sentence, and what has no id."""

from collections.abc import Sequence

PAD, BOS, EOS, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
Pairs = Sequence[tuple[str, str]]  # sentences, and what is to be said
