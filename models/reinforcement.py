"""Values of actions: what an agent expects of each, of which it takes the best."""

from collections.abc import Sequence
from typing import Any

from keras import KerasTensor, layers, ops

from .linear import Monomials
from .registry import Bars, register

FAMILY = "rl"


@register(
    task="episodic",
    learner="q_learning",
    input_shape=(11,),
    classes=4,
    params=44,
    paper="Watkins 1989, Learning from delayed rewards; the grid world of Russell and Norvig, Artificial intelligence, "
    "chapter 17",
    data=("grid_world",),
    learning_rate=0.05,
    bars=Bars(floor=0.5),  # the best policy gains 0.705
)
def tabular_q(inputs: KerasTensor, classes: int):
    """Build one dense layer: of a one-hot state its row of the table.  Shapes: state (N, F) -> Q values (N, A)."""
    return layers.Dense(classes, use_bias=False, kernel_initializer="zeros", name="q_values")(inputs)


@register(
    task="episodic",
    learner="q_learning:discount=0.9",
    input_shape=(4,),
    classes=2,
    params=30,
    paper="Sutton and Barto 2018, Reinforcement learning, section 9.4; the pole of Barto 1983; value and "
    "advantage apart as in Wang 2016, arXiv:1511.06581",
    data=("cart_pole",),
    learning_rate=0.05,
    wide=("q_values",),  # the advantage is often less than one of 256 steps of the value
    bars=Bars(floor=150.0),
)
def linear_q(inputs: KerasTensor, classes: int, degree: int = 2):
    """Build linear functions of the products of up to `degree` values: what a state is worth, and by how much more
    each action is than the mean of them.

    All values are near 1 / (1 - gamma), and a policy lies in how they differ: of values by themselves pruning takes the
    weights that do, and 8 bits the differences. The last advantage follows from the others, so that there are as many
    weights as of the values.  Shapes: state (N, F) -> Q values (N, actions).
    """
    features = Monomials(degree, name="features")(inputs)
    value = layers.Dense(1, kernel_initializer="zeros", name="value")(features)
    others: Any = layers.Dense(classes - 1, kernel_initializer="zeros", name="advantages")(features)
    last: Any = others if classes == 2 else ops.sum(others, axis=-1, keepdims=True)
    advantages = layers.Concatenate(name="mean_zero")([others, -last])
    return layers.Add(name="q_values")([value, advantages])


@register(
    task="episodic",
    learner="q_learning:recorded=5000,updates=2,target=100",
    input_shape=(4,),
    classes=2,
    params=67,
    paper="Riedmiller 2005, Neural fitted Q iteration; Ernst 2005, Tree-based batch mode reinforcement learning",
    data=("cart_pole",),
    edge={"hidden": (32, 32)},
    training={"batch_size": 128},
    bars=Bars(floor=150.0),
)
def fitted_q(inputs: KerasTensor, classes: int, hidden: Sequence[int] = (5, 5)):
    """Build a small perceptron, whose values are fitted again and again to one record of moves.

    The paper's has the action as a further input and one output. Shapes: state (N, F) -> Q values (N, actions).
    """
    x = inputs
    for index, width in enumerate(hidden, 1):
        x = layers.Dense(width, activation="relu", name=f"hidden_{index}")(x)
    return layers.Dense(classes, name="q_values")(x)


@register(
    task="episodic",
    learner="q_learning:memory=2000,begin=500,target=50,players=8",
    input_shape=(84, 84, 4),
    classes=4,
    params=1_686_180,
    paper="Mnih 2015, Human-level control through deep reinforcement learning",
    data=("pixel_grid_world",),
    edge={"filters": (8, 16, 16), "hidden": 64},
    learning_rate=1e-3,
    bars=Bars(floor=0.5),  # the best policy gains 0.705
)
def dqn(inputs: KerasTensor, classes: int, filters: Sequence[int] = (32, 64, 64), hidden: int = 512):
    """Build three convolutions and a dense layer; of a state that is a vector the dense layer alone.

    Shapes: frames (N, 84, 84, 4), or state (N, F) -> Q values (N, actions).
    """
    x = inputs
    if len(inputs.shape) > 2:
        for index, (width, kernel, stride) in enumerate(zip(filters, (8, 4, 3), (4, 2, 1), strict=True), 1):
            x = layers.Conv2D(width, kernel, stride, activation="relu", name=f"conv_{index}")(x)
        x = layers.Flatten(name="flat")(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    return layers.Dense(classes, name="q_values")(x)
