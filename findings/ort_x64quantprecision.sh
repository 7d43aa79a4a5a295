#!/usr/bin/env bash
# ONNX Runtime 1.32.0, CPU
# With session.x64quantprecision=1, which a processor without VNNI needs for exact 8-bit weights, a valid file is refused
# as soon as two weights share one zero-point initializer: the transformation turns each weight and its zero point to
# uint8, and the second one meets the first one's replacement. Without the key the same file loads and runs.
# Matters: tools that merge equal initializers (onnxslim, onnxsim) make such files, so a file that was exact before they
# "optimized" it does not load any more, on older processors only if that is where the key is set.
# Seen:
#   a zero point for each weight: key 0 loads, key 1 loads
#   one zero point for both:      key 0 loads, key 1 refused
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

def net(zero_points):
    """Two products in a row, with quantizers around each."""
    random = np.random.default_rng(0)
    constants = {"s": np.float32(0.02), "u": np.uint8(128), "k": np.float32(0.01), **{name: np.int8(0) for name in zero_points}}
    constants |= {f"w{i}": random.integers(-127, 128, (16, 16)).astype("i1") for i in range(2)}
    nodes, x = [], "x"
    for i, zero_point in enumerate(zero_points):
        nodes += [h.make_node("QuantizeLinear", [x, "s", "u"], [f"q{i}"]), h.make_node("DequantizeLinear", [f"q{i}", "s", "u"], [f"d{i}"]),
                  h.make_node("DequantizeLinear", [f"w{i}", "k", zero_point], [f"f{i}"]), h.make_node("MatMul", [f"d{i}", f"f{i}"], [f"m{i}"])]
        x = f"m{i}"
    nodes += [h.make_node("QuantizeLinear", [x, "s", "u"], ["qy"]), h.make_node("DequantizeLinear", ["qy", "s", "u"], ["y"])]
    ends = [h.make_tensor_value_info(name, T.FLOAT, [1, 16]) for name in ("x", "y")]
    graph = h.make_graph(nodes, "g", ends[:1], ends[1:], [nh.from_array(np.asarray(value), name) for name, value in constants.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()

def loads(data, key):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", key)
    try:
        ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"x": np.ones((1, 16), "f4")})
    except Exception as error:
        assert "replace the existing tensor" in str(error), error
        return False
    return True

seen = {}
for title, names in (("a zero point for each weight", ("z0", "z1")), ("one zero point for both", ("z", "z"))):
    seen[title] = [loads(net(names), key) for key in "01"]
    print(f"{title}: " + ", ".join(f"key {key} {'loads' if ok else 'refused'}" for key, ok in zip("01", seen[title])))
assert list(seen.values()) == [[True, True], [True, False]]
PY
