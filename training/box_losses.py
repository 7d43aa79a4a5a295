"""Losses of detectors. Each is one of a picture, over its boxes; `y_true` is what `box_heads` make of true boxes."""

from __future__ import annotations

from typing import Any

import keras

from ..untyped import ops

WIDTH_WEIGHT, NO_OBJECT = 5.0, 0.5  # Redmon 2016, arXiv:1506.02640, equation 3
ALPHA = 0.25  # Lin 2017, arXiv:1708.02002, section 5.1


def focal(chance: Any, gamma: float) -> Any:
    """Return -(1 - p)^gamma log p of the chance p that is given to what is true; gamma 0 is cross-entropy.

    Source: Lin 2017, arXiv:1708.02002, equation 4.
    """
    return -((1 - chance) ** gamma) * ops.log(chance)


class _Told(keras.losses.Loss):
    """A loss whose numbers are what its instance holds."""

    def __init__(self, **numbers: float):
        super().__init__(name=type(self).__name__)
        self.numbers = numbers
        self.__dict__.update(numbers)

    def get_config(self) -> dict[str, Any]:
        """Return the numbers."""
        return dict(self.numbers)


class HardNegatives(_Told):
    """Cross-entropy of the classes of boxes, of those that are background the hardest alone: `negatives` for each true.

    Shapes: classes (N, B), 0 for background; logits (N, B, K + 1) -> (N,).  Source: arXiv:1512.02325, section 2.2.
    """

    negatives: float

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the sum over the boxes that count, over the number of true ones."""
        nats: Any = keras.losses.sparse_categorical_crossentropy(ops.cast(y_true, "int32"), y_pred, from_logits=True)
        true = ops.cast(y_true > 0, nats.dtype)
        count = ops.sum(true, axis=-1, keepdims=True)  # (N, 1)
        hardness = ops.stop_gradient(nats) * (1 - true)
        ranks = ops.argsort(ops.argsort(-hardness, axis=-1), axis=-1)
        hard = ops.cast(ops.cast(ranks, nats.dtype) < self.negatives * ops.maximum(count, 1), nats.dtype) * (1 - true)
        return ops.sum(nats * (true + hard), axis=-1) / ops.maximum(count[:, 0], 1)


class FocalClasses(_Told):
    """Focal loss of the classes of boxes, each a yes or no of its own.

    Shapes: classes (N, B), 0 for background; logits (N, B, K) -> (N,).  Source: arXiv:1708.02002, section 4.
    """

    gamma: float

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the sum over all boxes, over the number of true ones."""
        yes = ops.one_hot(ops.cast(y_true, "int32") - 1, y_pred.shape[-1], dtype=y_pred.dtype)  # of -1 none
        nats = ops.softplus(ops.where(yes > 0, -y_pred, y_pred))
        weight = ops.where(yes > 0, ALPHA, 1 - ALPHA) * (1 - ops.exp(-nats)) ** self.gamma
        count = ops.sum(ops.cast(y_true > 0, y_pred.dtype), axis=-1)
        return ops.sum(weight * nats, axis=(1, 2)) / ops.maximum(count, 1)


class Offsets(_Told):
    """Smooth L1 loss of offsets, quadratic below 1, or where `squared` half their squared error; times `weight`.

    Shapes: offsets with 1 behind them where a box is true (N, B, 5); (N, B, 4) -> (N,).
    """

    squared: float
    weight: float

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the sum over the true boxes, over their number."""
        error = ops.abs(y_true[..., :4] - y_pred)
        quadratic = 0.5 * error**2
        loss = quadratic if self.squared else ops.where(error < 1, quadratic, error - 0.5)
        true = y_true[..., 4]
        total = ops.sum(ops.sum(loss, axis=-1) * true, axis=-1)
        return self.weight * total / ops.maximum(ops.sum(true, axis=-1), 1)


class Masks(_Told):
    """Cross-entropy of the mask of the true class, cell by cell; masks of the others do not compete.

    Shapes: masks (N, K, 1 + rows columns), before them classes from 1, 0 for background; logits (N, K, rows, columns,
    classes) -> (N,).  Source: He 2017, Mask R-CNN, arXiv:1703.06870, section 3.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the sum over true boxes of the mean over cells, over their number."""
        _, count, rows, columns, classes = y_pred.shape
        own = ops.one_hot(ops.cast(y_true[..., 0], "int32") - 1, classes, dtype=y_pred.dtype)  # of -1 none
        share = ops.reshape(y_true[..., 1:], (-1, count, rows, columns, 1))
        each = ops.sum(ops.mean(_nats(share, y_pred), axis=(2, 3)) * own, axis=-1)
        return ops.sum(each, axis=-1) / ops.maximum(ops.sum(own, axis=(1, 2)), 1)


class Grid(_Told):
    """Squared errors of a grid: of the box that overlaps the true one most, of confidence, of classes.

    Shapes: (N, S, S, 5 + K): whether there is one, its place in the cell, roots of its size, classes;
    (N, S, S, 5 B + K): of each box confidence, place and roots, then classes -> (N,).
    Source: Redmon 2016, arXiv:1506.02640, equation 3.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the sum over cells."""
        cells, classes = y_pred.shape[1], y_true.shape[-1] - 5
        count = (y_pred.shape[-1] - classes) // 5
        said = ops.reshape(y_pred[..., : 5 * count], (-1, cells, cells, count, 5))
        there, box = y_true[..., 0], y_true[..., None, 1:5]
        shared = ops.stop_gradient(_overlap_in_cell(said[..., 1:], box, cells))  # (N, S, S, B)
        best = ops.one_hot(ops.argmax(shared, axis=-1), count, dtype=y_pred.dtype) * there[..., None]
        place = ops.sum((said[..., 1:] - box) ** 2, axis=-1)
        sure = (said[..., 0] - shared) ** 2
        unsure = said[..., 0] ** 2
        of_boxes = ops.sum(best * (WIDTH_WEIGHT * place + sure) + (1 - best) * NO_OBJECT * unsure, axis=-1)
        of_classes = there * ops.sum((y_pred[..., 5 * count :] - y_true[..., 5:]) ** 2, axis=-1)
        return ops.sum(of_boxes + of_classes, axis=(1, 2))


def _overlap_in_cell(a: Any, b: Any, cells: int) -> Any:
    """Return the intersection over union of boxes of one cell: places in it, roots of sizes in the picture."""
    ends = []
    for box in (a, b):
        middle, half = box[..., :2] / cells, box[..., 2:] ** 2 / 2
        ends.append((middle - half, middle + half))
    return overlap(*ends[0], *ends[1])


def overlap(first: Any, last: Any, true_first: Any, true_last: Any) -> Any:
    """Return the intersection over union of boxes by their two corners.  Shapes: (..., 2) each -> (...)."""
    side = ops.maximum(ops.minimum(last, true_last) - ops.maximum(first, true_first), 0)
    shared = side[..., 0] * side[..., 1]
    areas = [(end - start)[..., 0] * (end - start)[..., 1] for start, end in ((first, last), (true_first, true_last))]
    return shared / ops.maximum(areas[0] + areas[1] - shared, 1e-9)


class AnchoredGrid(_Told):
    """Cross-entropies of place, object and classes of a grid with anchors, squared error of the logarithms of sizes.

    aware: weight of what the overlap with the true box adds: 1 - its square, and the cross-entropy of what the net
    says of it, where that has a channel (Long 2020, PP-YOLO, arXiv:2007.12099, sections 3.2 and 3.3).
    Shapes: (N, H, W, A, 6 + K): 1 for an object, 0, or -1 for neither, weight of the box, place in the cell, log of
    size over the anchor's, classes; (N, H, W, A (5 + K)), or 6 + K -> (N,).  Source: Redmon 2018, arXiv:1804.02767.
    """

    aware: float

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the sum over cells and anchors."""
        anchors, classes = y_true.shape[3], y_true.shape[-1] - 6
        said = ops.reshape(y_pred, (-1, *y_true.shape[1:4], y_pred.shape[-1] // anchors))
        state, weight, place, size, yes = (
            y_true[..., 0], y_true[..., 1], y_true[..., 2:4], y_true[..., 4:6], y_true[..., 6:]
        )  # fmt: skip
        there, counts = ops.cast(state > 0, y_pred.dtype), ops.cast(state >= 0, y_pred.dtype)
        told = said[..., -classes:]
        boxes = ops.sum(_nats(place, said[..., :2]), axis=-1) + 0.5 * ops.sum((size - said[..., 2:4]) ** 2, axis=-1)
        total = there * (weight * boxes + ops.sum(_nats(yes, told), axis=-1)) + counts * _nats(there, said[..., 4])
        if self.aware:
            shared = _overlap_of_anchor(said, place, size)
            total = total + self.aware * there * (1 - shared**2)
            if said.shape[-1] > 5 + classes:
                total = total + self.aware * there * _nats(ops.stop_gradient(shared), said[..., 5])
        return ops.sum(total, axis=(1, 2, 3))


def _overlap_of_anchor(said: Any, place: Any, size: Any) -> Any:
    """Return the intersection over union of the box that a net says with the true one, as if an anchor were a cell."""
    ours, half = ops.sigmoid(said[..., :2]), ops.exp(ops.minimum(said[..., 2:4], 4.0)) / 2
    return overlap(ours - half, ours + half, place - ops.exp(size) / 2, place + ops.exp(size) / 2)


def _nats(share: Any, logit: Any) -> Any:
    """Return the cross-entropy of a logit with a share between 0 and 1."""
    return ops.maximum(logit, 0) - logit * share + ops.softplus(-ops.abs(logit))
