#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU
# NaN does not survive: Relu makes it 0, Exp makes it infinity, and Softmax of a row with one NaN gives 0 for all the others.
# Matters: a network with a NaN in its weights (a diverged training, a bad conversion) answers with clean finite
# probabilities that sum to 1, so a check for NaN on the output passes; ONNX Runtime answers NaN for the same file.
# Seen:
#   Relu: onnxruntime 1.32.0 [[1.0, 2.0, nan, 3.0]], openvino 2026.4.1 [[1.0, 2.0, 0.0, 3.0]]
#   Exp: onnxruntime 1.32.0 [[2.7182817459106445, 7.389056205749512, nan, 20.08553695678711]], openvino 2026.4.1 [[2.7182819843292236, 7.3890557289123535, inf, 20.08553695678711]]
#   Softmax: onnxruntime 1.32.0 [[nan, nan, nan, nan]], openvino 2026.4.1 [[0.0, 0.0, nan, 0.0]]
#   a net with one NaN weight: onnxruntime [nan, nan, nan], openvino [0.006928994785994291, 0.9861419796943665, 0.006928994785994291]
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

x = np.array([[1, 2, np.nan, 3]], "f4")
for op in ("Relu", "Exp", "Softmax"):
    right, seen = both([h.make_node(op, ["x"], ["y"])], {}, x, [1, 4])
    print(f"{op}: onnxruntime {ort.__version__} {right.tolist()}, openvino {ov.__version__[:8]} {seen.tolist()}")
    assert np.isnan(right[0, 2])
    assert {"Relu": seen[0, 2] == 0, "Exp": np.isinf(seen[0, 2]), "Softmax": (seen[0, [0, 1, 3]] == 0).all()}[op]
w = np.random.RandomState(0).randn(3, 1, 3, 3).astype("f4")
w[0, 0, 0, 0] = np.nan
net = [h.make_node("Conv", ["x", "w"], ["c"]), h.make_node("Relu", ["c"], ["r"]), h.make_node("GlobalAveragePool", ["r"], ["p"]), h.make_node("Softmax", ["p"], ["y"], axis=1)]
right, seen = both(net, {"w": w}, np.ones((1, 1, 8, 8), "f4"), [1, 3, 1, 1])
print(f"a net with one NaN weight: onnxruntime {right.ravel().tolist()}, openvino {seen.ravel().tolist()}")
assert np.isnan(right).all() and np.isfinite(seen).all() and abs(seen.sum() - 1) < 1e-4
PY
