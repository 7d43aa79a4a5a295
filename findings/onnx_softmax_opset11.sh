#!/usr/bin/env bash
# onnx 1.23.2 (ReferenceEvaluator) and OpenVINO 2026.4.1
# A Softmax of opset 11 normalizes over all axes from `axis` (1 if not given) to the last. OpenVINO normalizes over axis 1 alone, and
# onnx's own reference over the last axis alone; all three agree on a matrix. Neither warns, and OpenVINO is right up to opset 10.
# Matters: many files from older exporters are opset 11; a pooled classifier (1, C, 1, 1) gives 1 for every class in the reference,
# so it is no yardstick there.
# Seen:
#   sum of all outputs of batch 1: onnxruntime 1.32.0, openvino 2026.4.1, onnx 1.23.2
#   (1, 4) opset 10: [1.0, 1.0, 1.0]
#   (1, 4) opset 11: [1.0, 1.0, 1.0]
#   (1, 2, 3, 4) opset 10: [1.0, 1.0, 6.0]
#   (1, 2, 3, 4) opset 11: [1.0, 12.0, 6.0]
#   (1, 4, 1, 1) opset 10: [1.0, 1.0, 4.0]
#   (1, 4, 1, 1) opset 11: [1.0, 1.0, 4.0]
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

def sums(shape, opset):
    info = [h.make_tensor_value_info(n, T.FLOAT, shape) for n in "xy"]
    model = h.make_model(h.make_graph([h.make_node("Softmax", ["x"], ["y"])], "g", info[:1], info[1:]), opset_imports=[h.make_opsetid("", opset)], ir_version=6)
    x = np.zeros(shape, "f4")
    results = *both([h.make_node("Softmax", ["x"], ["y"])], {}, x, shape, opset), ReferenceEvaluator(model).run(None, {"x": x})[0]
    return [round(float(y.sum()), 3) for y in results]

print(f"sum of all outputs of batch 1: onnxruntime {ort.__version__}, openvino {ov.__version__[:8]}, onnx {onnx.__version__}")
seen = {(shape, opset): sums(list(shape), opset) for shape in ((1, 4), (1, 2, 3, 4), (1, 4, 1, 1)) for opset in (10, 11)}
for (shape, opset), values in seen.items(): print(f"{shape} opset {opset}: {values}")
assert seen == {((1, 4), 10): [1, 1, 1], ((1, 4), 11): [1, 1, 1], ((1, 2, 3, 4), 10): [1, 1, 6], ((1, 2, 3, 4), 11): [1, 12, 6], ((1, 4, 1, 1), 10): [1, 1, 4], ((1, 4, 1, 1), 11): [1, 1, 4]}
PY
