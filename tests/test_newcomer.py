"""Mistakes that newcomers make at the command line: one line that helps, exit code 2, at once, and nothing lost."""

import hashlib
import os
import subprocess
import sys
import time

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli import main

MODULE = '''
"""Nets and data of a newcomer, most of them with a mistake."""
import keras
import numpy as np

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)], name="net")

def unregistered():
    return keras.Sequential([keras.Input((64,)), Unregistered(), keras.layers.Dense(10)])

def with_lambda():
    return keras.Sequential([keras.Input((64,)), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(10)])

def returns_nothing():
    keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])

def divides():
    return 1 / 0

def split(n, features=64, classes=10):
    random = np.random.default_rng(0)
    return random.normal(size=(n, features)).astype("float32"), np.arange(n) % classes

def good():
    return split(80), split(40)

def fewer_labels():
    x, y = split(80)
    return (x, y[:-1]), split(40)

def holes():
    x, y = split(80)
    x[7, 3] = np.nan
    return (x, y), split(40)

def of_other_shape():
    return split(80, features=32), split(40, features=32)

def more_classes():
    return split(80, classes=12), split(40, classes=12)

def one_array():
    return split(80)[0]

def empty():
    return split(0), split(40)
'''


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Return a newcomer's folder: models, data, notes, and a project that has a config.yaml of its own."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "mistakes.py").write_text(MODULE)
    net = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)], name="net")
    ew.save_model(net, folder / "net.keras")
    samples = np.random.default_rng(0).normal(size=(64, 64)).astype("float32")
    ew.save_model(ew.prepare_qat(net, calibration=samples)[0], folder / "q.keras")
    ew.export_tflite(net, precision="w8a8-ptq", calibration=samples).save(folder / "net.tflite")
    (folder / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (folder / "fake.keras").write_bytes(b"PK\x03\x04 nothing")
    (folder / "notes.txt").write_text("remember the milk")
    (folder / "typo.yaml").write_text("sparcity: 0.5\n")
    (folder / "project").mkdir()
    (folder / "project" / "config.yaml").write_text("mine: true\n")
    return folder


@pytest.fixture
def at_desk(desk, monkeypatch):
    monkeypatch.chdir(desk)
    monkeypatch.setattr(sys, "path", [str(desk), *sys.path])
    return desk


MISTAKES = [
    # verbs, options and their order
    ("", "no verb given"),
    ("rnu lenet5", "unknown verb 'rnu'; did you mean run"),
    ("--quick run lenet5", "--quick stands before the verb"),
    ("run", "missing: MODEL"),
    ("train lenet5", "missing: --out"),
    ("run lenet5 --sparcity 0.5", "unknown option --sparcity; did you mean --sparsity?"),
    ("run lenet5 --spars 0.5", "unknown option --spars; did you mean --sparsity?"),
    ("export net.keras out.tflite", "one argument too many: out.tflite"),
    ("run lenet5 digits", "one argument too many: digits"),
    ("devices add board", "write `edgewright devices add NAME URL`"),
    # values
    ("run lenet5 --epochs many", "argument --epochs: expected int, got many"),
    ("run lenet5 --epochs 0", "--epochs 0: must be at least 1"),
    ("run lenet5 --sparsity 50", "--sparsity 50.0: must lie between 0 and 1"),
    ("run lenet5 --preset large", "argument --preset: expected one of 'edge', 'paper', got large"),
    ("run lenet5 --seed -1", "--seed -1: must be at least 0"),
    ("export net.keras --out a.tflite --precision int8", "--precision int8: unknown; allowed: float32"),
    ("export net.keras --out a.tflite --integer-io float32", "--integer-io: expected one of 'int8', 'uint8'"),
    ("diagnose net.keras --data digits --samples 0", "--samples 0: must be at least 1"),
    ("sweep lenet5 --out s --recipe sparcity=0.5", "--recipe 'sparcity=0.5'"),
    # names
    ("run lenet", "no model 'lenet'; did you mean lenet5"),
    ("run lenet5 --data digit", "no data set 'digit'; did you mean digits"),
    ("run lenet5 --device raspberry", "device='raspberry' is not known; allowed: "),
    ("check net.keras --target cortex", "target 'cortex' is unknown; did you mean cortex-m"),
    ("models --family cnns", "--family 'cnns': unknown; did you mean cnn?"),
    ("run net --data digits", "no model 'net'"),
    # models and data of one's own
    ("run mistakes:build", "--data is missing: mistakes:build is not of the zoo"),
    ("run mistakes.py --data digits", "name the function that builds the model, as mistakes:build"),
    ("run mistakes --data digits", "name the function that builds the model, as mistakes:build"),
    ("run ./mistakes.py:build --data digits", "write pkg.module:function, such as mistakes:build"),
    ("run mistaeks:build --data digits", "no module 'mistaeks'"),
    ("run mistakes:biuld --data digits --out new", "has no function 'biuld'"),
    ("run mistakes:returns_nothing --data digits --out new", "must return a keras.Model"),
    ("run mistakes:divides --data digits --out new", "mistakes.py:23: ZeroDivisionError: division by zero"),
    ("run mistakes:build --data digits --preset paper", "--preset paper: mistakes:build is not of the zoo"),
    ("train mistakes:unregistered --data mistakes:good --out t.keras", "class 'Unregistered' is not registered"),
    ("train mistakes:with_lambda --data mistakes:good --out t.keras", "Lambda layer"),
    ("train mistakes:build --data mistakes:fewer_labels --out t.keras", "80 samples"),
    ("train mistakes:build --data mistakes:holes --out t.keras", "nan"),
    ("train mistakes:build --data mistakes:of_other_shape --out t.keras", "(32,)"),
    ("train mistakes:build --data mistakes:more_classes --out t.keras", "12 classes"),
    ("train mistakes:build --data mistakes:one_array --out t.keras", "it may return"),
    ("train mistakes:build --data mistakes:empty --out t.keras", "mistakes:empty"),
    ("train lenet5 --data iris --out t.keras", "cannot be shown"),
    # files
    ("qat nett.keras --data digits --out q2.keras", "nett.keras: no such file; did you mean net.keras?"),
    ("export old.h5 --out a.tflite", "old.h5: an HDF5 file"),
    ("export notes.txt --out a.tflite", "notes.txt: not a model that can be read"),
    ("export fake.keras --out a.tflite", "fake.keras: not a zip archive"),
    ("export project --out a.tflite", "project: a folder"),
    ("export net.tflite --out a.onnx", "give the .keras file it was made from"),
    ("bench net.keras --baseline net.tflite", "`edgewright export` makes one of it"),
    ("bench net.tflite --baseline float.tflite", "--baseline float.tflite: is not a file; did you mean net.tflite?"),
    ("bench net.tflite --baseline net.tflite --data test.npz", "--data test.npz: no such file"),
    ("report project", "project: holds no results.json"),
    ("compare nowhere", "no results.json"),
    ("view notes.txt", "allowed: .tflite, .onnx, .keras"),
    ("run lenet5 --config typo.yaml", "--config: unknown key 'sparcity'; did you mean sparsity?"),
    ("run lenet5 --config none.yaml", "none.yaml"),
    # where results go
    ("train lenet5 --out v/y", "--out v/y: a Keras model is written as a .keras file"),
    ("train lenet5 --out project", "end the name in .keras"),
    ("train lenet5 --out notes.txt/net.keras", "notes.txt is a file, not a folder"),
    ("run lenet5 --out project", "--out project: holds files of something else"),
    ("run lenet5 --out notes.txt", "--out notes.txt: File exists; give a folder"),
    ("prune net.keras --out net.keras", "--out net.keras: is the model itself"),
    ("export net.keras --out net.pb", "--out net.pb: suffix '.pb'; allowed: .tflite, .onnx"),
    ("export net.keras --out a.onnx --format tflite", "--format tflite: --out a.onnx ends in .onnx"),
    ("export q.keras --out a.onnx --integer-io uint8", "--integer-io uint8: "),
    ("export net.keras --out a.tflite --layout nchw", "--layout nchw: TFLite files take images as nhwc"),
    ("export net.keras --out a --target cortex-m --layout nchw", "--layout nchw: the target decides"),
    ("export net.keras --out a --target cortex-m --precision w8", "--precision w8: the target decides"),
    ("diagnose q.keras --data digits --out noise.jpg", "--out noise.jpg: a picture is written as .svg, .png, .pdf"),
    # order of verbs
    ("qat net.keras --data mistakes:good --out q.tflite", "end the name in .keras"),
    ("qat q.keras --data mistakes:good --out q2.keras", "quantization-aware already"),
    ("export net.keras --out a.tflite --precision w8a8-qat", "has no quantizers"),
    ("export net.keras --out a.tflite --precision w8a8-ptq", "--data is missing: w8a8-ptq calibrates on samples"),
    ("export net.keras --out a.tflite --integer-io uint8 --precision float32", "needs a quantized precision"),
    ("prune net.keras --out p.keras --epochs 3", "--data is missing"),
    ("prune net.keras --out p.keras --criterion l2", "--criterion l2: is of channels, of which --channels or"),
    ("prune net.keras --out p.keras --channels 0.5 --criterion movement", "--criterion movement: is of single weights"),
    ("prune net.keras --out p.keras --channels 0.5 --pattern 2:4", "--pattern 2:4 beside --channels: is of"),
    ("prune net.keras --out p.keras --criterion movement", "--data is missing: --criterion movement looks at it"),
    ("prune net.keras --out p.keras --regrow gradient", "--data is missing: --regrow gradient looks at it"),
    ("prune net.keras --out p.keras --channels 0.5 --criterion taylor", "--data is missing: --criterion taylor looks"),
    ("prune net.keras --out p.keras --pattern 4:2", "pattern='4:2' is unknown; allowed: unstructured, N:M"),
    ("prune net.keras --out p.keras --pattern 2:4 --sparsity 0.8", "sparsity=0.8 contradicts pattern '2:4'"),
    ("prune net.keras --out p.keras --data digits --pattern 2:4 --engine tfmot", "--pattern 2:4: engine tfmot prunes"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), MISTAKES)
def test_a_mistake_costs_a_line_and_nothing_else(line, words, at_desk, capfd):
    before, start = _content(at_desk), time.process_time()
    code = main(line.split())
    seconds = time.process_time() - start
    out, err = capfd.readouterr()
    told = [one for one in err.splitlines() if not one.endswith("...")]  # which is progress
    assert code == 2 and out == ""
    assert len(told) == 1 and words in told[0], err
    assert told[0].startswith("edgewright: ") and len(told[0]) < 600
    assert not any(sign in err for sign in ("Traceback", "\x1b", "Exception encountered when calling"))
    assert seconds < 2
    after = _content(at_desk)
    assert {name: after[name] for name in before} == before, "a file was changed"
    assert not [name for name in after.keys() - before.keys() if name.endswith((".keras", ".tflite", ".onnx", ".part"))]


def _content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"KERAS_BACKEND": "torch"}, "Keras' backend is 'torch'; allowed: tensorflow, jax"),
        ({"KERAS_BACKEND": "tensorflw"}, "Keras' backend is 'tensorflw'"),
        ({"EDGEWRIGHT_DATAS": "/tmp"}, "EDGEWRIGHT_DATAS is unknown; did you mean EDGEWRIGHT_DATA?"),
        ({"EDGEWRIGHT_DATA": "/nowhere"}, "EDGEWRIGHT_DATA='/nowhere' is not a folder"),
    ],
)
def test_the_environment_is_looked_at_before_any_work(environment, words, desk):
    done = edgewright("run", "lenet5", "--out", "new", cwd=desk, **environment)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and words in done.stderr
    assert not (desk / "new").exists()


def test_another_backend_is_refused_in_python_too():
    script = "import edgewright as ew\ntry: ew.build\nexcept ValueError as error: print(error)"
    done = python("-c", script, KERAS_BACKEND="torch")
    assert done.stdout.startswith("Keras' backend is 'torch'; allowed: tensorflow, jax"), done.stderr


@pytest.mark.parametrize("verb", ["models", "--version", "devices", "compare run", "report run"])
def test_verbs_that_need_no_keras_import_none(verb, a_run):
    script = (
        f"import sys; from edgewright.cli import main\ntry: print(main({verb.split()!r}))\nexcept SystemExit: pass\n"
    )
    done = python("-c", script + "print(sorted({'keras', 'tensorflow', 'jax'} & set(sys.modules)))", cwd=a_run)
    assert done.stdout.splitlines()[-1] == "[]" and not done.stderr, done.stderr


def test_what_is_wrong_is_said_before_keras_is_imported():
    """Of data sets as of files: whose names are known, nobody has to import anything for."""
    wrong = ["train mlp --data nosuch --out x.keras", "export nowhere.keras --out x.tflite --data digits", "run nosuch"]
    script = (
        "import sys; from edgewright.cli import main; from edgewright.training.data import sets\n"
        f"print([main(line.split()) for line in {wrong!r}], 'digits' in sets.sources())\n"
        "print(sorted({'keras', 'tensorflow', 'jax'} & set(sys.modules)))"
    )
    done = python("-c", script)
    assert done.stdout.splitlines() == ["[2, 2, 2] True", "[]"], done.stderr


@pytest.fixture(scope="module")
def a_run(desk, tmp_path_factory):
    """Return a folder that holds the folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs")
    config = ew.BenchConfig(max_seconds=1, min_rounds=10, attempts=1, precision=None, max_rounds=10)
    ew.bench([desk / "net.tflite"], baseline=desk / "net.tflite", config=config).save(folder / "run")
    return folder


def python(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def edgewright(*arguments, **options):
    return python("-m", "edgewright", *arguments, **options)
