#!/usr/bin/env bash
# Keras 3.15.1, TensorFlow 2.21.0, JAX 0.10.2
# `keras.quantizers.fake_quant_with_min_max_vars` passes a gradient straight through, which both backends take for a constant:
# a second gradient lacks the term of every quantizer, without an error, a warning or None where another path exists.
# Written as clip(x) + stop_gradient(fq(x) - clip(x)) it is there, with the same values and first gradients.
# Matters: a gradient penalty, an unrolled step or a Hessian of a quantization-aware model is another than one thinks.
# Seen (f(x) = fq(x)^2 + x^3 at 0.5, f''(x) straight through = 2 + 6 x = 5):
#   tensorflow: f' 1.7539, f'' 3.0000; written out f' 1.7539, f'' 5.0000
#   jax: f' 1.7539, f'' 3.0000; written out f' 1.7539, f'' 5.0000
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 tensorflow-cpu==2.21.0 "jax==0.10.2" numpy==2.4.6
cat > f.py <<'PY'
import keras
from keras import ops

def of_keras(x):
    return keras.quantizers.fake_quant_with_min_max_vars(x, -1.0, 1.0)

def written_out(x):
    inside = ops.clip(x, -1.0, 1.0)
    return inside + ops.stop_gradient(of_keras(x) - inside)

def twice(f):
    if keras.backend.backend() == "jax":
        import jax
        return jax.grad(f)(0.5), jax.grad(jax.grad(f))(0.5)
    import tensorflow as tf
    x = tf.Variable(0.5)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = f(x)
        first = inner.gradient(y, x)
    return first, outer.gradient(first, x)

told = []
for quantized in (of_keras, written_out):
    first, second = twice(lambda x: quantized(x) ** 2 + x**3)
    told.append(f"f' {float(first):.4f}, f'' {float(second):.4f}")
print(f"{keras.backend.backend()}: {'; written out '.join(told)}")
PY
export TF_CPP_MIN_LOG_LEVEL=3
for backend in tensorflow jax; do
  seen=$(KERAS_BACKEND=$backend venv/bin/python f.py 2> /dev/null)
  echo "$seen"
  test "$seen" = "$backend: f' 1.7539, f'' 3.0000; written out f' 1.7539, f'' 5.0000"
done
