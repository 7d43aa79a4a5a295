"""A run that is killed at a random moment goes on to the very same bits."""

import hashlib
import json
import os
import random
import signal
import time

import pytest
from forks import Imported, lives
from jax_process import QUICK, compiled_in

SCRIPT = """
import dataclasses, functools, hashlib
import keras, numpy as np
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, sklearn.metrics  # as a run does when it trains
import tensorboard.compat.proto.event_pb2, tensorboard.summary.writer.record_writer, tensorflow
from edgewright.training import learners, tasks
from edgewright.training.distillation import Distillation
from edgewright.training.data import load
from edgewright.training.data.images import shifted
from edgewright.training.train import TrainConfig, train

def net(width, taught):
    keras.utils.set_random_seed(width)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
    logits = keras.layers.Dense(10, name="logits")(x)
    beside = {"middle": keras.layers.Dense(4, name="middle")(x)}  # no targets are for it
    return keras.Model(inputs, {"logits": logits, **beside} if taught else logits, name="small")

digits = load("digits")
tasks.table(), learners.table()

def run(folder, epochs, steps, how):
    taught = how == "taught"
    model = net(8, taught)
    config = TrainConfig(epochs=int(epochs), batch_size=16, patience=50, steps_per_execution=int(steps))
    data = dataclasses.replace(digits, augmentation=functools.partial(shifted, share=1 / 8, mirrored=True))
    settings = {"features": ["conv"], "unlabelled": data.test.x, "untold": 1}
    teaching = Distillation(teacher=net(12, taught), **settings) if taught else None
    train(model, data, config, out=folder, teaching=teaching)
    with np.load(folder + "/checkpoint.npz") as kept:  # of the model, its optimizer and its random states
        whole = b"".join(np.array(v).tobytes() for v in [*model.variables, *kept.values()])
    return hashlib.sha256(whole).hexdigest()
"""


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def runs(request):
    """One process for each backend, of which all runs are forks: importing takes longer than training."""
    flags = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {QUICK}"} if request.param == "jax" else {}
    flags |= compiled_in(request.config.cache.mkdir("jax"))
    here = {"KERAS_BACKEND": request.param, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with Imported(SCRIPT, {**os.environ, **here, **flags}) as runs:
        yield runs


def _finish(runs, *words):
    runs.start(words)
    code, said = runs.end()
    assert code == 0, said
    return said


def _kill_in_training(runs, words, folder, epoch, delay):
    """Kill -9 `delay` seconds after `epoch` was logged."""
    process = runs.start(words)
    history = folder / "history.jsonl"
    while not (history.exists() and history.read_bytes().count(b"\n") >= epoch):
        assert lives(process), runs.end()
        time.sleep(0.005)
    time.sleep(delay)
    assert lives(process), "the run ended before it was killed; give it more epochs"
    os.kill(process, signal.SIGKILL)
    assert runs.end()[0] == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("how", ["alone", "taught"])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, runs, how, epochs=12, steps=4):
    words = [str(tmp_path / "killed"), str(epochs), str(steps), how]
    reference = _finish(runs, str(tmp_path / "whole"), *words[1:])
    moments = random.Random()  # another one each time: any must do
    epoch, delay = moments.randint(1, epochs // 2), moments.uniform(0, 0.1)  # an epoch may take but 0.05 s
    _kill_in_training(runs, words, tmp_path / "killed", epoch, delay)
    assert _finish(runs, *words) == reference
    logs = [(tmp_path / name / "history.jsonl").read_bytes() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    curves = [(tmp_path / name / "learning_curve.svg").read_bytes() for name in ("whole", "killed")]
    assert hashlib.sha256(curves[0]).digest() == hashlib.sha256(curves[1]).digest()
    assert [json.loads(line)["epoch"] for line in logs[1].splitlines()] == list(range(1, epochs + 1))
