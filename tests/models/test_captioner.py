"""Captioners: sizes by formula, where they look, steps against sequences, and what they are shown."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.attending import AttentiveRecurrence
from edgewright.quantize.streaming import derive
from edgewright.training import data, learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners.reinforced import Choices, Reinforced
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.captioning import seen

R = np.random.default_rng(0)
NAMES = ["cnn_lstm_captioner", "soft_attention_captioner", "hard_attention_captioner"]
TINY = {"input_shape": {"source": (8, 8, 1), "target": (10,)}, "depths": (1, 1), "width": 4, "embedding": 6, "units": 5}


def built(name, **more):
    """Return tiny networks with weights sharper than fresh ones, their steps derived."""
    networks = registry.networks(name, "edge", seed=3, **{**TINY, **more})
    for weight in networks["sequence"].trainable_weights:
        weight.assign(3 * np.asarray(weight))
    deploy = registry.with_states(registry.get(name).deploy, networks)
    steps = {each.network: derive(networks[each.network], networks["sequence"], dict(each.states) or None)
             for each in deploy}  # fmt: skip
    return {**networks, **steps}, deploy


def lstm(reads, units):
    return 4 * units * (reads + units + 1)


def test_sizes_by_formula():
    convolutions = 20_024_384  # of VGG-19
    plain = 14 * 14 * 512 * 512 + 512 + 2 * 513 * 512 + 10_000 * 512 + lstm(1024, 512) + 513 * 10_000
    hard = 2 * 513 * 1000 + 513 * 1000 + 1000 * 1000 + 1000  # first states, keys, query and score
    hard += lstm(512 + 512, 1000) + 10_000 * 512 + 1000 * 512 + 512 * 512 + 513 * 10_000
    assert registry.get("cnn_lstm_captioner").params == convolutions + plain
    assert registry.get("hard_attention_captioner").params == convolutions + hard
    assert registry.get("soft_attention_captioner").params == convolutions + hard + 1001  # the gate


@pytest.mark.parametrize("name", NAMES)
def test_the_step_reproduces_the_sequence_net_token_by_token(name):
    networks, deploy = built(name)
    run = KerasRunner(networks, deploy)
    pairs = {"source": R.random((4, 8, 8, 1), "f4"), "target": R.integers(1, 16, (4, 10)).astype("int32")}
    noise = {"noise": np.zeros((4, 10, 16), "f4")} if name.startswith("hard") else {}
    whole = run("sequence", {**pairs, **noise})["logits"]
    made, states = run("encoder", {"source": pairs["source"]}), set(deploy[1].states.values())
    held, first = ({each: made[each] for each in made if (each in states) == chosen} for chosen in (False, True))
    stepped = run.unroll("step", {"token": pairs["target"][..., None]}, first=first, held=held)["logits"]
    assert np.ptp(whole) > 0.5
    np.testing.assert_allclose(stepped.reshape(whole.shape), whole, atol=2e-4)


def looked(kind, noise=None):
    x, memory = R.normal(size=(3, 4, 5)).astype("f4"), R.normal(size=(3, 6, 7)).astype("f4")
    keys, states = R.normal(size=(3, 6, 5)).astype("f4"), [R.normal(size=(3, 5)).astype("f4") for _ in range(2)]
    layer = AttentiveRecurrence(kind, 5, additive=True)
    return memory, [np.asarray(part) for part in layer(x, states, memory, keys, None, noise)]


def test_attention_weights_sum_to_1_and_the_context_is_their_mean_times_a_gate():
    memory, (_, context, weights, _, *_) = looked("gaze")
    np.testing.assert_allclose(weights.sum(-1), np.ones((3, 4)), atol=1e-6)
    share = context / np.einsum("nts,nsm->ntm", weights, memory)
    assert ((share > 0) & (share < 1)).all()
    np.testing.assert_allclose(share, np.broadcast_to(share[..., :1], share.shape), rtol=1e-3)


def test_hard_attention_picks_one_region():
    memory, (_, context, weights, chosen, *_) = looked("hard_gaze")
    np.testing.assert_array_equal(np.sort(chosen, -1)[..., -2:], np.broadcast_to([0, 1], (3, 4, 2)))
    np.testing.assert_array_equal(chosen.argmax(-1), weights.argmax(-1))
    np.testing.assert_allclose(context, np.take_along_axis(memory, chosen.argmax(-1)[..., None], 1), atol=1e-6)


def test_noise_of_gumbel_draws_regions_by_their_weights():
    layer = AttentiveRecurrence("hard_gaze", 2, additive=True)
    same = [np.tile(R.normal(size=(1, *shape)).astype("f4"), (4000, *[1] * len(shape)))
            for shape in ((1, 3), (2,), (2,), (3, 2), (3, 2))]  # fmt: skip
    noise = R.gumbel(size=(4000, 1, 3)).astype("f4")
    _, _, weights, chosen, *_ = layer(same[0], same[1:3], same[3], 3 * same[4], None, noise)
    assert np.ptp(weights[0]) > 0.02
    np.testing.assert_allclose(np.mean(chosen, 0), weights[0], atol=0.03)  # 4 deviations


def test_what_is_chosen_learns_by_what_it_came_to():
    """Two samples said one token; the better one's choice becomes likelier."""
    answers = np.array([[[2.0, 0, 0, -0.5, 0]], [[0, 2.0, 0, -0.5, 0]]], "f4")
    truth = np.array([[1], [1]])
    loss = Reinforced(Choices(weight=1.0, entropy=0.0))
    nats = np.log(np.exp([2.0, 0, 0]).sum()) - np.array([0.0, 2.0])
    gain = -nats + nats.mean()
    np.testing.assert_allclose(
        loss.call(truth, keras.ops.convert_to_tensor(answers))[:, 0], nats + 0.5 * gain, atol=1e-5
    )
    right = Reinforced(Choices(weight=1.0, entropy=0.0, right=1))
    hits = np.array([0.0, 1.0])
    expected = nats + 0.5 * (hits - 0.5)
    np.testing.assert_allclose(right.call(truth, keras.ops.convert_to_tensor(answers))[:, 0], expected, atol=1e-5)
    with pytest.raises(BadInput, match="right=2"):
        Choices(right=2)


def test_captions_are_learned_with_choices_on_the_way():
    name, sizes = "hard_attention_captioner", {"input_shape": {"source": (12, 12, 1), "target": (10,)}, "width": 8}
    networks = registry.networks(name, "edge", seed=0, classes=13, **sizes)
    task, entry = tasks.get("captioning"), registry.get(name)
    pictures = task.present("captioned_shapes", networks, limit=256, test_limit=32)
    config = TrainConfig(epochs=3, learning_rate=entry.learning_rate, clip_norm=1.0)
    trained = registry.trained(networks, entry.deploy)
    history = learners.get(entry.learner)(trained, pictures, task, config, RunDir(None))
    assert history[-1]["val_loss"] < 0.95 * history[0]["val_loss"]


def test_captions_say_what_is_drawn():
    known = data.load("captioned_shapes", task="captioning")
    said = ["".join(known.labels[k] for k in row if k > 3).replace("\N{LOWER ONE EIGHTH BLOCK}", " ").strip()
            for row in known.train.y[:400]]  # fmt: skip
    beside = [k for k, text in enumerate(said) if "left of" in text and text.count("small") == 1]
    pictures = known.train.x["source"][..., 0]
    for k in beside:  # the larger shape has more ink
        left, right = pictures[k, :, :12].sum(), pictures[k, :, 12:].sum()
        assert (left < right) == said[k].startswith("a small")
    assert len(beside) > 50 and {text.split()[2] for text in said} == {"square", "ellipse", "heart"}
    np.testing.assert_array_equal(
        known.train.x["target"][:, 1:], np.where(known.train.y == 2, 0, known.train.y)[:, :-1]
    )


def test_lines_are_digits_beside_each_other_in_both_forms():
    drawn = data.load("digit_lines", task="captioning")
    heard = data.load("digit_lines", input_shape={"frames": (40, 8), "target": (7,)}, task="transduction")
    np.testing.assert_array_equal(heard.test.x["frames"], drawn.test.x["source"][..., 0].transpose(0, 2, 1))
    for row, picture in zip(drawn.test.y[:50], drawn.test.x["source"], strict=False):
        count = int((row > 3).sum())
        assert 3 <= count <= 5 and picture[:, 8 * count - 8 : 8 * count].any() and not picture[:, 8 * count :].any()
    np.testing.assert_array_equal(heard.test.y, np.where(drawn.test.y == 2, 0, drawn.test.y))
    with pytest.raises(BadInput, match="multiple of 5"):
        data.load("digit_lines", input_shape={"source": (8, 41, 1), "target": (7,)}, task="captioning")


def test_what_is_seen_is_bright():
    pictures, attention = np.ones((1, 4, 4, 1), "f4"), np.zeros((1, 8, 4), "f4")
    attention[0, :, 3] = 1  # the last of 2x2 regions
    shown = seen(pictures, attention)
    assert shown.shape == (1, 4, 24, 1) and shown[0, 3, 3, 0] == 1 and shown[0, 0, 0, 0] == pytest.approx(0.2)
