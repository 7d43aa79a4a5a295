"""Check a model against a target, before or after training: what the target cannot run, and whether it fits."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..devices.measure import FORMATS, ModelFile
from ..devices.preflight import check as files
from ..devices.preflight.confirm import confirm_file, require_tool
from ..devices.targets import target as targets
from ..devices.verdict.results import Run
from ..export import EXPORTERS
from ..export.artifact import Artifact
from ..keras_internals import layers_in
from ..models import registry
from ..progress import say
from ..quantize import QatConfig, find_quantized
from ..training.data.user import resolve
from .saved import load_model
from .workload import Workload

STAND_INS = 32  # samples that stand in for calibration data: operators and sizes do not depend on them


def check(
    model: str, target: str, *, preset: str = "edge", seed: int = 0, confirm: bool = False, **limits: Any
) -> files.Check:
    """Check a model file, or what `model` (zoo name, pkg.module:function, .keras file) becomes for `target`.

    confirm: ask the target's own tool too; limits: `arena_limit_bytes` and `flash_limit_bytes`, instead of the
    target's.  Raises: BadInput if `confirm` finds no tool.
    """
    wanted = targets.load(target)
    if confirm:
        require_tool(wanted)

    def checked(file: ModelFile, **more: Any) -> files.Check:
        return confirm_file(file, wanted, **more) if confirm else files.check_file(file, wanted, **more)

    if Path(model).suffix in FORMATS:
        return checked(ModelFile.read(model), **limits)
    network = network_of(model, preset=preset, seed=seed)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        if wanted.model.precision.startswith("w8a8") and find_quantized(network) is None:
            say(f"{network.name}: ranges of {STAND_INS} made-up samples, for operators and sizes alone")
        path = as_exported(network, wanted, stand_ins(network)).save(Path(folder))
        return checked(ModelFile.read(path), layers=layers_of(network), **limits)


def network_of(model: str, *, preset: str = "edge", seed: int = 0) -> keras.Model:
    """Return the one network that `model` names.  Raises: BadInput if it is unknown."""
    if model.endswith(".keras"):
        return load_model(model)
    if ":" in model:
        return resolve(model)()
    return registry.build(model, preset, seed=seed)


def as_exported(network: keras.Model, target: targets.Target, calibration: Any, **more: Any) -> Artifact:
    """Export `network` as `target` wants it; `calibration` samples give the ranges where it was never calibrated.

    more: of the exporter.
    """
    format = target.model.formats[0]
    more |= {"integer_io": target.model.integer_io} if format == "tflite" else {}
    if find_quantized(network) is None:
        more |= {"precision": target.model.precision, "calibration": calibration}
        more |= {"config": quantization_for(target.name)}
    return EXPORTERS[format](network, **more)


def quantization_for(target: str, **settings: Any) -> QatConfig:
    """Return how to quantize for the kernels of `target`; `settings` of QatConfig go before it."""
    suited = targets.load(target).quantization
    own = {field.name for field in fields(QatConfig)}
    forms = {name: value for name, value in vars(suited).items() if name in own and value is not None}
    return QatConfig(**{"by_type": dict.fromkeys(suited.in_float), **forms, **settings})


def suited_to(work: Workload, target: str | None) -> Workload:
    """Return the work with what `target` runs best where 8 bits are not enough, as it is without a target."""
    return replace(work, finer=targets.load(target).quantization.finer[0]) if target else work


def refused_by(target: str, paths: Sequence[Path]) -> dict[str, str]:
    """Return the files that `target` refuses by its tables, and what first stands against each."""
    loaded = targets.load(target)
    found = {path.name: files.check_file(ModelFile.read(path), loaded, compiles=False).problems for path in paths}
    return {name: problems[0] for name, problems in found.items() if problems}


def tell_refused(run: Run, target: str, refused: Mapping[str, str]) -> None:
    """Enter in a run what `refused_by` found, so that none of it is advised."""
    run.artifacts = [
        {**row, "refused": refused[row["name"]]} if row["name"] in refused else row for row in run.artifacts
    ]
    named = (
        f"it refuses {', '.join(refused)}: see edgewright check FILE --target {target}" if refused else "it takes all"
    )
    run.notes.append(f"judged and timed on {run.device}, not on {target}; by its tables {named}")


def stand_ins(network: keras.Model) -> Any:
    """Return made-up samples for every input of `network`: normal values, small counts for integer inputs."""
    random = np.random.default_rng(0)

    def made_up(tensor: Any) -> np.ndarray:
        shape = (STAND_INS, *(size or 1 for size in tensor.shape[1:]))
        if "int" in str(tensor.dtype):
            return random.integers(0, 2, shape).astype(tensor.dtype)
        return random.normal(size=shape).astype(np.float32)

    arrays = {tensor.name: made_up(tensor) for tensor in network.inputs}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def layers_of(network: keras.Model) -> dict[str, str]:
    """Return every layer of `network`, nested ones too, as name -> class."""
    return {layer.name: type(layer).__name__ for layer in layers_in(network, itself=False)}
