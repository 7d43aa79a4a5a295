"""x86 processors without VNNI, where ONNX Runtime must be told to be precise, or oneDNN, where TensorFlow has no
channels-first convolution: files are the same there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import edgewright
import keras
import numpy as np
import onnxruntime
import pytest
from edgewright.devices.agent import agent
from edgewright.devices.agent import machine as processor
from edgewright.export import export_onnx
from edgewright.quantize import prepare_qat

KEY = "session.x64quantprecision"
RUN = """
import sys, numpy as np, onnxruntime
from edgewright.devices.agent.agent import onnx_options
plain = onnxruntime.SessionOptions()
plain.intra_op_num_threads = 1
for options, name in ((plain, "plain.npy"), (onnx_options(onnxruntime), "precise.npy")):
    session = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
    np.save(name, np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in np.load("x.npy")]))
"""


@pytest.mark.parametrize(
    ("machine", "info", "lacks"),
    [
        ("x86_64", "flags\t\t: fpu avx2 avx512f", True),
        ("x86_64", "flags\t\t: fpu avx2 avx512f avx512_vnni", False),
        ("x86_64", "flags\t\t: fpu avx2 avx_vnni", False),
        ("AMD64", None, True),
        ("aarch64", "Features\t: asimd", False),
    ],
)
def test_precision_is_asked_for_where_the_processor_has_no_vnni(monkeypatch, machine, info, lacks):
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(processor, "read", lambda path: info if path == "/proc/cpuinfo" else None)
    options = agent.onnx_options(onnxruntime)
    assert processor.lacks_vnni() is lacks
    if lacks:
        assert options.get_session_config_entry(KEY) == "1"
    else:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry(KEY)
    assert agent.environment({"models": []})["cpu"].endswith(" (no VNNI)") is lacks


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (Debian package qemu-user)")
def test_files_are_exact_on_a_processor_without_vnni(tmp_path):
    """64 products of large bytes do not fit in 16 bits: without the key the answers are off, with it none is."""
    random = np.random.default_rng(0)
    inputs = keras.Input((64,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(16)(inputs))
    model.set_weights([1 + np.abs(random.normal(size=(64, 16))), np.zeros(16)])
    x = random.uniform(0, 1, (64, 64)).astype("float32")
    qat, _ = prepare_qat(model, calibration=x)
    (tmp_path / "model.onnx").write_bytes(export_onnx(qat).data)
    np.save(tmp_path / "x.npy", x)
    command = ["qemu-x86_64", "-cpu", "Haswell", os.path.realpath(sys.executable), "-c", RUN]
    (tmp_path / "edgewright").symlink_to(Path(edgewright.__file__).parent)  # an editable install is on no path
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "EDGEWRIGHT_CPU": "Haswell"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = np.asarray(qat(x, training=False))
    np.testing.assert_array_equal(np.load(tmp_path / "precise.npy"), expected)
    assert np.abs(np.load(tmp_path / "plain.npy") - expected).max() > 0.1


CHANNELS_FIRST = """
import sys
import numpy as np
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import prepare_qat
from operator_cases import build
model, x = build("channels_first")
try:
    model(x)
except Exception as error:
    print("refused" if "NHWC" in str(error) else error)
qat, _ = prepare_qat(model, calibration=x)
for export in (export_tflite, export_onnx):
    print(*(export(one).manifest["verified"] for one in (model, qat)))
"""


def test_channels_first_models_are_exported_and_verified_without_onednn():
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": os.path.dirname(__file__) + "/.."}
    done = subprocess.run(
        [sys.executable, "-c", CHANNELS_FIRST],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n") == ["refused", "True True", "True True", ""]
