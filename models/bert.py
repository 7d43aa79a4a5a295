"""BERT (Devlin 2018, arXiv:1810.04805) and its relatives: encoders that read a sentence both ways, and its class.

What they are pre-trained with (heads over masked words and pairs of sentences, a generator) is dropped before a device
sees them; `models/pretraining.py` builds it upon the encoder's own layers.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from .attention import Block, LearnedPositions, encoder_block
from .registry import register

FAMILY = "transformer"

INPUTS = {"ids": (128,), "segments": (128,), "mask": (128,)}
WITHOUT = {"ids": (128,), "mask": (128,)}  # what tells no sentence from the next
LANGUAGES = {"ids": (128,), "languages": (128,), "mask": (128,)}
SMALL = {"dropout": 0.0, "vocabulary": 2000, "positions": 32, "depth": 2, "width": 64, "heads": 2, "feed_forward": 128}
START = 0.02  # deviation of tables when training starts


def _short(inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(inputs, (32,))


@register(
    task="classification",
    learner="masked_words_and_next_sentence",
    input_shape=INPUTS,
    dtype="int32",
    classes=2,
    params=109_483_778,
    paper="Devlin 2018, BERT: pre-training of deep bidirectional transformers, arXiv:1810.04805",
    data=("rt_polarity", "opinions"),
    learning_rate=1e-3,
    training={"clip_norm": 1.0},
    edge={"input_shape": _short(INPUTS), **SMALL},
    variants={
        "bert_large": {
            "params": 335_143_938,
            "depth": 24,
            "width": 1024,
            "heads": 16,
            "feed_forward": 4096,
            "edge": {**SMALL, "depth": 3},
        },
        "roberta": {
            "learner": "masked_words",
            "input_shape": WITHOUT,
            "params": 124_646_402,
            "paper": "Liu 2019, RoBERTa: a robustly optimized BERT pretraining approach, arXiv:1907.11692",
            "vocabulary": 50_265,
            "positions": 514,
            "edge": {"input_shape": _short(WITHOUT), **SMALL},
        },
        "albert": {
            "learner": "masked_words_and_sentence_order",
            "params": 11_685_122,
            "paper": "Lan 2019, ALBERT: a lite BERT, arXiv:1909.11942",
            "vocabulary": 30_000,
            "embedding": 128,
            "shared": True,
            "edge": {**SMALL, "embedding": 32},
        },
        "electra": {
            "learner": "replaced_words",
            "params": 13_483_522,
            "paper": "Clark 2020, ELECTRA: pre-training text encoders as discriminators, arXiv:2003.10555; its small",
            "embedding": 128,
            "width": 256,
            "heads": 4,
            "feed_forward": 1024,
            "pooled": False,
            "edge": {**SMALL, "embedding": 32},
        },
        "xlm": {
            "learner": "translated_words",
            "input_shape": LANGUAGES,
            "params": 248_978_434,
            "paper": "Conneau and Lample 2019, Cross-lingual language model pretraining, arXiv:1901.07291",
            "vocabulary": 95_000,
            "kinds": 15,
            "width": 1024,
            "heads": 8,
            "feed_forward": 4096,
            "pooled": False,
            "edge": {"input_shape": _short(LANGUAGES), **SMALL, "kinds": 2},
        },
        "tiny_bert": {
            "learner": "distilled_encoder",
            "params": 14_350_874,
            "paper": "Jiao 2019, TinyBERT: distilling BERT for natural language understanding, arXiv:1909.10351",
            "depth": 4,
            "width": 312,
            "feed_forward": 1200,
            "edge": {**SMALL, "width": 32, "feed_forward": 64},
        },
    },
)
def bert_base(
    inputs: Mapping[str, KerasTensor], classes: int, *, vocabulary: int = 30_522, positions: int = 512, kinds: int = 2,
    embedding: int | None = None, width: int = 768, depth: int = 12, heads: int = 12, feed_forward: int = 3072,
    dropout: float = 0.1, shared: bool = False, pooled: bool = True, tags: bool = False
):  # fmt: skip
    """Build an encoder that classifies a sentence, or a pair of them, by what it makes of the first token.

    inputs: "ids", "mask", 1 for a token and 0 for padding, and perhaps "segments" or "languages", of `kinds` each.
    embedding: width of the tables, from which a product leads to `width`. shared: all blocks are one (ALBERT). pooled:
    the first vector goes through a dense layer with tanh before it is classified. tags: classify each token instead.
    RoBERTa's table of positions has two rows that are not used: it numbers them from behind its id of padding.
    Shapes: each (N, T) int32 -> logits (N, classes), of tags (N, T, classes).
    """
    length = inputs["ids"].shape[1]
    x = _table(vocabulary, embedding or width, "word_table")(inputs["ids"])
    for kind in ("segment", "language"):
        if (told := inputs.get(f"{kind}s")) is not None:
            x = layers.Add(name=f"{kind}_add")([x, _table(kinds, embedding or width, f"{kind}_table")(told)])
    x = LearnedPositions(positions, name="positions")(x)
    x = layers.LayerNormalization(epsilon=1e-12, name="embedding_norm")(x)
    x = layers.Dropout(dropout, name="embedding_dropout")(x)
    if embedding not in (None, width):
        x = layers.Dense(width, name="widen")(x)
    keep = ops.reshape(ops.not_equal(inputs["mask"], 0), (-1, 1, 1, length))
    block = Block(heads=heads, feed_forward=feed_forward, dropout=dropout, weight_dropout=dropout, activation="gelu",
                  use_bias=True, epsilon=1e-12)  # fmt: skip
    x = encoded(x, keep, block, depth, shared)
    x = layers.Identity(name="hidden")(x)
    if not tags:
        x = x[:, 0]  # (N, width)
        x = layers.Dense(width, activation="tanh", name="pooler")(x) if pooled else x
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def _table(rows: int, width: int, name: str) -> layers.Embedding:
    start: Any = keras.initializers.RandomNormal(stddev=START)
    return layers.Embedding(rows, width, embeddings_initializer=start, name=name)


def encoded(x: Any, keep: Any, block: Block, depth: int, shared: bool):
    """Add `depth` blocks, or one block so many times.

    keep: which tokens are no padding.  Shapes: (N, T, width), keep (N, 1, 1, T) bool -> (N, T, width).
    """
    if not shared:
        for index in range(1, depth + 1):
            x = encoder_block(x, block, f"encoder_{index}", keep=keep)
        return x
    given: Any = keras.Input(x.shape[1:], name="hidden"), keras.Input(keep.shape[1:], dtype="bool", name="keep")
    once = keras.Model(given, encoder_block(given[0], block, "encoder", keep=given[1]), name="encoder")
    for _ in range(depth):
        x = once([x, keep])
    return x
