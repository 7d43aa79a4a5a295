"""Networks on graphs: the nodes' features and the graph itself are inputs, one graph being one sample."""

from collections.abc import Mapping

from keras import KerasTensor, layers, ops, regularizers

from .registry import Bars, register

WEIGHT_DECAY = 5e-4  # of the first layer: half the sum of its squares


@register(
    task="node_classification",
    learner="full_batch",
    input_shape={"features": (2708, 1433), "adjacency": (2708, 2708)},
    classes=7,
    params=23_040,
    paper="Kipf and Welling 2017, Semi-supervised classification with graph convolutional networks, arXiv:1609.02907",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    bars=Bars(floor=0.75),
)
def gcn(inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, dropout: float = 0.5):
    """Build two graph convolutions, softmax(A relu(A X W1) W2) without its softmax; as in the paper, without biases.

    Shapes: features (N, nodes, F), normalised adjacency (N, nodes, nodes) -> logits (N, nodes, classes).
    """
    x, adjacency = inputs["features"], inputs["adjacency"]
    x = layers.Dropout(dropout, name="dropout_1")(x)
    decay = regularizers.L2(WEIGHT_DECAY / 2)
    x = layers.Dense(units, use_bias=False, kernel_regularizer=decay, name="weight_1")(x)
    x = layers.ReLU(name="relu_1")(ops.matmul(adjacency, x))  # (N, nodes, units)
    x = layers.Dropout(dropout, name="dropout_2")(x)
    x = layers.Dense(classes, use_bias=False, name="weight_2")(x)
    return layers.Identity(name="logits")(ops.matmul(adjacency, x))
