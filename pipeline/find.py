"""Find what the stages work for: a model, from wherever it comes, and the data for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput
from ..files import sha256
from ..models import registry
from ..models.registry import Deployable
from ..models.weights import freeze_first, load_weights, transfer
from ..progress import say
from ..quantize.shapes import fix_shapes
from ..quantize.streaming import derive
from ..training import data as datasets
from ..training import tasks
from ..training.answers import built, in_order, outputs_of
from ..training.data import Dataset
from ..training.data.user import resolve
from ..training.tasks import Networks, Supervised
from ..training.train import prepared
from . import origins
from .budget import QUICK_TRAINING_SAMPLES
from .origins import Origin
from .saved import load_model, siblings, with_siblings
from .workload import Workload


def find(
    model: str, data: str | None, *, preset: str = "edge", weights: str | None = None, freeze: int = 0, seed: int = 0,
    quick: bool = False, also: Sequence[str] = (),
) -> Workload:  # fmt: skip
    """Return the workload that `model` (zoo name, pkg.module:function or .keras file) and `data` name.

    weights: what a model that is not trained yet starts from (see `load_weights`). freeze: how
    many of its layers with weights, in the order of computation, stay as they are. quick: at most
    `QUICK_TRAINING_SAMPLES` to train on, and where `data` is not given a zoo model's offline data set. also: networks
    that go to a device on request (`Architecture.on_request`).
    Raises: BadInput if one is unknown, or the two do not fit.
    """
    named = _find(model, data, preset=preset, seed=seed, quick=quick)
    named = _asking(also, named) if also else named
    work = named if weights is None else _starting_from(weights, named)
    return _frozen(freeze, work) if freeze else work


def of(
    networks: keras.Model | Networks, data: Any, *, learner: str | None = None, limit: int | None = None, seed: int = 0
) -> tuple[dict[str, keras.Model], Workload]:
    """Return networks by name, built where one was not, and their workload with `data`, as the task presents it.

    learner: instead of the one that the networks are known to have; without either they are fitted.
    Raises: BadInput for data that does not fit.
    """
    given = dict(networks) if isinstance(networks, Mapping) else {networks.name: networks}
    first = next(iter(given.values()))
    origin = origins.of(first)
    deploy = _deployed(given, origin)
    given, dataset = _presented(given, deploy, data, origin, limit=limit, seed=seed)
    return given, Workload(
        name=(origin and origin.model) or first.name,
        dataset=dataset,
        origin=_training(origin, dataset, learner),
        networks=tuple(given),
        deploy=deploy,
        make=lambda: given,
        derive=derive,
        trained=True,
    )


def deployed(networks: Networks) -> list[str]:
    """Return the names of the networks that go to a device, or that a step network takes its weights from."""
    deploy = _deployed(networks, origins.of(next(iter(networks.values()))))
    return list(dict.fromkeys(each.derived_from or each.network for each in deploy))


def _deployed(networks: Networks, origin: Origin | None) -> tuple[Deployable, ...]:
    """Return which of `networks` go to a device: as the zoo says, and all where nothing is known of them."""
    known = origin.deploy if origin is not None else ()
    there = [each for each in known if {each.network, each.derived_from} - {None} <= networks.keys()]
    return registry.with_states(there, networks) or tuple(Deployable(network=name) for name in networks)


def _training(origin: Origin | None, dataset: Dataset, learner: str | None) -> Origin:
    """Return how networks are trained on `dataset`: as they were, unless it is for another task."""
    known = origin if origin is not None and origin.task == dataset.task else Origin(task=dataset.task)
    return known if learner is None else replace(known, learner=learner)


def _presented(
    networks: dict[str, keras.Model], deploy: Sequence[Deployable], data: Any, origin: Origin | None, **asked: Any
) -> tuple[dict[str, keras.Model], Dataset]:
    """Return the networks, the first built where it was not, and the data as their task presents them.

    Values say what they are for, the name of a data set does not: then it is what the networks were trained for.
    """
    if isinstance(data, Dataset):
        if not isinstance(tasks.of(data), Supervised):
            return networks, data
    elif origin is not None:
        task = tasks.get(origin.task)
        if not isinstance(task, Supervised):
            return networks, task.present(data, networks, **asked)
        if isinstance(data, str) and ":" not in data:
            asked["task"] = task.name
    name, first = next(iter(networks.items()))
    model, dataset = prepared(first, data, network=name, **asked)
    return {**networks, name: model}, dataset


def of_file(
    path: str | Path, data: Any, *, limit: int | None = None, seed: int = 0, also: Sequence[str] = ()
) -> tuple[dict[str, keras.Model], Workload]:
    """Return the networks of a .keras file and of its siblings, and their workload with `data`.

    also: networks that go to a device on request.
    Raises: BadInput for a file or data that do not fit, or a sibling that is not there.
    """
    loaded = with_siblings(Path(path))
    origins.request(loaded, also)
    networks, work = of(loaded, data, limit=limit, seed=seed)
    return networks, replace(work, name=Path(path).stem, identity=sha256(Path(path)))


def _asking(also: Sequence[str], work: Workload) -> Workload:
    """Return a workload some of whose networks go to a device besides."""
    origin = work.origin.asking(also)
    known = {each.network for each in work.deploy}
    more = [each for each in origin.deploy if each.network in also and each.network not in known]

    def make() -> dict[str, keras.Model]:
        networks = work.make()
        origins.request(networks, also)
        return networks

    identity = sha256(f"{work.identity} also {' '.join(origin.also)}".encode())
    return replace(work, origin=origin, deploy=(*work.deploy, *more), make=make, identity=identity)


def _starting_from(weights: str, work: Workload) -> Workload:
    if work.trained:
        raise BadInput(f"--weights {weights}: {work.name} comes from a .keras file, which has weights")
    content = sha256(Path(weights)) if Path(weights).is_file() else weights
    return _changed(work, "weights", weights, content, lambda model: _take(model, weights))


def _take(model: keras.Model, weights: str) -> None:
    """Load weights; of a model whose classes are others all but those of the last layer."""
    try:
        load_weights(model, weights)
    except BadInput as refused:
        if not weights.endswith(".keras") or not Path(weights).is_file():
            raise
        try:
            fresh = transfer(load_model(Path(weights)), model)
        except BadInput as unlike:
            raise BadInput(f"{refused}: {unlike}") from unlike
        say(f"{model.name}: {fresh} starts from fresh weights, its classes are others")


def _frozen(layers: int, work: Workload) -> Workload:
    return _changed(work, "freeze", layers, f"freeze {layers}", lambda model: freeze_first(model, layers))


def _changed(work: Workload, option: str, value: Any, content: str, change: Callable[[keras.Model], Any]) -> Workload:
    """Return a workload whose one network is changed when it is made.  Raises: BadInput where there are several."""
    if work.several:
        raise BadInput(f"--{option} {value}: {work.name} has several networks; it is of one")

    def make() -> dict[str, keras.Model]:
        networks = work.make()
        for model in networks.values():
            change(model)
        return networks

    return replace(work, make=make, identity=sha256(f"{work.identity} {content}".encode()))


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
    entry = registry.get(name)
    if preset not in entry.presets:
        raise BadInput(f"--preset {preset!r}: {name} has {', '.join(sorted(entry.presets))}")
    probe = registry.networks(name, preset, seed=seed)
    dataset = tasks.get(entry.task).present(data, probe, limit=limit, seed=seed, rebuilt=True)
    overrides: dict[str, Any] = {"classes": dataset.classes} if dataset.classes and entry.classes else {}
    overrides |= {name: size for name, size in dataset.sizes.items() if name in entry.options}
    if entry.alone and not isinstance(tasks.get(entry.task), Supervised):  # a graph, a world has a shape of its own
        overrides["input_shape"] = dataset.input_shape

    def make() -> dict[str, keras.Model]:
        networks = registry.networks(name, preset, seed=seed, **overrides)
        return {part: origins.remember(model, Origin.of_zoo(name, preset, part)) for part, model in networks.items()}

    identity = sha256(f"{name} {preset} {overrides} {sha256(Path(inspect.getfile(entry.builder)))}".encode())
    return Workload(name=name, dataset=dataset, origin=Origin.of_zoo(name, preset, name), networks=entry.networks,
                    deploy=registry.with_states(entry.deploy, probe), make=make, derive=derive,
                    identity=identity)  # fmt: skip


def _from_function(spec: str, data: str | None, *, seed: int, limit: int | None) -> Workload:
    builder = resolve(spec)

    def build() -> keras.Model:
        keras.utils.set_random_seed(seed)
        model = builder()
        if not isinstance(model, keras.Model):
            raise BadInput(f"{spec}: returned {type(model).__name__}; the function must return a keras.Model")
        return model

    identity = sha256(f"{spec} {sha256(Path(inspect.getfile(builder)))}".encode())
    work = _of_own(spec, data, {"": build()}, lambda: {"": build()}, seed=seed, limit=limit)
    return replace(work, name=spec.partition(":")[2], identity=identity, trained=False)


def _from_file(path: Path, data: str | None, *, seed: int, limit: int | None) -> Workload:
    work = _of_own(str(path), data, with_siblings(path), lambda: with_siblings(path), seed=seed, limit=limit)
    files = siblings(path).values() or [path]
    return replace(work, name=path.stem, identity=sha256(" ".join(map(sha256, files)).encode()))


def _of_own(
    called: str, data: str | None, networks: Networks, again: Callable[[], Networks], *, seed: int, limit: int | None
) -> Workload:
    """Return the workload of networks from elsewhere than the zoo; a lone one is as large as the samples.

    called: what the user calls them. again: builds or loads them once more.
    """
    if data is None:
        raise BadInput(f"--data is missing: {called} is not of the zoo; name a data set or give pkg.module:function")
    if len(networks) > 1:
        return replace(of(networks, data, limit=limit, seed=seed)[1], make=lambda: dict(again()))
    (model,) = networks.values()
    built_networks, work = of(model, data, limit=limit, seed=seed)
    ((name, model),) = built_networks.items()
    _check_fits(called, data, model, work.dataset)

    def make() -> dict[str, keras.Model]:
        (fresh,) = again().values()
        return {name: _as_large_as(work.dataset, fresh)}

    return replace(work, make=make)


def _as_large_as(dataset: Dataset, model: keras.Model) -> keras.Model:
    """Fix what dimensions `model` leaves open to those of the samples."""
    whole = built(model, dataset.train.x)
    sized = fix_shapes(whole, [array.shape[1:] for array in in_order(whole, dataset.train.x)])
    return origins.remember(sized, origins.of(model))


def _check_fits(called: str, data: str, model: keras.Model, dataset: Dataset) -> None:
    task = tasks.of(dataset)
    if not isinstance(task, Supervised):
        return
    if not dataset.heads and len(model.outputs) > 1:
        names = ", ".join(output.name for output in outputs_of(model))
        raise BadInput(
            f"--data {data}: targets for one output, but {called} has {len(model.outputs)}: {names}; give a dict "
            f"by name"
        )
    width = model.outputs[0].shape[-1]
    if dataset.classes and not dataset.heads and width != dataset.classes and task.labelled:
        raise BadInput(f"--data {data}: {dataset.classes} classes, but {called} has {width} outputs")
