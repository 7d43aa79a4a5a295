"""What a run is about: a model, from wherever it comes, and the data it is trained and judged on."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from ..files import sha256
from ..models import registry
from ..models.weights import load_weights
from ..quantize.shapes import fix_shapes
from ..training import data as datasets
from ..training import tasks
from ..training.answers import built, in_order, outputs_of
from ..training.data import Dataset
from ..training.data.user import resolve
from ..training.train import prepared, takes
from .budget import QUICK_TRAINING_SAMPLES
from .saved import load_model


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model and its data.

    make() builds the model anew, seeded; identity is a digest of what it is made from; learning_rate is the peak of its
    training; trained tells that its weights are the user's, to be kept.
    """

    name: str
    dataset: Dataset
    learner: str
    make: Callable[[], keras.Model]
    identity: str
    learning_rate: float = 2e-3
    trained: bool = False

    @property
    def task(self) -> str:
        """The task of the data, which decides loss and metric."""
        return self.dataset.task


def find(
    model: str, data: str | None, *, preset: str = "edge", weights: str | None = None, seed: int = 0,
    quick: bool = False,
) -> Workload:  # fmt: skip
    """Return the subject that `model` (zoo name, pkg.module:function or .keras file) and `data` name.

    weights: what a model that is not trained yet starts from (see `load_weights`). quick: at most
    `QUICK_TRAINING_SAMPLES` to train on, and where `data` is not given a zoo model's offline data set.
    Raises: BadInput if one is unknown, or the two do not fit.
    """
    found = _find(model, data, preset=preset, seed=seed, quick=quick)
    return found if weights is None else _starting_from(weights, found)


def _starting_from(weights: str, subject: Workload) -> Workload:
    if subject.trained:
        raise BadInput(f"--weights {weights}: {subject.name} comes from a .keras file, which has weights")

    def make() -> keras.Model:
        model = subject.make()
        load_weights(model, weights)
        return model

    content = sha256(Path(weights)) if Path(weights).is_file() else weights
    return replace(subject, make=make, identity=sha256(f"{subject.identity} {content}".encode()))


def _find(model: str, data: str | None, *, preset: str, seed: int, quick: bool) -> Workload:
    limit = QUICK_TRAINING_SAMPLES if quick else None
    if model.endswith(".keras"):
        return _from_file(Path(model), data, seed=seed, limit=limit)
    if ":" in model:
        return _from_function(model, data, seed=seed, limit=limit)
    if data is None:
        named = registry.get(model).data
        data = named[-1] if quick else datasets.choose(named)
    return _from_zoo(model, data, preset=preset, seed=seed, limit=limit)


def digest_of(split: Any) -> str:
    """Return the SHA-256 of a split's samples and targets."""
    arrays = {f"y {name}": one for name, one in split.y.items()} if isinstance(split.y, Mapping) else {"y": split.y}
    arrays |= split.x if isinstance(split.x, Mapping) else {"x": split.x}
    parts = [
        f"{name} {array.dtype} {array.shape} {sha256(np.ascontiguousarray(array).tobytes())}"
        for name, array in sorted(arrays.items())
    ]
    return sha256("\n".join(parts).encode())


def _from_zoo(name: str, data: str, *, preset: str, seed: int, limit: int | None) -> Workload:
    architecture = registry.get(name)
    if preset not in architecture.presets:
        raise BadInput(f"--preset {preset!r}: {name} has {', '.join(sorted(architecture.presets))}")
    probe = _single(name, registry.build(name, preset, seed=seed))
    dataset = datasets.load(data, **_asked(probe), task=architecture.task, limit=limit, seed=seed)
    overrides = {"classes": dataset.classes} if dataset.classes else {}

    def make() -> keras.Model:
        return _single(name, registry.build(name, preset, seed=seed, **overrides))

    identity = sha256(f"{name} {preset} {overrides} {sha256(Path(inspect.getfile(architecture.builder)))}".encode())
    return Workload(name=name, dataset=dataset, learner=architecture.learner, make=make, identity=identity,
                   learning_rate=architecture.learning_rate)  # fmt: skip


def _from_function(spec: str, data: str | None, *, seed: int, limit: int | None) -> Workload:
    builder = resolve(spec)

    def make() -> keras.Model:
        keras.utils.set_random_seed(seed)
        model = builder()
        if not isinstance(model, keras.Model):
            raise BadInput(f"{spec}: returned {type(model).__name__}; the function must return a keras.Model")
        return model

    dataset = _own_data(spec, data, make(), seed=seed, limit=limit)
    identity = sha256(f"{spec} {sha256(Path(inspect.getfile(builder)))}".encode())
    name = spec.partition(":")[2]
    return Workload(name=name, dataset=dataset, learner="fit", make=lambda: _as_large_as(dataset, make()),
                   identity=identity)  # fmt: skip


def _from_file(path: Path, data: str | None, *, seed: int, limit: int | None) -> Workload:
    model = load_model(path)
    dataset = _own_data(str(path), data, model, seed=seed, limit=limit)
    return Workload(name=path.stem, dataset=dataset, learner="fit", trained=True, identity=sha256(path),
                   make=lambda: _as_large_as(dataset, load_model(path)))  # fmt: skip


def _as_large_as(dataset: Dataset, model: keras.Model) -> keras.Model:
    """Fix what dimensions `model` leaves open to those of the samples."""
    model = built(model, dataset.train.x)
    return fix_shapes(model, [array.shape[1:] for array in in_order(model, dataset.train.x)])


def _own_data(model_name: str, data: str | None, model: keras.Model, *, seed: int, limit: int | None) -> Dataset:
    if data is None:
        raise BadInput(
            f"--data is missing: {model_name} is not of the zoo; name a data set or give pkg.module:function"
        )
    model, dataset = prepared(model, data, limit=limit, seed=seed)
    if not dataset.heads and len(model.outputs) > 1:
        names = ", ".join(output.name for output in outputs_of(model))
        raise BadInput(
            f"--data {data}: targets for one output, but {model_name} has {len(model.outputs)}: {names}; give a dict "
            f"by name"
        )
    width = model.outputs[0].shape[-1]
    if dataset.classes and not dataset.heads and width != dataset.classes and tasks.get(dataset.task).labelled:
        raise BadInput(f"--data {data}: {dataset.classes} classes, but {model_name} has {width} outputs")
    return dataset


def _asked(model: keras.Model) -> dict[str, Any]:
    """Return how a net of the zoo wants its samples; it is built anew for as many classes as the data has."""
    known = takes(model)
    embedded = next((layer.input_dim for layer in model.layers if isinstance(layer, keras.layers.Embedding)), None)
    if known.get("dtype") == "int32":
        known["vocabulary"] = embedded
    return {**known, "outputs": tuple(replace(output, shape=(None,)) for output in known["outputs"])}


def _single(name: str, built: Any) -> keras.Model:
    if isinstance(built, keras.Model):
        return built
    raise BadInput(f"{name} has several networks ({', '.join(built)}): no stage after build handles them yet")
