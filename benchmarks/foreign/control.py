"""Nets for control, and some with a loss of their own, after the structure of public tutorials."""

import keras
from keras import layers, ops

from .nets import net, normal, uniform

GROUP = "tutorial, tables"


@net(GROUP)
def actor_critic():
    inputs = keras.Input((4,))
    common = layers.Dense(64, activation="relu")(inputs)
    return keras.Model(inputs, [layers.Dense(2, activation="softmax")(common), layers.Dense(1)(common)]), normal(4)


@net(GROUP)
def ddpg_critic():
    """State and action meet late."""
    state, action = keras.Input((3,), name="state"), keras.Input((1,), name="action")
    a = layers.Dense(16, activation="relu")(layers.Dense(8, activation="relu")(state))
    b = layers.Dense(16, activation="relu")(action)
    x = layers.Dense(32, activation="relu")(layers.Concatenate()([a, b]))
    return keras.Model([state, action], layers.Dense(1)(x)), {
        "state": normal(3),
        "action": uniform(1, low=-2.0, high=2.0),
    }


@net(GROUP)
def ddpg_actor():
    inputs = keras.Input((3,))
    x = layers.Dense(32, activation="relu")(layers.Dense(32, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(1, activation="tanh")(x) * 2.0), normal(3)


@net(GROUP)
def dueling_q_network():
    """Value plus advantage less its mean."""
    inputs = keras.Input((8,))
    x = layers.Dense(32, activation="relu")(inputs)
    advantage = layers.Dense(4)(x)
    return keras.Model(inputs, layers.Dense(1)(x) + advantage - ops.mean(advantage, axis=1, keepdims=True)), normal(8)


@net(GROUP)
def monte_carlo_dropout():
    """Dropout that stays on: to be refused in words, or left out and said so."""
    inputs = keras.Input((13,))
    x = layers.Dense(32, activation="relu")(inputs)
    x = layers.Dropout(0.2)(x, training=True)
    return keras.Model(inputs, layers.Dense(1)(x)), normal(13)


@net(GROUP)
def mixture_density():
    """Means, deviations by softplus or exp, weights by softmax in one output."""
    inputs = keras.Input((6,))
    x = layers.Dense(32, activation="tanh")(inputs)
    mean, deviation, weight = (
        layers.Dense(3)(x), layers.Dense(3, activation="softplus")(x), layers.Dense(3, activation="softmax")(x),
    )  # fmt: skip
    return keras.Model(inputs, layers.Concatenate()([mean, deviation, weight])), normal(6)


@net(GROUP)
def physics_informed():
    """tanh layers on two coordinates."""
    inputs = keras.Input((2,))
    x = 2.0 * (inputs - 0.5)
    for _ in range(4):
        x = layers.Dense(20, activation="tanh")(x)
    return keras.Model(inputs, layers.Dense(1)(x)), uniform(2)


@net(GROUP)
def attention_multiple_instance():
    """A bag of instances as a list of inputs, shared layers, weights by softmax over the bag."""
    inputs = [keras.Input((16,), name=f"instance_{index}") for index in range(3)]
    first, second = layers.Dense(16, activation="relu"), layers.Dense(8, activation="relu")
    v, w = layers.Dense(8, activation="tanh"), layers.Dense(1)
    parts = [second(first(x)) for x in inputs]
    weights = ops.softmax(ops.stack([w(v(part)) for part in parts], axis=1), axis=1)
    x = layers.Concatenate()([weights[:, index] * part for index, part in enumerate(parts)])
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), [normal(16, seed=index) for index in range(3)]
