"""Transduction: frames are heard chunk by chunk, and symbols said when there is enough to say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Runner
from ..data import Dataset, load
from ..data.dataset import facts_of, subset
from ..presented import presented_as, takes
from ..transduction import TransducerLoss, said_greedily
from .objective import Objective
from .register import Bound, Networks, enter
from .stepping import Stepped

NETWORKS = SEQUENCE, ENCODER, PREDICTION, JOINER = "sequence", "encoder", "prediction", "joiner"
FRAMES, TARGET, CHUNK, TOKEN = "frames", "target", "chunk", "token"  # what the networks read
HEARD, SAID, LOGITS = "heard", "said", "logits"  # what they answer, the first two to the joiner


@dataclass(frozen=True, kw_only=True)
class Recordings(Dataset):
    """Frames and symbols, what prediction net and joiner read and keep, and how many frames a chunk has."""

    step: Stepped
    joiner: Stepped
    chunk: int


@dataclass(frozen=True, kw_only=True)
class Transduction(Objective):
    """Symbols said greedily by three networks, judged by the share that is wrong; trained by the sum over all ways.

    Networks: "sequence", frames (N, T, F) and target (N, U), the symbols behind a blank, 0 -> logits (N, T', U, K),
    which is trained; "encoder", a step: chunk (N, T / T', F) -> "heard"; "prediction", a step: token (N, 1) ->
    "said"; "joiner", both -> "logits" (N, 1, K). The unit is a recording.
    """

    @property
    def metric(self) -> Metric:
        """Edits by symbol."""
        return metrics.get("symbol_error_rate")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return recordings as the sequence net takes them, in as many symbols as it tells apart.

        Raises: BadInput if a network is missing, or tells fewer symbols apart than the data have.
        """
        if missing := [name for name in NETWORKS if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        inputs, width = takes(networks[SEQUENCE])["inputs"], networks[SEQUENCE].output_shape[-1]
        loaded = load(data, inputs=inputs, task=self.name, **asked)
        if not rebuilt and loaded.classes > width:
            raise BadInput(f"{SEQUENCE!r} knows {width} symbols, data {loaded.name!r} has {loaded.classes}; build it "
                           f"with classes={loaded.classes}")  # fmt: skip
        facts = facts_of(loaded, Dataset)
        chunk = next(each.shape[0] for each in takes(networks[ENCODER])["inputs"] if each.name == CHUNK)
        step, joiner = (Stepped.of(networks[name]) for name in (PREDICTION, JOINER))
        return Recordings(**facts, step=step, joiner=joiner, chunk=chunk or 1)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training recordings: of the steps by time; what the joiner reads is made up.

        It has its ranges from the sequence net, as a step that is derived.
        """
        pairs = subset(dataset.train, n, seed, stratify=False).x
        if network == SEQUENCE:
            return dict(pairs)
        if network == ENCODER:
            return {CHUNK: chunks(pairs[FRAMES], presented_as(dataset, Recordings).chunk)}
        if network == PREDICTION:
            return {TOKEN: pairs[TARGET][..., None]}
        random = np.random.default_rng(seed)
        return {each.name: random.standard_normal((n, *(size or 1 for size in each.shape)), np.float32)
                for each in presented_as(dataset, Recordings).joiner.inputs}  # fmt: skip

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test recording by the edits to what is said, and the symbols that there are, (N, 2)."""
        said = self.said(run, dataset, np.asarray(dataset.test.x[FRAMES]))
        return Scores.by_row(self.metric.scores(said, np.asarray(dataset.test.y)))

    def said(self, run: Runner, dataset: Dataset, frames: np.ndarray) -> np.ndarray:
        """Return what the networks say of frames (N, T, F): ids (N, U), zeros behind the last."""
        known = presented_as(dataset, Recordings)
        heard = np.asarray(run.unroll(ENCODER, {CHUNK: chunks(frames, known.chunk)})[HEARD])
        heard = heard.reshape(len(frames), -1, heard.shape[-1])
        kept = [each for each in known.step.inputs if each.name in known.step.states.values()]
        states = {each.name: np.zeros((len(frames), *(size or 1 for size in each.shape)), np.float32)
                  for each in kept}  # fmt: skip
        last: dict[str, np.ndarray] = {}

        def before(tokens: np.ndarray, who: np.ndarray) -> np.ndarray:
            answers = run(PREDICTION, {TOKEN: tokens, **states})
            for output, into in known.step.states.items():
                states[into] = np.where(who[:, None], answers[output], states[into])
            told = np.asarray(answers[SAID]).reshape(len(frames), 1, -1)
            last[SAID] = np.where(who[:, None, None], told, last.get(SAID, told))
            return last[SAID]

        def logits(frame: np.ndarray, told: np.ndarray) -> np.ndarray:
            return np.asarray(run(JOINER, {HEARD: frame, SAID: told})[LOGITS])

        return said_greedily(heard, before, logits, dataset.train.y.shape[1])

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


def chunks(frames: np.ndarray, size: int) -> np.ndarray:
    """Return frames by chunk.  Shapes: (N, T, F) -> (N, T / size, size, F)."""
    return np.reshape(frames, (len(frames), -1, size, frames.shape[-1]))


enter(Transduction(name="transduction", loss=lambda smoothing: TransducerLoss(), labelled=True))
