"""Optimizers, rates and changes of samples: numbers worked by hand, and what does not go together."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.pipeline import training as stage
from edgewright.pipeline.find import find
from edgewright.pipeline.saved import save_networks
from edgewright.training import augmentations, data, schedules
from edgewright.training.config import AUGMENTATIONS, SCHEDULES, TrainConfig
from edgewright.training.learners import callbacks
from edgewright.training.losses import named_loss
from edgewright.training.optimizers import optimizer
from edgewright.training.schedules import Length, after_plateaus
from edgewright.training.train import train


def moved(gradients, updates=100, weight=0.0, **settings):
    """Return where weights come to by gradients (steps, n), from `weight`."""
    config = TrainConfig(**{"schedule": "constant", "learning_rate": 0.1, **settings})
    variable = keras.Variable(np.full(np.shape(gradients)[1], weight, "float32"))
    rule = optimizer(config, updates)
    for gradient in np.asarray(gradients, np.float32):
        rule.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return np.asarray(variable)


def rates(updates, **settings):
    """Return the rates of updates, one an epoch, from a peak of 0.1."""
    config = TrainConfig(**{"learning_rate": 0.1, "warmup": 0, **settings})
    rate = schedules.rate(config, 0.1, Length(100, 1))
    return [float(rate(update)) for update in updates]


# ---------------------------------------------------------------- optimizers


def test_adam_adds_its_epsilon_to_the_root():
    """A first gradient of 1e-3 moves a weight by 0.99685 of the rate; inside the root it would be another share."""
    assert moved([[1e-3]], learning_rate=1e-3)[0] == pytest.approx(-0.99685e-3, rel=1e-5)


@pytest.mark.parametrize(("momentum", "shares"), [(0.1, (1, 0.1, 0.01)), (0.9, (1, 0.9, 0.81))])
def test_momentum_remembers_gradients_by_its_powers(momentum, shares):
    """The last step: each of three gradients is of a weight of its own."""
    before, after = (moved(np.eye(3)[:steps], optimizer="sgd", momentum=momentum) for steps in (2, 3))
    np.testing.assert_allclose((before - after) / 0.1, shares[::-1], rtol=1e-5)


def test_momentum_of_nesterov_looks_ahead():
    step = moved([[1.0]], optimizer="sgd", momentum=0.9, nesterov=True)
    assert step[0] == pytest.approx(-0.1 * 1.9)


@pytest.mark.parametrize(("gradient", "taken"), [((3, 4), (0.6, 0.8)), ((0.3, 0.4), (0.3, 0.4))])
def test_a_long_gradient_is_clipped_to_its_norm(gradient, taken):
    np.testing.assert_allclose(moved([gradient], optimizer="sgd", momentum=0.0, clip_norm=1.0) / -0.1, taken, rtol=1e-6)


def test_values_of_a_gradient_are_clipped():
    np.testing.assert_allclose(moved([[3, -0.5]], optimizer="sgd", clip_value=1.0) / -0.1, [1, -0.5], rtol=1e-6)


def test_decay_is_apart_from_the_gradient():
    assert moved([[0.0]], weight=1.0, optimizer="adamw", weight_decay=0.01)[0] == pytest.approx(0.999)


def test_larger_batches_have_larger_rates():
    assert TrainConfig(learning_rate=0.1, scale_rate=True).rate_for(64) == 0.2
    assert TrainConfig(learning_rate=0.1).rate_for(64) == 0.1


def test_glorot_draws_within_a_limit_of_both_sizes():
    values = np.asarray(keras.initializers.GlorotUniform(seed=0)((300, 100)))
    assert 0.99 * 0.12247 < np.abs(values).max() <= 0.12248
    assert values.var() == pytest.approx(0.005, rel=0.02)


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize(("gamma", "lost"), [("0", 0.10536), ("1", 0.010536), ("2", 0.0010536)])
def test_what_is_nearly_sure_counts_little_in_a_focal_loss(gamma, lost):
    two, one = (named_loss(f"focal:{gamma}", ending, "") for ending in ("softmax", "sigmoid"))
    logits = np.log(np.array([[0.9, 0.1]], np.float32))
    assert float(two(np.array([0]), logits)) == pytest.approx(lost, rel=1e-4)
    assert float(one(np.array([[1.0]]), logits[:, :1] - logits[:, 1:])) == pytest.approx(lost, rel=1e-4)


def test_losses_of_values_by_hand():
    values = np.array([[1.0], [-2.0], [3.0]], np.float32)
    found = {text: float(named_loss(text, None, "")(np.zeros((3, 1)), values)) for text in ("mae", "mse", "huber")}
    assert found == pytest.approx({"mae": 2.0, "mse": 14 / 3, "huber": (0.5 + 1.5 + 2.5) / 3})
    assert float(named_loss("huber:2", None, "")(np.zeros((3, 1)), values)) == pytest.approx((0.5 + 2 + 4) / 3)


def test_a_loss_of_other_answers_is_refused():
    with pytest.raises(BadInput, match="'classification'; allowed are focal"):
        train(small(), "digits", TrainConfig(loss="mae", epochs=1), limit=64)
    with pytest.raises(BadInput, match="allowed are mse, mae, huber, focal"):
        TrainConfig(loss="hinge")


# ---------------------------------------------------------------- rates


def test_every_schedule_by_hand():
    assert set(schedules._SCHEDULES) == set(SCHEDULES)
    assert rates((0, 25, 50, 75, 100), schedule="cosine") == pytest.approx([0.1, 0.08536, 0.05, 0.01464, 0], abs=1e-5)
    assert rates((0, 29, 30, 60), schedule="step") == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert rates((0, 1, 2), schedule="exponential", rate_factor=0.5) == pytest.approx([0.1, 0.05, 0.025])
    assert rates((0, 50, 100, 120), schedule="linear") == pytest.approx([0.1, 0.0505, 0.001, 0.001])
    assert rates((20, 40, 80), schedule="linear", rate_every=40) == pytest.approx([0.0505, 0.001, 0.001])
    assert rates((0, 5, 10, 20, 30), schedule="restarts", rate_factor=2) == pytest.approx([0.1, 0.05, 0.1, 0.05, 0.1])


def test_rates_rise_before_they_follow_a_schedule():
    assert rates((0, 5, 10, 30), schedule="step", warmup=10) == pytest.approx([0.001, 0.0505, 0.1, 0.01])
    kept = keras.saving.serialize_keras_object(schedules.rate(TrainConfig(schedule="step"), 0.1, Length(100, 1)))
    assert float(keras.saving.deserialize_keras_object(kept)(5)) == pytest.approx(0.0505)


def test_a_plateau_takes_a_tenth_and_waits_again():
    config = TrainConfig(schedule="plateau", rate_every=2)
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    found = [after_plateaus(config, 1.0, losses[:epochs]) for epochs in range(10)]
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001])


def small():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)], name="small")


def test_a_run_with_plateaus_and_changes_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    config = TrainConfig(epochs=5, schedule="plateau", rate_every=1, learning_rate=0.3, augment=("shift", "noise:0.3"))
    whole = small()
    history = train(whole, "digits", config, out=tmp_path / "whole", limit=200).history
    assert after_plateaus(config, 0.3, [row["val_loss"] for row in history]) < 0.3
    end = callbacks.BestCheckpoint.on_epoch_end

    def stopped(self, epoch, logs=None):
        end(self, epoch, logs)
        if epoch == 2:
            self._save(done=False)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(callbacks.BestCheckpoint, "on_epoch_end", stopped)
        train(small(), "digits", config, out=tmp_path / "killed", limit=200)
    again = small()
    train(again, "digits", config, out=tmp_path / "killed", limit=200)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- going on from another net

FEW_DIGITS = """
import numpy as np
from sklearn.datasets import load_digits

def load():
    x, y = load_digits(n_class=3, return_X_y=True)
    x = np.repeat(x / 16, 13, axis=1)[:, :784].astype("float32")
    return (x[100:], y[100:]), (x[:100], y[:100])
"""


def test_a_head_of_other_classes_starts_fresh_and_frozen_layers_keep_their_bits(tmp_path, monkeypatch, capsys):
    (tmp_path / "few_digits.py").write_text(FEW_DIGITS)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "ten.keras"
    save_networks(find("mlp", "digits").make(), path, lambda name: {})
    ten = keras.saving.load_model(path)
    work = find("mlp", "few_digits:load", weights=str(path), freeze=1)
    (three,) = work.make().values()
    assert three.output_shape == (None, 3) and "logits starts from fresh weights" in capsys.readouterr().err
    stage.train({"mlp": three}, work, TrainConfig(epochs=1))
    for layer, kept in (("hidden_1", True), ("hidden_2", False)):
        pairs = zip(three.get_layer(layer).get_weights(), ten.get_layer(layer).get_weights(), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs) == kept
    for options, words in (({"freeze": 3}, "3 layers with weights"), ({"weights": str(path)}, "not of 'shallow_mlp'")):
        with pytest.raises(BadInput, match=words):
            find("mlp" if "freeze" in options else "shallow_mlp", "digits", **options).make()


# ---------------------------------------------------------------- changes of samples


def test_every_change_keeps_shape_and_range_and_is_a_function_of_the_seed():
    assert set(augmentations.CHANGES) == set(AUGMENTATIONS)
    dataset = data.load("digits", input_shape=(8, 8, 3))
    x = dataset.train.x[:32]

    def changed(config):
        return np.asarray(keras.tree.flatten(augmentations.layers(dataset, config)[0](x, training=True))[0])

    for name in AUGMENTATIONS:
        config = TrainConfig(augment=(name,))
        one, same = changed(config), changed(config)
        np.testing.assert_array_equal(one, same)
        assert one.shape == x.shape and (one != x).any(), name
        assert name == "noise" or (one.min() >= -1e-6 and one.max() <= 1 + 1e-6), name


def test_changes_of_images_are_refused_where_there_are_none():
    images = data.load("digits", input_shape=(8, 8, 1))
    for dataset, change, words in (
        (data.load("digits", input_shape=(64,)), "shift", "height"),
        (data.load("digits", input_shape=(8, 8, 1), task="reconstruction"), "flip", "its class"),
        (data.load("digits", input_shape=(64,), dtype="int32"), "noise", "float array"),
        (images, "colour", "1 channels"),
        (replace(images, train=replace(images.train, x=images.train.x * 255)), "cutout", "255"),
    ):
        with pytest.raises(BadInput, match=words):
            augmentations.layers(dataset, TrainConfig(augment=(change,)))
    assert not augmentations.layers(images, TrainConfig(augment=False))


@pytest.mark.parametrize(("settings", "words"), [
    ({"momentum": 0.9}, "sgd, rmsprop"),
    ({"nesterov": True, "optimizer": "rmsprop"}, "'sgd'"),
    ({"clip_norm": 1.0, "clip_value": 1.0}, "one of the two"),
    ({"rate_every": 3}, "step, exponential"),
    ({"schedule": "steps"}, "cosine, constant"),
    ({"augment": ("turn",)}, "rotate"),
    ({"augment": ("shift:far",)}, "noise:0.1"),
    ({"clip_norm": 0.0}, "above 0"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(settings, words):
    with pytest.raises(BadInput, match=words):
        TrainConfig(**settings)
