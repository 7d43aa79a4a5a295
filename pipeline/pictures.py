"""What files draw: where a task has something to show, float beside int8, of the same samples and latents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices.measure import ModelFile
from ..devices.report import pictures
from ..devices.runner import open_runner
from .measuring import Made

if TYPE_CHECKING:
    from .workload import Workload

FORMAT = "tflite"  # files of another format compute the same
COMPARED = ("float32", "w8a8-ptq", "w8a8-qat")


def shown(files: Made, work: Workload, device: str = "local") -> list[dict[str, Any]]:
    """Return pictures of what the task, which has some, shows by each model of files, as `{artifact, shows, png}`.

    What does not depend on the files, as the samples themselves, is shown of the first alone.
    """
    task: Any = work.task
    bundles: dict[str, dict[str, Path]] = {}
    for file, path in files:
        if file.format == FORMAT and file.precision in COMPARED:
            bundles.setdefault(file.bundle, {})[file.network] = path
    found: list[dict[str, Any]] = []
    first: Mapping[str, np.ndarray] = {}
    for bundle, paths in bundles.items():
        with open_runner({network: ModelFile.read(path) for network, path in paths.items()}, device) as run:
            images = task.pictures(run, work.dataset)
        for name, values in images.items():
            if name not in first or not np.array_equal(first[name], values):
                found.append({"artifact": bundle, "shows": name, "png": pictures.strip(values)})
        first = first or images
    return [entry for entry in found if entry["png"]]
