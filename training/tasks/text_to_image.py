"""Pictures of texts: tokens of a picture, said one after the other behind those of a text, and drawn by a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...metrics import Scores
from ...runners import Arrays, Runner
from ..data import Dataset
from ..data.captioned_codes import IMAGE
from ..data.dataset import subset
from ..decoding import Speaker, chances, picked
from ..losses import of_tokens, squared_error
from .language import LOGITS, STEP, LanguageModel, Texts
from .objective import Objective
from .register import enter
from .supervised import SHOWN

DECODER, CODES = "decoder", "codes"


@dataclass(frozen=True, kw_only=True)
class TextToImage(LanguageModel):
    """The tokens of a picture behind its text, judged by their perplexity; those of the text do not count.

    Networks: as of a language model, but that "sequence" answers "image" (N, H, W, C) besides, what "decoder" makes of
    the tokens of the picture, (N, places). Ids below `codes` are a picture's. The unit is a picture.
    """

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training texts with their pictures, of the decoder the pictures' tokens."""
        if network != DECODER:
            return super().samples(dataset, network, n, seed)
        return {CODES: _codes(dataset, np.asarray(subset(dataset.train, n, seed, stratify=False).x))}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each token of the test pictures by its negative log-likelihood, (N places, 1)."""
        targets = dataset.test.y[LOGITS]
        counts = targets < dataset.sizes[CODES]
        logits = self.said(run, dataset, np.asarray(dataset.test.x))
        rows = self.metric.scores(logits[counts], targets[counts])
        return Scores(rows.reshape(-1, 1), np.nonzero(counts)[0])

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test pictures, what is made of their tokens, and what is drawn of their texts by the same chances."""
        assert isinstance(dataset, Texts)
        x, codes = np.asarray(dataset.test.x)[:SHOWN], dataset.sizes[CODES]
        known = _codes(dataset, x)
        text = x[:, : x.shape[1] - known.shape[1]]
        speaker = dataset.step.speaker(run, STEP, {"": x}, {}, length=x.shape[1]) if dataset.step else None
        ways = {"decoded": known} | ({"drawn": drawn(speaker, text, codes, known.shape[1])} if speaker else {})
        made = {name: np.clip(run(DECODER, {CODES: ids})[IMAGE], 0, 1) for name, ids in ways.items()}
        return {"samples": dataset.test.y[IMAGE][:SHOWN], **made}


def _codes(dataset: Dataset, tokens: np.ndarray) -> np.ndarray:
    """Return the tokens of pictures among those of texts with pictures.  Shapes: (N, T) -> (N, places)."""
    return tokens[tokens < dataset.sizes[CODES]].reshape(len(tokens), -1)


def drawn(speaker: Speaker, text: np.ndarray, codes: int, places: int, seed: int = 0) -> np.ndarray:
    """Return tokens of pictures drawn behind texts, a function of the seed.  Shapes: (N, T) -> (N, places)."""
    random, states, said = np.random.default_rng(seed), speaker.first, []
    for step in range(text.shape[1] + places - 1):
        tokens = text[:, step : step + 1] if step < text.shape[1] else said[-1]
        answers, states = speaker.answers(tokens, states, {}, step)
        if step >= text.shape[1] - 1:
            logits = np.asarray(answers[LOGITS]).reshape(len(text), -1)[:, :codes]
            said.append(picked(chances(logits), random))
    return np.concatenate(said, axis=1)


_HEADS = {LOGITS: Objective(name="language_model", loss=of_tokens, labelled=True),
          IMAGE: Objective(name="reconstruction", loss=squared_error)}  # fmt: skip
enter(TextToImage(name="text_to_image", loss=of_tokens, labelled=True, heads=_HEADS))
