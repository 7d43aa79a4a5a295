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
from .graph_blocks import Dense, GatedUpdate, HeadScores, Links, Offset, links
from .registry import Bars, register

WEIGHT_DECAY = 5e-4  # half the sum of squares counts so much
TYPES = {
    **dict.fromkeys(("features", "adjacency", "links", "neighbours", "basis", "mask", "edge_weights"), "float32"),
    "edges": "int32",
}
NODES = {"features": (2708, 1433), "adjacency": (2708, 2708)}  # Cora


def _decay() -> Any:
    return regularizers.L2(WEIGHT_DECAY / 2)


@register(
    task="node_classification",
    learner="full_batch",
    input_shape=NODES,
    dtype=TYPES,
    classes=7,
    params=23_040,
    paper="Kipf and Welling 2017, Semi-supervised classification with graph convolutional networks, arXiv:1609.02907",
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
    paper="Kipf and Welling 2017, Semi-supervised classification with graph convolutional networks, arXiv:1609.02907, "
    "appendix B",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    bars=Bars(floor=0.75),
)
def residual_gcn(
    inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, depth: int = 5, dropout: float = 0.5
):
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
    learning_rate=0.02,  # the paper's 0.005 is for its thousand updates and more
    edge={"heads": 2, "dropout": 0.1},
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


@register(
    task="node_classification",
    learner="full_batch",
    family="transformer",
    input_shape={"features": (2708, 1433), "neighbours": (2708, 2708), "basis": (2708, 8)},
    dtype=TYPES,
    classes=7,
    params=634_407,
    paper="Dwivedi and Bresson 2020, A generalization of transformer networks to graphs, arXiv:2012.09699, with "
    "Laplacian positions and layer normalisation",
    data=("cora", "digits_graph"),
    learning_rate=5e-3,
    edge={"width": 16, "heads": 2, "depth": 1},
    bars=Bars(floor=0.75),
)
def graph_transformer(
    inputs: Mapping[str, KerasTensor], classes: int, width: int = 80, heads: int = 8, depth: int = 10,
    dropout: float = 0.2
):  # fmt: skip
    """Build a Transformer encoder of nodes, whose attention goes along edges and whose positions are eigenvectors.

    Shapes: features (N, nodes, F), neighbours (N, nodes, nodes), 1 for an edge or the node itself, basis (N, nodes, k),
    eigenvectors of the Laplacian -> logits (N, nodes, classes).
    """
    keep = Dense(inputs["neighbours"]).keep
    x = layers.Dropout(dropout, name="dropout")(inputs["features"])
    x = layers.Dense(width, kernel_regularizer=_decay(), name="words")(x)
    x = layers.Add(name="placed")([x, layers.Dense(width, name="places")(inputs["basis"])])
    for block in range(1, depth + 1):
        said = _heads(x, keep, width, heads, f"block_{block}")
        x = layers.LayerNormalization(name=f"block_{block}_norm_1")(x + said)
        inner = layers.Dense(2 * width, activation="relu", name=f"block_{block}_wide")(x)
        inner = layers.Dropout(dropout, name=f"block_{block}_dropout")(inner)
        inner = layers.Dense(width, name=f"block_{block}_narrow")(inner)
        x = layers.LayerNormalization(name=f"block_{block}_norm_2")(x + inner)
    return layers.Dense(classes, name="logits")(x)


def _heads(x: Any, keep: Any, width: int, heads: int, name: str) -> Any:
    """Return what heads say, projected once more.  Shapes: (N, nodes, width) -> the same."""
    nodes, units = x.shape[1], width // heads

    def projected(end: str) -> Any:
        split = layers.Reshape((nodes, heads, units), name=f"{name}_{end}_heads")
        return ops.transpose(split(layers.Dense(width, use_bias=False, name=f"{name}_{end}")(x)), (0, 2, 1, 3))

    query, key, value = map(projected, ("query", "key", "value"))
    said = attention(query * units**-0.5, key, value, keep)
    joined = layers.Reshape((nodes, width), name=f"{name}_joined")(ops.transpose(said, (0, 2, 1, 3)))
    return layers.Dense(width, name=f"{name}_said")(joined)


@register(
    task="node_classification",
    learner="full_batch",
    input_shape={"features": (2708, 1433), "basis": (2708, 256)},
    dtype=TYPES,
    classes=7,
    params=88_583,
    paper="Bruna 2014, Spectral networks and locally connected networks on graphs, arXiv:1312.6203, section 3.1",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    edge={"frequencies": 64},
    bars=Bars(floor=0.6),
)
def spectral_gcn(
    inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, frequencies: int | None = None,
    dropout: float = 0.5
):  # fmt: skip
    """Build a convolution in the eigenbasis of the Laplacian, U (theta * U' x), with weights for each frequency.

    Of the words that a node has, which are many, a dense layer makes the maps that are convolved: the paper's have one.
    frequencies: how many of the basis' vectors are used, the smoothest; None for all.
    Shapes: features (N, nodes, F), basis (N, nodes, k) -> logits (N, nodes, classes).
    """
    basis = inputs["basis"] if frequencies is None else inputs["basis"][:, :, :frequencies]
    x = layers.Dropout(dropout, name="dropout_1")(inputs["features"])
    x = layers.Dense(units, use_bias=False, kernel_regularizer=_decay(), name="maps")(x)
    spectrum = ops.matmul(ops.transpose(basis, (0, 2, 1)), x)  # (N, k, units)
    x = ops.matmul(basis, SpectralFilter(units, name="filter")(spectrum))
    x = layers.Dropout(dropout, name="dropout_2")(layers.ReLU(name="relu")(x))
    return layers.Dense(classes, name="logits")(x)


@keras.saving.register_keras_serializable("edgewright")
class SpectralFilter(layers.Layer):
    """A matrix of weights for each frequency.  Shapes: (N, k, F) -> (N, k, units)."""

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        """Make the matrices, alike at first for all frequencies but for noise."""
        _, frequencies, width = input_shape
        self.kernel = self.add_weight((frequencies, width, self.units), "glorot_uniform", name="kernel")

    def call(self, x: Any) -> Any:
        """Compute the layer."""
        return ops.squeeze(ops.matmul(ops.expand_dims(x, 2), self.kernel), 2)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the outputs, batch included."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@register(
    task="node_classification",
    learner="full_batch",
    input_shape=NODES,
    dtype=TYPES,
    classes=7,
    params=23_431,
    paper="Scarselli 2009, The graph neural network model, section III.B",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    edge={"iterations": 12, "contraction": 0.6},
    bars=Bars(floor=0.75),
)
def scarselli_gnn(
    inputs: Mapping[str, KerasTensor], classes: int, units: int = 16, iterations: int = 50, contraction: float = 0.9,
    dropout: float = 0.5
):  # fmt: skip
    """Build the linear graph neural network: states go on, X = A X W + b, until they hardly move, then tell classes.

    W, held to a norm of at most `contraction`, makes of that a contraction, whose fixed point the paper iterates to;
    here it is unrolled as often as is said, and lacks contraction^iterations of its way. One W serves all edges, which
    the paper makes of their labels: these edges have none.
    Shapes: features (N, nodes, F), adjacency (N, nodes, nodes) -> logits (N, nodes, classes).
    """
    graph = links(inputs)
    x = layers.Dropout(dropout, name="dropout")(inputs["features"])
    force = layers.Dense(units, activation="tanh", kernel_regularizer=_decay(), name="force")(x)
    transition = layers.Dense(
        units,
        use_bias=False,
        kernel_initializer=keras.initializers.Identity(contraction),  # pyright: ignore[reportArgumentType]
        kernel_constraint=Contraction(contraction),  # pyright: ignore[reportArgumentType]
        name="transition",
    )
    state = force
    for iteration in range(1, iterations + 1):
        state = layers.Add(name=f"state_{iteration}")([graph.total(transition(state)), force])
    return layers.Dense(classes, name="logits")(ops.concatenate([state, force], axis=-1))


@keras.saving.register_keras_serializable("edgewright")
class Contraction(keras.constraints.Constraint):
    """Scales a matrix so that no sum of sizes of a row or column is above `most`: nor then is its spectral norm."""

    def __init__(self, most: float):
        self.most = most

    def __call__(self, w: Any) -> Any:
        """Return the matrix, scaled."""
        sizes = ops.absolute(w)
        norm = ops.maximum(ops.max(ops.sum(sizes, axis=0)), ops.max(ops.sum(sizes, axis=1)))
        return w * (self.most / ops.maximum(norm, self.most))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"most": self.most}


@register(
    task="node_classification",
    learner="full_batch",
    input_shape=NODES,
    dtype=TYPES,
    classes=7,
    params=53_639,
    paper="Li 2016, Gated graph sequence neural networks, arXiv:1511.05493, section 3",
    data=("cora", "digits_graph"),
    learning_rate=0.01,
    edge={"units": 16, "steps": 3},
    bars=Bars(floor=0.75),
)
def ggnn(inputs: Mapping[str, KerasTensor], classes: int, units: int = 32, steps: int = 5, dropout: float = 0.5):
    """Build a gated recurrent unit at each node, which reads what its neighbours' states say, `steps` times.

    States begin with a map of the features, which the paper pads with zeros where there are few.
    Shapes: features (N, nodes, F), adjacency (N, nodes, nodes) -> logits (N, nodes, classes).
    """
    graph = links(inputs)
    x = layers.Dropout(dropout, name="dropout")(inputs["features"])
    first = state = layers.Dense(units, activation="tanh", kernel_regularizer=_decay(), name="first")(x)
    message, update = layers.Dense(units, name="message"), GatedUpdate.named("update", units)
    for _ in range(steps):
        state = update(graph.total(message(state)), state)
    return layers.Dense(classes, name="logits")(ops.concatenate([state, first], axis=-1))
