"""One trained model to many targets: what each needs as a file, and whether it fits there."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from ..devices.measure import ModelFile
from ..devices.preflight import check as checks
from ..devices.preflight.compile import compile_file, save
from ..devices.targets.target import Target, load
from ..errors import BadInput
from ..export.artifact import Artifact
from ..export.c_array import c_source
from ..files import sha256, write
from ..progress import say
from ..quantize import find_quantized
from .check import as_exported, layers_of

Written = tuple[list[Path], str]  # files, and why they are not all that the target takes


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What was written for one target. ok: it is all there and fits; reason: why not."""

    target: str
    files: tuple[Path, ...]
    check: checks.Check
    ok: bool
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the document of one target that `edgewright export --target --json` prints."""
        files = [str(path) for path in self.files]
        return {
            "target": self.target,
            "ok": self.ok,
            "reason": self.reason,
            "files": files,
            "check": self.check.to_json(),
        }

    def __str__(self) -> str:
        lines = [*map(str, self.files), str(self.check)]
        return "\n".join([*lines, *([f"- {self.reason}"] if self.reason else [])])


def deliver(
    network: keras.Model, targets: Sequence[str], folder: Path, calibration: Any, **more: Any
) -> list[Delivery]:
    """Export `network` for each of `targets` into `folder`. Files that several targets share are exported once.

    calibration: samples, needed where a target takes integers and `network` has no quantizers. more: of the exporter.
    """
    loaded = [load(name) for name in targets]  # unknown names before any work
    quantized = find_quantized(network) is not None
    takes_int8 = [target.name for target in loaded if target.model.precision == "w8a8-ptq"]
    wanting = takes_int8 if not quantized and calibration is None else []
    if wanting:
        raise BadInput(
            f"--data is missing: {', '.join(wanting)} take int8, and {network.name} has no quantizers; "
            "name a data set to calibrate on, or run `edgewright qat` first"
        )
    exported: dict[tuple[Any, ...], Artifact] = {}
    deliveries = []
    for target in loaded:
        key = (target.model.formats[0], target.model.integer_io, target.model.precision, target.quantization)
        if key not in exported:
            exported[key] = as_exported(network, target, calibration, **more)
        say(f"{target.name}: {exported[key].name}")
        deliveries.append(_deliver(exported[key], target, folder, layers_of(network)))
    return deliveries


def _deliver(artifact: Artifact, target: Target, folder: Path, layers: dict[str, str]) -> Delivery:
    name = f"{artifact.name}-{target.name}"
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        plain = ModelFile.read(artifact.save(Path(scratch) / f"{name}{artifact.suffix}"))
        fit = checks.check_file(plain, target, layers=layers)
        files, reason = _WRITERS[target.export](artifact, plain, target, folder / name, fit)
    if not reason and not fit.fits:
        reason = "; ".join(fit.problems)
    return Delivery(target=target.name, files=tuple(files), check=fit, ok=not reason, reason=reason)


def _model(artifact: Artifact, plain: ModelFile, target: Target, path: Path, fit: checks.Check) -> Written:
    return [artifact.save(path.with_name(path.name + artifact.suffix))], ""


def _c_array(artifact: Artifact, plain: ModelFile, target: Target, path: Path, fit: checks.Check) -> Written:
    written, _ = _model(artifact, plain, target, path, fit)
    if fit.arena_bytes is None:
        return written, "no C array: the arena is not known"
    source = c_source(
        artifact.data,
        path.name,
        sha256=sha256(artifact.data),
        arena_bytes=fit.arena_bytes,
        operators=[row.operator for row in fit.rows],
        ends=fit.ends,
    )
    # The header first: whoever finds the source finds what it includes.
    header = write(path.with_name(f"{source.symbol}.h"), source.header)
    return [*written, header, write(path.with_name(f"{source.symbol}.cc"), source.source)], ""


def _compiled(artifact: Artifact, plain: ModelFile, target: Target, path: Path, fit: checks.Check) -> Written:
    compiled = compile_file(plain.path, target)
    if compiled.ok:
        return [save(compiled, path.with_name(f"{path.name}.tflite"), plain.path)], ""
    written, _ = _model(artifact, plain, target, path.with_name(f"{path.name}-uncompiled"), fit)
    return written, f"not compiled: {compiled.reason}"


_WRITERS = {"model": _model, "c-array": _c_array, "compiled": _compiled}
