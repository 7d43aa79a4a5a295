#!/usr/bin/env bash
# Keras 3.15.1 (JAX 0.10.2 backend; TensorFlow does the same)
# In a functional model `x == 0` is Python's False, the identity of two objects, while `x != 0` and `x > 0` are tensors.
# `ops.where(x == 0, 1.0, x)` is then simply x: the model builds, runs, and leaves the zeros. Within a layer's call it works.
# Matters: a mask for padding or a guard against a division by zero is gone from the model that is exported, without an error.
# Seen:
#   keras 3.15.1: ==, !=, > are ['bool', 'KerasTensor', 'KerasTensor']; built functionally [0.0, 1.0, 0.0, 2.0], within a layer [1.0, 1.0, 1.0, 2.0]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 "jax==0.10.2" numpy==2.4.6
KERAS_BACKEND=jax venv/bin/python - <<'PY'
import keras, numpy as np

x = keras.Input((4,))
kinds = [type(v).__name__ for v in (x == 0, x != 0, x > 0)]
data = np.array([[0, 1, 0, 2]], "f4")

class Guard(keras.layers.Layer):
    def call(self, x): return keras.ops.where(x == 0, 1.0, x)

functional = keras.Model(x, keras.ops.where(x == 0, 1.0, x))
layer = keras.Model(x, Guard()(x))
a, b = (keras.ops.convert_to_numpy(m(data))[0].tolist() for m in (functional, layer))
print(f"keras {keras.__version__}: ==, !=, > are {kinds}; built functionally {a}, within a layer {b}")
assert kinds == ["bool", "KerasTensor", "KerasTensor"] and a == [0, 1, 0, 2] and b == [1, 1, 1, 2]
PY
