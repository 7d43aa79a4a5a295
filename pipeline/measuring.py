"""The stage that measures: what files answer on a device and how fast, judged as the task judges networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import measure
from ..devices.measure import BenchConfig, ModelFile, Run
from ..devices.runner import open_runner
from ..runners import Arrays
from .judged import to_measure
from .plan import File

if TYPE_CHECKING:
    from .workload import Workload


CLOSE = 0.99  # share of outputs within one step of training's, below which kernels are asked one by one

Made = Sequence[tuple[File, Path]]  # what was asked for, and where it lies


def bench(files: Made, work: Workload, config: BenchConfig, device: str = "local") -> Run:
    """Measure files against the file of the float network that they come from, in the same format."""
    floats = {(file.network, file.format): file.name for file, _ in files if file.is_baseline}
    return measure.bench(
        [ModelFile.read(path) for _, path in files],
        baseline={file.name: floats[file.network, file.format] for file, _ in files},
        **_judged_by(files, work),
        device=device,
        config=config,
        model=work.name,
        data=work.dataset.name,
    )


def _judged_by(files: Made, work: Workload) -> dict[str, Any]:
    """Return what the files are judged by: samples with targets, or the task itself, which runs them as networks."""
    if work.sampled:
        return to_measure(work.dataset)
    bundles: dict[str, dict[str, str]] = {}
    for file, _ in files:
        bundles.setdefault(file.bundle, {})[file.network] = file.name
    return {
        "judge": work.task.judge(work.dataset),
        "bundles": bundles,
        "feeds": {file.name: work.samples(file.network) for file, _ in files},
    }


def answered(network: str, path: Path, given: Any, *, steps: bool, device: str = "local") -> Arrays:
    """Return what a file answers to samples, by output name; `steps`: to sequences, a step at a time."""
    with open_runner({network: ModelFile.read(path)}, device) as run:
        return (run.unroll if steps else run)(network, given)


def scale_of(output: Mapping[str, Any]) -> float | None:
    """Return the scale of a manifest's output; None for floats and integers. It was called `step` once."""
    return output.get("scale") or output.get("step")


def least_parity(
    expected: Sequence[np.ndarray], given: Sequence[np.ndarray], outputs: Sequence[Mapping[str, Any]]
) -> dict[str, float] | None:
    """Compare every output that has a scale; return the worst, since none makes up for another, or None for none.

    outputs: of the manifest, in the order of the answers.
    """
    each = [
        parity(wanted, answers, scale)
        for wanted, answers, output in zip(expected, given, outputs, strict=True)
        if (scale := scale_of(output))
    ]
    return min(each, key=lambda found: found["within_one_step"], default=None)


def parity(expected: np.ndarray, given: np.ndarray, scale: float) -> dict[str, float]:
    """Compare the outputs of a fake-quantized model with those its file gave on the device, in steps of the output."""
    expected = expected[: len(given)]
    given = given.reshape(expected.shape)
    told = ~np.isneginf(given)  # not what a shortlist left out
    steps = np.abs(expected[told] - given[told]) / scale
    flat = np.where(told, expected, -np.inf).reshape(len(expected), -1)
    return {
        "argmax_agreement": float((flat.argmax(-1) == given.reshape(flat.shape).argmax(-1)).mean()),
        "within_one_step": float((steps < 1.5).mean()),
        "exact": float((steps < 0.5).mean()),
        "n": len(given),
    }
