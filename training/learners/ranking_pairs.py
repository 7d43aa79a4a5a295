"""Learning to rank: what belongs to a query scores higher than what was drawn for all queries of a batch together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...ends import input_names, symbolic_inputs
from ...errors import BadInput
from ...models.tables import LOOKUP, QUERY, ROW, SCORER
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Dataset
from ..losses import MultiClassHinge
from ..optimizers import optimizer
from ..presented import presented_as
from ..rows import matrix_of, rows_of
from ..runner import KerasRunner
from ..state import Row, RunDir
from ..tasks.retrieval import ENCODER, Presented, columns, vectors
from ..tasks.sentence_retrieval import Stored
from .contrastive import unit
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric

ASKED, CANDIDATES = "asked", "candidates"  # given to a move: queries as the data hold them; rows that are scored


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What is minimised.

    margin: max(margin - f(e) + f(e'), 0), summed over the wrong rows e'; 0 for the cross-entropy of a softmax over
    rows. negatives: rows drawn anew for each batch, which all of it shares, beside those that answer it; 0 for all
    rows. temperature: what scores are divided by. cosine: 1 for rows of length 1 in the scorer.
    Raises: BadInput for a number outside its range.
    """

    margin: float = 0.0
    negatives: int = 0
    temperature: float = 1.0
    cosine: int = 0

    def __post_init__(self) -> None:
        for name, holds, allowed in (
            ("margin", self.margin >= 0, "a number from 0"),
            ("negatives", self.negatives >= 0, "an integer from 0"),
            ("temperature", self.temperature > 0, "a number above 0"),
            ("cosine", self.cosine in (0, 1), "0 or 1"),
        ):
            if not holds:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is {allowed}")

    @property
    def loss(self) -> keras.losses.Loss:
        """The loss of scores (N, C) and the place of the right one (N,)."""
        crossentropy: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return MultiClassHinge(self.margin) if self.margin else crossentropy


@learner("ranking_pairs", options=Ranking)
def ranking_pairs(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir, *, options: Ranking
) -> list[Row]:
    """Rank the row that answers a query above others; the epoch of the best metric on validation data is kept.

    networks: as of the task "retrieval". "lookup" and "scorer" hold the same rows, and gradients of both change the
    first; "encoder" and "scorer" learn each its own. Where targets are samples too, as the translations of sentences,
    the encoder reads both, those of a batch are each other's negatives, and the scorer's rows are what it makes of the
    stored ones.
    Source: Lerer 2019, arXiv:1903.12287, section 4.3; of samples alone Guo 2018, arXiv:1807.11906, section 2.
    """
    told, count = presented_as(dataset, Presented), len(dataset.train)
    batch = config.batch_for(count)
    steps = count // batch * config.passes
    epochs = config.epochs_for(steps)
    move = Ranked(networks, told, options)
    move.prepare(options.loss, optimizer(config, epochs * steps, epoch=steps, batch=batch), config)

    def epoch(number: int) -> Row:
        random, losses = np.random.default_rng([config.seed, number]), []
        for _ in range(config.passes):
            for chosen in random.permutation(count)[: count // batch * batch].reshape(-1, batch):
                losses.append(move.make(*move.drawn(chosen, random)))
        follow(networks, told, options)
        return {"loss": float(np.mean(losses))}

    game = Epochs(networks, {"optimizer": move.optimizer.variables}, config, run)
    return game.play(epochs, epoch, dataset, task, validate_by_metric, best_by_metric)


class Ranked(Move):
    """A move by which queries and rows learn; answers scores, of which the right one's place is known.

    Inputs: "asked" (N, columns), and perhaps "candidates" (N, C), rows, alike in all samples.
    """

    def __init__(self, networks: Networks, told: Presented, options: Ranking):
        self.pairs, self.tied = isinstance(told, Stored), LOOKUP in networks
        source = LOOKUP if self.tied else ENCODER
        super().__init__("ranking", networks, (source,) if self.pairs else (source, SCORER), self._ranked)
        self.told, self.options = told, options

    @property
    def trainable_variables(self) -> list[Any]:
        """Those that learn: rows that are looked up and scored learn where they are looked up."""
        own = kernel(self.networks[SCORER])
        return [each for each in super().trainable_variables if not self.tied or each is not own]

    def drawn(self, chosen: np.ndarray, random: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the inputs of some samples, and where the right scores are."""
        x, y = np.asarray(self.told.train.x)[chosen], np.asarray(self.told.train.y)[chosen]
        places = np.arange(len(chosen), dtype=np.int32)
        if self.pairs:
            return {ASKED: np.concatenate([x, y])}, np.tile(places, 2)
        if not self.options.negatives:
            return {ASKED: x}, y
        rows = np.concatenate([y, random.integers(0, self.told.classes, self.options.negatives)])
        rows, first = np.unique(rows, return_inverse=True)
        spare = len(chosen) + self.options.negatives - len(rows)  # as many as ever, or each batch were compiled anew
        others = np.setdiff1d(np.arange(min(self.told.classes, 2 * len(rows) + spare)), rows)[:spare]
        rows = np.concatenate([rows, others]).astype(np.int32)
        return {ASKED: x, CANDIDATES: np.tile(rows, (len(chosen), 1))}, first.ravel()[: len(chosen)].astype(np.int32)

    def _ranked(self, networks: Networks, given: Mapping[str, Any]) -> Any:
        asked = given[ASKED]
        if self.pairs:
            one, other = ops.split(unit(self._encoded(networks, asked)), 2)
            near = ops.matmul(one, ops.transpose(other))
            return ops.concatenate([near, ops.transpose(near)]) / self.options.temperature
        signs = self.told.signs
        query = self._looked_up(networks, asked) if self.tied else self._encoded(networks, asked)
        further = {name: asked[:, place : place + 1] for place, name in enumerate(self.told.further, len(signs))}
        scores = self._scored(networks, {**further, QUERY: query})
        scores = ops.take(scores, given[CANDIDATES][0], axis=1) if CANDIDATES in given else scores
        return scores / self.options.temperature

    def _encoded(self, networks: Networks, asked: Any) -> Any:
        reads = self.told.reads[ENCODER]
        return _said(networks[ENCODER], {name: asked[:, part] for name, part in columns(reads).items()})

    def _looked_up(self, networks: Networks, asked: Any) -> Any:
        rows = [sign * _said(networks[LOOKUP], {ROW: asked[:, place : place + 1]})
                for place, sign in enumerate(self.told.signs)]  # fmt: skip
        return sum(rows[1:], rows[0])

    def _scored(self, networks: Networks, given: Mapping[str, Any]) -> Any:
        """Return the scores of all rows, which are those that are looked up where the two are the same."""
        scorer: Any = networks[SCORER]
        if not self.tied:
            return _said(scorer, given)
        own, table = kernel(scorer), ops.convert_to_tensor(matrix_of(networks[LOOKUP]))
        table = ops.transpose(unit(table) if self.options.cosine else table)
        now = [table if each is own else ops.convert_to_tensor(each) for each in scorer.trainable_variables]
        fixed = scorer.non_trainable_variables
        rest = [ops.convert_to_tensor(each) for each in fixed]
        said, changed = scorer.stateless_call(now, rest, _packed(scorer, given), training=True)
        for variable, value in zip(fixed, changed, strict=True):  # masks that grow sparse, ranges that follow
            variable.assign(value)
        return tree.flatten(said)[0]


def _packed(network: keras.Model, given: Mapping[str, Any]) -> Any:
    """Return tensors by name as a network takes them, of its types."""
    symbols = tree.flatten(symbolic_inputs(network))
    values = [ops.cast(given[name], symbol.dtype) for name, symbol in zip(input_names(network), symbols, strict=True)]
    return tree.pack_sequence_as(symbolic_inputs(network), values)


def _said(network: Any, given: Mapping[str, Any]) -> Any:
    """Return what a network of one output says in training."""
    return tree.flatten(network(_packed(network, given), training=True))[0]


def kernel(scorer: keras.Model) -> Any:
    """Return the rows of a scorer, (width, rows), pruned or quantization-aware or not, among what else it learns."""
    query = dict(zip(input_names(scorer), tree.flatten(symbolic_inputs(scorer)), strict=True))[QUERY]
    shape = (query.shape[-1], scorer.outputs[0].shape[-1])
    return next(each for each in scorer.trainable_variables if tuple(each.shape) == shape)


def follow(networks: Networks, told: Presented, options: Ranking) -> None:
    """Set the scorer's rows to those that are looked up, or to what the encoder makes of stored samples."""
    if LOOKUP in networks:
        rows = rows_of(networks[LOOKUP])
    elif isinstance(told, Stored):
        rows = vectors(KerasRunner(networks), told, told.stored)
    else:
        return
    if options.cosine:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    kernel(networks[SCORER]).assign(rows.T)
