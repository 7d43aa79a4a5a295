#!/usr/bin/env bash
# OpenVINO 2026.4.1
# QuantizeLinear adds the zero point first and rounds afterwards, so with an odd zero point every tie goes the other way:
# 0.5 becomes 1 and not 0. ONNX rounds x / scale to even and adds the zero point to that.
# Matters: with even zero points the two agree, so a comparison by symmetric int8 shows nothing; inputs that lie on
# halves of the scale (8-bit pixels, sensor counts) are all a step off in a uint8 model.
# Seen:
#   zero point 0: [0.5, 1.5, 2.5, 3.5] become [0.0, 2.0, 2.0, 4.0] in onnxruntime 1.32.0, [0.0, 2.0, 2.0, 4.0] in openvino 2026.4.1
#   zero point 1: [0.5, 1.5, 2.5, 3.5] become [0.0, 2.0, 2.0, 4.0] in onnxruntime 1.32.0, [1.0, 1.0, 3.0, 3.0] in openvino 2026.4.1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
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

nodes = [h.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), h.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
x = np.array([[0.5, 1.5, 2.5, 3.5]], "f4")
for zero in (0, 1):
    right, seen = both(nodes, {"s": np.array(1, "f4"), "z": np.array(zero, "u1")}, x, [1, 4])
    print(f"zero point {zero}: {x[0].tolist()} become {right[0].tolist()} in onnxruntime {ort.__version__}, {seen[0].tolist()} in openvino {ov.__version__[:8]}")
    assert right[0].tolist() == [0, 2, 2, 4] and seen[0].tolist() == ([1, 1, 3, 3] if zero else [0, 2, 2, 4])
PY
