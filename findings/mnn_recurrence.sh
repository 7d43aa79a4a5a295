#!/usr/bin/env bash
# MNN 3.6.1 (mnnconvert)
# RNN and LSTM with direction="reverse" run forwards: the answer is, to the last digit, that of direction="forward". A GRU
# with linear_before_reset=0, ONNX' default, is wrong from its second step on. Conversion reports success, shapes are right.
# Matters: a layer that reads backwards, and the GRU as it was published (Cho 2014), answer plausible wrong numbers.
# Seen (one unit, five steps):
#   RNN reverse: onnxruntime 1.32.0 [-0.933, 0.72, -0.679, 0.374, -0.795], MNN 3.6.1 [-0.279, 0.507, -0.928, 0.84, -0.987]
#   LSTM reverse: onnxruntime 1.32.0 [0.209, 0.086, 0.067, -0.049, 0.01], MNN 3.6.1 [0.137, 0.062, 0.086, -0.022, 0.021]
#   GRU, linear_before_reset 0: onnxruntime 1.32.0 [0.068, -0.127, ...], MNN 3.6.1 [0.068, -0.088, ...]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q MNN==3.6.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > run.py <<'PY'
import subprocess, MNN.expr as F, MNN.nn as nn, numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

TIME, BATCH, FEATURES, UNITS = 5, 3, 4, 6

def both(operator, gates, **attributes):
    """Return what one unit answers at each step for the first sample: in ONNX Runtime, and in MNN."""
    draw = np.random.default_rng(1).normal
    w, r = (draw(size=(1, gates * UNITS, size)).astype("f4") / 2 for size in (FEATURES, UNITS))
    b, x = draw(size=(1, 2 * gates * UNITS)).astype("f4") * 0.3, draw(size=(TIME, BATCH, FEATURES)).astype("f4")
    outputs = ["y", "y_h"] + ["y_c"] * (operator == "LSTM")
    states = [h.make_tensor_value_info(name, T.FLOAT, [1, BATCH, UNITS]) for name in outputs[1:]]
    ends = [h.make_tensor_value_info("x", T.FLOAT, x.shape)], [h.make_tensor_value_info("y", T.FLOAT, [TIME, 1, BATCH, UNITS]), *states]
    node = h.make_node(operator, ["x", "w", "r", "b"], outputs, hidden_size=UNITS, **attributes)
    constants = [nh.from_array(value, name) for name, value in (("w", w), ("r", r), ("b", b))]
    model = h.make_model(h.make_graph([node], "g", *ends, constants), opset_imports=[h.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "m.onnx")
    right = ort.InferenceSession("m.onnx", providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
    subprocess.run(["venv/bin/mnnconvert", "-f", "ONNX", "--modelFile", "m.onnx", "--MNNModel", "m.mnn", "--bizCode", "b"], check=True, capture_output=True)
    given = F.const(x.ravel().tolist(), list(x.shape), F.NCHW, F.float)
    seen = np.array(nn.load_module_from_file("m.mnn", ["x"], outputs).forward([given])[0].read())
    return [values.reshape(right.shape)[:, 0, 0, 0].astype("f8").round(3) for values in (right, seen)]

for operator, gates in (("RNN", 1), ("LSTM", 4)):
    forward, reverse = both(operator, gates), both(operator, gates, direction="reverse")
    print(f"{operator} reverse: onnxruntime {ort.__version__} {reverse[0].tolist()}, MNN 3.6.1 {reverse[1].tolist()}")
    assert np.allclose(*forward, atol=2e-3) and np.allclose(reverse[1], forward[1], atol=2e-3) and not np.allclose(*reverse, atol=0.05)
after, before = both("GRU", 3, linear_before_reset=1), both("GRU", 3)
print(f"GRU, linear_before_reset 0: onnxruntime {ort.__version__} {before[0].tolist()}, MNN 3.6.1 {before[1].tolist()}")
assert np.allclose(*after, atol=2e-3) and abs(before[0] - before[1])[0] < 2e-3 < 0.02 < abs(before[0] - before[1])[1]
PY
venv/bin/python run.py
