#!/usr/bin/env bash
# onnx 1.23.2 (ReferenceEvaluator) and OpenVINO 2026.4.1
# An LSTM with `clip` or `input_forget`: the reference ignores both, OpenVINO ignores input_forget, ONNX Runtime obeys both.
# None of them warns. (GRU and RNN: the reference ignores clip as well.)
# Matters: a file checked against the reference passes with the unclipped numbers; the device then computes others.
# Seen:
#   last state: onnxruntime 1.32.0, openvino 2026.4.1, onnx 1.23.2
#   {} [0.811, 0.811, 0.811]
#   {'clip': 0.5} [0.271, 0.271, 0.811]
#   {'input_forget': 1} [0.652, 0.811, 0.811]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
from onnx.reference import ReferenceEvaluator
import numpy as np, onnx, onnxruntime as ort, openvino as ov
from onnx import TensorProto as T, helper as h, numpy_helper as nh

def both(nodes, constants, x, shape, opset=22):
    info = h.make_tensor_value_info("x", T.FLOAT, x.shape), h.make_tensor_value_info("y", T.FLOAT, shape)
    graph = h.make_graph(nodes, "g", [info[0]], [info[1]], [nh.from_array(v, k) for k, v in constants.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    core = ov.Core()
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0], compiled([x])[0]

weights = {"w": np.full((1, 4, 1), 2, "f4"), "r": np.zeros((1, 4, 1), "f4")}
x = np.ones((2, 1, 1), "f4")
seen = {}
for attribute in ({}, {"clip": 0.5}, {"input_forget": 1}):
    node = h.make_node("LSTM", ["x", "w", "r"], ["", "y"], hidden_size=1, **attribute)
    graph = h.make_graph([node], "g", [h.make_tensor_value_info("x", T.FLOAT, x.shape)], [h.make_tensor_value_info("y", T.FLOAT, [1, 1, 1])], [nh.from_array(v, k) for k, v in weights.items()])
    reference = ReferenceEvaluator(h.make_model(graph, opset_imports=[h.make_opsetid("", 22)], ir_version=10)).run(None, {"x": x})[0]
    seen[str(attribute)] = [round(float(y.item()), 3) for y in (*both([node], weights, x, [1, 1, 1]), reference)]
print(f"last state: onnxruntime {ort.__version__}, openvino {ov.__version__[:8]}, onnx {onnx.__version__}")
for name, values in seen.items(): print(name, values)
assert seen == {"{}": [.811] * 3, "{'clip': 0.5}": [.271, .271, .811], "{'input_forget': 1}": [.652, .811, .811]}
PY
