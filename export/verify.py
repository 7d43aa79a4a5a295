"""Each file is run before it is said to be written, and compared with the model that was handed in.

What does not load, or answers something else, is refused. The file runs in a process of its own, which may die over it.
"""

from __future__ import annotations

import atexit
import functools
import re
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EdgewrightError
from ..workers import Worker
from .facts import End
from .flatbuffer import view
from .layouts import arranged
from .reference import ReferenceModel

TIME_LIMIT_S = 600
RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime"}
# How large the error of a file may be, as a share of the root mean square of what the model answers. It is to find
# gross errors and never to misfire: kernels round otherwise here and there, and some nets enlarge that.
TOLERANCES = {
    "float32": 0.01,
    "float16": 0.05,  # eleven bits a weight
    "w8": 0.5,  # activations are rounded too, in the range that each inference finds
    "w8-weight-only": 0.3,
    "w4": 1.4,  # four bits alone may ruin a net that was not trained for them; unrelated answers differ by 1.41
    "w4-weight-only": 1.4,
}
INTEGERS = 0.3  # likewise against the fake-quantized model, beyond `FREE_STEPS`
FREE_STEPS = 2  # of an output, by which each value may differ
MOST = 0.6  # of the samples have to agree: on some, one step may decide which of two branches is taken
EQUAL = 0.8  # of the integers or truths that a sample gives


class Mismatch(EdgewrightError):
    """A file does not load, or answers something else than its model."""


def verify(
    data: bytes,
    format: str,
    precision: str,
    reference: ReferenceModel,
    scales: Sequence[float] = (),
    first: Collection[str] = (),
) -> dict[str, Any]:
    """Run `data` beside the model; return what the manifest says of that.

    scales: the size of a quantization step of each output, 0 where there is none. first: the inputs that the file takes
    with their channels first.
    Raises: Mismatch naming the operator that is refused, or the output that differs and by how much; BadInput for a
    model that answers NaN.
    """
    answers = reference.answers()
    if answers is None:
        return {"verified": False, "unverified": "the model takes none of the samples that were made up for it"}
    what = f"the {format} file of model {reference.model.name!r} as {precision}"
    try:
        outputs = _run(data, format, arranged(answers.samples, reference.inputs, first), what)
    except _Absent as absent:
        return {"verified": False, "unverified": str(absent)}
    if len(outputs) != len(answers.outputs):
        raise Mismatch(f"{what} has {len(outputs)} outputs, the model has {len(answers.outputs)}")
    free = [FREE_STEPS * scale for scale in scales] or [0.0] * len(outputs)

    def differences(expected: Sequence[np.ndarray]) -> list[str]:
        tolerance = TOLERANCES.get(precision, INTEGERS)
        words = [difference(a, b, tolerance, step) for a, b, step in zip(outputs, expected, free, strict=True)]
        return [f"output {name!r} {said}" for name, said in zip(reference.outputs, words, strict=True) if said]

    wrong = differences(answers.outputs)
    if wrong:  # the batch may not be what stands first, or the model never answer the same
        again = reference.again()
        if answers.one_by_one and _differ(again.outputs, answers.outputs):
            return {"verified": False, "unverified": "the model answers something else each time it is asked"}
        wrong = differences(again.outputs)
        if wrong and _differ(reference.again().outputs, again.outputs):
            return {"verified": False, "unverified": "the model answers something else each time it is asked"}
    if wrong:
        raise Mismatch(f"{what} answers otherwise than the model: {'; '.join(wrong)}")
    return {"verified": True}


def scales_of(outputs: Sequence[End]) -> list[float]:
    """Return the scale of each output that a manifest describes, 0 where it has none."""
    return [output["scale"] or 0.0 for output in outputs]


def difference(given: np.ndarray, expected: np.ndarray, tolerance: float, free: float = 0.0) -> str:
    """Say how much two arrays (N, ...) differ; nothing if they agree on most samples."""
    if given.size != expected.size:
        return f"has shape {given.shape[1:]}, not {expected.shape[1:]}"
    if not given.size:
        return ""
    given, expected = given.reshape(len(given), -1), expected.reshape(len(given), -1)
    if "f" not in given.dtype.kind + expected.dtype.kind:
        good = np.mean(given == expected, axis=1) >= EQUAL
        return "" if good.mean() >= MOST else f"is equal in {np.mean(given == expected):.0%} of its values"
    given, expected = given.astype(np.float64), expected.astype(np.float64)
    size = float(np.sqrt(np.mean(np.square(np.nan_to_num(expected, posinf=0, neginf=0)))))
    with np.errstate(invalid="ignore"):
        errors = np.maximum(np.abs(given - expected) - free, 0)
    errors[(given == expected) | (np.isnan(given) & np.isnan(expected))] = 0
    errors[np.isnan(errors)] = np.inf
    each = np.sqrt(np.mean(np.square(errors), axis=1))
    if np.mean(each <= tolerance * size + np.finfo(np.float32).tiny) >= MOST:
        return ""
    if np.isnan(given).any() and not np.isnan(expected).any():
        return "is NaN"
    return f"is {np.median(each):.3g} off, where its values measure {size:.3g}"


def _differ(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    return any(not np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(some, others, strict=True))


class _Absent(Exception):
    """This machine has no runtime for the file."""


def _run(data: bytes, format: str, samples: Sequence[np.ndarray], what: str) -> list[np.ndarray]:
    """Return the outputs of the file for each sample.  Shapes: (N, ...) each -> (N, 1, ...) each."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        path, given, made = Path(folder, f"model.{format}"), Path(folder, "in.npz"), Path(folder, "out.npz")
        path.write_bytes(data)
        arrays: dict[str, Any] = {f"{index}": array for index, array in enumerate(samples)}
        np.savez(given, **arrays)
        order = {"path": str(path), "runtime": RUNTIMES[format], "inputs": str(given), "outputs": str(made)}
        try:
            answer = _runner().ask(order, TIME_LIMIT_S)
        except EdgewrightError as lost:
            raise Mismatch(f"{what} does not run: {RUNTIMES[format]} {lost}; {_runner().last_words()}") from None
        if "absent" in answer:
            raise _Absent(answer["absent"])
        if "refused" in answer:
            raise Mismatch(f"{what} does not load: {_with_layer(answer['refused'], data, format)}")
        with np.load(made) as outputs:
            return [outputs[f"{index}"] for index in range(len(outputs.files))]


def fork_runner() -> None:
    """Have this process, which has computed nothing yet, be forked to run files."""
    _runner().fork()


@functools.cache
def _runner() -> Worker:
    """Return the process that runs files for this one."""
    worker = Worker("edgewright.devices.runtimes.trial", environment={"CUDA_VISIBLE_DEVICES": "-1"}, quiet=True)
    atexit.register(worker.stop)
    return worker


def _with_layer(words: str, data: bytes, format: str) -> str:
    """Add the name of the operation to a refusal of LiteRT, which tells its number alone."""
    number = re.search(r"Node number (\d+)", words)
    if format != "tflite" or number is None:
        return words
    graph = view(data).Subgraphs(0)
    if int(number.group(1)) >= graph.OperatorsLength():
        return words
    operator = graph.Operators(int(number.group(1)))
    return f"{words} It is operation {graph.Tensors(operator.Outputs(0)).Name().decode()!r}."
