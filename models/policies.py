"""Policies: what an agent does is drawn by logits, which learn from what it gained."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from .registry import Bars, register

FAMILY = "rl"


@register(
    task="episodic",
    learner="policy_gradient:discount=0.98",
    input_shape=(4,),
    classes=2,
    params=898,
    paper="Williams 1992, Simple statistical gradient-following algorithms for connectionist reinforcement learning; "
    "the pole of Barto 1983",
    data=("cart_pole",),
    networks=("policy",),
    learning_rate=0.01,
    training={"patience": 4},
    bars=Bars(floor=150.0),
    variants={
        "reinforce_baseline": {
            "networks": ("policy", "critic"),
            "deploy": ("policy",),
            "params": 1_667,
            "critic": True,
            "learner": "policy_gradient:baseline=critic,discount=0.98",
            "paper": "Sutton and Barto 2018, Reinforcement learning, section 13.4",
            "bars": Bars(floor=475.0),
        },
        "actor_critic": {
            "networks": ("policy", "critic"),
            "deploy": ("policy",),
            "params": 1_667,
            "critic": True,
            "learner": "policy_gradient:baseline=critic,trace=0.9,discount=0.98",
            "paper": "Barto 1983, Neuronlike adaptive elements that can solve difficult learning control problems; "
            "Sutton and Barto 2018, Reinforcement learning, section 13.5",
        },
        "advantage_actor_critic": {
            "networks": ("policy", "critic"),
            "deploy": ("policy",),
            "params": 1_667,
            "critic": True,
            "learner": "policy_gradient:baseline=critic,trace=0.95,entropy=0.001,discount=0.98",
            "paper": "Mnih 2016, Asynchronous methods for deep reinforcement learning, arXiv:1602.01783",
        },
    },
)
def reinforce(input_shape: tuple[int, ...], classes: int, hidden: Sequence[int] = (128,), critic: bool = False):
    """Build a policy, and perhaps a critic of the same layers, which values states and stays behind.

    Shapes: state (N, F) -> logits of actions (N, actions); critic: state -> value (N, 1).
    """

    def perceptron(name: str, output: str, width: int) -> keras.Model:
        state: Any = keras.Input(input_shape, name="state")
        x = state
        for index, units in enumerate(hidden, 1):
            x = layers.Dense(units, activation="tanh", name=f"hidden_{index}")(x)
        return keras.Model(state, layers.Dense(width, name=output)(x), name=name)

    networks = {"policy": perceptron("policy", "logits", classes)}
    return networks | ({"critic": perceptron("critic", "value", 1)} if critic else {})
