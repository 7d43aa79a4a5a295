"""Nets of the zoo on other devices than this machine: lenet5 in a browser, resnet8 on an emulated ARM processor."""

import shutil

import edgewright as ew
import numpy as np
import pytest
from edgewright.devices.measure import BenchConfig, answers, bench
from edgewright.devices.report import report
from edgewright.devices.runtimes import environments
from edgewright.devices.transports import browser
from edgewright.devices.verdict.compare import compare
from edgewright.devices.verdict.document import compose
from edgewright.metrics import METRICS
from pages import Page

needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, browser._PROGRAMS)) or not environments.ready("browser"),
    reason="no browser: apt-get install chromium npm; edgewright devices setup browser",
)
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-aarch64") is None or not environments.ready("qemu-aarch64"),
    reason="no emulator: apt-get install qemu-user; edgewright devices setup qemu-aarch64",
)
KINDS = [(format, precision) for format in ("tflite", "onnx") for precision in ("float32", "w8a8")]
RUNTIMES = {"tflite": "litert.js", "onnx": "onnxruntime-web"}


@pytest.fixture(scope="module")
def digits():
    return ew.load_data("digits", input_shape=(32, 32, 1))


@pytest.fixture(scope="module")
def lenet5(digits, tmp_path_factory):
    """lenet5, trained a little on digits, as float and int8 files."""
    folder = tmp_path_factory.mktemp("lenet5")
    model = ew.build("lenet5", preset="edge")
    ew.train(model, digits, ew.TrainConfig(epochs=2, jit_compile=False))
    quantized, _ = ew.prepare_qat(model, calibration=digits.train.x[:64])
    for format, precision in KINDS:
        export = {"tflite": ew.export_tflite, "onnx": ew.export_onnx}[format]
        export(quantized if precision == "w8a8" else model).save(folder / f"{precision}.{format}")
    return folder


def steps(here, there):
    """Return by how many quantization steps two sets of int8 answers differ at most."""
    grid = np.unique(here)
    return np.abs(here - there).max() / np.diff(grid)[np.diff(grid) > 1e-6].min()


@pytest.fixture(scope="module")
def in_browser(lenet5, digits):
    config = BenchConfig(min_rounds=10, max_rounds=10, block_ms=2, attempts=1)
    names = [f"{precision}.{format}" for format, precision in KINDS]
    baselines = {name: f"float32.{name.rpartition('.')[2]}" for name in names}
    return bench([lenet5 / name for name in names], baseline=baselines, inputs=digits.test.x, targets=digits.test.y,
                 metric="accuracy", device="browser", config=config, model="lenet5", data="digits")  # fmt: skip


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize(("format", "precision"), KINDS)
def test_lenet5_answers_in_the_browser_as_here(lenet5, digits, in_browser, format, precision):
    name = f"{precision}.{format}"
    here, there = answers(lenet5 / name, digits.test.x), in_browser.outputs[name]
    assert METRICS["accuracy"].scores(here, digits.test.y).mean() > 0.8  # it is trained: its answers are far apart
    assert METRICS["accuracy"].agreement(here, there) == 1
    if precision == "float32":
        np.testing.assert_allclose(there, here, atol=1e-5 * np.abs(here).max())  # sums of up to 1,280 terms
    else:
        assert steps(here, there) <= 1.01


@needs_browser
@pytest.mark.slow
def test_the_browsers_latency_of_lenet5_is_in_the_report(in_browser):
    document = compose(in_browser, compare(in_browser))
    text = Page(report.html(document)).text
    assert "device: browser" in text
    for (format, _), one in zip(KINDS, document["measurements"], strict=True):
        assert (one["device"], one["runtime"]) == ("browser", RUNTIMES[format])
        assert 1 < one["latency_us"]["p50"] < 1e5 and one["value"] > 0.8
        assert RUNTIMES[format] in text and f"{one['latency_us']['p50']:,.1f}" in text


@needs_qemu
@pytest.mark.slow
def test_resnet8_in_int8_answers_on_an_emulated_arm_within_a_step(tmp_path):
    samples = np.random.default_rng(0).normal(size=(256, 32, 32, 3)).astype(np.float32)
    artifact = ew.export_tflite(ew.build("resnet8"), precision="w8a8-ptq", calibration=samples[:32])
    artifact.save(tmp_path / "resnet8.tflite")
    here, there = (answers(tmp_path / "resnet8.tflite", samples, device=name) for name in ("local", "qemu-aarch64"))
    assert len(np.unique(here)) > 20  # else a step says nothing
    assert steps(here, there) <= 1.01
