"""One foreign net through tracing, quantization, both exports and both runtimes: a process that takes names."""

import gc
import re
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import edgewright as ew
import keras
import numpy as np
from edgewright.errors import EdgewrightError
from edgewright.workers import serve
from keras import tree

from . import nets

Row = dict[str, Any]
SNR_DB = 20.0  # of a fake-quantized model that comes through without a warning
WITHIN_ONE = 0.99  # share of a file's values within one step of the fake-quantized model's
DEEP = 50  # operators, from which on the ends may agree less if every kernel agrees
SLACK_DB = 2.0  # that the file of such a net may lie below its fake-quantized model
WIDEST = 600  # characters of a refusal


def examine(name: str) -> Row:
    """Return the row of a net: see `foreign_models`. `stage` is the last that was reached."""
    row: Row = {"name": name, "group": nets.load_all()[name].group, "stage": "build", "status": "FAILED", "error": ""}
    started = time.monotonic()
    model = None
    try:
        keras.utils.set_random_seed(0)
        model, x = nets.NETS[name].build()
        outputs(model, x)
        nets.randomize(model)
        row["params"] = model.count_params()
        row |= _through(model, x, row)
        row["status"], row["error"] = judge(row)
    except Exception as error:
        row["error"] = _one_line(f"{type(error).__name__}: {error}")
        row["where"] = _where(error)
        if isinstance(error, EdgewrightError) and row["stage"] == "prepare_qat" and is_plain(str(error), model):
            row["status"], row["error"] = "refused", str(error)
    keras.backend.clear_session()
    gc.collect()
    return row | {"seconds": round(time.monotonic() - started, 1)}


def _through(model: keras.Model, x: Any, row: Row) -> Row:
    """Fill `row` stage by stage, so that what was found before an error stays; return the last part."""
    expected = outputs(model, x)
    if not all(np.isfinite(one).all() for one in expected):
        raise ValueError("the float model's outputs are not finite")
    row["stage"] = "prepare_qat"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        qat, report = ew.prepare_qat(model, calibration=x)
    row["warned"] = said(report, [str(one.message) for one in caught])
    row["operators"] = len(report.rows)
    row["float_ops"] = sorted({one["operator"] for one in report.float_ops})
    row["stage"] = "run"
    fake = outputs(qat, x)
    row["snr_db"] = round(min(decibels(a, b) for a, b in zip(expected, fake, strict=True)), 1)
    for kind, export, run in (("tflite", ew.export_tflite, on_tflite), ("onnx", ew.export_onnx, on_onnx)):
        row["stage"] = kind
        artifact = export(qat)
        given = by_input(artifact.manifest["inputs"], model, x)
        found = run(artifact, given)
        if [a.size for a in fake] != [b.size for b in found]:  # samples against samples, or nothing of the samples
            fake, expected = one_by_one(qat, x), one_by_one(model, x)
        row[kind] = round(agreement(fake, found, artifact.manifest["outputs"]), 4)
        row[f"{kind}_db"] = round(min(decibels(a.ravel(), b.ravel()) for a, b in zip(expected, found, strict=True)), 1)
    row["stage"] = "done"
    if min(row["tflite"], row["onnx"]) < WITHIN_ONE and row["operators"] >= DEEP:
        row["stage"] = "diagnose"
        row["kernels"] = worst_kernel(qat, given)
        row["stage"] = "done"
    return row


def judge(row: Row) -> tuple[str, str]:
    """Return the status of a net that went the whole way, and what is wrong with it."""
    wrong = []
    if row["snr_db"] < SNR_DB and not row["warned"]:
        wrong.append(f"{row['snr_db']:.1f} dB and not a word")
    for kind in ("tflite", "onnx"):
        as_good = row.get("kernels", 0.0) >= WITHIN_ONE and row.get(f"{kind}_db", 0.0) >= row["snr_db"] - SLACK_DB
        if row[kind] < WITHIN_ONE and not as_good:
            wrong.append(f"{kind}: {row[kind]:.1%} within one step")
    return ("FAILED", "; ".join(wrong)) if wrong else ("ok", "")


def said(report: Any, caught: list[str]) -> str:
    """Return what was said of operators that 8 bits cannot hold: by the report or by a warning, in decibels."""
    words = [line.strip() for line in [*str(report).splitlines(), *caught] if re.search(r"\bdB\b", line)]
    return words[0] if words else ""


def is_plain(message: str, model: keras.Model | None) -> bool:
    """Return whether a refusal is one line of words that names a layer or an operation."""
    if "\n" in message or "\x1b" in message or len(message) > WIDEST or "Exception encountered" in message:
        return False
    layers = model._flatten_layers() if model is not None else ()
    names = {name for layer in layers for name in (layer.name, type(layer).__name__)}
    words = set(re.findall(r"\w+", message))
    operations = {name.replace("_", "") for space in (keras.ops, keras.ops.image) for name in dir(space)}
    return bool(words & (names | operations)) or any(name in message for name in names)


def outputs(model: keras.Model, x: Any) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(one) for one in tree.flatten(model(x, training=False)) if one is not None]


def one_by_one(model: keras.Model, x: Any) -> list[np.ndarray]:
    """Return the outputs as a file of one sample gives them."""
    samples = [tree.pack_sequence_as(x, [a[i : i + 1] for a in tree.flatten(x)]) for i in range(nets.SAMPLES)]
    each = [outputs(model, sample) for sample in samples]
    return [np.concatenate(one) for one in zip(*each, strict=True)]


def by_input(described: list[Row], model: keras.Model, x: Any) -> list[np.ndarray]:
    """Return the samples in the order of a file's inputs: by name if the user gives names, by place otherwise."""
    if isinstance(x, dict):
        names = [one["name"] for one in described]
        if set(names) == set(x):
            return [x[name] for name in names]
        ordered = [one.name for one in tree.flatten(model.inputs)]
        return [x[name] for name in ordered] if set(ordered) == set(x) else tree.flatten(x)
    return tree.flatten(x)


def on_tflite(artifact: ew.Artifact, given: list[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of the file in LiteRT, in the order of the manifest."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=artifact.data)
    interpreter.allocate_tensors()
    places = {one["name"]: one for one in interpreter.get_input_details()}
    inputs = [places[one["name"]] for one in artifact.manifest["inputs"]]
    ends = interpreter.get_output_details()
    found = []
    for index in range(nets.SAMPLES):
        for place, values in zip(inputs, given, strict=True):
            interpreter.set_tensor(place["index"], values[index : index + 1].astype(place["dtype"], copy=False))
        interpreter.invoke()
        found.append([interpreter.get_tensor(one["index"]) for one in ends])
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def on_onnx(artifact: ew.Artifact, given: list[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of the file in ONNX Runtime, exact on processors without VNNI too."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(artifact.data, options, providers=["CPUExecutionProvider"])
    kinds = {one.name: one.type for one in session.get_inputs()}
    names = [one["name"] for one in artifact.manifest["inputs"]]
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(bool)": bool,
             "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}  # fmt: skip
    found = []
    for index in range(nets.SAMPLES):
        feed = {
            name: values[index : index + 1].astype(types[kinds[name]], copy=False)
            for name, values in zip(names, given, strict=True)
        }
        found.append(session.run(None, feed))
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def agreement(fake: list[np.ndarray], found: list[np.ndarray], described: list[Row]) -> float:
    """Return the least share, over the outputs, of values within one step of the fake-quantized model's.

    An output that ends in float has no step: one of 255 of its range stands in.
    """
    if len(fake) != len(found):
        raise ValueError(f"the file has {len(found)} outputs of {len(fake)}")
    shares = []
    for a, b, about in zip(fake, found, described, strict=True):
        if a.size != b.size:
            raise ValueError(f"output {about['name']!r} has the shape {b.shape}, not {a.shape}")
        a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        step = about.get("step") or (np.ptp(a) / 255 if "float" in about["dtype"] else 0.0)
        shares.append(float((np.abs(a - b) <= 1.01 * step).mean()))
    return min(shares)


def worst_kernel(qat: keras.Model, given: list[np.ndarray]) -> float:
    """Return the least share of values within one step over all operators, each given the inputs it had in the file."""
    from edgewright.pipeline.diagnose import diagnose

    return round(min((row.kernel_within_one for row in diagnose(qat, given).rows), default=0.0), 4)


def decibels(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the signal-to-noise ratio in dB, at most 100."""
    expected, actual = expected.astype(np.float64), actual.astype(np.float64)
    signal, noise = (expected**2).sum(), ((actual - expected) ** 2).sum()
    return float(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-10 * signal, 1e-30)))


def _one_line(text: str) -> str:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    text = " | ".join(line for line in lines if line)
    return re.sub(r"(?<!\w)(/[\w.+-]+)+/", "", text)[:WIDEST]  # folders are this machine's own


def _where(error: Exception) -> str:
    """Return the innermost line of Edgewright's own on the way to an error."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "edgewright" in frame.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno} {last.name}"


if __name__ == "__main__":
    serve(lambda order: examine(order["name"]))
