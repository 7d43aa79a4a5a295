#!/usr/bin/env bash
# ONNX Runtime 1.31.1 (1.32.0 is right)
# A quantized Softmax over an axis with one entry gives 0, where the answer is 1 whatever the input.
# It happens only with the optimizer on, which fuses DequantizeLinear, Softmax and QuantizeLinear into one kernel.
# Matters: attention over one key (the first step of a decoder, a pooled sequence) loses its value entirely in int8,
# and a float test, or one with the optimizer off, shows nothing.
# Seen:
#   onnxruntime 1.31.1: 1 entries, optimizer on: [0.0]
#   onnxruntime 1.31.1: 1 entries, optimizer off: [0.99609375]
#   onnxruntime 1.31.1: 2 entries, optimizer on: [0.5, 0.5]
#   onnxruntime 1.31.1: 2 entries, optimizer off: [0.5, 0.5]
#   onnxruntime 1.32.0: 1 entries, optimizer on: [0.99609375]
#   onnxruntime 1.32.0: 1 entries, optimizer off: [0.99609375]
#   onnxruntime 1.32.0: 2 entries, optimizer on: [0.5, 0.5]
#   onnxruntime 1.32.0: 2 entries, optimizer off: [0.5, 0.5]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
for version in 1.31.1 1.32.0; do
venv/bin/pip install -q onnxruntime==$version onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np, onnxruntime as ort
from onnx import TensorProto as T, checker, helper as h, numpy_helper as nh

def one(name, value, kind): return nh.from_array(np.array(value, kind), name)
constants = [one("s", 0.5, "f4"), one("z", 0, "u1"), one("os", 1 / 256, "f4"), one("oz", 0, "u1")]
nodes = [h.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]), h.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
         h.make_node("Softmax", ["b"], ["c"], axis=-1),
         h.make_node("QuantizeLinear", ["c", "os", "oz"], ["d"]), h.make_node("DequantizeLinear", ["d", "os", "oz"], ["y"])]

def run(size, level):
    info = [h.make_tensor_value_info(n, T.FLOAT, [1, size]) for n in "xy"]
    model = h.make_model(h.make_graph(nodes, "g", info[:1], info[1:], constants), opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((1, size), "f4")})[0].ravel().tolist()

L = ort.GraphOptimizationLevel
seen = {(size, on): run(size, L.ORT_ENABLE_ALL if on else L.ORT_DISABLE_ALL) for size in (1, 2) for on in (True, False)}
for (size, on), y in seen.items(): print(f"onnxruntime {ort.__version__}: {size} entries, optimizer {'on' if on else 'off'}: {y}")
top = 255 / 256
wrong = ort.__version__ == "1.31.1"
assert seen == {(1, True): [0.0 if wrong else top], (1, False): [top], (2, True): [0.5, 0.5], (2, False): [0.5, 0.5]}
PY
done
