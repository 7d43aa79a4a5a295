#!/usr/bin/env bash
# OpenVINO 2026.4.1
# MaxPool with ceil_mode=1 gets one more row than ONNX (opset 22) says, where the last window would start in the padding, and fills
# it with the smallest float. ONNX says that a window that starts in the right padding is left out.
# Matters: -3.4e38 goes on into the next layer, so one row poisons a convolution or a mean, and the shape is not the announced one.
# Seen:
#   onnxruntime 1.32.0: [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
#   openvino 2026.4.1: [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [-3.4028234663852886e+38, -3.4028234663852886e+38, -3.4028234663852886e+38]]
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

node = h.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1)
right, seen = both([node], {}, np.ones((1, 1, 7, 6), "f4"), [1, 1, 3, 3])
print(f"onnxruntime {ort.__version__}: {right[0, 0].tolist()}")
print(f"openvino {ov.__version__[:8]}: {seen[0, 0].tolist()}")
assert (right == np.ones((1, 1, 3, 3))).all()
assert seen.shape == (1, 1, 4, 3) and (seen[:, :, :3] == 1).all() and (seen[:, :, 3] < -3e38).all()
PY
