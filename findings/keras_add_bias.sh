#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0
# keras.ops.add of tensors of shapes (1, n, 1) and (1, 1, n) does not broadcast to (1, n, n): it takes the second for a bias and
# returns (1, n, 1) with the diagonal's sums. With a batch of 2 it broadcasts.
# Matters: the devices run a batch of 1 and training does not, so a position or distance table made of two sums is right in
# training and wrong in the exported model.
# Seen:
#   keras 3.15.1, batch 1: shape (1, 3, 1), first [[0.0], [11.0], [22.0]]
#   keras 3.15.1, batch 2: shape (2, 3, 3), first [[0.0, 10.0, 20.0], [1.0, 11.0, 21.0], [2.0, 12.0, 22.0]]
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 tensorflow==2.21.0 numpy==2.4.6
KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>err.txt <<'PY' || { tail -3 err.txt; exit 1; }
import keras, numpy as np

a = np.array([0, 1, 2], "f4").reshape(1, 3, 1)
b = np.array([0, 10, 20], "f4").reshape(1, 1, 3)
seen = {}
for batch in (1, 2):
    x, y = (keras.ops.convert_to_tensor(np.repeat(v, batch, 0)) for v in (a, b))
    seen[batch] = keras.ops.convert_to_numpy(keras.ops.add(x, y))
    print(f"keras {keras.__version__}, batch {batch}: shape {seen[batch].shape}, first {seen[batch][0].tolist()}")
assert seen[1].shape == (1, 3, 1) and seen[1].ravel().tolist() == [0, 11, 22]
assert seen[2].shape == (2, 3, 3) and (seen[2] == a + b).all()
PY
