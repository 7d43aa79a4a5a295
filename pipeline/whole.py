"""Files judged by the task itself, which runs them as the networks that they are, in place of samples and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..devices.measure import ModelFile
from ..errors import BadInput
from ..models import registry
from ..training import tasks
from ..training.data import Dataset
from ..training.tasks import Supervised


def presented_to_task(data: Any, file: ModelFile) -> Dataset | None:
    """Return `data` as the task of a file presents it, or None where samples and targets judge the file.

    Raises: BadInput for a name, where nothing tells which networks the data are for.
    """
    if isinstance(data, Dataset):
        return None if isinstance(tasks.of(data), Supervised) else data
    named = file.manifest.get("task")
    if not isinstance(data, str) or named is None or isinstance(task := tasks.get(named), Supervised):
        return None
    model, preset = file.manifest.get("model"), file.manifest.get("preset")
    if model not in registry.names() or preset is None:
        raise BadInput(
            f"--data {data}: {file.name} is judged by the task {named!r}, and is of no model of the zoo that it could "
            f"be presented to; give a Dataset, as the task presents it"
        )
    return task.present(data, registry.networks(model, preset), rebuilt=True)


def judged_by_task(dataset: Dataset, files: Sequence[ModelFile], baseline: ModelFile) -> dict[str, Any]:
    """Return what `measure.bench` is told: who judges, what is judged together, and what each file is timed on.

    The parts of one model, as their manifests say, are judged together, each against the part of the baseline's model
    that is the same network.  Raises: BadInput where models have not the same parts.
    """
    task, models = tasks.of(dataset), _models(files)
    parts = models[_model_of(baseline)]
    for model, networks in models.items():
        if networks.keys() != parts.keys():
            raise BadInput(
                f"{model} is judged against {_model_of(baseline)}, and only one of them has "
                f"{', '.join(sorted(networks.keys() ^ parts.keys()))}; give the files of the same networks of both"
            )
    return {
        "judge": task.judge(dataset),
        "bundles": {_bundle(model, networks): {part: networks[part] for part in parts}
                    for model, networks in models.items()},
        "baseline": {file.name: parts[_network_of(file)] for file in files},
        "feeds": {file.name: task.samples(dataset, _network_of(file)) for file in files},
    }  # fmt: skip


def _models(files: Sequence[ModelFile]) -> dict[str, dict[str, str]]:
    """Return the files of each model: network -> name of the file."""
    models: dict[str, dict[str, str]] = {}
    for file in files:
        other = models.setdefault(_model_of(file), {}).setdefault(_network_of(file), file.name)
        if other != file.name:
            raise BadInput(f"{file.name} and {other} are the same part of one model; give one of them")
    return models


def _bundle(model: str, networks: Mapping[str, str]) -> str:
    """Return what is judged: a model, or the one file that is given of it."""
    return model if len(networks) > 1 else next(iter(networks.values()))


def _model_of(file: ModelFile) -> str:
    """Return the name of the model that a file is a part of: where nothing says, it is all of one."""
    return file.manifest.get("bundle", file.name)


def _network_of(file: ModelFile) -> str:
    if network := file.manifest.get("network"):
        return network
    raise BadInput(f"{file.path}: its manifest names no network, so that a task cannot run it; export it again")
