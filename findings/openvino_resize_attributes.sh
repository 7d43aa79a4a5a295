#!/usr/bin/env bash
# OpenVINO 2026.4.1
# The ONNX reader drops two attributes of Resize without a word: antialias, and keep_aspect_ratio_policy.
# Matters: preprocessing that is part of the model (a photo made smaller, a picture made to fit) gives other pixels and even
# another output shape than in ONNX Runtime; a classifier behind it loses accuracy and nothing is logged.
# Seen:
#   onnxruntime 1.32.0: stripes with antialias [63.75, 55.78125, 63.75, 55.78125], 7x6 to fit 10x13: (1, 1, 10, 9)
#   openvino 2026.4.1: stripes with antialias [127.5, 127.5, 127.5, 127.5], 7x6 to fit 10x13: (1, 1, 10, 13)
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

stripes = np.zeros((1, 1, 8, 8), "f4")
stripes[..., 1::4] = 255
node = h.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear", antialias=1)
a = both([node], {"scales": np.array([1, 1, .25, .25], "f4")}, stripes, [1, 1, 2, 2])
node = h.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", axes=[2, 3], keep_aspect_ratio_policy="not_larger")
b = both([node], {"sizes": np.array([10, 13])}, np.ones((1, 1, 7, 6), "f4"), ["n", "c", "h", "w"])
for name, i in ((f"onnxruntime {ort.__version__}", 0), (f"openvino {ov.__version__[:8]}", 1)):
    print(f"{name}: stripes with antialias {a[i].ravel().tolist()}, 7x6 to fit 10x13: {b[i].shape}")
assert np.allclose(a[0].ravel(), [63.75, 55.78125] * 2) and b[0].shape == (1, 1, 10, 9)
assert np.allclose(a[1].ravel(), 127.5) and b[1].shape == (1, 1, 10, 13)
PY
