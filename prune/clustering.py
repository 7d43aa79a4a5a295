"""Clustering: the weights of a kernel share few values, so that the file packs well.

At once by k-means, or while training goes on: then the assignment of weights to values stays as k-means found it, and
each value takes the gradients of its weights together (Han et al. 2016, arXiv:1510.00149, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import keras
import numpy as np

from ..copies import copy_model, twins
from ..errors import BadInput, WrongOrder, refuse_unknown
from ..keras_internals import layers_in, own_trainable, value_of
from ..untyped import ops
from .config import matches
from .inside import ModelInside, refuse_unfinished
from .kmeans import INITS, kmeans
from .selection import SPARED, refuse_idle

MOST = 256  # values: more are not fewer than 8 bits have
A_VALUE = 4  # weights at least that share one, or nothing is saved


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """How many values the weights of each kernel share: by `by_name`, else by `by_type` (layer class), else `clusters`.

    Names are those of layers or paths, with shell wildcards; the first that matches wins. Numbers lie in 2..256, of
    which QAT keeps up to 64; None leaves a layer alone. init: where k-means starts: "kmeans++" (by chance, the best of
    several), "linear" (evenly from the least to the largest weight) or "density" (as many weights to each).
    keep_zeros: zeros stay zero, and are one of the values, so that a pruned model stays so.
    """

    clusters: int | None = 16
    init: str = "kmeans++"
    keep_zeros: bool = True
    seed: int = 0
    by_name: dict[str, int | None] = field(default_factory=dict)
    by_type: dict[str, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in [("clusters", self.clusters), *self.by_name.items(), *self.by_type.items()]:
            if value is not None and (value != int(value) or not 2 <= value <= MOST):
                raise BadInput(
                    f"ClusterConfig: {name}={value!r} must be a whole number in 2..{MOST}, or None to leave the layer "
                    "alone"
                )
        if self.init not in INITS:
            raise BadInput(f"ClusterConfig: init={self.init!r} is unknown; allowed: {', '.join(INITS)}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClusterConfig:
        """Build from a mapping, as read from YAML. Raises: BadInput naming an unknown key."""
        refuse_unknown("ClusterConfig", values, [one.name for one in fields(cls)])
        return cls(**values)

    def asked_for(self, path: str, kind: str) -> tuple[int | None, str | None]:
        """Return the number for a weight's path and its layer's class, and the entry that says so (None: default)."""
        for pattern, value in self.by_name.items():
            if matches(path, pattern):
                return value, f"by_name[{pattern!r}]"
        if kind in self.by_type:
            return self.by_type[kind], f"by_type[{kind!r}]"
        return self.clusters, None


@dataclass(frozen=True)
class ClusterReport:
    """What happens to each trainable weight: rows of `{name, shape, clusters, error, reason}`.

    clusters: how many values it has now, None where it is skipped, and `reason` says why. error: how far it moved, the
    norm of the difference as a share of its own.
    """

    rows: tuple[dict[str, Any], ...]

    @property
    def clustered(self) -> tuple[dict[str, Any], ...]:
        """The rows of the weights that are clustered."""
        return tuple(row for row in self.rows if row["clusters"] is not None)

    def __str__(self) -> str:
        lines = [f"{len(self.clustered)} of {len(self.rows)} weights clustered"]
        lines += [f"  {row['clusters']:4} values  {row['name']}: moved by {row['error']:.1%}" for row in self.clustered]
        lines += [f"  kept  {row['name']}: {row['reason']}" for row in self.rows if row["clusters"] is None]
        return "\n".join(lines)


def cluster(model: keras.Model, config: ClusterConfig | None = None) -> tuple[keras.Model, ClusterReport]:
    """Return a copy of `model` whose kernels hold few values each, and a report. `model` is untouched.

    Raises: BadInput if `config` names a layer that is not there; WrongOrder if `model` is being pruned or clustered, or
    is quantization-aware.
    """
    clustering, report = prepare_cluster(model, config)
    return strip_cluster(clustering), report


def prepare_cluster(model: keras.Model, config: ClusterConfig | None = None) -> tuple[ClusteringModel, ClusterReport]:
    """Return a model to be trained by any learner, whose kernels hold few values each from the start, and a report.

    `model` is untouched.  Raises: as `cluster`.
    """
    refuse_unfinished(model, "cluster", "prepare_qat(clustered, calibration=samples), which keeps the number of values")
    clustering = ClusteringModel(copy_model(model), asdict(config or ClusterConfig()), name=model.name)
    clustering.find()
    return clustering, clustering.report


def strip_cluster(model: keras.Model) -> keras.Model:
    """Return the plain model, its kernels with the values that were trained. `model` is untouched.

    Raises: WrongOrder if `model` is not from `prepare_cluster`.
    """
    if not isinstance(model, ClusteringModel):
        raise WrongOrder(
            f"model {model.name!r} is not being clustered: call clustering, report = prepare_cluster(model), "
            "train it, then strip_cluster(clustering)"
        )
    plain = copy_model(model.inner)
    kernels = twins(model.inner, plain)
    for shared in model.shared:
        kernels[id(shared.kernel)].assign(shared.value())
    return plain


@keras.saving.register_keras_serializable("edgewright")
class ClusteringModel(ModelInside):
    """A model under clustering: `inner`, and for each clustered kernel its values and the number of each weight's."""

    amid, remedy = "is being clustered", "strip_cluster(model)"

    def __init__(self, inner: keras.Model, config: dict[str, Any], **kwargs: Any):
        super().__init__(inner, **kwargs)
        self.settings = dict(config)
        rows, chosen = _select(inner, ClusterConfig.from_dict(config))
        self.report = ClusterReport(tuple(rows))
        self.shared = [SharedValues(self, kernel, count) for kernel, count in chosen]
        self.built = True

    def find(self) -> None:
        """Let k-means choose the values, and tell of them in the report."""
        config = ClusterConfig.from_dict(self.settings)
        found = {shared.kernel.path: shared.find(config) for shared in self.shared}
        self.report = ClusterReport(tuple({**row, **found.get(row["name"], {})} for row in self.report.rows))

    def replaced(self, training: bool | None) -> Iterator[tuple[keras.Variable, Any]]:
        """Yield each clustered kernel with its present values; what the kernel adds to the loss they add."""
        for shared in self.shared:
            value = shared.value()
            if training and shared.kernel.regularizer is not None:
                self.add_loss(shared.kernel.regularizer(value))
            yield shared.kernel, value

    def get_config(self) -> dict[str, Any]:
        """Return the model inside and the configuration."""
        return {"inner": keras.saving.serialize_keras_object(self.inner), "config": self.settings, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClusteringModel:
        """Build the model again; its values come with its weights."""
        inner = keras.saving.deserialize_keras_object(config["inner"], custom_objects=custom_objects)
        return cls(inner, config["config"], name=config["name"])


class SharedValues:
    """The values that the weights of one kernel share, and which of them each has: -1 for a zero that stays."""

    def __init__(self, owner: ClusteringModel, kernel: keras.Variable, count: int):
        self.kernel = kernel
        name = kernel.path.replace("/", ".")
        self.values = owner.add_weight(shape=(count,), initializer="zeros", name=f"{name}.values")
        self.numbers = owner.add_weight(
            shape=kernel.shape, initializer="zeros", trainable=False, dtype="int32", name=f"{name}.numbers"
        )
        kernel.trainable = False  # it is the values that are trained

    def find(self, config: ClusterConfig) -> dict[str, Any]:
        """Choose values for the kernel as it is; return how many it has then, and how far it moved."""
        kernel = np.array(ops.convert_to_numpy(self.kernel), np.float64)
        zero = (kernel == 0) & config.keep_zeros
        most = self.values.shape[0] - bool(zero.any())
        values, numbers = kmeans(kernel[~zero], most, config.init, config.seed)
        self.values.assign(np.pad(values, (0, self.values.shape[0] - len(values))))
        placed = np.full(kernel.shape, -1, np.int32)
        placed[~zero] = numbers
        self.numbers.assign(placed)
        moved = np.linalg.norm(np.asarray(ops.convert_to_numpy(self.value()), np.float64) - kernel)
        norm = float(np.linalg.norm(kernel))
        return {"clusters": len(values) + bool(zero.any()), "error": float(moved) / norm if norm else 0.0}

    def value(self) -> Any:
        """Return the kernel that the values make."""
        numbers = value_of(self.numbers)
        values = ops.take(value_of(self.values), ops.maximum(numbers, 0), axis=0)
        return ops.cast(ops.where(numbers < 0, ops.zeros_like(values), values), self.kernel.dtype)


def _select(model: keras.Model, config: ClusterConfig) -> tuple[list[dict[str, Any]], list[tuple[keras.Variable, int]]]:
    """Return a row for each weight that could be trained, and those to cluster with the number of their values.

    A weight that several layers hold is one.  Raises: BadInput for an entry of `by_name` or `by_type` that means none.
    """
    held = {id(weight): (layer, weight) for layer in layers_in(model) for weight in own_trainable(layer)}
    rows, chosen = [], []
    for layer, weight in held.values():
        count, reason = _decide(layer, weight, config)
        row = {"name": weight.path, "shape": tuple(weight.shape), "clusters": count, "error": 0.0, "reason": reason}
        rows.append(row)
        if count is not None:
            chosen.append((weight, count))
    refuse_idle(config, [row["name"] for row in rows], {type(layer).__name__ for layer, _ in held.values()})
    return rows, chosen


def _decide(layer: keras.Layer, weight: keras.Variable, config: ClusterConfig) -> tuple[int | None, str]:
    count, asked_by = config.asked_for(weight.path, type(layer).__name__)
    if len(weight.shape) < 2 or weight.name.endswith("bias"):
        return None, "biases, scales and offsets are few and matter"
    if not weight.trainable:
        return None, "frozen: its layer is not trainable"
    spared = next((SPARED[kind] for kind in type(layer).__mro__ if kind in SPARED), None)
    if spared and asked_by is None and not isinstance(layer, keras.layers.Embedding):
        return None, spared
    if count is None:
        return None, f"ClusterConfig.{asked_by or 'clusters'} is None"
    if math.prod(weight.shape) < A_VALUE * count:
        return None, f"fewer than {A_VALUE * count} weights: {count} values would save nothing"
    return count, ""


__all__ = ["ClusterConfig", "ClusterReport", "ClusteringModel", "cluster", "prepare_cluster", "strip_cluster"]
