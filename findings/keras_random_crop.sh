#!/usr/bin/env bash
# Keras 3.15.1 (JAX 0.10.2 backend; TensorFlow does the same)
# A model with RandomCrop(4, 4) announces (None, 4, 4, 3) and gives that when it is called, but predict gives the 8 x 8 picture whole.
# Matters: a shape read from output_shape, or seen in a call, is not the one at inference; the layers behind it are built for another size.
# Seen:
#   keras 3.15.1: announced (None, 4, 4, 3), called (1, 4, 4, 3), predicted (1, 8, 8, 3)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 "jax==0.10.2" numpy==2.4.6
KERAS_BACKEND=jax venv/bin/python - <<'PY'
import keras, numpy as np

given = keras.Input((8, 8, 3))
model = keras.Model(given, keras.layers.RandomCrop(4, 4)(given))
x = np.ones((1, 8, 8, 3), "f4")
shapes = model.output_shape, tuple(model(x).shape), model.predict(x, verbose=0).shape
print(f"keras {keras.__version__}: announced {shapes[0]}, called {shapes[1]}, predicted {shapes[2]}")
assert shapes == ((None, 4, 4, 3), (1, 4, 4, 3), (1, 8, 8, 3))
PY
