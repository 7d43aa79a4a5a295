"""Benchmarks of model files that somebody else made: on arrays of an .npz file, or on random inputs."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..archives import MOST_BYTES, check_zip
from ..devices import measure
from ..devices.measure import BenchConfig, ModelFile, Run
from ..errors import BadInput
from .judged import presented, to_measure

TARGETS = ("y", "targets", "labels")  # how an .npz may call what is to be answered
OF_OUTPUT = "y_"  # and before the name of an output, where there are several
RANDOM_SAMPLES = 64
RANDOM_STEPS = 16  # of a sequence, for files with states


def bench_npz(
    files: Sequence[ModelFile], *, baseline: str, npz: Path, device: str, config: BenchConfig
) -> Run:  # fmt: skip
    """Measure `files` on the arrays of `npz`: inputs by name (one input: any name), and targets as y.

    Of several outputs y_NAME each. What the targets are (classes, yes or no, values) is read from them and the
    baseline.
    """
    inputs, targets, _ = read_npz(npz)
    known = {"device": device, "config": config, "model": _name(files[-1]), "data": npz.name}
    if targets is None:
        run = measure.bench(files, baseline=baseline, inputs=inputs, **known)
        run.notes.append(f"{npz.name} holds none of {', '.join(TARGETS)}: no accuracy was measured")
        return run
    order = sorted(files, key=lambda file: file.name != baseline)  # the baseline says how targets are meant
    dataset = presented((inputs.get("", inputs), targets), order, device, name=npz.name)
    return measure.bench(files, baseline=baseline, **known, **to_measure(dataset))


def bench_random(files: Sequence[ModelFile], *, baseline: str, device: str, config: BenchConfig) -> Run:
    """Measure the speed of `files` on random inputs; their answers mean nothing, so no accuracy is told."""
    found = [(file, measure.inspect(file, device=device)) for file in files]
    readable = [_inputs(file, outcome.one("model")) for file, outcome in found if outcome.ok]
    if not readable:
        raise BadInput("\n".join(f"{file.path}: {outcome.status}: {outcome.reason}" for file, outcome in found))
    run = measure.bench(files, baseline=baseline, inputs=random_inputs(readable), device=device, config=config,
                        model=_name(files[-1]), data="random inputs")  # fmt: skip
    run.notes.append("inputs were random: no accuracy was measured, and speed may depend on real data")
    return run


def read_npz(path: Path) -> tuple[dict[str, np.ndarray], Any, str | None]:
    """Return inputs, targets (of several outputs a dict by name) and the metric that fits them.

    That is accuracy for whole numbers, explained variance for others.

    Raises: BadInput for what is no .npz, holds pickles, differs in lengths, or has NaN and infinity, naming the array.
    """
    if path.is_file():
        check_zip(path, most_bytes=MOST_BYTES)  # arrays of zeros may be packed without a limit
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"--data {path}: not an .npz of plain arrays ({error})") from error
    targets: Any = next((arrays.pop(name) for name in TARGETS if name in arrays), None)
    if targets is None:
        named = [name for name in arrays if name.startswith(OF_OUTPUT)]
        targets = {name.removeprefix(OF_OUTPUT): arrays.pop(name) for name in named} or None
    if not arrays:
        raise BadInput(f"--data {path}: holds no inputs; give one array a model input, and targets as 'y'")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.ndim < 1:
            raise BadInput(
                f"--data {path}: array {name!r} is {array.dtype} of rank {array.ndim}; give (N, ...) numbers"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            sample = int(np.argwhere(~np.isfinite(array.reshape(len(array), -1)).all(1))[0, 0])
            raise BadInput(f"--data {path}: array {name!r} has NaN or infinity in sample {sample}")
    inputs = {"": next(iter(arrays.values()))} if len(arrays) == 1 else arrays
    if targets is None:
        return inputs, None, None
    each = targets.values() if isinstance(targets, dict) else [targets]
    return inputs, targets, "+".join("accuracy" if one.dtype.kind in "iu" else "explained_variance" for one in each)


def _inputs(file: ModelFile, model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs of a file; of one with states those that are none, as sequences."""
    inputs = file.outside("inputs", model["inputs"])
    return [{**each, "shape": [1, RANDOM_STEPS, *each["shape"][1:]]} for each in inputs] if file.states else inputs


def random_inputs(models: Sequence[Sequence[Mapping[str, Any]]], seed: int = 0) -> dict[str, np.ndarray]:
    """Return random samples for files that take the same inputs, in the shapes that the device reads off them.

    Where a file has integer inputs, values fill the range that its scale covers; else they are standard normal.
    Integers without a scale (tokens, labels) are zeros, which are valid everywhere.
    """
    random = np.random.default_rng(seed)
    inputs = {}
    for place, tensor in enumerate(models[-1]):
        same = [model[place] for model in models if place < len(model)]
        scaled = next((one for one in same if one["scale"]), None)
        shape = (RANDOM_SAMPLES, *tensor["shape"][1:])
        if scaled is not None:
            limits = np.iinfo(scaled["dtype"])
            steps = random.integers(limits.min, limits.max + 1, shape) - scaled["zero_point"]
            values = (steps * scaled["scale"]).astype(np.float32)
        elif str(tensor["dtype"]).startswith("float"):
            values = random.normal(size=shape).astype(np.float32)
        else:
            values = np.zeros(shape, tensor["dtype"])
        inputs[tensor["name"]] = values
    return {"": next(iter(inputs.values()))} if len(inputs) == 1 else inputs


def _name(file: ModelFile) -> str:
    return file.manifest.get("name", file.name)
