#!/usr/bin/env bash
# MNN 3.6.1 (mnnconvert)
# A convolution with auto_pad=SAME_LOWER is padded on the other side, as SAME_UPPER: its result is shifted by one pixel.
# The shape is right and the conversion reports success; with a stride of 1 and an odd kernel nothing shows.
# Matters: both paddings are plain ONNX; what a detector finds moves by a pixel for every such layer and nobody is told.
# Seen:
#   SAME_UPPER: onnxruntime 1.32.0 [1.0, 3.0, 9.0, 11.0], MNN 3.6.1 [1.0, 3.0, 9.0, 11.0]
#   SAME_LOWER: onnxruntime 1.32.0 [0.0, 0.0, 0.0, 6.0], MNN 3.6.1 [1.0, 3.0, 9.0, 11.0]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q MNN==3.6.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > run.py <<'PY'
import subprocess, MNN.expr as F, MNN.nn as nn, numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

x = np.arange(1, 17, dtype="f4").reshape(1, 1, 4, 4)
corner = np.zeros((1, 1, 3, 3), "f4")
corner[0, 0, 0, 0] = 1
results = {}
for side in ("SAME_UPPER", "SAME_LOWER"):
    info = h.make_tensor_value_info("x", T.FLOAT, [1, 1, 4, 4]), h.make_tensor_value_info("y", T.FLOAT, [1, 1, 2, 2])
    node = h.make_node("Conv", ["x", "w"], ["y"], auto_pad=side, kernel_shape=[3, 3], strides=[2, 2])
    model = h.make_model(h.make_graph([node], "g", [info[0]], [info[1]], [nh.from_array(corner, "w")]), opset_imports=[h.make_opsetid("", 14)], ir_version=7)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "m.onnx")
    right = ort.InferenceSession("m.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    subprocess.run(["venv/bin/mnnconvert", "-f", "ONNX", "--modelFile", "m.onnx", "--MNNModel", "m.mnn", "--bizCode", "b"], check=True, capture_output=True)
    net = nn.load_module_from_file("m.mnn", ["x"], ["y"])
    given = F.placeholder([1, 1, 4, 4], F.NCHW, F.float)
    given.write(x)
    seen = np.array(F.convert(net.forward(given), F.NCHW).read())
    results[side] = right.ravel().tolist(), seen.ravel().tolist()
    print(f"{side}: onnxruntime {ort.__version__} {right.ravel().tolist()}, MNN 3.6.1 {seen.ravel().tolist()}")
assert results == {"SAME_UPPER": ([1, 3, 9, 11], [1, 3, 9, 11]), "SAME_LOWER": ([0, 0, 0, 6], [1, 3, 9, 11])}
PY
venv/bin/python run.py
