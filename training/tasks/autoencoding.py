"""Autoencoders of two networks: an encoder makes a code of a sample, a decoder a sample of the code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import metrics
from ...errors import BadInput
from ...metrics import Metric, Scores
from ...runners import Arrays, Judge, Recording, Runner
from ..answers import outputs_of
from ..data import Dataset, Shown, calibration, load
from ..data.dataset import subset
from ..losses import NormalLikelihood, loss_of_logits, squared_error
from ..presented import takes
from .objective import Objective, check_outputs
from .register import Bound, Networks, enter
from .supervised import SHOWN, shown

ENCODER, DECODER = "encoder", "decoder"
CODE, NOISE, MEAN, LOG_VARIANCE = "code", "noise", "mean", "log_variance"  # of the encoder
NOISE_SEED = 20_131_220  # of what is judged, apart from that of calibration
DEVIATION = 0.15  # of a value around the decoder's answer, in the Gaussian model


@dataclass(frozen=True, kw_only=True)
class Autoencoding(Objective):
    """Samples said again by way of their code, judged by the share of their variance that is explained.

    Networks: "encoder", sample -> code, and "decoder", code -> sample. The unit is a sample.
    """

    @property
    def metric(self) -> Metric:
        """Explained variance."""
        return metrics.get("explained_variance")

    def present(self, data: Any, networks: Networks, *, rebuilt: bool = False, **asked: Any) -> Dataset:
        """Return samples as the encoder takes them, each its own target.

        Raises: BadInput if a network is missing, or the decoder returns samples of another size.
        """
        if missing := [name for name in (ENCODER, DECODER) if name not in networks]:
            raise BadInput(f"task {self.name!r} needs a network {missing[0]!r}, got {', '.join(networks)}")
        inputs = takes(networks[ENCODER])["inputs"]
        shape, dtype = next((each.shape, each.dtype) for each in inputs if each.name != NOISE)
        dataset = load(data, input_shape=shape, dtype=dtype, task="reconstruction", **asked)
        check_outputs(self, dataset, tuple(networks[DECODER].output_shape[1:]), DECODER)
        presented = Shown(network=ENCODER, inputs=inputs, outputs=outputs_of(networks[ENCODER]))
        return replace(dataset, task=self.name, shown=presented)

    def samples(self, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return n training samples for the encoder; codes for the decoder are made up: `observed` has true ones."""
        x = np.asarray(calibration(dataset, n, seed))
        if network == ENCODER:
            return self.read(dataset, x, seed)
        size = next(each.shape for each in shown(dataset).outputs if each.name == CODE)
        random = np.random.default_rng(seed)
        return {CODE: random.uniform(0, 1, (len(x), *(each or 1 for each in size))).astype(np.float32)}

    def observed(self, run: Runner, dataset: Dataset, network: str, n: int = 256, seed: int = 0) -> Arrays:
        """Return what `network` reads as n training samples go through both."""
        seen, part = Recording(run, network), subset(dataset.train, n, seed, stratify=False)
        self.through(seen, dataset, np.asarray(part.x), seed)
        return seen.chosen(n, seed)

    def read(self, dataset: Dataset, x: np.ndarray, seed: int) -> Arrays:
        """Return what the encoder reads of samples: by its inputs' names, noise of a normal distribution by seed."""
        random, given = np.random.default_rng(seed), {}
        for each in shown(dataset).inputs:
            shape = (len(x), *(size or 1 for size in each.shape))
            given[each.name] = random.standard_normal(shape, np.float32) if each.name == NOISE else x
        return given

    def through(
        self, run: Runner, dataset: Dataset, x: np.ndarray, seed: int = NOISE_SEED, **noise: Any
    ) -> dict[str, np.ndarray]:
        """Return what the encoder says of samples, and as "" what the decoder makes of their code.

        noise: what `read` takes besides.
        """
        said = dict(run(ENCODER, self.read(dataset, x, seed, **noise)))
        (made,) = run(DECODER, {CODE: said[CODE]}).values()
        return {**said, "": np.asarray(made).reshape(x.shape)}

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sample by what of it is not said again, and what there was to say, (N, 2)."""
        x = np.asarray(dataset.test.x)
        return Scores.by_row(self.metric.scores(self.through(run, dataset, x)[""], x))

    def drawn(self, made: np.ndarray) -> np.ndarray:
        """Return answers of the decoder as values of samples."""
        return made

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, and the same said again."""
        x = np.asarray(dataset.test.x)[:SHOWN]
        return {"samples": x, "reconstructions": self.drawn(self.through(run, dataset, x)[""])}

    def judge(self, dataset: Dataset) -> Judge:
        """Bind the task to its data."""
        return Bound(self, dataset)


@dataclass(frozen=True, kw_only=True)
class Variational(Autoencoding):
    """Samples of a latent variable, judged by the lower bound of their log-likelihood (ELBO) in nats per value.

    Networks: "encoder", sample and "noise" -> "mean" and "log_variance" of the posterior and "code", drawn from it by
    the noise; "decoder", code -> logits of values in [0, 1], or their means. All runners are judged with the same
    noise. Multiplied by the number of values it is the figure of the literature.
    Source: Kingma and Welling 2013, Auto-encoding variational Bayes, arXiv:1312.6114, equation 10.
    """

    gaussian: bool = False

    @property
    def metric(self) -> Metric:
        """The bound."""
        return metrics.get("elbo")

    def evaluate(self, run: Runner, dataset: Dataset) -> Scores:
        """Score each test sample by its bound, (N, 1)."""
        x = np.asarray(dataset.test.x)
        said = self.through(run, dataset, x)
        likely = self.log_likelihood(said[""], x)
        return Scores.by_row((likely - divergence(said[MEAN], said[LOG_VARIANCE]))[:, None] / x[0].size)

    def log_likelihood(self, made: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return log p(sample | code) in nats, (N,): of values in [0, 1] minus their cross-entropy."""
        made, x = (np.asarray(each, np.float64).reshape(len(each), -1) for each in (made, x))
        if self.gaussian:
            constant = math.log(2 * math.pi * DEVIATION**2)
            return -(((made - x) / DEVIATION) ** 2 + constant).sum(-1) / 2
        return (x * made - np.logaddexp(0, made)).sum(-1)

    def drawn(self, made: np.ndarray) -> np.ndarray:
        """Return the means of values."""
        return made if self.gaussian else 1 / (1 + np.exp(-made))

    def pictures(self, run: Runner, dataset: Dataset) -> Mapping[str, np.ndarray]:
        """Return test samples, the same said again, and samples of the prior from the same latents for all runners."""
        size = next(each.shape for each in shown(dataset).outputs if each.name == CODE)
        latent = np.random.default_rng(NOISE_SEED).standard_normal((SHOWN, *(each or 1 for each in size)), np.float32)
        (made,) = run(DECODER, {CODE: latent}).values()
        shape = np.asarray(dataset.test.x).shape[1:]
        return {**super().pictures(run, dataset), "drawn": self.drawn(np.asarray(made)).reshape(-1, *shape)}


def divergence(mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
    """Return the Kullback-Leibler divergence of diagonal normal distributions from N(0, I) in nats.

    Shapes: (N, n), (N, n) -> (N,).
    """
    mean, log_variance = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
    return (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(-1) / 2


enter(Autoencoding(name="autoencoding", loss=squared_error))
enter(Variational(name="bernoulli_autoencoding", loss=loss_of_logits))
enter(Variational(name="gaussian_autoencoding", loss=lambda smoothing: NormalLikelihood(DEVIATION),
                  gaussian=True))  # fmt: skip
