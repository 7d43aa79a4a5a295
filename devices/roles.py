"""Whether the arguments of a benchmark fit together, and which file is judged against which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from .. import metrics
from ..errors import BadInput
from .config import BenchConfig
from .jobs import Inputs
from .model_file import ModelFile
from .transports.transport import Transport
from .verdict.results import Bundle

OUTSIDE = 0.01  # share of values beyond the calibrated range that is said
HARDLY = 1 / 16  # share of the calibrated range below which samples are of another scale


def roles_of(
    files: Sequence[ModelFile | str | Path], baseline: ModelFile | str | Path | Mapping[str, str]
) -> tuple[list[ModelFile], dict[str, str]]:
    """Return all files to measure, and file name -> baseline's name (its own for a baseline)."""
    found = [file if isinstance(file, ModelFile) else ModelFile.read(file) for file in files]
    names = [file.name for file in found]
    if isinstance(baseline, Mapping):
        wrong = sorted({*baseline, *baseline.values()} - set(names))
        if wrong:
            raise BadInput(f"baseline names {wrong}, not among the files {names}")
        baselines = {name: baseline.get(name, name) for name in names}
    else:
        if not isinstance(baseline, ModelFile) and str(baseline) not in names:
            baseline = ModelFile.read(baseline)
        if isinstance(baseline, ModelFile):
            if baseline.name not in names:
                found.insert(0, baseline)
            baseline = baseline.name
        baselines = {file.name: str(baseline) for file in found}
    _check_names([file.name for file in found])
    return found, baselines


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"files: the names {twice} appear twice; give each file a name of its own")


def bundles_of(
    files: Sequence[ModelFile], baselines: Mapping[str, str], bundles: Mapping[str, Mapping[str, str]] | None
) -> dict[str, Bundle]:
    """Return which files are judged together: as asked for, or each alone as the network that its manifest names.

    Raises: BadInput for a file that is not there, or a bundle whose files' baselines are no bundle.
    """
    named = {file.name: {file.network: file.name} for file in files} if bundles is None else bundles
    found = {name: Bundle(files=dict(networks)) for name, networks in named.items()}
    names = [file.name for file in files]
    for name, bundle in found.items():
        wrong = sorted(set(bundle.files.values()) - set(names))
        if wrong or not bundle.files:
            raise BadInput(f"bundles[{name!r}] names {wrong or 'no file'}; allowed: {', '.join(names)}")
        wanted = [baselines[file] for file in bundle.files.values()]
        if not any(list(other.files.values()) == wanted for other in found.values()):
            raise BadInput(f"bundles[{name!r}] is judged against {', '.join(wanted)}: name these as a bundle too")
    return found


def check_data(
    inputs: Inputs | None, heads: Mapping[str, np.ndarray], metric: str | None,
    bundles: Mapping[str, Mapping[str, str]] | None,
) -> None:  # fmt: skip
    """Refuse samples, targets and metric that do not fit together.  Raises: BadInput."""
    if inputs is None:
        raise BadInput("inputs=None: give samples, or a judge")
    if bundles is not None:
        raise BadInput("bundles are for a judge: samples and targets judge each file alone")
    if metric is not None and not metrics.known(metric):
        raise BadInput(f"metric={metric!r} is not known; allowed: {', '.join(metrics.METRICS)}")
    if metric is not None and len(metric.split("+")) != max(1, len(heads)):
        raise BadInput(f"metric={metric!r} for {len(heads)} outputs; give one metric an output, joined by +")
    lengths = {len(array) for array in (inputs.values() if isinstance(inputs, Mapping) else [inputs])}
    if len(lengths) != 1 or min(lengths) < 2:
        raise BadInput(f"inputs hold {sorted(lengths)} samples; give each input the same number, at least 2")
    for targets in heads.values():
        if len(targets) not in lengths:
            raise BadInput(f"targets holds {len(targets)} samples, inputs {lengths.pop()}; they must be as many")


def check_kernels(config: BenchConfig, transport: Transport, files: Sequence[ModelFile]) -> None:
    """Refuse a choice of kernels or of a delegate that no file would follow."""
    for name, usual in (("kernels", "xnnpack"), ("delegate", None)):
        chosen = getattr(config, name)
        if chosen == usual:
            continue
        if "tflite" not in {file.format for file in files}:
            raise BadInput(f"{name}={chosen!r} is for .tflite files, and there is none; leave it out")
        if transport.runtimes.get("tflite", config.tflite_runtime) not in ("litert", "tflite-runtime"):
            raise BadInput(f"{name}={chosen!r}: {transport.name} offers no choice; leave it out")


def out_of_range(file: ModelFile, inputs: Inputs | None) -> Iterator[str]:
    """Yield a warning for each input whose samples leave the range of its calibration, or hardly use it.

    States are left out: where they begin says nothing of where they go.
    """
    if inputs is None:
        return
    states = (file.manifest.get("states") or {}).values()
    entries = [entry for entry in file.manifest.get("inputs") or [] if entry["name"] not in states]
    arrays = dict(inputs) if isinstance(inputs, Mapping) else {"": inputs}
    for entry in entries:
        values = next(iter(arrays.values())) if len(entries) == len(arrays) == 1 else arrays.get(entry["name"])
        if values is None or "range" not in entry or values.dtype.kind not in "fiu":
            continue
        low, high = entry["range"]
        step = (high - low) / 255
        outside = float(((values < low - step) | (values > high + step)).mean())
        least, most = float(values.min()), float(values.max())
        what = f"{file.name}: input {entry['name']!r} was calibrated on {low:.4g} to {high:.4g}"
        if outside > OUTSIDE:
            yield f"{what}; {outside:.1%} of the values, {least:.4g} to {most:.4g}, lie outside and are cut off"
        elif most - least < HARDLY * (high - low):
            yield f"{what}; the values are {least:.4g} to {most:.4g}, a small part of it: is their scale another?"
