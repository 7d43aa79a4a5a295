"""Towers that make a vector of what is asked, and a table of all that may answer: words, pages, tables of traits.

Networks: "encoder", ids -> vector; "scorer", vector -> scores of all rows.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from .registry import register
from .tables import SCORER, VECTOR, scorer

FAMILY = "embedding"
ENCODER = "encoder"
IDS = "ids"
TOWER: dict[str, Any] = {
    "learner": "ranking_pairs",
    "dtype": "int32",
    "networks": (ENCODER, SCORER),
}


@register(
    task="retrieval",
    **TOWER,
    input_shape=(8,),
    classes=10_000,
    params=2_000_100,
    paper="Wu 2017, StarSpace: embed all the things, arXiv:1709.03856, users as bags of pages",
    data=("liked_pages",),
    edge={"vocabulary": 201, "width": 32},
    variants={
        "kb_question_answering": {
            "learner": "ranking_pairs:temperature=0.1",
            "learning_rate": 0.01,
            "input_shape": (12,),
            "classes": 40_943,
            "vocabulary": 10_000,
            "width": 64,
            "params": 3_260_352,
            "paper": "Bordes 2014, Question answering with subgraph embeddings, arXiv:1406.3676, of the answer alone",
            "data": ("family_questions",),
            "edge": {"vocabulary": 1000, "width": 64},
        }
    },
)
def pagespace(input_shape: tuple[int, ...], classes: int, vocabulary: int = 10_001, width: int = 100):
    """Build the mean of the vectors of ids, pages of a user or words of a question, and the rows that answer.

    Padding has a vector too: what it adds is the same for as many ids.
    Shapes: encoder: ids (N, L) int32 -> vector (N, width); scorer: query (N, width) -> scores (N, classes).
    """
    ids = keras.Input(tuple(input_shape), dtype="int32", name=IDS)
    x = layers.Embedding(vocabulary, width, name="embedding")(ids)  # (N, L, width)
    vector = layers.GlobalAveragePooling1D(name=VECTOR)(x)
    return {ENCODER: keras.Model(ids, vector, name=ENCODER), SCORER: scorer(classes, width)}


@register(
    task="retrieval",
    **TOWER,
    input_shape=(64,),
    classes=100_000,
    params=28_097_256,
    paper="Weston 2014, #TagSpace: semantic embeddings from hashtags; 1,000 maps of windows of 5, vectors of 256",
    data=("rt_polarity_tags", "made_up_posts"),
    edge={"input_shape": (16,), "vocabulary": 4_000, "word_width": 32, "maps": 32, "width": 32},
)
def tagspace(
    input_shape: tuple[int, ...], classes: int, vocabulary: int = 30_000, word_width: int = 64, maps: int = 1000,
    width: int = 256
):  # fmt: skip
    """Build a convolution over the words of a post, of each map its largest value, and the tags.

    Shapes: encoder: ids (N, L) int32 -> vector (N, width); scorer: query (N, width) -> scores (N, classes).
    """
    ids = keras.Input(tuple(input_shape), dtype="int32", name=IDS)
    x = layers.Embedding(vocabulary, word_width, name="embedding")(ids)  # (N, L, word_width)
    x = layers.Conv1D(maps, 5, padding="same", activation="tanh", name="windows")(x)  # (N, L, maps)
    x = layers.GlobalMaxPooling1D(name="largest")(x)
    vector = layers.Dense(width, name=VECTOR)(x)
    return {ENCODER: keras.Model(ids, vector, name=ENCODER), SCORER: scorer(classes, width)}


@register(
    task="retrieval",
    **TOWER,
    input_shape={"watched": (3,), "country": (1,), "traits": (2,)},
    classes=10_000,
    params=2_054_856,
    paper="Wu 2017, StarSpace, arXiv:1709.03856; Covington 2016, Deep neural networks for YouTube recommendations",
    data=("watched_videos",),
    edge={"countries": 4, "width": 32, "hidden": 64},
)
def videospace(
    input_shape: Mapping[str, tuple[int, ...]], classes: int, countries: int = 256, width: int = 100,
    country_width: int = 8, hidden: int = 128
):  # fmt: skip
    """Build a tower over several tables and features: videos seen last, country, age and hour; and the videos.

    Shapes: encoder: watched (N, 3) int32 (0 for none), country (N, 1) int32, traits (N, 2) float32, age in years and
    hour of the day -> vector (N, width); scorer: query (N, width) -> scores (N, classes).
    """
    kinds = {"watched": "int32", "country": "int32", "traits": "float32"}
    inputs = {name: keras.Input(tuple(input_shape[name]), dtype=kind, name=name) for name, kind in kinds.items()}
    seen = layers.Embedding(classes + 1, width, name="videos")(inputs["watched"])  # (N, 3, width)
    home = layers.Embedding(countries, country_width, name="countries")(inputs["country"])
    traits = layers.Rescaling((1 / 50, 1 / 12), offset=-1.0, name="scaled")(inputs["traits"])
    parts = [layers.Flatten(name="seen")(seen), layers.Flatten(name="home")(home), traits]
    x = layers.Concatenate(name="parts")(parts)
    x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    vector = layers.Dense(width, name=VECTOR)(x)
    return {ENCODER: keras.Model(inputs, vector, name=ENCODER), SCORER: scorer(classes, width)}
