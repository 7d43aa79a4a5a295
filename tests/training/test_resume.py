"""A run that is killed at a random moment goes on to the very same bits."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import dataclasses, functools, hashlib, sys
import keras, numpy as np
from edgewright.training.distillation import Distillation
from edgewright.training.data import load
from edgewright.training.data.images import shifted
from edgewright.training.train import TrainConfig, train

def net(width):
    keras.utils.set_random_seed(width)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x), name="small")

model = net(8)
config = TrainConfig(epochs=int(sys.argv[2]), batch_size=16, patience=50, steps_per_execution=int(sys.argv[3]))
data = dataclasses.replace(load("digits"), augmentation=functools.partial(shifted, share=1 / 8, mirrored=True))
taught = sys.argv[4] == "taught"
teaching = Distillation(teacher=net(12), features=["conv"], unlabelled=data.test.x) if taught else None
train(model, data, config, out=sys.argv[1], teaching=teaching)
with np.load(sys.argv[1] + "/checkpoint.npz") as kept:  # of the model, its optimizer and its random states
    print(hashlib.sha256(b"".join(np.array(v).tobytes() for v in [*model.variables, *kept.values()])).hexdigest())
"""


def _start(folder, epochs, backend="tensorflow", steps=8, how="alone"):
    command = [sys.executable, "-c", SCRIPT, str(folder), str(epochs), str(steps), how]
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def _finish(process):
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output.strip().splitlines()[-1]


def _kill_in_training(process, folder, epoch, delay):
    """Kill -9 `delay` seconds after `epoch` was logged."""
    history = folder / "history.jsonl"
    while not (history.exists() and history.read_bytes().count(b"\n") >= epoch):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    time.sleep(delay)
    assert process.poll() is None, "the run ended before it was killed; give it more epochs"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["alone", "taught"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, backend, how, epochs=20):
    reference = _finish(_start(tmp_path / "whole", epochs, backend, how=how))
    moments = random.Random()  # another one each time: any must do
    epoch, delay = moments.randint(1, epochs // 2), moments.uniform(0, 0.1)  # an epoch may take but 0.05 s
    _kill_in_training(_start(tmp_path / "killed", epochs, backend, how=how), tmp_path / "killed", epoch, delay)
    assert _finish(_start(tmp_path / "killed", epochs, backend, how=how)) == reference
    logs = [(tmp_path / name / "history.jsonl").read_bytes() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    curves = [(tmp_path / name / "learning_curve.svg").read_bytes() for name in ("whole", "killed")]
    assert hashlib.sha256(curves[0]).digest() == hashlib.sha256(curves[1]).digest()
    assert [json.loads(line)["epoch"] for line in logs[1].splitlines()] == list(range(1, epochs + 1))
