"""Captions: a picture is read by an encoder, and a step network says what is in it, a token a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...runners import Arrays, Runner
from ..data import Dataset
from ..data.dataset import subset
from ..data.images import resize
from ..decoding import TOKEN, greedy_with_answers
from ..losses import PaddedCrossentropy
from ..presented import presented_as
from .register import enter
from .supervised import SHOWN
from .translation import ENCODER, SOURCE, STEP, TARGET, Sentences, Translation, token_logs

ATTENTION = "attention"  # of the step, where it looks at regions
LOOKS = 6  # tokens of a caption whose regions are shown


@dataclass(frozen=True, kw_only=True)
class Captioning(Translation):
    """Pictures told by greedy decoding, judged by corpus BLEU; trained on the tokens that follow the true ones.

    Networks: as of a translation, but that the source is a picture (N, H, W, C). A step that looks at regions answers
    "attention" (N, 1, S) besides. The unit is a picture.
    """

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads of n training pictures: a step by time, what the encoder made of them.

        Regions are behind a ReLU, so that values of a normal distribution are none that a step ever sees.
        """
        if network != STEP:
            return self.samples(dataset, network, n, seed)
        pairs = subset(dataset.train, n, seed, stratify=False).x
        made, step = run(ENCODER, {SOURCE: pairs[SOURCE]}), presented_as(dataset, Sentences).steps[STEP]
        length = pairs[TARGET].shape[1]
        held = {each.name: np.asarray(made[each.name]) for each in step.inputs
                if each.name in made and each.name not in step.states.values()}  # fmt: skip
        repeated = {name: np.repeat(values[:, None], length, axis=1) for name, values in held.items()}
        return {TOKEN: pairs[TARGET][..., None], **repeated}

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test pictures, and, where a step looks at regions, what of each it sees before its first tokens."""
        source, target = (np.asarray(dataset.test.x[name])[:SHOWN] for name in (SOURCE, TARGET))
        _, answers = greedy_with_answers(self.speaker(run, dataset, source, begin=target[:, 0]))
        if ATTENTION not in answers:
            return {"samples": source}
        return {"samples": source, "seen before each token": seen(source, np.asarray(answers[ATTENTION]))}


def seen(pictures: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Return pictures as bright as they are attended to, those of the first tokens side by side.

    Shapes: (N, H, W, C), (N, T, ..., S) -> (N, H, LOOKS W, C).  The regions are a grid of the pictures' form.
    """
    count, height, width = pictures.shape[:3]
    places = attention.shape[-1]
    rows = max(1, round((places * height / width) ** 0.5))
    weights = attention.reshape(count, -1, places)[:, :LOOKS]
    maps = (weights / np.maximum(weights.max(-1, keepdims=True), 1e-6)).reshape(-1, rows, places // rows, 1)
    bright = resize(maps.astype(np.float32), (height, width)).reshape(count, -1, height, width, 1)
    shown = pictures[:, None] * (0.2 + 0.8 * bright)  # (N, T, H, W, C)
    return shown.transpose(0, 2, 1, 3, 4).reshape(count, height, -1, pictures.shape[3])


enter(Captioning(name="captioning", loss=PaddedCrossentropy, logs=token_logs, labelled=True))
