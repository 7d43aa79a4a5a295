"""Detection: boxes around what is in a picture, and what it is.

Networks answer raw numbers; what they mean is a head's matter (see `box_heads`), and boxes of them, suppression and
what is found are computed here, on the host, whatever runs the networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from .. import pyramid
from ..answers import outputs_of
from ..box_heads import AnchoredCells, Cells, DefaultBoxes, Head
from ..boxes import FAINT, drawn, found, judged, there
from ..data import Dataset, Shown, calibration, sets
from ..data.dataset import limited
from ..losses import squared_error
from ..presented import by_name, takes
from .objective import Objective
from .register import Bound, Networks, enter
from .supervised import SHOWN, shown

SURE = 0.5  # of what pictures show
AT_ONCE = 256  # pictures whose answers are held
FEW = 32  # of whose windows
COLOURS = np.array([(1, 0, 0), (0, 0.8, 0), (0, 0.3, 1), (1, 0.8, 0), (1, 0, 1), (0, 0.9, 0.9)], np.float32)


@dataclass(frozen=True, kw_only=True)
class Detection(Objective):
    """Boxes and classes, judged by the mean average precision at an overlap of one half; the unit is a picture.

    Networks: the first takes pictures, by `head` its outputs are read; a second is the table that the head needs.
    scales: how many times each picture is enlarged for it, whose windows the network sees one by one, see `pyramid`;
    then test pictures are as large as the largest of them asks for.
    """

    head: Head
    scales: tuple[float, ...] = (1.0,)

    @property
    def metric(self) -> Metric:
        """Mean average precision."""
        return metrics.get("mean_average_precision")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pictures of the size that the network takes, with their boxes."""
        name, network = next(iter(networks.items()))
        inputs, outputs = takes(network)["inputs"], outputs_of(network)
        dataset = data if isinstance(data, Dataset) else self.loaded(data, inputs[0].shape)
        few = limited(dataset, asked.get("limit"), asked.get("test_limit"), asked.get("seed", 0))
        return replace(few, task=self.name, shown=Shown(network=name, inputs=inputs, outputs=outputs))

    def loaded(self, data: str, shape: tuple[int, ...]) -> Dataset:
        """Return pictures of the network's size, those of the test enlarged; all are taken from the large ones."""
        largest = math.ceil(max(self.scales))
        if largest <= 1:
            return pictures_for(data, shape)
        large = pictures_for(data, (*(largest * side for side in shape[:2]), *shape[2:]))
        small = {part: replace(split, x=pyramid.crops(np.asarray(split.x), pyramid.windows(1.0), shape[:2]))
                 for part, split in large.splits.items() if part != "test"}  # fmt: skip
        return replace(large, **small)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training pictures."""
        return by_name(shown(dataset), calibration(dataset, n, seed))

    def detected(self, run: Runner, dataset: Dataset, x: np.ndarray, floor: float = FAINT) -> list[np.ndarray]:
        """Return what is found in each picture, best first: class, score, corners.  Shapes: N arrays (n, 6)."""
        if self.scales != (1.0,):
            parts = [self._by_windows(run, dataset, x[start : start + FEW]) for start in range(0, len(x), FEW)]
            boxes, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        else:
            boxes, scores = self._answered(run, dataset, x)
        return [found(*each, floor=floor) for each in zip(boxes, scores, strict=True)]

    def _answered(self, run: Runner, dataset: Dataset, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return all boxes and their scores.  Shapes: (N, B, 4), (N, B, K)."""
        answers = run(shown(dataset).network, by_name(shown(dataset), x))
        return self.head.boxes(answers, self.table(run), dataset.classes)

    def _by_windows(self, run: Runner, dataset: Dataset, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same of pictures of any size, by the windows of all scales."""
        within, shape = pyramid.of_scales(self.scales), shown(dataset).inputs[0].shape
        sides = [side or size for side, size in zip(shape[:2], x.shape[1:], strict=False)]
        return pyramid.joined(*self._answered(run, dataset, pyramid.crops(x, within, sides)), within)

    def table(self, run: Runner) -> np.ndarray | None:
        """Return what the host knows besides."""
        return None if self.tables is None else run.table(self.tables)

    @property
    def tables(self) -> str | None:
        """The network that is a table, None for none."""
        return TABLES.get(type(self.head))

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score what is found in each test picture; see `boxes.judged`."""
        rows: list[np.ndarray] = []
        x, y = np.asarray(dataset.test.x), dataset.test.y
        for start in range(0, len(x), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            rows += self.compared(run, dataset, x[part], y[part])
        return Scores(np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(each) for each in rows]))

    def compared(self, run: Runner, dataset: Dataset, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """Return what each picture adds to the average precision."""
        return [judged(said, there(true)) for said, true in zip(self.detected(run, dataset, x), y, strict=True)]

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test pictures with the true boxes, and with those that are found."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        said = [each[:, [0, 2, 3, 4, 5]] for each in self.detected(run, dataset, x, floor=SURE)]
        true = [there(each) for each in dataset.test.y[:SHOWN]]
        return {"true boxes": drawn(x, true, COLOURS), "boxes found": drawn(x, said, COLOURS)}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)

    def prepared(self, split: Any, outputs: Mapping[str, tuple[int, ...]], table: Any, classes: int) -> dict[str, Any]:
        """Return the targets of a split by output."""
        each = [self.head.targets(truth, outputs, table, classes) for truth in split.y]
        return {name: np.stack([one[name] for one in each]) for name in each[0]}


TABLES = {DefaultBoxes: "default_boxes", AnchoredCells: "anchors"}  # the networks that are tables


def pictures_for(name: str, shape: Any) -> Dataset:
    """Load a data set of pictures with boxes.  Raises: BadInput for another."""
    entry = sets.source(name)
    if "detection" not in entry.tasks:
        raise BadInput(f"data set {name!r} has no boxes; it serves {', '.join(entry.tasks)}")
    return entry.load(sets.asked(entry, input_shape=shape, dtype="float32", task="detection", vocabulary=None))


for name, head in (
    ("detection", DefaultBoxes()),
    ("grid_detection", Cells()),
    ("anchored_grid_detection", AnchoredCells()),
    ("aware_grid_detection", AnchoredCells(aware=True)),
):
    enter(Detection(name=name, head=head, loss=squared_error))
enter(Detection(name="pyramid_detection", head=DefaultBoxes(), loss=squared_error, scales=(1.0, 1.5, 2.0)))
