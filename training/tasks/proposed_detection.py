"""Detection in two stages: boxes are proposed, and of each is told what it holds.

Between the stages the host chooses: here, whatever runs the networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any

import numpy as np

from ...errors import BadInput
from ...runners import Arrays, Recording, Runner
from .. import proposals, selective_search
from ..answers import outputs_of
from ..box_heads import DefaultBoxes
from ..boxes import FAINT, centred, corners, found, placed
from ..data import Dataset, Shown, calibration
from ..data.dataset import limited, subset
from ..losses import squared_error
from ..presented import presented_as, takes
from ..runner import table_of
from .detection import Detection, pictures_for
from .register import Networks, enter

PROPOSER, CLASSIFIER, WINDOWS = "proposer", "classifier", "default_boxes"  # the networks
MASK_HEAD, MASKS = "mask_head", "masks"  # a third, and what it says
PICTURES, MAP, ROIS, CROP = "pictures", "map", "rois", "crop"  # what they read
SCORES, BOXES, RPN_SCORES, RPN_BOXES = "scores", "boxes", "rpn_scores", "rpn_boxes"  # what they say
COUNT = 24  # proposals of a picture, where the net does not tell
SIDES = 3  # a picture that crops are taken of has as many times their side


@dataclass(frozen=True, kw_only=True)
class Proposed(Dataset):
    """Pictures, and what the second stage takes of them.

    count: K. reads: shapes of its inputs by name. windows: (B, 4), of which the host proposes. cells: rows and columns
    of masks, where a net tells them. searched: what selective search proposed, by a digest of the picture: it depends
    on nothing else, and is asked for at each stage and of each file.
    """

    count: int
    reads: Mapping[str, tuple[int, ...]]
    windows: np.ndarray = field(repr=False)
    cells: tuple[int, int] = (0, 0)
    searched: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class ProposedDetection(Detection):
    """Boxes and classes, judged as `Detection` is.

    Networks: "proposer", pictures -> "map" and perhaps "rpn_boxes", "rpn_scores" of the default boxes; "classifier",
    the map and "rois" (N, K, 4) -> "scores" (N, K, classes + 1), "boxes" (N, K, classes, 4); or it alone, "crop" -> the
    same without K. Without scores of a net the host proposes: by edges, see `proposals`, or, `searching`, by selective
    search, which finds more and takes long.
    """

    searching: bool = False

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pictures of the size that the networks take.  Raises: BadInput if one is missing."""
        if missing := [name for name in (CLASSIFIER, WINDOWS) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        reads = {each.name: tuple(each.shape) for each in takes(networks[CLASSIFIER])["inputs"]}
        first = networks.get(PROPOSER, networks[CLASSIFIER])
        inputs = takes(first)["inputs"]
        shape = inputs[0].shape
        if CROP in reads:
            shape = tuple(SIDES * (side or 1) for side in shape[:2]) + shape[2:]
        dataset = data if isinstance(data, Dataset) else pictures_for(data, shape)
        few = limited(dataset, asked.get("limit"), asked.get("test_limit"), asked.get("seed", 0))
        name = PROPOSER if PROPOSER in networks else CLASSIFIER
        shown = Shown(network=name, inputs=inputs, outputs=outputs_of(first))
        facts = {each.name: getattr(few, each.name) for each in fields(Dataset)}
        facts |= {"task": self.name, "shown": shown}
        return Proposed(**facts, count=reads[ROIS][0] if ROIS in reads else COUNT, reads=reads,
                        windows=table_of(networks[WINDOWS]))  # fmt: skip

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training pictures, or crops of them; of a classifier of maps they are made up, see `observed`."""
        of = presented_as(dataset, Proposed)
        x = np.asarray(calibration(dataset, n, seed))
        if network == PROPOSER:
            return {PICTURES: x}
        random = np.random.default_rng(seed)
        if CROP in of.reads:
            rois = self.by_host(of, x, of.windows)
            return {CROP: np.concatenate([proposals.cropped(image, boxes[random.integers(of.count, size=1)],
                                                            of.reads[CROP][:2])
                                          for image, boxes in zip(x, rois, strict=True)])}  # fmt: skip
        rois = np.repeat(corners(of.windows[random.integers(len(of.windows), size=(1, of.count))]), len(x), 0)
        return {MAP: random.uniform(0, 1, (len(x), *of.reads[MAP])).astype(np.float32),
                ROIS: np.clip(rois, 0, 1).astype(np.float32)}  # fmt: skip

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads as n training pictures go through all."""
        seen, part = Recording(run, network), subset(dataset.train, n, seed, stratify=False)
        self.compared(seen, dataset, np.asarray(part.x), part.y)
        return seen.chosen(n, seed)

    def detected(self, run: Runner, dataset: Dataset, x: np.ndarray, floor: float = FAINT) -> list[np.ndarray]:
        """Return what is found in each picture, best first: class, score, corners."""
        return self.seen(run, presented_as(dataset, Proposed), x, floor)[0]

    def seen(
        self, run: Runner, of: Proposed, x: np.ndarray, floor: float
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return what is found in each picture, and the maps of a net that it was found on, or None."""
        rois, maps = self.proposed(run, of, x)
        if maps is None:
            crops = [proposals.cropped(*pair, of.reads[CROP][:2]) for pair in zip(x, rois, strict=True)]
            said = run(CLASSIFIER, {CROP: np.concatenate(crops)})
        else:
            said = run(CLASSIFIER, {MAP: maps, ROIS: rois})
        logits = np.asarray(said[SCORES], np.float64).reshape(*rois.shape[:2], -1)
        told = np.asarray(said[BOXES]).reshape(*rois.shape[:2], of.classes, 4)
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares = (shares / shares.sum(-1, keepdims=True))[..., 1:]
        boxes = placed(told, centred(rois)[:, :, None])  # (N, K, classes, 4)
        own = shares[..., None] * np.eye(of.classes)  # of the box of a class that class alone
        rows = (len(x), -1)
        return [found(*each, floor=floor) for each in
                zip(boxes.reshape(*rows, 4), own.reshape(*rows, of.classes), strict=True)], maps  # fmt: skip

    def proposed(self, run: Runner, dataset: Proposed, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the boxes of each picture that the second stage is shown, (N, K, 4), and the maps of a net or None."""
        windows = run.table(WINDOWS)
        if CROP in dataset.reads:
            return self.by_host(dataset, x, windows), None
        said = run(PROPOSER, {PICTURES: x})
        maps = np.asarray(said[MAP])
        if RPN_SCORES not in said:
            return self.by_host(dataset, x, windows), maps
        boxes = placed(np.asarray(said[RPN_BOXES]), windows)
        scores = said[RPN_SCORES][..., 1] - said[RPN_SCORES][..., 0]
        return np.stack([proposals.best(*each, dataset.count) for each in zip(boxes, scores, strict=True)]), maps

    def by_host(self, dataset: Proposed, x: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Return what the host proposes.  Shape (N, K, 4)."""
        if self.searching:
            return np.stack([_searched(dataset, image) for image in x])
        boxes = corners(windows)
        return np.stack([proposals.best(boxes, scores, dataset.count) for scores in proposals.scored(x, windows)])


def _searched(dataset: Proposed, image: np.ndarray) -> np.ndarray:
    digest = blake2b(image.tobytes(), digest_size=16).digest()
    if digest not in dataset.searched:
        dataset.searched[digest] = selective_search.proposed(image, dataset.count)
    return dataset.searched[digest]


for name, searching in (
    ("proposed_detection", False),
    ("proposed_crops_detection", False),
    ("searched_detection", True),
    ("searched_crops_detection", True),
):
    enter(ProposedDetection(name=name, head=DefaultBoxes(), loss=squared_error, searching=searching))
