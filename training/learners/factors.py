"""Linear factor models, by scikit-learn and closed forms: x = W h + mean + noise, with normal h."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...progress import tracked
from ..config import TrainConfig
from ..data import Dataset
from ..state import Row
from .register import Networks
from .solved import Solve, solver

JITTER = 1e-6  # added to variances: of values that never change the covariance has no root
ROUNDS = 40  # of expectation maximisation
REFITS = 5  # of encoder and decoder in turn, of what pruning left
PULL = 0.1  # towards zero, of the weights and offset of a value that is always the same


def factor_solver(name: str, **more: Any) -> Callable[[Solve], Solve]:
    """Register a learner that fits encoder and decoder, and of what pruning left of them makes the best."""

    def enter(fit: Solve) -> Solve:
        def solve(
            networks: Networks, dataset: Dataset, *given: Any, support: Mapping[int, Any], **options: Any
        ) -> None:
            if support:
                fitted_again(networks, _flat(dataset), support)
            else:
                fit(networks, dataset, *given, **options)

        solver(name, again=True, **more)(solve)
        return fit

    return enter


def fitted_again(networks: Networks, x: np.ndarray, support: Mapping[int, np.ndarray]) -> None:
    """Fit the weights that are left by least squares: the decoder's to the samples, the encoder's to the best codes.

    x: (N, n).
    """
    encoder, decoder = networks["encoder"].get_layer("code"), networks["decoder"].get_layer("reconstruction")
    alive = [support.get(id(layer.kernel), np.ones(layer.kernel.shape, bool)) for layer in (encoder, decoder)]
    kernel, bias = (np.asarray(weight, np.float64) for weight in (encoder.kernel, encoder.bias))
    for _ in range(REFITS):
        back, offset = _regressed(x @ kernel + bias, x, alive[1])
        best = (x - offset) @ np.linalg.pinv(back)
        kernel, bias = _regressed(x, best, alive[0])
    back, offset = _regressed(x @ kernel + bias, x, alive[1])
    _set(networks["encoder"], "code", kernel, bias)
    _set(networks["decoder"], "reconstruction", back, offset)


def _regressed(x: np.ndarray, y: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel (n, k), zero where not alive, and bias (k,) of the linear map from x (N, n) nearest to y (N, k)."""
    mean, kernel = x.mean(0), np.zeros(alive.shape)
    for place, kept in enumerate(alive.T):
        kernel[kept, place] = np.linalg.lstsq((x - mean)[:, kept], y[:, place] - y[:, place].mean(), rcond=None)[0]
    return kernel, y.mean(0) - mean @ kernel


@dataclass(frozen=True, kw_only=True)
class Components:
    """whiten: 1 for codes of unit variance."""

    whiten: int = 0


@factor_solver("principal_components", options=Components)
def principal_components(
    networks: Networks, dataset: Dataset, task: Any, config: TrainConfig, *, options: Components
) -> None:
    """Take the directions of most variance, the largest first.  Source: Pearson 1901."""
    from sklearn.decomposition import PCA

    x = _flat(dataset)
    fit: Any = PCA(_factors(networks), svd_solver="full").fit(x)
    scale = np.sqrt(fit.explained_variance_) if options.whiten else np.ones(len(fit.components_))
    _assign(networks, to=fit.components_ / scale[:, None], back=fit.components_ * scale[:, None], mean=fit.mean_)


@factor_solver("factor_analysis")
def factor_analysis(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Fit noise of a variance of its own for each value.  Source: Rubin and Thayer 1982."""
    from sklearn.decomposition import FactorAnalysis

    fit = FactorAnalysis(_factors(networks), random_state=config.seed, svd_method="lapack").fit(_flat(dataset))
    loadings = fit.components_.T  # (n, k)
    _assign(networks, to=posterior(loadings, fit.noise_variance_), back=loadings.T, mean=fit.mean_)


@factor_solver("probabilistic_components")
def probabilistic_components(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Fit noise of one variance for all values, in closed form.  Source: Tipping and Bishop 1999, section 3.2."""
    loadings, variance, mean = of_one_variance(_flat(dataset), _factors(networks))
    _assign(networks, to=posterior(loadings, variance), back=loadings.T, mean=mean)


def of_one_variance(x: np.ndarray, factors: int, variance: float | None = None):
    """Return loadings (n, k), the variance of the noise, found where None, and the mean (n,)."""
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    variance = max(float(values[factors:].mean()), JITTER) if variance is None else variance
    return vectors[:, :factors] * np.sqrt(np.maximum(values[:factors] - variance, 0)), variance, mean


def posterior(loadings: np.ndarray, variance: Any) -> np.ndarray:
    """Return the map from what a sample differs from the mean by to the mean of its factors, (k, n).

    variance: of the noise, of each value (n,) or of all of them.
    """
    precise = loadings.T / np.maximum(variance, JITTER)  # (k, n)
    return np.linalg.solve(np.eye(len(precise)) + precise @ loadings, precise)


@factor_solver("independent_components")
def independent_components(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Take directions in which samples are least normal.  Source: Hyvarinen 1999."""
    from sklearn.decomposition import PCA, FastICA

    # Whitened here: FastICA itself loses directions where the first value of samples never changes (findings/).
    x = _flat(dataset)
    white = PCA(_factors(networks), svd_solver="full").fit(x)
    scale = np.sqrt(white.explained_variance_)[:, None]
    whitened: Any = False
    turn = FastICA(whiten=whitened, random_state=config.seed, max_iter=1000, tol=1e-3)
    turn.fit(white.transform(x) / scale.T)
    to, back = white.components_ / scale, white.components_ * scale
    _assign(networks, to=turn.components_ @ to, back=turn.components_ @ back, mean=white.mean_)


@solver("normal_distribution")
def normal_distribution(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> None:
    """Take the mean of the samples, and a root of their covariance."""
    x, (generator,) = _flat(dataset), networks.values()
    covariance = np.atleast_2d(np.cov(x, rowvar=False, bias=True))
    root = np.linalg.cholesky(covariance + JITTER * np.eye(len(covariance)))
    _set(generator, "sample", root.T, x.mean(0))


@solver("logistic_components")
def logistic_components(networks: Networks, dataset: Dataset, task: Any, config: TrainConfig) -> list[Row]:
    """Fit values of 0 and 1, whose logits are linear in normal factors, by EM on a bound of their likelihood.

    Source: Tipping 1998, Probabilistic visualisation of high-dimensional binary data.
    """
    (generator,) = networks.values()
    factors = generator.inputs[0].shape[-1]
    weights, offset, bounds = logistic(_flat(dataset), factors, np.random.default_rng(config.seed))
    _set(generator, "sample", weights.T, offset)
    return [{"loss": -bound} for bound in bounds]


def logistic(x: np.ndarray, factors: int, random: np.random.Generator, rounds: int = ROUNDS):
    """Return weights (n, k), offset (n,) and the mean bound of log p(x) in nats before each round.

    x: (N, n) in [0, 1]. The sigmoid is bounded by a Gaussian in its argument, exact at +-xi: Jaakkola 1997.
    """
    count, width = x.shape
    share = np.clip(x.mean(0), 0.01, 0.99)
    weights, offset = 0.1 * random.standard_normal((width, factors)), np.log(share / (1 - share))
    xi, bounds = np.ones((count, width)), []
    for _ in tracked("expectation maximisation", range(rounds)):
        curve = np.tanh(xi / 2) / (4 * xi)  # (N, n)
        precision = np.eye(factors) + 2 * np.einsum("si,ik,il->skl", curve, weights, weights)
        spread = np.linalg.inv(precision)  # (N, k, k)
        mean = np.einsum("skl,sl->sk", spread, (x - 0.5 - 2 * curve * offset) @ weights)
        second = spread + mean[:, :, None] * mean[:, None, :]
        squared = np.einsum("ik,skl,il->si", weights, second, weights) + 2 * offset * (mean @ weights.T) + offset**2
        xi = np.sqrt(np.maximum(squared, 1e-12))
        bounds.append(_bound(x, weights, offset, xi))
        curve = np.tanh(xi / 2) / (4 * xi)
        ones = np.ones((count, 1))
        joined = np.concatenate([mean, ones], axis=1)  # (N, k + 1)
        outer = np.zeros((count, factors + 1, factors + 1))
        outer[:, :-1, :-1], outer[:, :-1, -1], outer[:, -1, :-1], outer[:, -1, -1] = second, mean, mean, 1
        left = 2 * np.einsum("si,skl->ikl", curve, outer) + PULL * np.eye(factors + 1)
        solved = np.linalg.solve(left, ((x - 0.5).T @ joined)[..., None])[..., 0]
        weights, offset = solved[:, :-1], solved[:, -1]
    return weights, offset, bounds


def _bound(x: np.ndarray, weights: np.ndarray, offset: np.ndarray, xi: np.ndarray) -> float:
    """Return the mean over samples of the bound at xi, the factors integrated out."""
    curve = np.tanh(xi / 2) / (4 * xi)
    precision = np.eye(weights.shape[1]) + 2 * np.einsum("si,ik,il->skl", curve, weights, weights)
    linear = (x - 0.5 - 2 * curve * offset) @ weights
    constant = -np.logaddexp(0, -xi) - xi / 2 + curve * xi**2 + (x - 0.5) * offset - curve * offset**2
    mean = np.linalg.solve(precision, linear[..., None])[..., 0]
    return float((constant.sum(1) + (linear * mean).sum(1) / 2 - np.linalg.slogdet(precision)[1] / 2).mean())


def _flat(dataset: Dataset) -> np.ndarray:
    return np.asarray(dataset.train.x, np.float64).reshape(len(dataset.train), -1)


def _factors(networks: Networks) -> int:
    return networks["decoder"].inputs[0].shape[-1]


def _assign(networks: Networks, *, to: np.ndarray, back: np.ndarray, mean: np.ndarray) -> None:
    """Set both maps: to (k, n), from what differs from the mean to factors; back (k, n)."""
    _set(networks["encoder"], "code", to.T, -to @ mean)
    _set(networks["decoder"], "reconstruction", back, mean)


def _set(network: keras.Model, layer: str, kernel: np.ndarray, bias: np.ndarray) -> None:
    dense = network.get_layer(layer)
    dense.kernel.assign(kernel.astype(np.float32))
    dense.bias.assign(bias.astype(np.float32))
