"""What the sides of an adversarial game minimise, on numbers worked by hand."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.learners import adversaries
from edgewright.training.learners.adversarial import Batches
from edgewright.training.learners.adversaries import Pair, Rules, moves, pairs
from edgewright.training.state import RunDir

NOTHING = np.zeros((2, 1), np.float32)
SGD = TrainConfig(optimizer="sgd", momentum=0.0, learning_rate=0.1, warmup=0)


def scaled(name: str, inputs: str, output: str, scale: float, size: int = 2) -> keras.Model:
    """Return a network that multiplies by a number; `inputs` may be several, of which the first is multiplied."""
    given = {each: keras.Input((size,), name=each) for each in inputs.split()}
    x = next(iter(given.values()))
    network = keras.Model(given, keras.layers.Dense(size, use_bias=False, name=output)(x), name=name)
    network.set_weights([scale * np.eye(size, dtype="f4")])
    return network


def judge(name: str, weight: float, size: int = 2) -> keras.Model:
    """Return a discriminator whose logit is the weighted sum of a sample."""
    x = keras.Input((size,), name="images")
    network = keras.Model(x, keras.layers.Dense(1, use_bias=False, name="logit")(x), name=name)
    network.set_weights([np.full((size, 1), weight, "f4")])
    return network


def test_least_squares():
    """(D - 1)^2 / 2 + D^2 / 2 of the one side, (D - 1)^2 of the other: Mao 2017, equation 9."""
    rules = Rules(least_squares=1)
    assert adversaries._told_apart(np.float32(0.5), np.float32(2.0), rules) == pytest.approx((0.25 + 4) / 2)
    assert adversaries._taken_apart(np.float32(3.0), rules) == pytest.approx(4.0)


def naming(kernel: np.ndarray) -> keras.Model:
    """Return a discriminator of classes alone, whose features are the sample."""
    x = keras.Input((2,), name="images")
    ends = {"label": keras.layers.Dense(kernel.shape[1], use_bias=False, name="label")(x),
            "features": keras.layers.Dense(2, use_bias=False, name="features")(x)}  # fmt: skip
    network = keras.Model(x, ends, name="discriminator")
    network.get_layer("label").set_weights([kernel])
    network.get_layer("features").set_weights([np.eye(2, dtype="f4")])
    return network


def test_that_a_sample_is_drawn_is_one_more_class():
    """-log p(y | x, y <= k), -log(1 - p(k+1 | x)), -log p(k+1 | G(z)); and -log(1 - p(k+1 | G(z))) of the generator."""
    kernel = np.float32([[1, 0, -1], [0.5, 2, 0]])
    networks = {"generator": scaled("generator", "z", "sample", 2.0), "discriminator": naming(kernel)}
    telling, drawing = moves(networks, Rules(classes=1.0, matching=1.0), SGD)
    labelled, real, z = (np.float32(each) for each in ([[1, 0], [0, 1]], [[1, 1], [2, 0]], [[0.5, 0], [0, -1]]))
    classes = np.array([2, 1])

    def softmax(x: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes and of being drawn, whose logit is 0."""
        powers = np.exp(np.concatenate([x @ kernel, np.zeros((len(x), 1))], 1))
        return powers / powers.sum(1, keepdims=True)

    of_labelled, of_real, of_drawn = softmax(labelled), softmax(real), softmax(2 * z)
    named = -np.log(of_labelled[[0, 1], classes] / (1 - of_labelled[:, -1]))
    apart = (-np.log(1 - of_real[:, -1]) - np.log(of_drawn[:, -1])) / 2
    taken = -np.log(1 - of_drawn[:, -1])
    matched = ((real.mean(0) - 2 * z.mean(0)) ** 2).sum()
    given = {"real": real, "labelled": labelled, "labelled_label": np.eye(3, dtype="f4")[classes], "z": z}
    expected = taken.mean() + matched
    assert drawing.make(given, NOTHING) == pytest.approx(expected, abs=1e-5)
    networks["generator"].set_weights([2 * np.eye(2, dtype="f4")])
    assert telling.make(given, NOTHING) == pytest.approx((named + apart).mean(), abs=1e-5)


def test_what_is_drawn_of_a_source_is_near_its_target_where_the_mask_says():
    """G = 3 source; the target is (1, 1), the source (1, 0), so (3, 0) is drawn, and with a mask of (0, 1) (1, 0)."""
    given = {"source": np.float32([[1, 0]]), "real": np.float32([[1, 1]])}
    networks = {"generator": scaled("generator", "source mask", "sample", 3.0),
                "discriminator": judge("discriminator", 0.0)}  # fmt: skip
    for mask, absolute, squared in (([1, 1], (2 + 1) / 2, (4 + 1) / 2), ([0, 1], 0.5, 0.5)):
        whole = {**given, "mask": np.float32([mask])}
        for rules, expected in ((Rules(absolute=10.0), 10 * absolute), (Rules(squared=10.0, taken=0), 10 * squared)):
            networks["generator"].set_weights([3 * np.eye(2, dtype="f4")])
            _, drawing = moves(networks, rules, SGD)
            loss = drawing.make(whole, NOTHING[:1])
            assert loss == pytest.approx(expected + rules.taken * np.log(2), abs=1e-5)


def test_a_cycle_ends_where_it_began():
    """There x 2, back x 3: 6 x - x is off by 5 |x|. Discriminators that say 0 cost 1/2 to each, 1 to each generator."""
    networks = {
        "generator_there": scaled("generator_there", "source", "sample", 2.0),
        "generator_back": scaled("generator_back", "source", "sample", 3.0),
        "discriminator_there": judge("discriminator_there", 0.0),
        "discriminator_back": judge("discriminator_back", 0.0),
    }
    given = {"real_there": np.float32([[1, 1]]), "real_back": np.float32([[2, 4]])}
    telling, drawing = moves(networks, Rules(least_squares=1, cycle=10.0), SGD)
    assert telling.learning == ("discriminator_there", "discriminator_back")
    assert telling.make(given, NOTHING[:1]) == pytest.approx(1.0, abs=1e-5)
    for network in (networks["discriminator_there"], networks["discriminator_back"]):
        network.set_weights([np.zeros((2, 1), "f4")])
    assert drawing.make(given, NOTHING[:1]) == pytest.approx(2 + 10 * (5 * 3 + 5 * 1), abs=1e-3)


def test_which_networks_play():
    assert pairs({"generator": None, "discriminator": None}) == [Pair()]
    both = dict.fromkeys(("generator_a", "generator_b", "discriminator_a", "discriminator_b"))
    assert pairs(both) == [Pair("_a", "_b"), Pair("_b", "_a")]
    for names in (("generator",), ("generator_a", "discriminator_a"), ("generator", "discriminator", "critic")):
        with pytest.raises(BadInput, match="two pairs"):
            pairs(dict.fromkeys(names))


def test_rules_that_need_a_source_or_a_way_back_say_so():
    networks = {"generator": scaled("generator", "z", "sample", 2.0), "discriminator": judge("discriminator", 0.0)}
    with pytest.raises(BadInput, match="the generator needs 'source'"):
        moves(networks, Rules(absolute=1.0), SGD)
    with pytest.raises(BadInput, match=r"cycle=1\.0: there is one generator"):
        moves(networks, Rules(cycle=1.0), SGD)
    with pytest.raises(BadInput, match="least_squares=2"):
        Rules(least_squares=2)
    with pytest.raises(BadInput, match=r"clip=0\.1, least_squares=1"):
        Rules(least_squares=1, clip=0.1)


def test_samples_without_a_label_are_learned_from():
    networks, task = registry.networks("sgan", "edge", seed=1), tasks.get("half_labelled_classification")
    dataset = task.present("digits_few_labels", networks)
    labelled, every = len(dataset.train), len(dataset.unlabelled)
    assert (labelled, every) == (100, 1259) and np.asarray(dataset.unlabelled).min() == -1
    batch = Batches(networks, dataset, TrainConfig(batch_size=32), Rules()).any(np.random.default_rng(0))
    assert {name: each.shape for name, each in batch.items()} == {
        "real": (32, 64), "labelled": (32, 64), "labelled_label": (32, 10), "z": (32, 16)}  # fmt: skip
    keras.utils.set_random_seed(1)
    config = TrainConfig(epochs=6, batch_size=64, learning_rate=3e-3)
    rows = learners.get(registry.get("sgan").learner)(networks, dataset, task, config, RunDir(None))
    assert rows[-1]["val_metric"] > 0.7  # 100 labels; chance is 0.1
