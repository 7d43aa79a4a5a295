"""Networks on graphs: the nodes' features and the graph itself are inputs, one graph being one sample.

Which form of the graph a net reads is said by the name of its input: `adjacency` is normalised, D^-1/2 (A + I) D^-1/2;
`links` are the plain A; `neighbours` are A + I, what attention may look at; `basis` are eigenvectors of the Laplacian.
Where a net has the list `edges` (1, E, 2) with `edge_weights` (1, E) instead, it sums over those, by the same weights.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import KerasTensor, layers, regularizers

from ..untyped import ops
from .attention import attention
from .graph_blocks import Dense, GatedUpdate, HeadScores, Links, Offset, links, readout
from .registry import Bars, register

WEIGHT_DECAY = 5e-4  # half the sum of squares counts so much
TYPES = {
    **dict.fromkeys(("features", "adjacency", "links", "neighbours", "basis", "mask", "edge_weights"), "float32"),
    "edges": "int32",
}
NODES = {"features": (2708, 1433), "adjacency": (2708, 2708)}  # Cora
KIPF = "Kipf and Welling 2017, Semi-supervised classification with graph convolutional networks, arXiv:1609.02907"


def _decay() -> Any:
    return regularizers.L2(WEIGHT_DECAY / 2)


@register(
    task="node_classification",
    learner="full_batch",
    input_shape=NODES,
    dtype=TYPES,
    classes=7,
    params=23_040,
    paper=KIPF,
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    bars=Bars(floor=0.75),
)
def gcn(inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, dropout: float = 0.5):
    """Build two graph convolutions, softmax(A relu(A X W1) W2) without its softmax; as in the paper, without biases.

    Shapes: features (N, nodes, F), adjacency (N, nodes, nodes) -> logits (N, nodes, classes).
    """
    graph, x = links(inputs), inputs["features"]
    x = layers.Dropout(dropout, name="dropout_1")(x)
    x = layers.Dense(units, use_bias=False, kernel_regularizer=_decay(), name="weight_1")(x)
    x = layers.ReLU(name="relu_1")(graph.total(x))  # (N, nodes, units)
    x = layers.Dropout(dropout, name="dropout_2")(x)
    x = layers.Dense(classes, use_bias=False, name="weight_2")(x)
    return layers.Identity(name="logits")(graph.total(x))


@register(
    task="node_classification",
    learner="full_batch",
    input_shape=NODES,
    dtype=TYPES,
    classes=7,
    params=23_808,
    paper=f"{KIPF}, appendix B",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    bars=Bars(floor=0.75),
)
def residual_gcn(inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, depth: int = 5, dropout: float = 0.5):
    """Build `depth` graph convolutions, those within with the identity beside: H + relu(A H W).

    Shapes: features (N, nodes, F), adjacency (N, nodes, nodes) -> logits (N, nodes, classes).
    """
    graph, x = links(inputs), inputs["features"]
    for layer in range(1, depth):
        before = layers.Dropout(dropout, name=f"dropout_{layer}")(x)
        decay = _decay() if layer == 1 else None
        step = layers.Dense(units, use_bias=False, kernel_regularizer=decay, name=f"weight_{layer}")(before)
        step = layers.ReLU(name=f"relu_{layer}")(graph.total(step))
        x = step if layer == 1 else layers.Add(name=f"added_{layer}")([x, step])
    x = layers.Dropout(dropout, name=f"dropout_{depth}")(x)
    x = layers.Dense(classes, use_bias=False, name=f"weight_{depth}")(x)
    return layers.Identity(name="logits")(graph.total(x))


@register(
    task="node_classification",
    learner="full_batch",
    input_shape={"features": (2708, 1433), "links": (2708, 2708)},
    dtype=TYPES,
    classes=7,
    params=66_391,
    paper="Hamilton 2020, Graph representation learning, section 5: what a net of plain layers makes of a graph",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    bars=Bars(floor=0.5),
)
def naive_graph_mlp(inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, dropout: float = 0.5):
    """Build a dense net of each node's features and its row of A: it has weights for every node, and knows their order.

    Shapes: features (N, nodes, F), links (N, nodes, nodes) -> logits (N, nodes, classes).
    """
    x = ops.concatenate([inputs["features"], inputs["links"]], axis=-1)
    x = layers.Dropout(dropout, name="dropout_1")(x)
    x = layers.Dense(units, activation="relu", kernel_regularizer=_decay(), name="hidden")(x)
    x = layers.Dropout(dropout, name="dropout_2")(x)
    return layers.Dense(classes, name="logits")(x)


@register(
    task="node_classification",
    learner="full_batch",
    input_shape={"features": (2708, 1433), "neighbours": (2708, 2708)},
    dtype=TYPES,
    classes=7,
    params=92_373,
    paper="Velickovic 2018, Graph attention networks, arXiv:1710.10903",
    data=("cora", "digits_graph"),
    learning_rate=0.005,
    edge={"heads": 2},
    bars=Bars(floor=0.75),
)
def gat(inputs: Mapping[str, KerasTensor], classes: int, heads: int = 8, units: int = 8, dropout: float = 0.6):
    """Build two graph attentions, ELU between them: heads side by side, then one that answers.

    Shapes: features (N, nodes, F), neighbours (N, nodes, nodes), 1 for an edge or the node itself -> logits
    (N, nodes, classes).
    """
    graph, x = links(inputs), inputs["features"]
    x = layers.ELU(name="elu_1")(_attention(graph, x, heads, units, dropout, "1"))
    return layers.Identity(name="logits")(_attention(graph, x, 1, classes, dropout, "2"))


def _attention(graph: Links, x: Any, heads: int, units: int, dropout: float, at: str) -> Any:
    """Return sum_j softmax_j(LeakyReLU(a W x_i + b W x_j)) W x_j + c of each head, side by side.

    Shapes: (N, nodes, F) -> (N, nodes, heads units).  Source: arXiv:1710.10903, eqs. 3 to 5.
    """
    nodes = x.shape[1]
    x = layers.Dropout(dropout, name=f"dropout_{at}")(x)
    x = layers.Dense(heads * units, use_bias=False, kernel_regularizer=_decay(), name=f"weight_{at}")(x)
    values = layers.Reshape((nodes, heads, units), name=f"heads_{at}")(x)
    own, theirs = (HeadScores(name=f"{end}_{at}")(values) for end in ("own", "theirs"))
    dropped = layers.Dropout(dropout, name=f"dropped_values_{at}")(values)
    said = graph.attend(own, theirs, dropped, layers.Dropout(dropout, name=f"dropped_edges_{at}"))
    return Offset(name=f"bias_{at}")(layers.Reshape((nodes, heads * units), name=f"joined_{at}")(said))
