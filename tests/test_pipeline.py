"""The whole way on real digits with a small model: files, verdicts, report, resuming; and the README's example."""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import edgewright
import pytest
from edgewright.cli import main
from edgewright.devices.measure import BenchConfig
from edgewright.devices.verdict.compare import WORDS
from edgewright.pipeline.sweep import KEPT

ROOT = Path(__file__).resolve().parents[1]
WORDS_OF_RUN = ["run", "softmax_regression", "--data", "digits", "--quick", "--epochs", "3"]


def told(folder, *more):
    """Run the command in this process; return its code, and what it said on standard output and error."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([*WORDS_OF_RUN, "--out", str(folder), *more])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, brief_timing):
    """A run that was interrupted in a process of its own, and resumed in this one."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    command = [sys.executable, "-m", "edgewright", *WORDS_OF_RUN, "--out", str(folder)]
    interrupted = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in interrupted.stderr:
        if line.startswith("prune ..."):
            interrupted.send_signal(signal.SIGINT)  # Ctrl-C
            break
    rest = interrupted.stderr.read()
    assert interrupted.wait() == 130 and "the same command resumes" in rest and "Traceback" not in rest
    return folder, told(folder, "--json")


def test_an_interrupted_run_resumes_at_its_stage_and_finishes(finished):
    folder, (code, out, err) = finished
    assert code == 0, err[-2000:]
    assert "train: done before" in err and "prune: done before" not in err
    assert json.loads(out) == json.loads((folder / "results.json").read_text())


def test_every_file_is_measured_and_judged(finished):
    _, (_, out, _) = finished
    results = json.loads(out)
    kinds = {(one["format"], one["precision"]) for one in results["artifacts"]}
    assert kinds >= {("tflite", p) for p in ("float32", "float16", "w8", "w8a8-ptq", "w8a8-qat")}
    assert kinds >= {("onnx", "float32"), ("onnx", "w8a8-qat")}
    assert all(one["status"] == "ok" and one["n"] == 359 for one in results["measurements"])
    assert len(results["verdicts"]) == 6
    assert all(one["verdict"] in WORDS for one in results["verdicts"])
    pruned = next(one for one in results["artifacts"] if "pruned" in one["name"])
    assert pruned["sparsity"] >= 0.5
    parity = results["parity"]["softmax_regression-w8a8-qat.tflite"]
    assert parity["argmax_agreement"] >= 0.995 and parity["within_one_step"] >= 0.99


def test_report_is_self_contained(finished):
    folder, _ = finished
    page = (folder / "report.html").read_text()
    assert "softmax_regression" in page and "<svg" in page
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


def test_what_a_sweep_keeps_of_a_run_is_enough_for_its_report(finished, tmp_path):
    folder, _ = finished
    for name in KEPT:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / name, tmp_path / name)
    page = tmp_path / "all.html"
    assert main(["report", str(tmp_path), str(folder), "--out", str(page)]) == 0 and "softmax" in page.read_text()


def test_a_finished_run_is_not_done_again(finished):
    folder, _ = finished
    start = time.monotonic()
    code, _, err = told(folder)
    assert code == 0 and err.count("done before") == 7
    assert time.monotonic() - start < 60


def test_readme_example_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1 and len([line for line in blocks[0].splitlines() if line.strip()]) == 10
    quick = BenchConfig(max_seconds=3, min_rounds=5, max_rounds=10)
    names: dict = {}
    exec(
        blocks[0].replace("data=data)", "data=data, config=quick)"),
        {"quick": quick, "__builtins__": __builtins__},
        names,
    )
    verdicts = ew_compare(names["run"])
    assert [one.verdict in WORDS for one in verdicts] == [True, True]
    assert all(one.agreement > 0.8 for one in verdicts)


def ew_compare(run):
    return edgewright.compare(run)


def test_qat_is_never_worse_than_calibration():
    from edgewright.quantize import prepare_qat
    from edgewright.training.config import TrainConfig

    data = edgewright.load_data("digits", input_shape=(64,))
    model = edgewright.build("softmax_regression", seed=1)
    edgewright.train(model, data=data, config=TrainConfig(epochs=5))
    qat, _ = prepare_qat(model, calibration=data.train.x[:128])
    before = [weight.copy() for weight in qat.get_weights()]
    ruinous = TrainConfig(epochs=1, learning_rate=30.0, label_smoothing=0.0)
    edgewright.train(qat, data, ruinous)
    assert all((one == other).all() for one, other in zip(before, qat.get_weights(), strict=True))
    assert edgewright.train(qat, data, TrainConfig(epochs=3)).metric > 0.7
