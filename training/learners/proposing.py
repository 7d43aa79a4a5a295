"""Detectors of two stages, learned together: what is proposed, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ...errors import BadInput
from ...untyped import ops
from .. import proposals
from ..box_heads import BOXES as OFFSETS
from ..box_heads import SCORES as LABELS
from ..box_heads import DefaultBoxes
from ..box_losses import HardNegatives, Masks, Offsets
from ..boxes import OVERLAP, centred, iou, offsets, there
from ..config import TrainConfig
from ..data import Dataset
from ..masks import in_cells
from ..optimizers import optimizer
from ..runner import KerasRunner
from ..state import Row, RunDir
from ..tasks.proposed_detection import (
    BOXES,
    CLASSIFIER,
    CROP,
    MAP,
    MASK_HEAD,
    MASKS,
    PICTURES,
    PROPOSER,
    ROIS,
    RPN_BOXES,
    RPN_SCORES,
    SCORES,
    WINDOWS,
    Proposed,
    ProposedDetection,
)
from .games import Epochs, Move
from .register import Networks, best_by_metric, learner, validate_by_metric
from .wrapped import answered

TRUE_SHARE = 0.25  # of the boxes that are shown, at least: Girshick 2015, arXiv:1504.08083, section 2.3
SHAKEN = 0.1  # of the sides, by which true boxes are moved before they are shown
AT_ONCE = 128  # pictures whose maps are held
Mask = Callable[[np.ndarray, np.ndarray], np.ndarray]  # true boxes (n, 5), boxes (n, 4) -> (n, rows, columns)
CONSTANT = {"negatives": 3.0}, {"squared": 0.0, "weight": 1.0}


def losses_of(networks: Networks, given: Mapping[str, Any], training: bool = True) -> dict[str, Any]:
    """Return the losses of each picture by name, (N,) each: two of the proposals, where a net makes them, two of what
    is said of each, and one of masks, where a net makes them.

    given: pictures or crops, rois, and as `labels`, `offsets`, `rpn_labels`, `rpn_offsets`, `masks` what is true.
    """
    classes, boxes = HardNegatives(**CONSTANT[0]), Offsets(**CONSTANT[1])
    found: dict[str, Any] = {}
    if PROPOSER in networks:
        said = answered(networks[PROPOSER], {PICTURES: given[PICTURES]}, training)
        if RPN_SCORES in said:
            found["rpn_scores_loss"] = classes.call(given["rpn_labels"], said[RPN_SCORES])
            found["rpn_boxes_loss"] = boxes.call(given["rpn_offsets"], said[RPN_BOXES])
        places = {MAP: said[MAP], ROIS: given[ROIS]}
        told = answered(networks[CLASSIFIER], places, training)
        if MASK_HEAD in networks:
            made = answered(networks[MASK_HEAD], places, training)[MASKS]
            found["masks_loss"] = Masks().call(given["masks"], made)
    else:
        crops = given[CROP]
        told = answered(networks[CLASSIFIER], {CROP: ops.reshape(crops, (-1, *crops.shape[2:]))}, training)
    count, kinds = given["offsets"].shape[1:3]
    found["scores_loss"] = classes.call(given["labels"], ops.reshape(told[SCORES], (-1, count, kinds + 1)))
    of_class = ops.reshape(told[BOXES], (-1, count * kinds, 4))
    found["boxes_loss"] = boxes.call(ops.reshape(given["offsets"], (-1, count * kinds, 5)), of_class)
    return found


@learner("proposing", validate=validate_by_metric, best_epoch=best_by_metric)
def proposing(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, run: RunDir) -> list[Row]:
    """Minimise the losses of both stages together; the epoch of the best average precision is kept.

    Each epoch begins with what the networks propose for all training pictures, and true boxes moved a little, so that a
    quarter of what is shown holds something. The second stage's gradient goes on into the first through its map, not
    through the boxes (Ren 2015, arXiv:1506.01497, section 3.2, approximate joint training).
    """
    if not isinstance(dataset, Proposed) or not isinstance(task, ProposedDetection):
        raise BadInput(f"learner 'proposing' is for tasks of proposed detection, got {task.name!r}")
    learned = {name: network for name, network in networks.items() if name != WINDOWS}
    count = len(dataset.train)
    batch = config.batch_for(count)
    moves = count // batch
    epochs = config.epochs_for(moves * config.passes)

    def play(of: Networks, given: Mapping[str, Any]) -> Any:
        return ops.stack(list(losses_of(of, given).values()), axis=-1)  # (N, losses)

    steps = optimizer(config, epochs * moves * config.passes, epoch=moves * config.passes, batch=batch)
    move = Move("stages", learned, tuple(learned), play).prepare(lambda _, said: ops.sum(said, axis=-1), steps, config)
    of_map = _of_map(networks, dataset)
    show = _shower(networks, dataset, task)

    def epoch(number: int) -> Row:
        random = np.random.default_rng([config.seed, number])
        shown, losses = show(random), []
        for _ in range(config.passes):
            for chosen in random.permutation(count)[: moves * batch].reshape(-1, batch):
                given = _given(dataset, {**shown, **of_map}, chosen)
                losses.append(move.make(given, np.zeros((batch, 1), np.float32)))
        few = _given(dataset, {**shown, **of_map}, np.arange(batch))
        last = losses_of(learned, {name: ops.convert_to_tensor(each) for name, each in few.items()}, training=False)
        return {
            "loss": float(np.mean(losses)),
            **{name: float(np.mean(ops.convert_to_numpy(each))) for name, each in last.items()},
        }

    game = Epochs(learned, {"optimizer": move.optimizer.variables}, config, run)
    judge = _Whole(networks)
    return game.play(epochs, epoch, dataset, task, judge, best_by_metric)


class _Whole:
    """Validates by all networks, the table among them."""

    def __init__(self, networks: Networks):
        self._networks = networks

    def __call__(self, networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> Row:
        return validate_by_metric({**self._networks, **networks}, dataset, task, config)


def _given(dataset: Proposed, arrays: Mapping[str, np.ndarray], chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a batch is given."""
    given = {name: values[chosen] for name, values in arrays.items()}
    x = np.asarray(dataset.train.x)[chosen]
    if CROP not in dataset.reads:
        return {PICTURES: x, **given}
    crops = [proposals.cropped(*pair, dataset.reads[CROP][:2]) for pair in zip(x, given[ROIS], strict=True)]
    return {CROP: np.stack(crops), **given}


def _of_map(networks: Networks, dataset: Proposed) -> dict[str, np.ndarray]:
    """Return what a net that proposes should say of each default box, of all training pictures."""
    if PROPOSER not in networks or RPN_SCORES not in {output.name for output in dataset.shown.outputs}:  # pyright: ignore[reportOptionalMemberAccess]
        return {}
    head, y = DefaultBoxes(), dataset.train.y.copy()
    y[..., 0] = np.minimum(y[..., 0], 0)  # whatever it is
    each = [head.targets(truth, {}, dataset.windows, 1) for truth in y]
    return {"rpn_offsets": np.stack([one[OFFSETS] for one in each]),
            "rpn_labels": np.stack([one[LABELS] for one in each])}  # fmt: skip


def _shower(
    networks: Networks, dataset: Proposed, task: ProposedDetection
) -> Callable[[np.random.Generator], dict[str, np.ndarray]]:
    """Return a function that draws the boxes that are shown, with what is true of them."""
    x, y = np.asarray(dataset.train.x), dataset.train.y
    by_net = PROPOSER in networks and any(output.name == RPN_SCORES for output in dataset.shown.outputs)  # pyright: ignore[reportOptionalMemberAccess]
    fixed = None if by_net else task.by_host(dataset, x, dataset.windows)
    inside = dataset.inside if MASK_HEAD in networks else None
    masks = None if inside is None else partial(in_cells, inside, dataset.cells)

    def propose() -> np.ndarray:
        runner = KerasRunner(networks)
        parts = [task.proposed(runner, dataset, x[start : start + AT_ONCE])[0] for start in range(0, len(x), AT_ONCE)]
        return np.concatenate(parts)

    def show(random: np.random.Generator) -> dict[str, np.ndarray]:
        rois = (propose() if fixed is None else fixed).copy()
        each = [shown_of(boxes, there(truth), dataset.classes, random, masks)
                for boxes, truth in zip(rois, y, strict=True)]  # fmt: skip
        return {name: np.stack([one[name] for one in each]) for name in each[0]}

    return show


def shown_of(
    rois: np.ndarray, truth: np.ndarray, classes: int, random: np.random.Generator, masks: Mask | None = None
) -> dict[str, np.ndarray]:
    """Return boxes of a picture, true ones moved a little in place of the last, with their classes and offsets.

    masks: which cells of boxes the things of as many true ones fill.
    Shapes: (K, 4), (n, 5) -> rois (K, 4), labels (K,) from 1, 0 for background, offsets (K, classes, 5) with 1 behind
    those of the true class; with `masks` (K, 1 + cells), labels before cells.
    """
    rois = rois.copy()
    if len(truth):
        more = truth[random.integers(len(truth), size=max(1, int(TRUE_SHARE * len(rois)))), 1:]
        sides = np.tile(more[:, 2:] - more[:, :2], 2)
        rois[-len(more) :] = np.clip(more + sides * random.uniform(-SHAKEN, SHAKEN, more.shape), 0, 1)
        shared = iou(rois, truth[:, 1:])
        stands, of = shared.max(1) >= OVERLAP, truth[shared.argmax(1)]
    else:
        stands, of = np.zeros(len(rois), bool), np.zeros((len(rois), 5))
    told = np.zeros((len(rois), classes, 5), np.float32)
    where = np.flatnonzero(stands)
    told[where, of[where, 0].astype(int), :4] = offsets(of[where, 1:], centred(rois[where]))
    told[where, of[where, 0].astype(int), 4] = 1
    labels = np.where(stands, of[:, 0] + 1, 0).astype(np.float32)
    shown = {ROIS: rois.astype(np.float32), "labels": labels, "offsets": told}
    if masks is not None:
        shown["masks"] = np.column_stack([labels, masks(of, rois).reshape(len(rois), -1)]).astype(np.float32)
    return shown
