"""The command line as its users meet it: exit codes, messages, JSON alone on standard output."""

import json
import subprocess
import sys

import pytest
from edgewright.cli import arguments, commands
from edgewright.cli.commands import main
from edgewright.errors import BadInput


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


OWN = """
import keras

@keras.saving.register_keras_serializable("own_layers")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return a folder with a quantization-aware model whose layer class lives in a module beside it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_layers.py").write_text(OWN)
    script = """
import edgewright as ew, keras, numpy as np
from own_layers import Doubled
net = keras.Sequential([keras.Input((64,)), Doubled(), keras.layers.Dense(10)], name="net")
qat, _ = ew.prepare_qat(net, calibration=np.random.default_rng(0).normal(size=(64, 64)).astype("float32"))
ew.save_model(qat, "q.keras")
print(ew.export_tflite(qat))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("net-w8a8-qat.tflite: w8a8-qat, ") and done.stdout.count("\n") == 1
    return folder


@pytest.fixture
def beside(own, monkeypatch):
    monkeypatch.chdir(own)
    monkeypatch.setattr(sys, "path", [str(own), *sys.path])
    return own


def told(capfd, *arguments):
    code = main([*arguments])
    out, err = capfd.readouterr()
    assert code == 0, err
    return out


def test_own_layers_are_imported_first(beside, capfd):
    for module in [name for name in sys.modules if name == "own_layers"]:
        del sys.modules[module]
    assert main(["export", "q.keras", "--out", "a.tflite"]) == 2
    assert "class 'Doubled' is not registered" in capfd.readouterr().err
    assert "a.tflite: w8a8-qat" in told(capfd, "export", "q.keras", "--out", "a.tflite", "--import", "own_layers")


@pytest.mark.parametrize(("out", "begins"), [("b.onnx", b"\x08"), ("b.tflite", b""), ("bare", b"")])
def test_the_suffix_says_the_format(out, begins, beside, capfd):
    document = json.loads(told(capfd, "export", "q.keras", "--out", out, "--import", "own_layers", "--json"))
    assert document["format"] == ("onnx" if out.endswith(".onnx") else "tflite")
    assert (beside / document["path"]).read_bytes().startswith(begins)


@pytest.mark.parametrize("borders", ["int8", "uint8"])
def test_integers_at_the_borders(borders, beside, capfd):
    line = ("export", "q.keras", "--out", "c.tflite", "--import", "own_layers", "--integer-io", borders, "--json")
    document = json.loads(told(capfd, *line))
    assert {one["dtype"] for one in (*document["inputs"], *document["outputs"])} == {borders}


def test_a_picture_is_what_its_suffix_says(beside, capfd):
    for name, begins in (("noise.png", b"\x89PNG"), ("noise.svg", b"<?xml")):
        line = ("diagnose", "q.keras", "--data", "digits", "--samples", "4", "--out", name, "--import", "own_layers")
        main([*line])
        assert (beside / name).read_bytes().startswith(begins), capfd.readouterr().err


def test_options_of_a_group_are_handed_over_where_they_are_given(tmp_path):
    line = [
        "train",
        "lenet5",
        "--out",
        str(tmp_path / "x.keras"),
        "--optimizer",
        "sgd",
        "--momentum",
        "0",
        "--alpha",
        "0",
    ]
    call = arguments.parse("edgewright", "", commands.VERBS, [*line, "--augment", "flip", "--augment", "shift:0.2"])
    assert call.arguments["settings"] == {"optimizer": "sgd", "momentum": 0.0, "augment": ["flip", "shift:0.2"]}
    assert call.arguments["taught"] == {"alpha": 0.0}
    with pytest.raises(BadInput, match=r"--momentum 1\.0: a momentum lies in"):
        arguments.parse("edgewright", "", commands.VERBS, [*line[:-4], "--momentum", "1"])
