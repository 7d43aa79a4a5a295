"""What the raw outputs of a detector mean: true boxes as targets of them, their losses, and back to boxes on the host.

A head has three methods: `targets(truth (most, 5), outputs, table, classes)` of one picture, by output;
`losses(options)`, by output; `boxes(answers, table)` of pictures: corners (N, B, 4) and scores (N, B, K) in [0, 1].
outputs: shapes by name, without the batch. table: what the host knows besides, None where that is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import box_losses as losses
from .boxes import OVERLAP, centred, corners, iou, matched, offsets, placed, there

Array = np.ndarray
Shapes = Mapping[str, tuple[int, ...]]
BOXES, SCORES = "boxes", "scores"  # outputs of nets with default boxes


class Head(Protocol):
    """A format of raw outputs."""

    def targets(self, truth: Array, outputs: Shapes, table: Array | None, classes: int) -> dict[str, Array]:
        """Return what the outputs should have been for one picture."""
        ...

    def losses(self, outputs: Shapes, options: Any) -> dict[str, Any]:
        """Return a loss for each output."""
        ...

    def boxes(self, answers: Mapping[str, Array], table: Array | None, classes: int) -> tuple[Array, Array]:
        """Return corners and scores."""
        ...


@dataclass(frozen=True)
class DefaultBoxes:
    """Offsets (B, 4) from default boxes, the table (B, 4), and logits of classes: of a softmax with the background as
    the first (B, K + 1), or of yes or no each (B, K)."""

    def targets(self, truth: Array, outputs: Shapes, table: Array | None, classes: int) -> dict[str, Array]:
        """Return offsets with 1 behind them where a box stands for a true one, and classes from 1, else 0."""
        assert table is not None
        true = there(truth)
        chosen = matched(corners(table), true[:, 1:])
        stands = chosen >= 0
        of = true[np.maximum(chosen, 0)] if len(true) else np.zeros((len(table), 5))
        told = np.where(stands[:, None], offsets(of[:, 1:], table) if len(true) else 0.0, 0.0)
        named = np.where(stands, of[:, 0] + 1, 0)
        whole = np.concatenate([told, stands[:, None]], 1)
        return {BOXES: whole.astype(np.float32), SCORES: named.astype(np.float32)}

    def losses(self, outputs: Shapes, options: Any) -> dict[str, Any]:
        """Return hard negatives or, where gamma is asked for, focal loss, and a loss of offsets."""
        of_classes = (losses.FocalClasses(gamma=options.gamma) if options.gamma
                      else losses.HardNegatives(negatives=options.negatives))  # fmt: skip
        return {BOXES: losses.Offsets(squared=options.squared, weight=options.weight), SCORES: of_classes}

    def boxes(self, answers: Mapping[str, Array], table: Array | None, classes: int) -> tuple[Array, Array]:
        """Return all boxes."""
        assert table is not None
        logits = np.asarray(answers[SCORES], np.float64)
        if logits.shape[-1] == classes:
            return placed(answers[BOXES], table), 1 / (1 + np.exp(-logits))
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        return placed(answers[BOXES], table), (shares / shares.sum(-1, keepdims=True))[..., 1:]


@dataclass(frozen=True)
class Cells:
    """A grid (S, S, 5 B + K): of each cell B boxes (confidence, place in the cell, roots of size), and K classes."""

    def targets(self, truth: Array, outputs: Shapes, table: Array | None, classes: int) -> dict[str, Array]:
        """Return of the cells that the middle of a true box lies in what that box is; of several the largest."""
        ((name, (cells, *_)),) = outputs.items()
        grid = np.zeros((cells, cells, 5 + classes), np.float32)
        for label, *box in _by_size(there(truth)):
            x, y, width, height = centred(np.array(box))
            column, row = _cell(x, cells), _cell(y, cells)
            grid[row, column] = 0
            grid[row, column, :5] = 1, x * cells - column, y * cells - row, width**0.5, height**0.5
            grid[row, column, 5 + int(label)] = 1
        return {name: grid}

    def losses(self, outputs: Shapes, options: Any) -> dict[str, Any]:
        """Return the one loss."""
        return {name: losses.Grid() for name in outputs}

    def boxes(self, answers: Mapping[str, Array], table: Array | None, classes: int) -> tuple[Array, Array]:
        """Return all boxes, each with the confidence in it times the classes of its cell."""
        (grid,) = answers.values()
        cells, count = grid.shape[1], (grid.shape[-1] - classes) // 5
        said = grid[..., : 5 * count].reshape(len(grid), cells, cells, count, 5)
        place = (said[..., 1:3] + _places(cells, cells)[:, :, None]) / cells
        whole = corners(np.concatenate([place, said[..., 3:] ** 2], -1)).reshape(len(grid), -1, 4)
        scores = np.clip(said[..., :1], 0, 1) * np.clip(grid[..., None, 5 * count :], 0, 1)
        return whole, scores.reshape(len(grid), -1, classes)


@dataclass(frozen=True)
class AnchoredCells:
    """Grids (H, W, A (5 + K)): of each cell and anchor logits of the place in it, logs of size over the anchor's,
    logits of object and classes. The table holds the anchors of all grids, in their order: (grids, A, 2), shares of the
    picture's sides.

    aware: behind the object's is a logit of the overlap with the true box, 6 + K in all; scores are the object's to the
    power 0.6 times the overlap to 0.4 (Long 2020, arXiv:2007.12099).
    """

    aware: bool = False

    def targets(self, truth: Array, outputs: Shapes, table: Array | None, classes: int) -> dict[str, Array]:
        """Return what each grid should say: a true box belongs to the anchor whose form is most like it."""
        assert table is not None
        grids = {
            name: np.zeros((*shape[:2], table.shape[1], 6 + classes), np.float32)
            for name, shape in sorted(outputs.items())
        }
        true = there(truth)
        for grid, anchors in zip(grids.values(), table, strict=True):  # what overlaps a true box is no background
            lying = corners(_anchored(grid.shape[:2], anchors).reshape(-1, 4))
            near = iou(lying, true[:, 1:]).max(1, initial=0) > OVERLAP
            grid[..., 0] = -near.reshape(grid.shape[:3]).astype(np.float32)
        for label, *box in _by_size(true):
            x, y, *size = centred(np.array(box))
            level, anchor = _likest(np.array(size), table)
            grid = list(grids.values())[level]
            height, width = grid.shape[:2]
            row, column = _cell(y, height), _cell(x, width)
            grid[row, column, anchor] = 0
            grid[row, column, anchor, :2] = 1, 2 - size[0] * size[1]  # small boxes count more, as in Darknet
            grid[row, column, anchor, 2:4] = x * width - column, y * height - row
            grid[row, column, anchor, 4:6] = np.log(np.maximum(size, 1e-6) / table[level, anchor])
            grid[row, column, anchor, 6 + int(label)] = 1
        return grids

    def losses(self, outputs: Shapes, options: Any) -> dict[str, Any]:
        """Return a loss for each grid."""
        return {name: losses.AnchoredGrid(aware=float(self.aware)) for name in outputs}

    def boxes(self, answers: Mapping[str, Array], table: Array | None, classes: int) -> tuple[Array, Array]:
        """Return the boxes of all grids."""
        assert table is not None
        parts = []
        for (_, grid), anchors in zip(sorted(answers.items()), table, strict=True):
            said = np.asarray(grid, np.float64).reshape(*grid.shape[:3], len(anchors), -1)
            sure = 1 / (1 + np.exp(-said))
            rows, columns = grid.shape[1:3]
            place = (sure[..., :2] + _places(rows, columns)[:, :, None]) / (columns, rows)
            size = np.exp(np.minimum(said[..., 2:4], 4.0)) * anchors
            trust = sure[..., 4:5] ** 0.6 * sure[..., 5:6] ** 0.4 if self.aware else sure[..., 4:5]
            whole = corners(np.concatenate([place, size], -1))
            scores = trust * sure[..., -classes:]
            parts.append((whole.reshape(len(grid), -1, 4), scores.reshape(len(grid), -1, classes)))
        boxes, sureness = zip(*parts, strict=True)
        return np.concatenate(boxes, 1), np.concatenate(sureness, 1)


def _by_size(true: Array) -> Array:
    """Return boxes from the smallest on."""
    return true[np.argsort(np.prod(true[:, 3:] - true[:, 1:3], -1), kind="stable")]


def _cell(share: float, cells: int) -> int:
    return min(max(int(share * cells), 0), cells - 1)


def _places(rows: int, columns: int) -> Array:
    """Return (column, row) of each cell.  Shape (rows, columns, 2)."""
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)


def _anchored(shape: tuple[int, ...], anchors: Array) -> Array:
    """Return anchors in the middle of each cell.  Shape (rows, columns, A, 4)."""
    rows, columns = shape
    middle = (_places(rows, columns) + 0.5) / (columns, rows)
    place = np.repeat(middle[:, :, None], len(anchors), 2)
    return np.concatenate([place, np.broadcast_to(anchors, place.shape)], -1)


def _likest(size: Array, table: Array) -> tuple[int, int]:
    """Return grid and anchor whose form overlaps a size most, all in one corner."""
    shared = np.minimum(size, table).prod(-1)
    likeness = shared / (size.prod() + table.prod(-1) - shared)
    level, anchor = np.unravel_index(likeness.argmax(), likeness.shape)
    return int(level), int(anchor)
