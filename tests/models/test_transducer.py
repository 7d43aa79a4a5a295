"""The recurrent transducer: its size by formula, and three files against the lattice that is trained."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training import data, learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.transduction import chunks

R = np.random.default_rng(0)
TINY = {"input_shape": {"frames": (10, 4), "target": (6,)}, "units": 5, "embedding": 4, "stack": 2}


def complete(networks, deploy):
    steps = {each.network: derive(networks[each.network], networks["sequence"], dict(each.states) or None)
             for each in deploy}  # fmt: skip
    return KerasRunner({**networks, **steps}, deploy)


def lstm(reads):
    return 4 * 700 * (reads + 700 + 1)


def test_size_by_formula():
    encoder = lstm(3 * 40) + 4 * lstm(700) + 701 * 700
    prediction = 61 * 700 + 2 * lstm(700) + 700 * 700
    assert registry.get("rnn_transducer").params == encoder + prediction + 701 * 61


def test_three_files_say_what_the_lattice_holds():
    networks = registry.networks("rnn_transducer", "edge", seed=1, **TINY)
    for weight in networks["sequence"].trainable_weights:
        weight.assign(3 * np.asarray(weight))
    deploy = registry.with_states(registry.get("rnn_transducer").deploy, networks)
    run = complete(networks, deploy)
    frames, target = R.normal(size=(3, 10, 4)).astype("f4"), R.integers(0, 14, (3, 6)).astype("int32")
    lattice = run("sequence", {"frames": frames, "target": target})["logits"]
    assert lattice.shape == (3, 5, 6, 14) and np.ptp(lattice) > 0.5
    heard = run.unroll("encoder", {"chunk": chunks(frames, 2)})["heard"].reshape(3, 5, -1)
    said = run.unroll("prediction", {"token": target[..., None]})["said"].reshape(3, 6, -1)
    for t, u in ((0, 0), (4, 5), (2, 3)):
        logits = run("joiner", {"heard": heard[:, t, None], "said": said[:, u, None]})["logits"]
        np.testing.assert_allclose(logits[:, 0], lattice[:, t, u], atol=1e-4)


def test_a_line_of_digits_is_learned_and_said_when_it_is_heard():
    sizes = {"input_shape": {"frames": (40, 8), "target": (6,)}, "stack": 8, "units": 16, "depth": 1}
    networks = registry.networks("rnn_transducer", "edge", seed=0, **sizes)
    entry, task = registry.get("rnn_transducer"), tasks.get("transduction")
    lines = task.present("digit_lines", networks, limit=256, test_limit=40)
    config = TrainConfig(epochs=2, learning_rate=entry.learning_rate, clip_norm=1.0)
    history = learners.get(entry.learner)(registry.trained(networks, entry.deploy), lines, task, config, RunDir(None))
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    run = complete(networks, registry.with_states(entry.deploy, networks))
    scores = task.evaluate(run, lines)
    assert scores.rows.shape == (40, 2) and (scores.rows[:, 1] >= 3).all()


def test_frames_that_are_no_whole_chunks_are_refused():
    with pytest.raises(ValueError, match="stack=3 must divide the 10 frames"):
        registry.networks("rnn_transducer", "edge", **{**TINY, "stack": 3})
    with pytest.raises(BadInput, match="tokens 6 at least"):
        data.load("digit_lines", input_shape={"frames": (40, 8), "target": (5,)}, task="transduction")
