"""Learning without labels from views: an encoder finds which of many vectors belongs to another view of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...errors import BadInput
from ...untyped import ops
from ..config import TrainConfig
from ..data import Dataset
from ..optimizers import optimizer
from ..state import Row, RunDir
from ..surrogates import views
from ..tasks.linear_probe import ENCODER
from .games import Epochs, Move
from .pretext import DATA_SEED, SURROGATE, answers, best_epoch, check, said_of
from .register import Networks, learner

JUDGED = 256  # validation samples among which each finds its other view, at most
STAYS = 0.5  # of an entry of the bank of samples, as the authors' code has it


@dataclass(frozen=True, kw_only=True)
class Bank:
    """What a view is told from.

    temperature: by which cosines are divided. queue: 0 for a bank with an entry for each training sample, which follows
    what the network makes of it: a view finds its own (Wu 2018, arXiv:1805.01978, with all entries, not a draw of
    them). Above 0 so many of the latest vectors of a copy of the networks, whose weights follow by `momentum`: a view
    finds what the copy makes of another view of its picture among them (He 2020, arXiv:1911.05722).
    Raises: BadInput for a number outside its range.
    """

    temperature: float = 0.07
    queue: int = 0
    momentum: float = 0.999

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise BadInput(f"temperature={self.temperature}: allowed is a number above 0")
        if self.queue < 0:
            raise BadInput(f"queue={self.queue}: allowed is an integer from 0")
        if not 0 <= self.momentum < 1:
            raise BadInput(f"momentum={self.momentum}: allowed is a share in [0, 1)")


class Contrast(Move):
    """A move by which encoder and surrogate learn; answers cosines over the temperature, the right one's place known.

    Inputs: "view" (N, h, w, c), and "index" (N, 1) of its sample in the bank, or "other" view. The targets are the
    index, or 0. Bank and copy are variables of the move, that no loss changes.
    """

    def __init__(self, networks: Networks, rules: Bank, x: np.ndarray, seed: int):
        super().__init__("contrasting", networks, (ENCODER, SURROGATE), self._told_apart)
        self.rules = rules
        if rules.queue:
            random = np.random.default_rng(seed)
            x = views(x[random.integers(0, len(x), rules.queue)], random)
        # What the networks make of samples, not chance: those that are pruned or quantized go on where they are.
        self.bank = self._kept(unit(answers(networks, x[:, None])), "bank")
        self.copies = {
            name: [self._kept(weight, f"copy_of_{name}_{place}")
                   for place, weight in enumerate(networks[name].trainable_variables)] if rules.queue else []
            for name in self.learning
        }  # fmt: skip

    def _kept(self, value: Any, name: str) -> Any:
        start = np.array(keras.ops.convert_to_numpy(value), np.float32)
        return self.add_weight(
            shape=start.shape, initializer=lambda *_, **__: ops.convert_to_tensor(start), trainable=False, name=name
        )

    @property
    def kept(self) -> list[Any]:
        """Bank and copy."""
        return [self.bank, *(weight for weights in self.copies.values() for weight in weights)]

    def _told_apart(self, networks: Networks, given: Mapping[str, Any]) -> Any:
        vector = unit(said_of(networks, given["view"][:, None]))
        bank = ops.convert_to_tensor(self.bank)
        if not self.rules.queue:
            near = ops.matmul(vector, ops.transpose(bank))
            index = ops.cast(given["index"], "int32")
            old = ops.take(bank, index[:, 0], axis=0)
            new = unit(STAYS * old + (1 - STAYS) * ops.stop_gradient(vector))
            self.bank.assign(ops.scatter_update(bank, index, new))
            return near / self.rules.temperature
        key = ops.stop_gradient(unit(self._by_copies(networks, given["other"])))
        own = ops.sum(vector * key, axis=-1, keepdims=True)
        near = ops.concatenate([own, ops.matmul(vector, ops.transpose(bank))], axis=1)
        self.bank.assign(ops.concatenate([key, bank], axis=0)[: self.rules.queue])
        return near / self.rules.temperature

    def _by_copies(self, networks: Networks, x: Any) -> Any:
        """Let the copies follow, and return what they make of a view."""
        for name in self.learning:
            network: Any = networks[name]
            learned, copies = network.trainable_variables, self.copies[name]
            for weight, copy in zip(learned, copies, strict=True):
                copy.assign(self.rules.momentum * copy + (1 - self.rules.momentum) * ops.convert_to_tensor(weight))
            now, rest = ([ops.convert_to_tensor(weight) for weight in weights]
                         for weights in (copies, network.non_trainable_variables))  # fmt: skip
            x = network.stateless_call(now, rest, x, training=True)[0]
        return x


def unit(vectors: Any) -> Any:
    """Return vectors at length 1, (N, d)."""
    return vectors / ops.maximum(ops.norm(vectors, axis=-1, keepdims=True), 1e-6)


def validate(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Bank) -> Row:
    """Return loss and accuracy of finding the other view of a picture among those of validation data."""
    check(networks, "contrastive")
    x, random = np.asarray(dataset.validation.x)[:JUDGED], np.random.default_rng([config.seed, DATA_SEED])
    one, other = (np.asarray(unit(answers(networks, views(x, random)[:, None]))) for _ in range(2))
    near, own = one @ other.T / options.temperature, np.arange(len(x))
    loss: Any = keras.ops.convert_to_numpy(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(own, near))
    return {"val_loss": float(loss), "val_accuracy": float((near.argmax(1) == own).mean())}


@learner("contrastive", validate=validate, best_epoch=best_epoch, options=Bank)
def contrastive(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Bank
) -> list[Row]:
    """Minimise the cross-entropy of finding what belongs to a view; no label is looked at.

    networks: "encoder", picture -> vector; "surrogate", vector -> vector whose direction is compared.
    Raises: BadInput for others.
    """
    check(networks, "contrastive")
    x = np.asarray(dataset.train.x)
    batch = config.batch_for(len(x))
    steps = len(x) // batch * config.passes
    epochs = config.epochs_for(steps)
    move = Contrast(networks, options, x, config.seed)
    rates = optimizer(config, epochs * steps, epoch=steps, batch=batch)
    move.prepare(keras.losses.SparseCategoricalCrossentropy(from_logits=True), rates, config)

    def epoch(number: int) -> Row:
        random, losses = np.random.default_rng([config.seed, number]), []
        for _ in range(config.passes):
            for chosen in random.permutation(len(x))[: len(x) // batch * batch].reshape(-1, batch):
                view = {"view": views(x[chosen], random)}
                if options.queue:
                    given, truth = {**view, "other": views(x[chosen], random)}, np.zeros(batch, np.int32)
                else:
                    truth = chosen.astype(np.int32)
                    given = {**view, "index": truth[:, None]}
                losses.append(move.make(given, truth))
        return {"loss": float(np.mean(losses))}

    def judge(*given: Any) -> Row:
        return validate(*given, options=options)

    game = Epochs(networks, {move.name: [*move.optimizer.variables, *move.kept]}, config, run)
    return game.play(epochs, epoch, dataset, task, judge, best_epoch)
