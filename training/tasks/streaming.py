"""Streams: a step network answers frame by frame, and is judged as the supervised task whose targets there are.

A row "streaming_NAME" is the row NAME, judged by unrolling the step in place of running the sequence net.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, Shown, Split, calibration, load
from ..presented import by_name, takes
from .objective import Objective
from .register import TASKS, Bound, Networks, enter
from .supervised import Supervised, shown

SEQUENCE, STEP = "sequence", "step"  # the networks: the one that is trained, the one that runs
FRAMES, FRAME = "frames", "frame"  # what they read
LAST = "last"  # what the sequence net may read besides: the targets of the step before, which are the step's state


@dataclass(frozen=True, kw_only=True)
class Streaming(Objective):
    """Answers to a stream, judged by a step network that carries its states.

    Networks: "sequence", frames (N, T, F) -> output (N, T, ...), or (N, ...) where the last step answers, is trained;
    "step", "frame" (N, 1, F) and states -> output and states. A sequence net with an input "last" is told the true
    output of the step before (teacher forcing); the step has it as a state, its own output. The unit is a sequence.
    row: the supervised task of the targets.
    """

    row: Supervised

    @property
    def metric(self) -> Metric:
        """The supervised task's."""
        return self.row.metric

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Load `data` as the frames of the sequence net.

        Raises: BadInput if there is no such net, or it has other inputs.
        """
        if SEQUENCE not in networks:
            raise BadInput(f"task {self.name!r} is for a network {SEQUENCE!r}, got {', '.join(networks)}")
        known = takes(networks[SEQUENCE])
        frames, *others = (each for each in known["inputs"] if each.name != LAST)
        if others or frames.name != FRAMES:
            raise BadInput(f"task {self.name!r}: {SEQUENCE!r} reads {FRAMES!r}, and {LAST!r} where it is told the true "
                           f"outputs; got {', '.join(each.name for each in known['inputs'])}")  # fmt: skip
        if isinstance(data, Dataset) and data.task == self.name:
            return data
        dataset = load(data, input_shape=frames.shape, dtype=frames.dtype, task=self.row.name, inputs=(frames,),
                       outputs=takes(networks[SEQUENCE], rebuilt)["outputs"], **asked)  # fmt: skip
        if len(known["inputs"]) > 1:
            dataset = replace(dataset, **{part: _told(split) for part, split in dataset.splits.items()})
        presented = Shown(network=SEQUENCE, inputs=known["inputs"], outputs=known["outputs"])
        return replace(dataset, task=self.name, shown=presented)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training sequences: of the sequence net by its inputs, of the step a frame a time step."""
        x = calibration(dataset, n, seed)
        return {FRAME: _frames(x)} if network == STEP else by_name(shown(dataset), x)

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score the answers to each test sequence: all of them, or the last where the sequence net has one."""
        outputs, frames = shown(dataset).outputs, _frames(dataset.test.x)
        answers = np.asarray(run.unroll(STEP, {FRAME: frames})[outputs[0].name])
        answers = answers.reshape(*frames.shape[:2], -1)  # (N, T, K)
        said = answers if len(outputs[0].shape) > 1 else answers[:, -1]
        return Scores.by_row(self.row.judged([said], dataset.test, outputs, SEQUENCE).scores)

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def _frames(x: Any) -> np.ndarray:
    return np.asarray(x[FRAMES] if isinstance(x, Mapping) else x)


def _told(split: Split) -> Split:
    """Return the samples with what was true a step before, zero at first.  Shapes: y (N, T, K)."""
    before = np.pad(split.y, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    return replace(split, x={FRAMES: split.x, LAST: before.astype(np.float32)})


def _streaming(row: Supervised) -> Streaming:
    own = {each.name: getattr(row, each.name) for each in fields(Objective)}
    return Streaming(**{**own, "name": f"streaming_{row.name}"}, row=row)


for _name in ("classification", "binary_classification", "regression", "recall"):
    enter(_streaming(TASKS[_name]))
