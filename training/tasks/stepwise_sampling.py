"""Sampling by a step network: a picture is drawn in several steps, each of noise of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import BadInput
from ...runners import Arrays, Runner
from ..data import Dataset, load
from ..data.dataset import facts_of, subset
from ..presented import takes
from .generative import Drawn, Generation, drawn_from
from .register import Networks, enter

NETWORKS = SEQUENCE, STEP = "sequence", "step"
PICTURES, NOISE, LOGITS = "pictures", "noise", "logits"


@dataclass(frozen=True, kw_only=True)
class StepwiseSampling(Generation):
    """Pictures of a step network, judged as those of a generator: by what they make of the test images.

    Networks: "sequence", pictures and noise (N, T, Z), which is trained; "step", noise (N, Z), states -> "logits" of
    the picture so far, and states, which begin as zeros. It runs T times.
    """

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return pictures as the sequence net takes them.  Raises: BadInput if a network is missing."""
        if missing := [name for name in NETWORKS if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        inputs = {each.name: each for each in takes(networks[SEQUENCE])["inputs"]}
        loaded = load(data, input_shape=inputs[PICTURES].shape, dtype="float32", task="reconstruction", **asked)
        facts: dict[str, Any] = facts_of(loaded)
        facts["task"] = self.name
        return Drawn(**facts, latent=(inputs[NOISE],), judged=(inputs[PICTURES],))

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return noise, of the step by time; for the sequence net n training pictures besides."""
        assert isinstance(dataset, Drawn)
        pictures = np.asarray(subset(dataset.train, n, seed, stratify=False).x)
        noise = drawn_from(dataset, len(pictures), seed)
        return noise if network == STEP else {PICTURES: pictures, **noise}

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return the same: no network reads what another said."""
        return self.samples(dataset, network, n, seed)

    def drawn(self, run: Runner, dataset: Drawn, count: int, seed: int) -> np.ndarray:
        """Return the means of pixels behind the last step."""
        logits = np.asarray(run.unroll(STEP, drawn_from(dataset, count, seed))[LOGITS])[:, -1]
        return 1 / (1 + np.exp(-logits))


enter(StepwiseSampling(name="stepwise_sampling", game=False))
