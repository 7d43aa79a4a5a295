#!/usr/bin/env bash
# TensorFlow 2.21.0, Keras 3.15.1
# An eager operation has a kernel for each set of its attributes, and the name of a variable is one (`debug_name` of
# VarHandleOp): each variable of another name waits for a kernel of its own. In Keras every layer gives its weights names
# of their own, so building a model pays that for each of them. `tf.random.set_seed`, and with it
# `keras.utils.set_random_seed`, drops the kernels of all operations, random or not: what runs next makes them again.
# Matters: a suite of tests that is seeded before each of them, tools that build and copy many small models.
# Seen (best of five, on one core; times differ from machine to machine):
#   variables of one name 56 us each, of names of their own 456 us each
#   20 operations 123 us, behind set_seed 5042 us
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q keras==3.15.1 tensorflow-cpu==2.21.0 numpy==2.4.6
cat > f.py <<'PY'
import itertools
import time

import numpy as np
import tensorflow as tf

VALUE = tf.zeros((4, 4))
NEW = itertools.count()
OPERATIONS = (tf.nn.relu, tf.nn.elu, tf.tanh, tf.sin, tf.cos, tf.exp, tf.abs, tf.sign, tf.square, tf.floor,
              tf.math.ceil, tf.math.rint, tf.math.erf, tf.sinh, tf.cosh, tf.atan, tf.math.softplus, tf.negative,
              tf.sigmoid, tf.identity)


def best(before, work, count):
    times = []
    for _ in range(6):
        before()
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) / count * 1e6)
    return min(times[1:])


def nothing():
    pass


def operations():
    for operation in OPERATIONS:
        operation(VALUE)


one = best(nothing, lambda: [tf.Variable(VALUE, name="kernel") for _ in range(1000)], 1000)
own = best(nothing, lambda: [tf.Variable(VALUE, name=f"layer_{next(NEW)}/kernel") for _ in range(1000)], 1000)
kept = best(nothing, operations, 1)
again = best(lambda: tf.random.set_seed(0), operations, 1)
print(f"variables of one name {one:.0f} us each, of names of their own {own:.0f} us each")
print(f"20 operations {kept:.0f} us, behind set_seed {again:.0f} us")
assert own > 1.5 * one and again > 3 * kept
PY
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python f.py 2> /dev/null
