"""Adversarial pairs: their sizes, and games on numbers worked by hand."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.keras_internals import without_weights
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import load
from edgewright.training.learners import adversaries
from edgewright.training.learners.adversaries import Rules, moves
from edgewright.training.learners.games import Move, cost
from edgewright.training.restraints import clipped
from edgewright.training.state import RunDir
from edgewright.training.tasks.generative import latents

EVEN = {"real": np.zeros((2, 2), np.float32), "z": np.ones((2, 1), np.float32)}
NOTHING = np.zeros((2, 1), np.float32)


def sizes(name: str) -> tuple[int, int]:
    """Return weights and biases of generator and discriminator, norms apart."""
    with without_weights():
        networks = registry.networks(name)
    found = [sum(math.prod(weight.shape) for layer in networks[role].layers for weight in layer.trainable_weights
                 if not isinstance(layer, keras.layers.BatchNormalization))
             for role in ("generator", "discriminator")]  # fmt: skip
    return found[0], found[1]


def test_sizes():
    assert sizes("gan_mlp") == (1_486_352, 1_460_225)
    assert sizes("gan_1d") == (46, 141)
    assert sizes("infogan") == (6_637_761, 6_556_865 + 133_006)
    assert [each.network for each in registry.get("gan_mlp").deploy] == ["generator", "discriminator"]


def test_samples_lie_between_the_ends_of_tanh_and_the_logit_is_one():
    networks = registry.networks("gan_mlp", "edge", seed=1)
    drawn = np.asarray(networks["generator"](100 * np.random.default_rng(0).normal(size=(4, 16)).astype("f4")))
    assert drawn.shape == (4, 64) and np.abs(drawn).max() <= 1 and np.abs(drawn).max() > 0.5
    assert networks["discriminator"](drawn).shape == (4, 1)


def test_the_class_that_is_given_changes_what_is_drawn_and_what_is_told():
    networks = registry.networks("cgan", "edge", seed=1)
    same = {"z": np.ones((2, 16), "f4"), "label": np.eye(10, dtype="f4")[:2]}
    one, other = np.asarray(networks["generator"](same))
    assert np.abs(one - other).max() > 1e-3
    one, other = np.asarray(networks["discriminator"]({"images": np.ones((2, 64), "f4"), "label": same["label"]}))
    assert abs(float(one[0]) - float(other[0])) > 1e-4


def players(slope: float, weight: float) -> dict[str, keras.Model]:
    """G(z) = slope z in both coordinates, D(x) = weight (x1 + x2)."""
    z, x = keras.Input((1,), name="z"), keras.Input((2,), name="images")
    generator = keras.Model(z, keras.layers.Dense(2, use_bias=False, name="sample")(z), name="generator")
    discriminator = keras.Model(x, keras.layers.Dense(1, use_bias=False, name="logit")(x), name="discriminator")
    generator.set_weights([np.full((1, 2), slope, np.float32)])
    discriminator.set_weights([np.full((2, 1), weight, np.float32)])
    return {"generator": generator, "discriminator": discriminator}


@pytest.mark.parametrize("saturating", [False, True])
def test_a_discriminator_without_an_opinion_is_worth_log_2_and_each_move_changes_one_network(saturating):
    networks = players(1.0, 0.0)
    before = {name: network.get_weights()[0] for name, network in networks.items()}
    telling, drawing = moves(networks, Rules(saturating=saturating), TrainConfig(learning_rate=0.1))
    assert telling.make(EVEN, NOTHING) == pytest.approx(np.log(2), abs=1e-6)
    np.testing.assert_array_equal(networks["generator"].get_weights()[0], before["generator"])
    assert (networks["discriminator"].get_weights()[0] < 0).all()  # samples are told from zeros by their sum
    telling_weights = networks["discriminator"].get_weights()[0]
    loss = drawing.make({"z": EVEN["z"]}, NOTHING)
    logit = float(telling_weights.sum())
    expected = -np.log1p(np.exp(logit)) if saturating else np.log1p(np.exp(-logit))
    assert loss == pytest.approx(expected, abs=1e-5)
    np.testing.assert_array_equal(networks["discriminator"].get_weights()[0], telling_weights)
    assert (networks["generator"].get_weights()[0] < before["generator"]).all()  # towards what is taken for real


def test_a_critic_says_the_difference_of_its_means_and_stays_within_the_clip():
    networks = players(1.0, 0.3)
    given = {"real": np.float32([[2, 1], [4, 1]]), "z": EVEN["z"]}
    config = TrainConfig(learning_rate=0.05, optimizer="rmsprop")
    telling, drawing = moves(networks, Rules(clip=0.2), config)
    with clipped(networks["discriminator"].trainable_variables, 0.2):
        assert telling.make(given, NOTHING) == pytest.approx(0.3 * 2 - 0.3 * 4, abs=1e-5)  # drawn less real
        np.testing.assert_allclose(networks["discriminator"].get_weights()[0], [[0.2], [0.2]])  # not 0.3 and more
        assert drawing.make({"z": given["z"]}, NOTHING) == pytest.approx(-0.2 * 2, abs=1e-5)
    assert all(weight.constraint is None for weight in networks["discriminator"].weights)


def of_classes() -> dict[str, keras.Model]:
    """G(z, label) = label; D(x): logit 0, label 2 x, features 3 x."""
    z, label = keras.Input((1,), name="z"), keras.Input((2,), name="label")
    x, dense = keras.Input((2,), name="images"), keras.layers.Dense
    drawn = dense(2, use_bias=False, name="sample")(keras.layers.Concatenate(name="joined")([z, label]))
    generator = keras.Model({"z": z, "label": label}, drawn, name="generator")
    generator.set_weights([np.float32([[0, 0], [1, 0], [0, 1]])])
    ends = {"logit": 1, "label": 2, "features": 2}
    said = {name: dense(size, use_bias=False, name=name)(x) for name, size in ends.items()}
    discriminator = keras.Model(x, said, name="discriminator")
    for name, scale in (("logit", np.zeros((2, 1))), ("label", 2 * np.eye(2)), ("features", 3 * np.eye(2))):
        discriminator.get_layer(name).set_weights([scale.astype("f4")])
    return {"generator": generator, "discriminator": discriminator}


def test_classes_are_told_of_real_and_drawn_samples():
    """Right logits (2, 0) cost log(1 + e^-2), wrong ones log(1 + e^2)."""
    eye = np.eye(2, dtype="f4")
    given = {"real": eye, "real_label": eye[::-1].copy(), "z": NOTHING, "label": eye}
    telling, _ = moves(of_classes(), Rules(classes=0.5), TrainConfig())
    right, wrong = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    assert telling.make(given, NOTHING) == pytest.approx(np.log(2) + 0.5 * (right + wrong) / 2, abs=1e-5)


def test_feature_matching_is_the_squared_distance_of_mean_features():
    """Drawn (1, 0) and (0, 1), real (1, 0) twice: the means differ by (1/2, -1/2), the features by three times that."""
    given = {"real": np.float32([[1, 0], [1, 0]]), "z": NOTHING, "label": np.eye(2, dtype="f4")}
    _, drawing = moves(of_classes(), Rules(matching=2.0, taken=0.0), TrainConfig())
    assert drawing.make(given, NOTHING) == pytest.approx(2 * 4.5, abs=1e-5)


def test_the_bound_of_information_is_the_entropy_where_every_category_is_named():
    categories = np.eye(10, dtype="f4")[np.arange(200) % 10]
    assert adversaries.information(100 * categories, categories) == pytest.approx(2.302585, abs=1e-5)
    assert adversaries.information(np.zeros((200, 10), "f4"), categories) == pytest.approx(0, abs=1e-5)
    random = np.random.default_rng(0)
    assert adversaries.information(random.normal(size=(200, 10)).astype("f4"), categories) < 2.302585
    made = {
        "category": 100 * categories,
        "mean": np.ones((200, 2), "f4"),
        "log_deviation": np.full((200, 2), 0.5, "f4"),
    }
    found = adversaries.untold(made, {"category": categories, "code": np.full((200, 2), 3.0, "f4")})
    np.testing.assert_allclose(found, np.full((200, 1), 2 * (0.5 + 4 / (2 * math.e))), rtol=1e-4)


def test_infogan_plays_and_reports_what_is_told_of_its_categories():
    networks, task = registry.networks("infogan", "edge", widths=(8,)), tasks.get("generation")
    dataset = task.present("digits", networks, limit=64, test_limit=16)
    few = replace(dataset, validation=dataset.validation.take(np.arange(16)))
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=2e-4)
    (row,) = learners.get("adversarial:information=1")(networks, few, task, config, RunDir(None))
    assert row["information"] <= math.log(10) and np.isfinite(row["loss"])
    given = task.samples(dataset, "generator", 300)
    assert set(given) == {"z", "category", "code"} and (given["category"].sum(1) == 1).all()
    assert np.abs(given["code"]).max() <= 1 and given["category"].sum(0).min() > 10


def test_numbers_that_are_drawn_have_the_mean_and_the_deviation_of_the_real_ones():
    """N(1, 1) by 187 parameters; the metric that chooses the epoch is near the density's own, -1.4189 nats."""
    networks, task = registry.networks("gan_1d", seed=1), tasks.get("distribution")
    dataset = task.present("normal", networks)
    config = TrainConfig(learning_rate=5e-3, epochs=3, passes=3, batch_size=128, seed=1)
    keras.utils.set_random_seed(1)
    learners.get("adversarial")(networks, dataset, task, config, RunDir(None))
    drawn = np.asarray(networks["generator"](task.samples(dataset, "generator", 4000)["z"]))
    assert abs(drawn.mean() - 1) < 0.15 and abs(drawn.std() - 1) < 0.15


def test_labels_of_real_samples_go_with_them():
    networks, task = registry.networks("cgan", "edge"), tasks.get("generation")
    dataset = task.present("digits", networks, limit=64)
    given = task.samples(dataset, "discriminator", 20)
    kept, raw = load("digits", task="classification", input_shape=(64,), limit=64).train, given["images"]
    for image, label in zip(raw, given["label"], strict=True):
        (place,) = np.flatnonzero((np.abs(kept.x * 2 - 1 - image) < 1e-6).all(1))
        assert label.argmax() == kept.y[place]
    small = registry.networks("cgan", "edge", labels=5)
    with pytest.raises(BadInput, match="class 9"):
        task.present("digits", small)


def test_value_of_the_game_at_the_best_discriminator():
    """2 JS - log 4: a loss of the discriminator is -value / 2, it being a mean over real and drawn."""
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.3, 0.2])
    best = p / (p + q)
    value = (p * np.log(best)).sum() + (q * np.log(1 - best)).sum()
    middle = (p + q) / 2
    divergence = ((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2
    assert divergence == pytest.approx(0.151358, abs=1e-6)
    assert value == pytest.approx(-1.083578, abs=1e-6)
    logits = np.log(best / (1 - best))
    real, drawn = (np.repeat(logits, np.rint(1000 * shares).astype(int)).astype("f4") for shares in (p, q))
    assert -2 * np.mean(adversaries._told_apart(real, drawn, Rules())) == pytest.approx(value, abs=1e-5)
    even = adversaries._told_apart(np.zeros(3, "f4"), np.zeros(3, "f4"), Rules())
    assert -2 * np.mean(even) == pytest.approx(-1.386294, abs=1e-5)  # nothing is told apart where p = q


@pytest.mark.parametrize("apart", [0.0, 0.5, -2.0])
def test_of_two_segments_the_distance_is_said_by_a_critic_alone(apart):
    """Uniform on parallel unit segments: Wasserstein's distance is that between them, Jensen and Shannon's is log 2."""
    from scipy.stats import wasserstein_distance

    heights = np.linspace(0, 1, 50, dtype=np.float32)
    real, drawn = (np.stack([np.full_like(heights, place), heights], 1) for place in (0.0, apart))
    assert wasserstein_distance(real[:, 0], drawn[:, 0]) == pytest.approx(abs(apart), abs=1e-6)
    slope = np.float32(-np.sign(apart))  # of the best critic of slope 1, along the first axis
    critic = adversaries._told_apart(slope * real[:, 0], slope * drawn[:, 0], Rules(clip=1.0))
    assert -np.mean(critic) == pytest.approx(abs(apart), abs=1e-6)
    logit = np.float32(60 if apart else 0)  # a discriminator that names the segment, where there are two
    loss = np.mean(adversaries._told_apart(np.full(50, logit), np.full(50, -logit), Rules()))
    divergence = math.log(2) - loss  # value = 2 JS - log 4
    assert divergence == pytest.approx(0.6931 if apart else 0.0, abs=1e-4)


def test_in_one_dimension_the_distance_is_the_mean_of_sorted_differences():
    from scipy.stats import wasserstein_distance

    one, other = np.random.default_rng(0).normal(size=(2, 200))
    expected = np.abs(np.sort(one) - np.sort(other)).mean()
    assert wasserstein_distance(one, other) == pytest.approx(expected, abs=1e-9)


class Turn(keras.layers.Layer):
    """A player that is one number."""

    def __init__(self, start: float, **kwargs):
        super().__init__(**kwargs)
        self.place = self.add_weight(shape=(), initializer=keras.initializers.Constant(start), name="place")

    def call(self, inputs):
        """Return the number, beside each sample."""
        return 0 * inputs + self.place


def test_players_who_move_in_turns_stay_near_where_those_of_one_time_drift_apart():
    """V = x y, x minimises, rate 0.1: what the other plays last is seen by the next, as `Move` has it."""
    x, y = 1.0, 1.0
    for _ in range(100):
        x, y = x - 0.1 * y, y + 0.1 * x
    assert math.hypot(x, y) / math.sqrt(2) == pytest.approx(1.64463, abs=1e-4)
    networks = {}
    for name in ("x", "y"):
        inputs = keras.Input((1,), name="inputs")
        networks[name] = keras.Model(inputs, Turn(1.0, name=name)(inputs), name=name)

    def value(sign: float):
        return lambda players, given: sign * players["x"](given["one"]) * players["y"](given["one"])

    maximiser, minimiser = (
        Move(name, networks, [who], value(sign)).prepare(cost, keras.optimizers.SGD(0.1), TrainConfig())
        for name, who, sign in (("up", "y", -1.0), ("down", "x", 1.0))
    )
    one, nothing, lengths, expected = np.ones((1, 1), "f4"), np.zeros((1, 1), "f4"), [], np.ones(2)
    for _ in range(100):
        for move in (maximiser, minimiser):
            move.make({"one": one}, nothing)
        expected[1] += 0.1 * expected[0]
        expected[0] -= 0.1 * expected[1]
        lengths.append(math.hypot(*(float(np.asarray(networks[name].weights[0])) for name in ("x", "y"))))
    assert min(lengths) > 1.414 and max(lengths) < 1.487
    found = [float(np.asarray(networks[name].weights[0])) for name in ("x", "y")]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_where_both_sides_are_convex_the_game_ends_at_its_saddle():
    """V = x^2 - y^2, x minimises and y maximises."""
    x, y = 1.0, 1.0
    for _ in range(100):
        x -= 0.1 * 2 * x
        y += 0.1 * -2 * y
    assert math.hypot(x, y) < 1e-9


def test_samples_of_a_batch_are_compared_with_each_other():
    from edgewright.models.gan import MinibatchDiscrimination

    given = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("f4")
    expected = np.zeros((4, 3))
    for i in range(4):
        for j in {0, 1, 2, 3} - {i}:
            expected[i] += np.exp(-np.abs(given[i] - given[j]).sum(1))
    np.testing.assert_allclose(MinibatchDiscrimination()(given), expected, rtol=1e-4)


def test_rules_are_checked():
    for given in ({"steps": 0}, {"saturating": 2}, {"clip": -0.1}, {"noise": -1.0}):
        (name,) = given
        with pytest.raises(BadInput, match=f"{name}="):
            Rules(**given)
    with pytest.raises(BadInput, match="leave one of the two out"):
        Rules(saturating=1, clip=0.01)
    for rules, missing in ((Rules(classes=1.0), "label"), (Rules(information=1.0), "category"),
                           (Rules(matching=1.0), "features")):  # fmt: skip
        with pytest.raises(BadInput, match=f"discriminator needs '{missing}'"):
            moves(players(1.0, 0.0), rules, TrainConfig())


def test_latents_are_what_their_names_say():
    drawn = latents(np.random.default_rng(0), 500, {"z": (3,), "label": (4,), "code": (2,)})
    assert abs(drawn["z"].std() - 1) < 0.1 and (drawn["label"].sum(1) == 1).all()
    assert np.abs(drawn["code"]).max() <= 1 and abs(drawn["code"].std() - 1 / math.sqrt(3)) < 0.05


def test_steps_are_counted_by_the_rules():
    dataset = load("digits", task="reconstruction")
    config = TrainConfig(epochs=2, batch_size=64)
    one, five = (learners.get(name).steps(dataset, config) for name in ("adversarial", "adversarial:steps=5"))
    assert five == 3 * one == 6 * 2 * (len(dataset.train) // 64)
