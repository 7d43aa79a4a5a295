"""Files judged by the task itself, which runs them as the networks that they are, in place of samples and targets."""

from __future__ import annotations

from collections.abc import Sequence
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
    networks = registry.trained(registry.networks(model, preset), registry.get(model).deploy)
    return task.present(data, networks, rebuilt=True)


def judged_by_task(dataset: Dataset, files: Sequence[ModelFile]) -> dict[str, Any]:
    """Return what `measure.bench` is told: who judges, and what each file is timed on."""
    task = tasks.of(dataset)
    feeds = {file.name: task.samples(dataset, _network_of(file)) for file in files}
    return {"judge": task.judge(dataset), "feeds": feeds}


def _network_of(file: ModelFile) -> str:
    if network := file.manifest.get("network"):
        return network
    raise BadInput(f"{file.path}: its manifest names no network, so that a task cannot run it; export it again")
