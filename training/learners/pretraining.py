"""Pre-training on text, then the task: encoders of the BERT family, and a student that is distilled from one.

Pruning and QAT go on with the task alone: their learner is "fit".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np

from ...models import pretraining as nets
from ...progress import say
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset, Split
from ..data.pieces import Corpus, framed
from ..distillation import Distillation
from ..state import Row, RunDir
from ..tasks import Objective
from .batches import Batches
from .fit import around_fit, fit
from .fitting import FitOverrides
from .masking import NOT_ASKED, Rules, asked_words, samples
from .minimise import minimise
from .register import Networks

JUDGED = 512  # samples by which the epoch of pre-training is chosen
HELD_OUT = 0.05  # of the sentences, for those
TELLING_APART = 50.0  # weight of the discriminator's loss: Clark 2020, arXiv:2003.10555, section 2
ALIKE = 1.0  # weight of a student's attention and hidden states


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """What an encoder learns from text. rules: how its samples are made. replaced: it tells words that are replaced."""

    rules: Rules
    replaced: bool = False

    def net(self, classifier: keras.Model, asked: int) -> keras.Model:
        """Return what is pre-trained, upon the layers of `classifier`."""
        if self.replaced:
            return nets.replaced_words(classifier, asked)
        return nets.masked_words(classifier, asked, pairs=self.rules.pairs in ("next", "order"))


KINDS = {
    "masked_words_and_next_sentence": Pretraining(rules=Rules(pairs="next", maskings=10)),
    "masked_words_and_sentence_order": Pretraining(rules=Rules(pairs="order")),
    "masked_words": Pretraining(rules=Rules()),
    "translated_words": Pretraining(rules=Rules(pairs="translation")),
    "replaced_words": Pretraining(rules=Rules(hidden=1.0, other=0.0), replaced=True),
}


def pretrained(
    kind: Pretraining,
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    run: RunDir,
    *,
    teaching: Distillation | None = None,
) -> list[Row]:
    """Pre-train the encoder of a classifier on the text of the data set, half as long as follows, then fit it.

    The rows returned are those of the task; the others are logged in the folder "pretraining" of the run.
    """
    (classifier,) = networks.values()
    if dataset.corpus is None:
        say(f"{classifier.name}: data {dataset.name!r} has no text to pre-train on; it learns its task from the start")
    elif not nets.has_encoder(classifier):
        say(f"{classifier.name}: its encoder is not to be told from the rest here; it goes on with its task")
    else:
        _pretrain(kind, classifier, dataset, config, run.part("pretraining"))
    return minimise(fit, networks, dataset, task, config, run, teaching=teaching)


for name, kind in KINDS.items():
    around_fit(name, tuner="fit")(partial(pretrained, kind))


def _pretrain(kind: Pretraining, classifier: keras.Model, dataset: Dataset, config: TrainConfig, run: RunDir) -> None:
    length = classifier.inputs[0].shape[1]
    net = kind.net(classifier, asked_words(length))
    names = [symbol.name for symbol in net.inputs]
    corpus, held_out = divided(dataset.corpus)
    steps = len(Batches(dataset.train, dataset.train.y, config))

    def drawn(text: Corpus, count: int, rules: Rules, *seed: int) -> Split:
        x, y = samples(text, names, length, count, rules, np.random.default_rng([config.seed, *seed]))
        targets = {**y, nets.REPLACED: np.zeros(count, np.float32)}
        return Split(x={each: x[each] for each in names}, y={each: targets[each] for each in net.output})

    size = config.batch_for(len(dataset.train))
    judged = drawn(held_out, JUDGED, kind.rules, 1)
    data = replace(dataset, train=drawn(corpus, size, kind.rules, 2, 0), validation=judged, test=judged)
    overrides = FitOverrides(
        loss={head: LOSSES[head] for head in net.output},
        loss_weights={head: TELLING_APART if head == nets.REPLACED else 1.0 for head in net.output},
        targets=lambda split: split.y,
        batches=lambda *given: Drawn(lambda epoch: drawn(corpus, size * steps, kind.rules, 2, _turn(kind.rules, epoch)),
                                     steps, config, size),
    )  # fmt: skip
    epochs = max(1, config.epochs_for(steps) // 2)
    settings = replace(config, epochs=epochs, patience=None, enough=None, class_weights=None, augment=False)
    minimise(lambda *given: overrides, {net.name: net}, data, OBJECTIVE, settings, run)


def divided(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """Return the corpus without its end, and its end."""
    at = round((1 - HELD_OUT) * len(corpus.sentences))
    first, rest = (
        replace(
            corpus,
            sentences=corpus.sentences[part],
            documents=corpus.documents[part],
            translations=corpus.translations[part],
        )
        for part in (slice(None, at), slice(at, None))
    )
    return first, rest


def _turn(rules: Rules, epoch: int) -> int:
    """Return the number of the masking that an epoch has."""
    return epoch if rules.maskings is None else epoch % rules.maskings


class Drawn(Batches):
    """Batches of samples that are drawn for each epoch."""

    def __init__(self, draw: Any, steps: int, config: TrainConfig, size: int):
        keras.utils.PyDataset.__init__(self)
        self._draw, self._steps, self.size, self._seed = draw, steps, size, config.seed
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Draw the samples of `epoch`, in an order of its own."""
        split = self._draw(epoch)
        self.parts = (split.x, split.y)
        self._order = np.random.default_rng([self._seed, 3, epoch]).permutation(self._steps * self.size)

    def read(self) -> Any:
        """Return these batches: their samples are others in each epoch."""
        return self

    def __len__(self) -> int:
        return self._steps


# ---------------------------------------------------------------- losses


def of_replaced(truth: Any, judged: Any) -> Any:
    """Return the cross-entropy of telling replaced words, a mean over what is no padding.  Shapes: (N, T, 3) -> ()."""
    logit, replaced, counts = (judged[..., place] for place in range(3))
    apart = ops.softplus((1 - 2 * replaced) * logit)
    return ops.sum(apart * counts) / ops.sum(counts)


LOSSES = {
    nets.WORDS: keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NOT_ASKED),
    nets.PAIR: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    nets.REPLACED: of_replaced,
}
OBJECTIVE = Objective(name="pretraining", loss=lambda smoothing: LOSSES[nets.WORDS])


# ---------------------------------------------------------------- a student


@around_fit("distilled_encoder", tuner="fit")
def distilled_encoder(
    networks: Networks,
    dataset: Dataset,
    task: Any,
    config: TrainConfig,
    run: RunDir,
    *,
    teaching: Distillation | None = None,
) -> list[Row]:
    """Train a BERT twice as deep and wide, then a student to be like it: embeddings, attention, hidden states, logits.

    Both learn the task; besides its samples the student sees sentences of the text that the teacher learned from. A
    teacher that is given takes the place of that one.
    """
    (student,) = networks.values()
    if teaching is None and nets.has_encoder(student):
        teacher = nets.teacher_of(student)
        kind = KINDS["masked_words_and_next_sentence"]
        pretrained(kind, {teacher.name: teacher}, dataset, task, config, run.part("teacher"))
        teaching = Distillation(
            teacher=teacher,
            temperature=1.0,
            features=nets.like_the_teacher(student, teacher),
            beta=ALIKE,
            unlabelled=unlabelled(dataset, config),
        )
    return minimise(fit, networks, dataset, task, config, run, teaching=teaching)


def unlabelled(dataset: Dataset, config: TrainConfig) -> Any:
    """Return sentences of the text as samples, as many as there are training samples at most; None without a text."""
    if dataset.corpus is None:
        return None
    sentences = dataset.corpus.sentences
    chosen = np.random.default_rng([config.seed, 4]).permutation(len(sentences))[: len(dataset.train)]
    names = dict(dataset.train.x)
    length = names["ids"].shape[1]
    x = framed([(sentences[k],) for k in chosen], length)
    return {each: x.get(each, x["segments"]) for each in names}
