#!/usr/bin/env bash
# tf2onnx 1.17.0 behind Keras 3.15.1's model.export(format="onnx"), TensorFlow 2.21.0
# Three exports that raise nothing. Normalization: its mean and deviation become further required INPUTS of the file, without values.
# gelu: the file holds a TensorFlow operator (Erfc) and does not load. Resizing by area: nearest neighbour, so other pixels.
# Matters: all three layers are common, a file is there and export returned; only a run beside the Keras model shows it.
# Seen:
#   tf2onnx 1.17.0, keras 3.15.1
#   Normalization: 3 inputs, the further ones ['normalization_1/Sub/y:0', 'normalization_1/Sqrt/x:0']
#   gelu: No Op registered for Erfc with domain_version of 15
#   area: keras [2.5, 4.5, 10.5, 12.5], file [0.0, 2.0, 8.0, 10.0]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>err.txt <<'PY' || { tail -3 err.txt; exit 1; }
import keras, numpy as np, onnx, onnxruntime as ort

def export(layer, x):
    given = keras.Input(x.shape[1:])
    model = keras.Model(given, layer(given))
    y = keras.ops.convert_to_numpy(model(x))
    model.export("m.onnx", format="onnx", verbose=False)
    return y, [i.name for i in onnx.load("m.onnx").graph.input]

print("tf2onnx 1.17.0, keras", keras.__version__)
_, asked = export(keras.layers.Normalization(mean=[1, 2, 3, 4], variance=[1, 1, 1, 1]), np.ones((1, 4), "f4"))
print(f"Normalization: {len(asked)} inputs, the further ones {[n.split('/', 1)[1] for n in asked[1:]]}")
export(keras.layers.Dense(2, activation="gelu"), np.ones((1, 4), "f4"))
try:
    ort.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    error = "loads"
except Exception as problem:
    error = str(problem).strip().split('Error ')[-1]
print(f"gelu: {error}")
x = np.arange(16, dtype="f4").reshape(1, 4, 4, 1).repeat(3, 3)
y, names = export(keras.layers.Resizing(2, 2, interpolation="area"), x)
other = ort.InferenceSession("m.onnx", providers=["CPUExecutionProvider"]).run(None, {names[0]: x})[0]
print(f"area: keras {y[0, ..., 0].ravel().tolist()}, file {other[0, ..., 0].ravel().tolist()}")
assert len(export(keras.layers.Rescaling(2.0), np.ones((1, 4), "f4"))[1]) == 1
assert y[0, ..., 0].ravel().tolist() == [2.5, 4.5, 10.5, 12.5] and other[0, ..., 0].ravel().tolist() == [0, 2, 8, 10]
assert len(asked) == 3 and "Erfc" in error
PY
