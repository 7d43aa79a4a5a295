"""The command line as its users meet it: exit codes, messages, JSON alone on standard output."""

import json
import subprocess
import sys

import pytest


def edgewright(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "edgewright", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "lenet"], ["'lenet'", "lenet5"]),
        (["rum", "lenet5"], ["unknown verb 'rum'", "run"]),
        (["run", "lenet5", "--sparcity", "0.5"], ["--sparcity", "--sparsity"]),
        (["run", "lenet5", "--sparsity", "1.5"], ["--sparsity", "1.5", "between 0 and 1"]),
        (["run", "lenet5", "--epochs", "many"], ["--epochs", "many"]),
        (["run", "nowhere.keras", "--data", "digits"], ["nowhere.keras", "no such file"]),
        (["bench", "missing.tflite", "--baseline", "missing.tflite"], ["missing.tflite", "not a file"]),
        (["report", "/nonexistent"], ["no results.json"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, words):
    done = edgewright(*arguments)
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and done.stdout == ""
    assert "Traceback" not in done.stderr
    assert all(word in line for word in words), line


def test_models_json_is_the_document_alone():
    done = edgewright("models", "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 0
    names = {row["name"] for row in rows}
    assert {
        "softmax_regression",
        "mlp",
        "lenet5",
        "resnet8",
        "ds_cnn",
        "lstm",
        "transformer_classifier",
        "autoencoder",
    } <= names
    assert set(rows[0]) >= {"name", "family", "variants", "task", "params", "paper"}


def test_hostile_keras_file_is_refused(tmp_path):
    (tmp_path / "bad.keras").write_bytes(b"PK\x03\x04 nothing")
    done = edgewright("export", str(tmp_path / "bad.keras"), "--out", str(tmp_path / "x.tflite"))
    assert done.returncode == 2 and not (tmp_path / "x.tflite").exists()
