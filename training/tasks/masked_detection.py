"""Detection in two stages with masks: of each box that is found, a third network tells what of it the thing fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import BadInput
from ...runners import Runner
from .. import masks
from ..answers import outputs_of
from ..box_heads import DefaultBoxes
from ..boxes import FAINT, judged, there
from ..data import Dataset
from ..losses import squared_error
from ..presented import presented_as
from .detection import COLOURS, SURE
from .proposed_detection import MAP, MASK_HEAD, MASKS, PROPOSER, ROIS, Proposed, ProposedDetection
from .register import Networks, enter
from .supervised import SHOWN

TINT = 0.6  # of a mask in a picture
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MaskedDetection(ProposedDetection):
    """Boxes, classes and masks, judged by the mean average precision at an overlap of masks of one half.

    Networks: as of `ProposedDetection` with a proposer, and "mask_head", the map and "rois" (N, K, 4) -> "masks"
    (N, K, rows, columns, classes), logits. It is shown the boxes that are found, as they are refined and suppressed.
    """

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pictures of the size that the networks take.  Raises: BadInput without masks in data or networks."""
        if missing := [name for name in (PROPOSER, MASK_HEAD) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        dataset = presented_as(super().present(data, networks, rebuilt=rebuilt, **asked), Proposed)
        if dataset.inside is None:
            raise BadInput(f"data set {dataset.name!r} has boxes but no masks, which task {self.name!r} learns; "
                           "take 'drawn_shapes', or a model of boxes alone, such as 'faster_rcnn'")  # fmt: skip
        rows, columns = outputs_of(networks[MASK_HEAD])[0].shape[1:3]
        return replace(dataset, cells=(rows, columns))

    def compared(self, run: Runner, dataset: Dataset, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """Return what each picture adds to the average precision."""
        rows = []
        for (said, told), truth in zip(self.masked(run, dataset, x), y, strict=True):
            true = there(truth)
            rows.append(judged(said, true, shared=masks.overlaps(told, _true(dataset, x, true))))
        return rows

    def masked(
        self, run: Runner, dataset: Dataset, x: np.ndarray, floor: float = FAINT
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what is found in each picture, the K best at most, and its pixels.  Shapes: (n, 6), (n, H, W)."""
        of = presented_as(dataset, Proposed)
        found, maps = self.seen(run, of, x, floor)
        kept = [each[: of.count] for each in found]
        rois = np.stack([_filled(each[:, 2:], of.count) for each in kept])
        said = run(MASK_HEAD, {MAP: np.asarray(maps), ROIS: rois})[MASKS]
        return [(each, _pasted(each, of_each, boxes, x.shape[1:3]))
                for each, of_each, boxes in zip(kept, said, rois, strict=True)]  # fmt: skip

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test pictures with boxes, true and found, and with the masks of both."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        true = [there(each) for each in dataset.test.y[:SHOWN]]
        said = self.masked(run, dataset, x, floor=SURE)
        return {**super().pictures(run, dataset),
                "true masks": _tinted(x, [(each, _true(dataset, x, each)) for each in true]),
                "masks found": _tinted(x, said)}  # fmt: skip


def _true(dataset: Dataset, x: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the pixels of the things in a picture of such a size."""
    if dataset.inside is None:
        raise BadInput(f"data set {dataset.name!r} has boxes but no masks")
    return masks.of_picture(dataset.inside, x.shape[1:3], truth)


def _filled(boxes: np.ndarray, count: int) -> np.ndarray:
    """Return `count` boxes within the picture: those given, then the whole of it."""
    more = np.tile(WHOLE, (count - len(boxes), 1))
    return np.clip(np.concatenate([boxes, more]), 0, 1).astype(np.float32)


def _pasted(found: np.ndarray, said: np.ndarray, rois: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the pixels of what is found, of the mask of its class."""
    own = np.asarray(said, np.float64)[np.arange(len(found)), :, :, found[:, 0].astype(int)]
    return masks.pasted((1 + np.tanh(own / 2)) / 2, rois[: len(found)], shape)


def _tinted(x: np.ndarray, found: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return pictures with masks in the colour of their class.  Shapes: (N, H, W, C) -> (N, H, W, 3)."""
    shown = np.repeat(x, 3, -1) if x.shape[-1] == 1 else x.copy()
    for image, (rows, told) in zip(shown, found, strict=True):
        for label, mask in zip(rows[:, 0].astype(int), told, strict=True):
            image[mask] += TINT * (COLOURS[label % len(COLOURS)] - image[mask])
    return shown


enter(MaskedDetection(name="masked_detection", head=DefaultBoxes(), loss=squared_error))
