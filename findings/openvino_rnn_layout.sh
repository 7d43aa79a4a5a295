#!/usr/bin/env bash
# OpenVINO 2026.4.1 (onnx 1.23.2 as the reference)
# RNN, GRU and LSTM of ONNX with layout=1, so (batch, time, features): OpenVINO reads them as (time, batch, features), mixes the
# samples of a batch as if they were one sequence, and says nothing. With an initial state it refuses the file.
# Matters: layout 1 is how every framework but ONNX' default holds sequences; with a batch of 1 even the output's size is right.
# Seen (sequences of three samples, each 1, 0, 0, 0; last states):
#   LSTM layout 1: onnx [0.0889, 0.0889, 0.0889], shape (3, 1, 1); openvino 2026.4.1 shape (1, 4, 1)
#   one sample: onnx [0.0889], openvino [0.3696, 0.0, 0.0, 0.0]: each step by itself, as if four samples of one step
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np, onnx, openvino as ov
from onnx import TensorProto as T, helper as h, numpy_helper as nh
from onnx.reference import ReferenceEvaluator

constants = [nh.from_array(np.ones((1, 4, 1), "f4"), "w"), nh.from_array(np.full((1, 4, 1), 0.5, "f4"), "r")]

def both(batch):
    x = np.tile(np.array([1, 0, 0, 0], "f4"), (batch, 1))[..., None]  # (batch, time, features)
    info = h.make_tensor_value_info("x", T.FLOAT, x.shape), h.make_tensor_value_info("y", T.FLOAT, [batch, 1, 1])
    node = h.make_node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=1, layout=1)
    model = h.make_model(h.make_graph([node], "g", [info[0]], [info[1]], constants), opset_imports=[h.make_opsetid("", 14)], ir_version=7)
    onnx.checker.check_model(model, full_check=True)
    core = ov.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ReferenceEvaluator(model).run(None, {"x": x})[0], compiled([x])[0]

def plain(values):
    return [round(float(value), 4) for value in values.ravel()]

right, seen = both(3)
print(f"LSTM layout 1: onnx {plain(right)}, shape {right.shape}; openvino {ov.__version__.split('-')[0]} shape {seen.shape}")
alone, split = both(1)
print(f"one sample: onnx {plain(alone)}, openvino {plain(split)}: each step by itself, as if four samples of one step")
assert right.shape == (3, 1, 1) and seen.shape == (1, 4, 1)
assert split.size == 4 and np.ptp(right) == 0 and abs(split.ravel()[0] - alone.ravel()[0]) > 0.05
PY
