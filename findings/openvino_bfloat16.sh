#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU
# A float32 file is computed in bfloat16 by default where the processor has it (AMX, AVX512-BF16): the default of
# INFERENCE_PRECISION_HINT depends on the processor, and nothing is said. "f32" gives float32 back.
# Matters: a float baseline measured so is itself a compressed model, ten thousand times further from other runtimes than
# float32 is and faster than on the next machine, and what a quantized file loses against it is told wrongly.
# Seen, on a processor with AMX, three convolutions with random weights:
#   default <Type: 'bfloat16'>: 3.3e-03 of the largest answer off, f32: 2.3e-07
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import numpy as np, onnx, onnxruntime as ort, openvino as ov
from onnx import TensorProto as T, helper as h, numpy_helper as nh

core = ov.Core()
if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
    sys.exit(print("this processor has no bfloat16: nothing to see here"))
random = np.random.default_rng(0)
sizes = (3, 16, 16, 8)
weights = [nh.from_array((random.normal(size=(b, a, 3, 3)) / (9 * a) ** 0.5).astype("f4"), f"w{i}") for i, (a, b) in enumerate(zip(sizes, sizes[1:]))]
nodes = []
for i in range(3):
    nodes += [h.make_node("Conv", [f"x{i}", f"w{i}"], [f"c{i}"], pads=[1] * 4), h.make_node("Relu", [f"c{i}"], [f"x{i + 1}"])]
ends = [h.make_tensor_value_info(name, T.FLOAT, shape) for name, shape in (("x0", [1, 3, 16, 16]), ("x3", [1, 8, 16, 16]))]
model = h.make_model(h.make_graph(nodes, "g", ends[:1], ends[1:], weights), opset_imports=[h.make_opsetid("", 19)], ir_version=9)
onnx.checker.check_model(model, full_check=True)
data, x = model.SerializeToString(), random.normal(size=(1, 3, 16, 16)).astype("f4")
right = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x0": x})[0]

def off(settings):
    compiled = core.compile_model(core.read_model(data), "CPU", settings)
    return compiled.get_property("INFERENCE_PRECISION_HINT"), np.abs(compiled([x])[0] - right).max() / np.abs(right).max()

(kind, usual), (_, asked) = off({}), off({"INFERENCE_PRECISION_HINT": "f32"})
print(f"default {kind}: {usual:.1e} of the largest answer off, f32: {asked:.1e}")
assert usual > 1e-3 and asked < 1e-5
PY
