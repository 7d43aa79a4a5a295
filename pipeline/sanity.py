"""What is worth knowing before a long training: what a fresh net loses, and whether it can learn one batch by heart.

A fresh classifier knows nothing and loses ln K nats of K classes: more says that its last layer or its inputs are out
of scale. A net that cannot learn a few samples by heart will not learn many: its targets are not those of its samples,
its rate is wrong, or something stops the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import keras

from ..errors import BadInput, EdgewrightError
from ..training import learners
from ..training.config import TrainConfig
from ..training.data.dataset import subset
from ..training.state import RunDir
from .workload import Workload

BATCH = 32
PASSES, EPOCHS = 20, 20  # updates on the one batch between two looks at it, and looks at most
RIGHT, LEFT = 0.95, 0.2  # share of the batch that must be right; share of the fresh loss that may be left
FAR = 1.5  # times the loss of knowing nothing


@dataclass(frozen=True, kw_only=True)
class Sanity:
    """What a check came to. fresh, learnt: the loss before and after; chance: that of knowing nothing, where known."""

    fresh: float
    chance: float | None
    learnt: float
    updates: int

    def __str__(self) -> str:
        far = self.chance is not None and self.fresh > FAR * self.chance
        expected = "" if self.chance is None else f", who knows nothing loses {self.chance:.4f}"
        out = ": the inputs or the last layer are out of scale" if far else ""
        return (f"a fresh net loses {self.fresh:.4f}{expected}{out}; one batch is learnt by heart, "
                f"{self.learnt:.4f} is left after {self.updates} updates")  # fmt: skip


def check(work: Workload, config: TrainConfig) -> Sanity:
    """Try a fresh copy of the networks on one batch of the training data; the workload is left as it was.

    Raises: BadInput for a learner that minimises no loss of samples, EdgewrightError where the batch is not learnt.
    """
    learner = learners.get(work.learner)
    if not learner.teachable:
        raise BadInput(f"--check: learner {work.learner!r} minimises no loss of single samples; leave it out")
    networks = work.learned(work.make())
    few = subset(work.dataset.train, BATCH, config.seed, stratify=bool(work.dataset.classes))
    dataset = replace(work.dataset, train=few, validation=few)
    brief = replace(config, epochs=EPOCHS, passes=PASSES, batch_size=BATCH, schedule="constant", rate_every=None,
                    rate_factor=None, label_smoothing=0.0, augment=False, carry_states=False, patience=None,
                    enough=1.0)  # fmt: skip
    keras.utils.set_random_seed(config.seed)
    before = learner.validate(networks, dataset, work.task, brief)
    history = learner(networks, dataset, work.task, brief, RunDir(None))
    after = learner.validate(networks, dataset, work.task, brief)
    fresh, learnt, right = before["val_loss"], after["val_loss"], after.get("val_accuracy", 0.0)
    if right < RIGHT and learnt > LEFT * fresh:
        raise EdgewrightError(
            f"one batch of {len(few)} samples is not learnt by heart: a loss of {learnt:.4f} is left of {fresh:.4f} "
            f"after {len(history) * PASSES} updates at a rate of {config.learning_rate:g}. Are targets those of their "
            "samples, samples of a scale near 1, layers trainable? Else try another --learning-rate"
        )
    classes = work.dataset.classes if "val_accuracy" in before else 0
    return Sanity(fresh=fresh, chance=math.log(classes) if classes else None, learnt=learnt,
                  updates=len(history) * PASSES)  # fmt: skip
