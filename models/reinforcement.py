"""Values of actions: what an agent expects of each, of which it takes the best."""

from collections.abc import Sequence

from keras import KerasTensor, layers

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
    variants={
        "linear_q": {
            "params": 30,
            "learner": "q_learning:discount=0.9",
            "input_shape": (4,),
            "classes": 2,
            "degree": 2,
            "bias": True,
            "data": ("cart_pole",),
            "bars": Bars(floor=150.0),
            "paper": "Sutton and Barto 2018, Reinforcement learning, section 9.4; the pole of Barto 1983",
        },
    },
)
def tabular_q(inputs: KerasTensor, classes: int, degree: int = 1, bias: bool = False):
    """Build one dense layer: of a one-hot state its row of the table of Q values, else a linear function of features.

    degree: of the products of the state's values that are features.  Shapes: state (N, F) -> Q values (N, actions).
    """
    features = Monomials(degree, name="features")(inputs) if degree > 1 else inputs
    return layers.Dense(classes, use_bias=bias, kernel_initializer="zeros", name="q_values")(features)


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
