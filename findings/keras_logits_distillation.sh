#!/usr/bin/env bash
# Keras 3.15.1 (JAX 0.10.2 backend; TensorFlow does the same)
# keras.distillation.LogitsDistillation() takes its default loss "kl_divergence" for a function, not for the class that it asks about:
# logits go into KL without a softmax, clipped to [1e-7, 1], and the factor T^2 is left out. Logits below 0 are all alike to it: loss 0,
# gradient 0. With loss=keras.losses.KLDivergence() it is the loss of Hinton 2015.
# Matters: whoever distils by the default learns next to nothing from the teacher, and no error says so.
# Seen:
#   keras 3.15.1, T=3: by hand 4.6596, by default 14.2667, by KLDivergence() 4.6596
#   other answers, all logits 20 lower: by hand 4.6596, by default 0.0000
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 "jax==0.10.2" numpy==2.4.6
KERAS_BACKEND=jax venv/bin/python - <<'PY'
import keras, numpy as np
from keras.distillation import LogitsDistillation


def softmax(x):
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


told, said = np.random.default_rng(0).normal(0, 3, (2, 16, 5)).astype("f4")
t, s = softmax(told / 3), softmax(said / 3)
hand = 9 * (t * np.log(t / s)).sum(-1).mean()
default = LogitsDistillation(temperature=3.0)
right = LogitsDistillation(temperature=3.0, loss=keras.losses.KLDivergence())
found = [float(each.compute_loss(told, said)) for each in (default, right)]
lower = float(default.compute_loss(told - 20, said - 20))
print(f"keras {keras.__version__}, T=3: by hand {hand:.4f}, by default {found[0]:.4f}, by KLDivergence() {found[1]:.4f}")
print(f"other answers, all logits 20 lower: by hand {hand:.4f}, by default {lower:.4f}")
assert abs(found[1] - hand) < 1e-3 < abs(found[0] - hand) and lower == 0
PY
