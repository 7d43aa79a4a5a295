"""Encoder and decoder, trained together to say their samples again; penalties on the way are options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...ends import input_names, symbolic_inputs
from ...errors import BadInput
from ...keras_internals import layers_in
from ...untyped import ops, tree
from ..config import TrainConfig
from ..data import Dataset, Split
from ..data.shapes import LEVELS, NAMES, Scenes
from ..tasks import Objective
from ..tasks.autoencoding import CODE, DECODER, ENCODER, LOG_VARIANCE, MEAN, NOISE
from .batches import Batches
from .fitting import FitOverrides
from .minimise import joiner
from .register import Networks
from .wrapped import answered

NEARBY = 1e-2  # length of the step, for a value, by which a derivative is told
CLAMPED = tuple(NAMES.index(name) for name in ("orientation", "x", "y"))  # factors with a latent each
OF_THE_REST = tuple(NAMES.index(name) for name in ("shape", "scale"))
REST = 10.0  # how often the rest changes, where one factor does once
LEAST = 1e-6  # of a mean activity, whose logarithm is taken


@dataclass(frozen=True, kw_only=True)
class Penalties:
    """What training adds to the error; weights count beside a mean over the values of a sample.

    noise: deviation of what is added to samples; drop: share of their values that are set to zero (Vincent 2010,
    Stacked denoising autoencoders): the clean sample is to be said again. drop_code: the same of the code, what is kept
    being scaled. sparse_kl: weight of sum rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r)) for the mean activity r
    of each unit of a code in (0, 1) over a batch, rho being `activity` (Ng 2011, Sparse autoencoder); sparse_l1: of
    the sum of absolute codes. contractive: of the squared Frobenius norm of the code's Jacobian, without bias by
    one random direction a sample (Rifai 2011, Contractive auto-encoders). beta: of the divergence of a posterior
    from N(0, I), 1 being the bound itself (Higgins 2017, beta-VAE); beta_norm, in place of it: beta M / N of M
    latents and N values, which asks the same of pictures and codes of any size (section 4.2). clamped: so many
    latents stand for one factor of the picture each, the others for the rest; in each batch of training one factor
    changes, or the rest does, and the latents of all that does not are clamped, see `clamp` (Kulkarni 2015, Deep
    convolutional inverse graphics network, section 3.2). walks: so many times samples are said again, drawn by the
    logits of the time before, and each time it is the first that is to be said (Bengio 2013, arXiv:1306.1091,
    algorithm 1). quiet: 1 for an encoder whose noise is zero while it learns.
    Raises: BadInput for a number outside its range.
    """

    noise: float = 0.0
    drop: float = 0.0
    drop_code: float = 0.0
    sparse_kl: float = 0.0
    activity: float = 0.05
    sparse_l1: float = 0.0
    contractive: float = 0.0
    beta: float = 1.0
    beta_norm: float = 0.0
    clamped: int = 0
    walks: int = 1
    quiet: int = 0

    def __post_init__(self) -> None:
        for name in ("noise", "sparse_kl", "sparse_l1", "contractive", "beta", "beta_norm"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a number from 0")
        for name in ("drop", "drop_code"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"{name}={getattr(self, name)}: allowed is a share in [0, 1)")
        if not 0 <= self.clamped <= len(CLAMPED):
            raise BadInput(f"clamped={self.clamped}: allowed is 0 to {len(CLAMPED)}")
        if self.walks < 1 or self.quiet not in (0, 1):
            raise BadInput(f"walks={self.walks}, quiet={self.quiet}: allowed are walks from 1, and quiet 0 or 1")
        if not 0 < self.activity < 1:
            raise BadInput(f"activity={self.activity}: allowed is a share in (0, 1)")


class Coder(keras.Model):
    """Encoder and decoder behind each other; answers what is said again, flat, and behind it the penalty of the sample.

    So that the penalties are in every loss that is told, of training and of validation. What is said again on a walk
    lies behind each other.  Shapes: (N, ...) -> (N, walks n + 1)
    """

    def __init__(self, networks: Networks, penalties: Penalties, seed: int):
        super().__init__(name="coder")
        self.encoder, self.decoder, self.penalties = networks[ENCODER], networks[DECODER], penalties
        self.supports_jit &= all(layer.supports_jit for net in networks.values() for layer in layers_in(net))
        self.random = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Say samples again; in training changed samples, and codes of which some values are missing."""
        inputs, free = (inputs["x"], inputs["free"]) if isinstance(inputs, Mapping) else (inputs, None)
        asked, seen = self.penalties, inputs
        if training and asked.noise:
            seen = seen + asked.noise * keras.random.normal(ops.shape(seen), seed=self.random)
        if training and asked.drop:
            seen = seen * ops.cast(keras.random.uniform(ops.shape(seen), seed=self.random) >= asked.drop, "float32")
        walked, penalties = [], []
        for step in range(asked.walks):
            # Validation draws the same noise at every call: two of them are to be compared.
            flat, penalty = self._again(seen, free, self.random if training else step, training)
            walked.append(flat)
            penalties.append(penalty)
            if len(walked) < asked.walks:
                chance = keras.random.uniform(ops.shape(flat), seed=self.random if training else step)
                seen = ops.reshape(ops.cast(chance < ops.sigmoid(flat), "float32"), ops.shape(seen))
        return ops.concatenate([*walked, sum(penalties) / asked.walks], axis=1)

    def _again(self, seen: Any, free: Any, random: Any, training: bool | None) -> tuple[Any, Any]:
        """Return samples said again, flat, and their penalties, (N, n) and (N, 1)."""
        asked, said = self.penalties, self._encoded(seen, random, training)
        code = said[CODE]
        pull: Any = 0.0
        if free is not None:
            code, pull = clamp(code, free)
        if training and asked.drop_code:
            code = keras.random.dropout(code, asked.drop_code, seed=self.random)
        made = self.decoder(code, training=training)
        flat = ops.reshape(made, (ops.shape(made)[0], -1))
        values = 1
        for size in made.shape[1:]:
            values *= size
        return flat, self._penalty(seen, said, values, random) + pull / values

    def _encoded(self, x: Any, random: Any, training: bool | None) -> dict[str, Any]:
        given = {name: self._noise(x, random) if name == NOISE else x for name in input_names(self.encoder)}
        answers = answered(self.encoder, given, training)
        return {CODE: next(iter(answers.values()))} if len(answers) == 1 else answers

    def _noise(self, x: Any, random: Any) -> Any:
        size = next(symbol.shape[1:] for symbol in tree.flatten(symbolic_inputs(self.encoder)) if symbol.name == NOISE)
        shape = (ops.shape(x)[0], *size)
        return ops.zeros(shape) if self.penalties.quiet else keras.random.normal(shape, seed=random)

    def _penalty(self, x: Any, said: dict[str, Any], values: int, random: Any) -> Any:
        """Return the penalty of each sample, (N, 1)."""
        asked = self.penalties
        code = ops.reshape(said[CODE], (ops.shape(said[CODE])[0], -1))
        total = ops.zeros_like(code[:, :1])
        if asked.sparse_kl:
            total += asked.sparse_kl * sparseness(ops.mean(code, axis=0), asked.activity)
        if asked.sparse_l1:
            total += asked.sparse_l1 * ops.sum(ops.absolute(code), axis=1, keepdims=True)
        if asked.contractive:
            direction = keras.random.normal(ops.shape(x), seed=random)
            ahead, behind = (
                ops.reshape(self._encoded(x + step * direction, 0, None)[CODE], ops.shape(code))
                for step in (NEARBY, -NEARBY)
            )
            slope = (ahead - behind) / (2 * NEARBY)
            total += asked.contractive * ops.sum(slope * slope, axis=1, keepdims=True)
        if LOG_VARIANCE in said:
            mean, log_variance = said[MEAN], said[LOG_VARIANCE]
            apart = (mean * mean + ops.exp(log_variance) - 1 - log_variance) / 2
            weight = asked.beta_norm / apart.shape[-1] or asked.beta / values
            total += weight * ops.sum(apart, axis=1, keepdims=True)
        return total


def sparseness(activity: Any, wanted: float) -> Any:
    """Return the summed divergence of units' mean activities from the wanted one.  Shapes: (n,) -> ()."""
    activity = ops.clip(activity, LEAST, 1 - LEAST)
    on, off = wanted * ops.log(wanted / activity), (1 - wanted) * ops.log((1 - wanted) / (1 - activity))
    return ops.sum(on + off)


def clamp(code: Any, free: Any) -> tuple[Any, Any]:
    """Return codes in which what is not free is its mean over the batch, and what pulls it there, (N, 1) zeros.

    The gradient of the latter is how far a clamped latent is from that mean; to it no other gradient comes, while a
    free one's passes.  Shapes: (N, n), free (N, n) of zeros and ones.
    """
    centre = ops.stop_gradient(ops.mean(code, axis=0, keepdims=True))
    pull = ops.sum((1 - free) * (code - centre) ** 2, axis=1, keepdims=True) / 2
    return free * code + (1 - free) * centre, pull - ops.stop_gradient(pull)


class OneFactor(Batches):
    """Batches of pictures drawn anew, in each of which one factor changes, or the rest: 1 to 1 to ... to 10.

    Functions of (seed, epoch, index) alone, as those of `Batches`.
    """

    def __init__(self, scenes: Scenes, latents: int, factors: int, config: TrainConfig):
        self._scenes, self._latents, self._factors = scenes, latents, factors
        x = np.asarray(scenes.train.x)
        super().__init__(Split(x=x, y=x), x.reshape(len(x), -1), config)

    def begin(self, epoch: int) -> None:
        """Note the epoch."""
        super().begin(epoch)
        self._epoch = epoch

    def __getitem__(self, index: int):
        random = np.random.default_rng([self._seed, self._epoch, index])
        shares = np.array([*[1.0] * self._factors, REST])
        kind = random.choice(len(shares), p=shares / shares.sum())
        moved = CLAMPED[kind : kind + 1] if kind < self._factors else OF_THE_REST
        factors = np.repeat(random.integers(0, LEVELS, (1, len(LEVELS))), self.size, axis=0)
        for place in moved:
            factors[:, place] = random.integers(0, LEVELS[place], self.size)
        free = np.zeros((self.size, self._latents), np.float32)
        free[:, slice(kind, kind + 1) if kind < self._factors else slice(self._factors, None)] = 1
        x = self._scenes.draw(factors)
        return {"x": x, "free": free}, x.reshape(self.size, -1)


class Penalised(keras.losses.Loss):
    """The loss of a task, and behind the answers what is added to it.  Shapes: (N, n), (N, walks n + 1)."""

    def __init__(self, loss: keras.losses.Loss, walks: int = 1):
        super().__init__(name="penalised")
        self.loss, self.walks = loss, walks

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample, (N,)."""
        wanted = ops.concatenate([y_true] * self.walks, axis=1) if self.walks > 1 else y_true
        return self.loss.call(wanted, y_pred[:, :-1]) + y_pred[:, -1]


def _overrides(model: Any, dataset: Dataset, task: Objective, config: TrainConfig) -> FitOverrides:
    told: dict[str, Any] = {}
    if factors := model.penalties.clamped:
        if not isinstance(dataset, Scenes):
            raise BadInput(f"clamped={factors}: data {dataset.name!r} has no known factors; take shapes or dsprites")
        latents = model.decoder.inputs[0].shape[-1]
        told["batches"] = lambda split, targets, config, weights: OneFactor(dataset, latents, factors, config)
    return FitOverrides(
        loss=Penalised(task.loss(0.0), model.penalties.walks),
        targets=lambda split: split.y.reshape(len(split), -1).astype("float32"),
        **told,
    )


@joiner("autoencoding", _overrides, options=Penalties)
def autoencoding(
    networks: Networks, dataset: Dataset, config: TrainConfig, *, options: Penalties
) -> dict[str, keras.Model]:
    """Minimise the task's loss of what is said again, and penalties.

    networks: "encoder", sample -> code, or with "noise" besides -> "mean", "log_variance" and "code"; "decoder".
    Raises: BadInput for other networks.
    """
    if set(networks) != {ENCODER, DECODER}:
        raise BadInput(f"learner 'autoencoding' trains {ENCODER} and {DECODER}, got {', '.join(networks)}")
    return {"coder": Coder(networks, options, config.seed)}
