"""Autoencoders: numbers worked by hand, penalties, ties that hold."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.prune import PruneConfig, prepare_prune, prune, strip_prune
from edgewright.quantize import prepare_qat
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import load
from edgewright.training.learners.autoencoding import Coder, Penalties, sparseness
from edgewright.training.learners.layerwise import Pair, pretrain
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.train import train

R = np.random.default_rng(0)
PATTERNS = np.array([[1, 0, 1, 0, 0], [0, 0, 1, 1, 0], [1, 1, 0, 1, 1], [0, 1, 1, 1, 0]], np.float32)
KERNEL = np.array(
    [
        [-3.6867, -0.3808, 2.6520],
        [-0.2545, -3.6158, -1.8657],
        [1.7148, 3.0138, 0.9254],
        [1.9011, -0.9880, -3.5277],
        [-2.4830, -2.5980, -1.1112],
    ],
    np.float32,
)
BIAS, BACK = np.float32([0.1496, 0.5881, -0.1604]), np.float32([1.2448, 2.3414, -0.7427, 2.1173, 0.9872])
CODES = [[0.139, 0.962, 0.968], [0.977, 0.932, 0.059], [0.012, 0.001, 0.018], [0.971, 0.269, 0.010]]


@pytest.fixture
def tied():
    model = registry.build("tied_autoencoder", input_shape=(5,), code=3)
    model.set_weights([KERNEL, BIAS, BACK])
    return model


def test_four_patterns_through_three_tied_units(tied):
    layer = tied.get_layer("code")
    np.testing.assert_allclose(np.asarray(layer(PATTERNS)), CODES, atol=6e-4)
    logits = np.asarray(tied(PATTERNS), np.float64)
    assert ((logits > 0) == (PATTERNS > 0.5)).all()
    assert (np.logaddexp(0, logits) - PATTERNS * logits).sum() == pytest.approx(2.5859, abs=5e-4)
    assert tied.count_params() == 23


@pytest.mark.parametrize(("code", "parameters"), [(100, 79_284), (500, 393_284), (900, 707_284)])
def test_a_tied_kernel_is_counted_once(code, parameters):
    assert registry.build("tied_autoencoder", code=code).count_params() == parameters


def test_tied_weights_stay_tied_when_pruned_and_quantized():
    model = registry.build("tied_autoencoder", "edge", seed=1)
    pruned, _ = prune(model, PruneConfig(sparsity=0.5))
    (kernel,) = [np.asarray(weight) for weight in pruned.weights if len(weight.shape) == 2]
    assert (kernel == 0).mean() == pytest.approx(0.5, abs=0.01)
    x = R.random((32, 64)).astype("f4")

    def tied_to(network, kernel):
        """Tell how far the answers are those of this kernel, both ways."""
        bias, back = (np.asarray(weight) for weight in network.weights if len(weight.shape) == 1)
        code = 1 / (1 + np.exp(-(x @ kernel + bias)))
        return np.abs(np.asarray(network(x)) - (code @ kernel.T + back)).max()

    assert tied_to(pruned, kernel) < 1e-4
    training, _ = prepare_prune(model, PruneConfig(sparsity=0.5))
    tuned = strip_prune(train(training, load("digits", input_shape=(64,), task="reconstruction", limit=64),
                              TrainConfig(epochs=2, jit_compile=False)) and training)  # fmt: skip
    (kernel,) = [np.asarray(weight) for weight in tuned.weights if len(weight.shape) == 2]
    assert tied_to(tuned, kernel) < 1e-4 and (kernel == 0).mean() == pytest.approx(0.5, abs=0.01)
    aware, _ = prepare_qat(tuned, calibration=x)
    matrices = [weight for weight in aware.trainable_weights if len(weight.shape) == 2]
    assert len(matrices) == 1  # what is trained on is one kernel still
    matrices[0].assign(np.zeros(matrices[0].shape))
    answers = np.asarray(aware(x))
    np.testing.assert_allclose(answers, np.broadcast_to(answers[:1], answers.shape))  # and both ways read it


# ---------------------------------------------------------------- penalties


def test_sparseness_by_hand():
    assert float(sparseness(np.float32([0.05]), 0.05)) == pytest.approx(0, abs=1e-6)
    assert float(sparseness(np.float32([0.5, 0.5]), 0.05)) == pytest.approx(2 * 0.4946, abs=1e-4)


def coded(name="undercomplete_autoencoder", **options):
    networks = registry.networks(name, input_shape=(6,), code=4, seed=2)
    for weight in networks["encoder"].weights:
        weight.assign(R.normal(size=weight.shape))
    return networks, Coder(networks, Penalties(**options), seed=0)


def test_a_penalty_is_told_behind_what_is_said_again():
    x = R.random((8, 6)).astype("f4")
    networks, coder = coded(sparse_l1=0.5)
    answers, code = np.asarray(coder(x)), np.asarray(networks["encoder"](x))
    assert answers.shape == (8, 7)
    np.testing.assert_allclose(answers[:, -1], 0.5 * np.abs(code).sum(1), rtol=1e-5)
    np.testing.assert_allclose(answers[:, :-1], np.asarray(networks["decoder"](code)), rtol=1e-5)


def test_the_contractive_penalty_is_the_jacobian_of_the_code():
    """Of sigmoid units in closed form: sum_j (h_j (1 - h_j))^2 |W_j|^2 (Rifai 2011, equation 7)."""
    x = np.repeat(R.random((1, 6)).astype("f4"), 4000, axis=0)
    networks, coder = coded(contractive=1.0)
    kernel, _ = networks["encoder"].get_weights()
    code = np.asarray(networks["encoder"](x[:1]))[0]
    exact = ((code * (1 - code)) ** 2 * (kernel**2).sum(0)).sum()
    found = np.asarray(coder(x))[:, -1]
    assert found.mean() == pytest.approx(float(exact), abs=float(4 * found.std() / len(x) ** 0.5))


@pytest.mark.parametrize("option", ["noise", "drop", "drop_code"])
def test_samples_are_changed_in_training_alone(option):
    x = R.random((8, 6)).astype("f4")
    _, plain = coded()
    _, coder = coded(**{option: 0.5})
    coder.encoder.set_weights(plain.encoder.get_weights())
    coder.decoder.set_weights(plain.decoder.get_weights())
    np.testing.assert_array_equal(coder(x), plain(x))
    assert not np.allclose(coder(x, training=True), plain(x, training=True))
    assert not np.allclose(coder(x, training=True), coder(x, training=True))


def fitted(name, learner, **settings):
    entry, given = registry.get(name), {"input_shape": (16,), "code": 12}
    task, networks = tasks.get(entry.task), registry.networks(name, "edge", **given)
    dataset = task.present("digits", networks)
    config = TrainConfig(**{"epochs": 8, "learning_rate": 0.03, "jit_compile": False, **settings})
    history = learners.get(learner)(networks, dataset, task, config, RunDir(None))
    return networks, dataset, task, history


@pytest.mark.parametrize("wanted", [0.05, 0.5])
def test_mean_activities_come_near_the_wanted_one(wanted):
    networks, dataset, _, _ = fitted("sparse_kl_autoencoder", f"autoencoding:sparse_kl=0.05,activity={wanted}")
    activity = np.asarray(networks["encoder"](dataset.train.x)).mean(0)
    assert np.abs(activity - wanted).max() < 0.05


@pytest.mark.parametrize(
    ("name", "words"),
    [("autoencoding:nois=1", "'nois'.*noise, drop"), ("autoencoding:drop=x", "'x' is no float"),
     ("autoencoding:drop=1", "drop=1.0"), ("fit:drop=1", "'fit' has no options")],
)  # fmt: skip
def test_options_are_checked(name, words):
    with pytest.raises(BadInput, match=words):
        learners.get(name)


# ---------------------------------------------------------------- layer by layer


def test_each_layer_of_a_stack_says_again_what_the_layers_before_it_make():
    x = (R.normal(size=(256, 2)) @ R.normal(size=(2, 6))).astype("f4")
    pairs = [
        Pair(f"layer_{units}", keras.layers.Dense(units), keras.layers.Dense(back)) for units, back in ((4, 6), (3, 4))
    ]
    pretrain(
        pairs,
        x,
        x[:32],
        TrainConfig(epochs=40, learning_rate=0.02, schedule="constant", jit_compile=False),
        RunDir(None),
    )
    for pair in pairs:
        made = np.asarray(pair(x))
        assert ((made - x) ** 2).sum() < 0.05 * ((x - x.mean(0)) ** 2).sum()
        x = np.asarray(pair.layer(x))
    assert learners.get("stacked_autoencoding").tuner == "autoencoding"


def test_with_a_hundred_labels_pre_training_beats_the_same_net_from_scratch():
    scores = {}
    for learner in ("fit", "stacked_classification"):
        model = registry.build("stacked_classifier", "edge", seed=0)
        result = train(model, "digits_few_labels", TrainConfig(epochs=4, passes=10, jit_compile=False), learner=learner)
        scores[learner] = result.metric
    assert scores["stacked_classification"] > scores["fit"]


def test_a_hundred_images_have_labels_and_the_others_are_there():
    dataset = load("digits_few_labels", input_shape=(64,))
    assert len(dataset.train) == 100 and len(dataset.unlabelled) == 1259
    np.testing.assert_array_equal(np.bincount(dataset.train.y), np.full(10, 10))
    assert (dataset.unlabelled[None] == dataset.train.x[:, None]).all(-1).any(1).all()


# ---------------------------------------------------------------- the task


def test_the_decoder_is_calibrated_on_codes_that_the_encoder_makes():
    networks = registry.networks("undercomplete_autoencoder", "edge")
    task = tasks.get("autoencoding")
    dataset = task.present("digits", networks, limit=64, test_limit=16)
    given = task.observed(KerasRunner(networks), dataset, "decoder", 20)
    codes = np.asarray(networks["encoder"](dataset.train.x))
    assert given["code"].shape == (20, 24)
    assert (np.abs(given["code"][:, None] - codes[None]).max(-1).min(1) < 1e-5).all()
    shown = task.pictures(KerasRunner(networks), dataset)
    assert shown["samples"].shape == shown["reconstructions"].shape == (8, 64)
    with pytest.raises(BadInput, match="'decoder'"):
        task.present("digits", {"encoder": networks["encoder"]})
