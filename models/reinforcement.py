"""Values of actions: what an agent expects of each, of which it takes the best."""

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
