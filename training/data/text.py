"""Text sets with classes: movie-review sentences of Pang and Lee (2005), captions in two languages (Elliott 2016)."""

from dataclasses import replace

import numpy as np

from . import sources
from .captions import ENGLISH, GERMAN, SPLITS, captions, here, paths
from .corpora import pretraining_text
from .dataset import Dataset
from .pieces import LANGUAGES as TONGUES
from .pieces import TOLD, classified
from .sets import Asked, dataset
from .tokens import Texts, as_bigrams, as_letters, as_words, divided

FILES = ["rt_polarity/rt-polarity.neg", "rt_polarity/rt-polarity.pos"]
LANGUAGES = ("English", "German")


@dataset(input_shape=(64,), dtype="int32", tasks=("classification",), here=lambda: all(map(sources.find, FILES)))
def rt_polarity(asked: Asked) -> Dataset:
    """Return 10,662 sentences, negative (0) or positive (1); a tenth each, by class, for validation and testing."""
    texts, named = _polarity("rt_polarity"), [each.name for each in asked.inputs]
    if TOLD not in named:
        return as_words(texts, asked)
    text, files = pretraining_text(texts.sentences["train"], translated=TONGUES in named)
    return classified(replace(texts, source=(*texts.source, *sources.describe(files))), text, asked)


@dataset(input_shape=(128,), dtype="int32", tasks=("classification",), here=lambda: all(map(sources.find, FILES)))
def rt_polarity_bigrams(asked: Asked) -> Dataset:
    """Return the same sentences as words and, behind them, hashed pairs of neighbours."""
    return as_bigrams(_polarity("rt_polarity_bigrams"), asked)


@dataset(input_shape=(256,), dtype="int32", tasks=("classification",), here=here)
def multi30k_languages(asked: Asked) -> Dataset:
    """Return captions of pictures in English (0) and German (1) as hashed runs of letters; the official splits."""
    languages = (ENGLISH, GERMAN)
    lines = {part: captions(part, languages) for part in SPLITS}
    texts = Texts(
        name="multi30k_languages",
        sentences={part: [line for each in by_language for line in each] for part, by_language in lines.items()},
        classes={part: np.repeat(np.arange(2, dtype=np.int32), [len(each) for each in by_language])
                 for part, by_language in lines.items()},
        labels=LANGUAGES,
        source=sources.describe(paths(languages)),
    )  # fmt: skip
    return as_letters(texts, asked)


def _polarity(name: str) -> Texts:
    # Not splitlines: \x85 is a word here.
    lines = [sources.read(path).decode("latin-1").rstrip("\n").split("\n") for path in FILES]
    y = np.repeat(np.arange(2, dtype=np.int32), [len(each) for each in lines])
    sentences = [line for each in lines for line in each]
    return divided(name, sentences, y, sources.describe(FILES), labels=("negative", "positive"))
