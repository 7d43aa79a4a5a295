#!/usr/bin/env bash
# onnx 1.23.2 (ReferenceEvaluator)
# RNN, GRU and LSTM ignore their input sequence_lens: padding is read as if it were data, in states and outputs alike.
# ONNX Runtime stops each sample at its length and fills the rest with zeros, as the standard says.
# Matters: a batch of sequences of different length, checked against the reference, passes only if it is wrong.
# Seen (two samples 1, 1, 9 of lengths 3 and 2; last states of a unit that adds up):
#   onnx 1.23.2 [11.0, 11.0], onnxruntime 1.32.0 [11.0, 2.0]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh
from onnx.reference import ReferenceEvaluator

x = np.array([[1, 1], [1, 1], [9, 9]], "f4")[..., None]  # (time, batch, features)
lengths = np.array([3, 2], "i4")
constants = [nh.from_array(np.full((1, 1, 1), 0.001, "f4"), "w"), nh.from_array(np.ones((1, 1, 1), "f4"), "r")]
inputs = [h.make_tensor_value_info("x", T.FLOAT, x.shape), h.make_tensor_value_info("n", T.INT32, [2])]
output = h.make_tensor_value_info("y", T.FLOAT, [1, 2, 1])
node = h.make_node("RNN", ["x", "w", "r", "", "n"], ["", "y"], hidden_size=1)  # tanh is linear for sums this small
model = h.make_model(h.make_graph([node], "g", inputs, [output], constants), opset_imports=[h.make_opsetid("", 14)], ir_version=7)
onnx.checker.check_model(model, full_check=True)
feed = {"x": x, "n": lengths}
reference = (ReferenceEvaluator(model).run(None, feed)[0].ravel() * 1000).round(1).tolist()
runtime = (ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feed)[0].ravel() * 1000).round(1).tolist()
print(f"onnx {onnx.__version__} {reference}, onnxruntime {ort.__version__} {runtime}")
assert reference == [11.0, 11.0] and runtime == [11.0, 2.0]
PY
