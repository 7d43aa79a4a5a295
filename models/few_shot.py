"""Classes learned from a few samples each: a network of vectors, and a head that compares a vector with what was kept.

A device learns a new class without a gradient through the vectors: the host hands the head what its inputs ask for,
by name: "prototypes", the mean vector of each class; "support", the vectors themselves; "kernel" and "bias", weights
that the host finds by steps of gradient descent (`training/few_shot.py`).
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from .attention import attention as dot_product_attention
from .attention import causal
from .blocks import conv_norm
from .registry import Bars, Deployable, register

FAMILY = "low_label"

EPISODES: dict[str, Any] = {
    "learner": "episodes",
    "input_shape": (28, 28, 1),
    "classes": 5,
    "networks": ("embedding", "head"),
    "bars": Bars(floor=0.7),  # of five classes chance has 0.2, nearest pixels of made-up strokes 0.55
}
NARROW = {"maps": (16, 16, 16, 16)}


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **EPISODES,
    params=111_936,
    paper="Snell 2017, Prototypical networks for few-shot learning, arXiv:1703.05175",
    edge=NARROW,
)
def prototypical_network(input_shape: tuple[int, ...], classes: int, maps: Sequence[int] = (64, 64, 64, 64)):
    """Build vectors, and scores by minus the squared distance to the mean vector of each class.

    Shapes: embedding: image (N, H, W, C) -> vector (N, d); head: query (N, d), prototypes (N, classes, d) -> scores
    (N, classes).
    """
    body = embedding(input_shape, maps)
    query, prototypes = kept(body, "prototypes", classes)
    apart = ops.subtract(layers.Reshape((1, -1), name="row")(query), prototypes)  # (N, classes, d)
    scores = layers.Rescaling(-1.0, name="scores")(ops.sum(ops.square(apart), axis=-1))
    return {"embedding": body, "head": head(scores, query=query, prototypes=prototypes)}


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **EPISODES,
    params=111_936,
    paper="Vinyals 2016, Matching networks for one shot learning, arXiv:1606.04080, without full context embeddings",
    edge={**NARROW, "sharpness": 10.0},
)
def matching_network(
    input_shape: tuple[int, ...], classes: int, shots: int = 1, maps: Sequence[int] = (64, 64, 64, 64),
    sharpness: float = 1.0
):  # fmt: skip
    """Build vectors, and attention over those of a support set by the cosine; a class has what its members have.

    sharpness: what cosines are multiplied by; at the paper's 1 the softmax is never surer of one of five than 0.65.
    Shapes: embedding: as of `prototypical_network`; head: query (N, d), support (N, classes, shots, d) -> scores
    (N, classes), the log of attention but for a constant.
    """
    body = embedding(input_shape, maps, activation=None)
    query, support = kept(body, "support", classes, shots)
    cosines = _cosines(query, layers.Reshape((classes * shots, -1), name="rows")(support))
    scores = layers.Rescaling(sharpness, name="sharp")(cosines)
    if shots > 1:
        each = layers.Reshape((classes, shots), name="each")(scores)
        scores = ops.log(ops.sum(ops.exp(each), axis=-1))
    return {"embedding": body, "head": head(scores, query=query, support=support)}


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **{**EPISODES, "learner": "episodes:squared=1"},
    params=223_441,
    paper="Sung 2018, Learning to compare: relation network for few-shot learning, arXiv:1711.06025",
    edge=NARROW,
)
def relation_network(
    input_shape: tuple[int, ...], classes: int, maps: Sequence[int] = (64, 64, 64, 64), hidden: int = 8
):  # fmt: skip
    """Build maps, and a network that tells how alike two of them are.

    Shapes: embedding: image (N, H, W, C) -> vector (N, h, w, d); head: query (N, h, w, d), prototypes
    (N, classes, h, w, d) -> scores (N, classes), logits of being the same.
    """
    image: Any = keras.Input(input_shape, name="image")
    x = image
    for index, width in enumerate(maps, 1):
        padding = "valid" if index <= 2 else "same"
        x = conv_norm(x, width, 3, name=f"conv_{index}", activation="relu", bias=True, padding=padding)
        x = layers.MaxPooling2D(name=f"pool_{index}")(x) if index <= 2 else x
    body = keras.Model(image, layers.Identity(name="vector")(x), name="embedding")
    query, prototypes = kept(body, "prototypes", classes)
    related = _relation((*x.shape[1:-1], 2 * x.shape[-1]), maps[-1], hidden)
    alike = [related(ops.concatenate([query, prototypes[:, index]], axis=-1)) for index in range(classes)]
    scores = layers.Concatenate(name="scores")(alike)
    return {"embedding": body, "head": head(scores, query=query, prototypes=prototypes)}


def _relation(shape: tuple[int, ...], maps: int, hidden: int) -> keras.Model:
    """Return a network from two maps behind each other, of `shape`, to one logit."""
    both: Any = keras.Input(shape, name="both")
    x = both
    for index in (1, 2):
        x = conv_norm(x, maps, 3, name=f"relation_{index}", activation="relu", bias=True)
        x = layers.MaxPooling2D(name=f"relation_pool_{index}")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(hidden, activation="relu", name="relation_3")(x)
    return keras.Model(both, layers.Dense(1, name="alike")(x), name="relation")


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **{**EPISODES, "learner": "episodes:together=4", "networks": ("embedding", "head", "base")},
    params=140_608,
    paper="Chen 2019, A closer look at few-shot classification, arXiv:1904.04232, baseline++",
    deploy=("embedding", "head"),
    edge={**NARROW, "base": 64},
)
def cosine_classifier(
    input_shape: tuple[int, ...], classes: int, maps: Sequence[int] = (64, 64, 64, 64), base: int = 448,
    sharpness: float = 10.0
):  # fmt: skip
    """Build vectors that tell `base` training classes apart by cosines, and the same head for new classes.

    The weight vector of a new class is the mean of its samples' (Qi 2018, Low-shot learning with imprinted weights).
    sharpness: what cosines are multiplied by. Shapes: as of `prototypical_network`; base: vector (N, d) -> logits.
    """
    body = embedding(input_shape, maps, activation=None)
    query, prototypes = kept(body, "prototypes", classes)
    scores = layers.Rescaling(sharpness, name="scores")(_cosines(query, prototypes))
    vector: Any = keras.Input(body.output_shape[1:], name="vector")
    known = layers.UnitNormalization(name="unit")(vector)
    logits = layers.Rescaling(sharpness, name="logits")(
        layers.Dense(base, use_bias=False, kernel_constraint=keras.constraints.UnitNorm(axis=0), name="cosines")(known)
    )
    return {
        "embedding": body,
        "head": head(scores, query=query, prototypes=prototypes),
        "base": keras.Model(vector, logits, name="base"),
    }


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **{**EPISODES, "learner": "episodes:together=4", "networks": ("embedding", "head", "rates", "base")},
    params=141_056,
    paper="Chen 2019, A closer look at few-shot classification, arXiv:1904.04232, baseline",
    deploy=("embedding", Deployable(network="head", tables=("rates",))),
    edge={**NARROW, "base": 64},
)
def fine_tuned_classifier(
    input_shape: tuple[int, ...], classes: int, maps: Sequence[int] = (64, 64, 64, 64), base: int = 448,
    steps: int = 100, rate: float = 0.02
):  # fmt: skip
    """Build vectors that tell `base` training classes apart; of new classes a last layer is trained on the host.

    steps, rate: of gradient descent from weights of zero. Shapes: embedding: as of `prototypical_network`; head:
    query (N, d), kernel (N, d, classes), bias (N, classes) -> scores (N, classes); rates: a table (steps, 1); base:
    vector (N, d) -> logits (N, base).
    """
    body = embedding(input_shape, maps)
    vector: Any = keras.Input(body.output_shape[1:], name="vector")
    logits = layers.Dense(base, name="logits")(vector)
    return {
        "embedding": body,
        "head": affine_head(body, classes),
        "rates": table("rates", (steps, 1), rate, trainable=False),
        "base": keras.Model(vector, logits, name="base"),
    }


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **{**EPISODES, "networks": ("embedding", "head", "start", "rates")},
    params=112_261,
    paper="Finn 2017, Model-agnostic meta-learning, arXiv:1703.03400; of the last layer, Raghu 2019, arXiv:1909.09157",
    deploy=("embedding", Deployable(network="head", tables=("start", "rates"))),
    edge=NARROW,
)
def maml(
    input_shape: tuple[int, ...], classes: int, maps: Sequence[int] = (64, 64, 64, 64), steps: int = 1,
    rate: float = 0.4
):  # fmt: skip
    """Build a body that stays as it is, and a last layer that a few steps of gradient descent fit to new classes.

    Training goes through these steps, their second derivatives included. Only the last layer moves, as a device needs
    no backward pass then; Raghu 2019 finds that this loses nothing. Shapes: as of `fine_tuned_classifier`; start: the
    layer's weights before the first step, a table (d + 1, classes), the biases last.
    """
    body = embedding(input_shape, maps)
    return {
        "embedding": body,
        "head": affine_head(body, classes),
        "start": table("start", (body.output_shape[-1] + 1, classes), 0.0),
        "rates": table("rates", (steps, 1), rate, trainable=False),
    }


def embedding(
    input_shape: tuple[int, ...], maps: Sequence[int], activation: str | None = "relu", affine: int = 0
) -> keras.Model:
    """Return blocks of 3x3 convolutions, normalised and halved.  Shapes: image (N, H, W, C) -> vector (N, d).

    activation: of the last block. affine: width of an affine map behind them, 0 for none. Four blocks bring 28x28
    pixels down to one.
    """
    image: Any = keras.Input(input_shape, name="image")
    x = image
    for index, width in enumerate(maps, 1):
        last = activation if index == len(maps) else "relu"
        x = conv_norm(x, width, 3, name=f"conv_{index}", activation=last, bias=True)
        x = layers.MaxPooling2D(name=f"pool_{index}")(x)
    x = layers.Flatten(name="flat" if affine else "vector")(x)
    return keras.Model(image, layers.Dense(affine, name="vector")(x) if affine else x, name="embedding")


def kept(body: keras.Model, name: str, *before: int) -> tuple[Any, Any]:
    """Return inputs of a head: the vector that is asked for, and as many as `before` says of what was kept."""
    shape = body.output_shape[1:]
    return keras.Input(shape, name="query"), keras.Input((*before, *shape), name=name)


def head(scores: Any, **inputs: Any) -> keras.Model:
    """Return the network of scores."""
    return keras.Model(inputs, layers.Identity(name="said")(scores), name="head")


def affine_head(body: keras.Model, classes: int) -> keras.Model:
    """Return a last layer whose weights are inputs."""
    (width,) = body.output_shape[1:]
    query, kernel = kept(body, "kernel")[0], keras.Input((width, classes), name="kernel")
    bias = keras.Input((classes,), name="bias")
    product = ops.matmul(layers.Reshape((1, width), name="row")(query), kernel)
    scores = layers.Add(name="scores")([layers.Reshape((classes,), name="sums")(product), bias])
    return head(scores, query=query, kernel=kernel, bias=bias)


def table(name: str, shape: tuple[int, int], value: float, *, trainable: bool = True) -> keras.Model:
    """Return a network of one weight (rows, columns), at first `value`.  Shapes: row (N,) int32 -> (N, columns)."""
    row = keras.Input((), dtype="int32", name="row")
    start: Any = keras.initializers.Constant(value)
    rows = layers.Embedding(*shape, embeddings_initializer=start, trainable=trainable, name="rows")
    return keras.Model(row, rows(row), name=name)


def _cosines(query: KerasTensor, rows: KerasTensor) -> KerasTensor:
    """Return cosines of a vector (N, d) with rows (N, n, d): (N, n)."""
    column = layers.Reshape((-1, 1), name="column")(unit(query))  # (N, d, 1)
    return layers.Reshape((rows.shape[1],), name="cosines")(ops.matmul(unit(rows), column))


def unit(x: Any) -> Any:
    """Return vectors of length 1, shorter ones where they were almost nothing.  Shapes: (..., d)."""
    squares: Any = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return ops.multiply(x, ops.rsqrt(squares + 1e-6))


# ---------------------------------------------------------------- learned ways to learn


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **{**EPISODES, "networks": ("embedding", "head", "start", "optimizer")},
    params=30_531,
    paper="Ravi and Larochelle 2017, Optimization as a model for few-shot learning (ICLR), of the last layer",
    deploy=("embedding", Deployable(network="head", tables=("start",)), "optimizer"),
    edge=NARROW,
)
def meta_lstm(
    input_shape: tuple[int, ...], classes: int, maps: Sequence[int] = (32, 32, 32, 32), units: int = 20
):  # fmt: skip
    """Build a body that stays as it is, a last layer, and an optimizer of it: an LSTM whose memory is the weights.

    All weights share it, each with states of its own; so it is one network from the states of all to the next ones.
    Shapes: embedding, head, start: as of `maml`; optimizer: weights, gradient, kept, rate (N, W, 1), told (N, W, 4),
    hidden and cell (N, W, units) -> "weights_out" and so on. kept, rate: the last gates of forgetting and of input.
    """
    body = embedding(input_shape, maps)
    shape = (body.output_shape[-1] + 1, classes)
    return {
        "embedding": body,
        "head": affine_head(body, classes),
        "start": table("start", shape, 0.0),
        "optimizer": _optimizer(shape[0] * shape[1], units),
    }


def _optimizer(size: int, units: int) -> keras.Model:
    """Return w' = f w - i g for each of `size` weights, its gates told by an LSTM that reads g and the loss."""
    widths = {"weights": 1, "gradient": 1, "told": 4, "hidden": units, "cell": units, "kept": 1, "rate": 1}
    given: dict[str, Any] = {name: keras.Input((size, width), name=name) for name, width in widths.items()}
    read = layers.Concatenate(name="read")([given["told"], given["hidden"]])
    forget, enter, leave = (layers.Dense(units, "sigmoid", name=name)(read) for name in ("forget", "enter", "leave"))
    candidate = layers.Dense(units, "tanh", name="candidate")(read)
    cell = ops.add(ops.multiply(forget, given["cell"]), ops.multiply(enter, candidate))
    hidden = ops.multiply(leave, ops.tanh(cell))
    gates = {}
    for name, bias in (("kept", 5.0), ("rate", -2.0)):  # at first nothing is forgotten, and steps are of 0.1
        seen = layers.Concatenate(name=f"seen_{name}")([hidden, given["weights"], given[name]])
        start: Any = keras.initializers.Constant(bias)
        gates[name] = layers.Dense(1, "sigmoid", bias_initializer=start, name=f"{name}_gate")(seen)
    moved = ops.subtract(ops.multiply(gates["kept"], given["weights"]), ops.multiply(gates["rate"], given["gradient"]))
    made = {"weights": moved, "hidden": hidden, "cell": cell, **gates}
    return keras.Model(given, {f"{name}_out": value for name, value in made.items()}, name="optimizer")


@register(
    task="few_shot",
    data=("omniglot", "strokes"),
    **{**EPISODES, "learner": "episodes:together=4"},
    params=3_213_502,
    paper="Mishra 2018, A simple neural attentive meta-learner, arXiv:1707.03141; sizes of Omniglot",
    edge={**NARROW, "vector": 16, "filters": 16, "attention": ((16, 8), (32, 16), (32, 16))},
)
def snail(
    input_shape: tuple[int, ...], classes: int, shots: int = 1, maps: Sequence[int] = (64, 64, 64, 64),
    *, vector: int = 64, filters: int = 128,
    attention: Sequence[tuple[int, int]] = ((64, 32), (256, 128), (512, 256))
):  # fmt: skip
    """Build vectors, and a head that reads those of the support with their labels, then the query, as one sequence.

    attention: keys and values of each block, between which are blocks of dilated causal convolutions of `filters`.
    Shapes: as of `matching_network`.
    """
    body = embedding(input_shape, maps, affine=vector)
    query, support = kept(body, "support", classes, shots)
    rows = layers.Reshape((classes * shots, vector), name="rows")(support)
    x: Any = layers.Concatenate(axis=1, name="items")([rows, layers.Reshape((1, vector), name="row")(query)])
    labels = np.zeros((classes * shots + 1, vector + classes), np.float32)  # one-hot behind the vectors, 0 of the query
    labels[:-1, vector:] = np.repeat(np.eye(classes), shots, axis=0)
    x = ops.add(ops.pad(x, ((0, 0), (0, 0), (0, classes))), labels)  # (N, T, vector + classes)
    for index, (keys, values) in enumerate(attention, 1):
        x = x if index == 1 else _convolved(x, filters, f"convolved_{index - 1}")
        x = _attended(x, keys, values, f"attended_{index}")
    scores = layers.Dense(classes, name="scores")(x[:, -1])
    return {"embedding": body, "head": head(scores, query=query, support=support)}


def _convolved(x: Any, filters: int, name: str) -> Any:
    """Add gated causal convolutions, each seeing twice as far back, until all of the sequence is seen."""
    for block in range(1, math.ceil(math.log2(x.shape[1])) + 1):
        value, gate = (
            layers.Conv1D(filters, 2, padding="causal", dilation_rate=2**block, activation=activation,
                          name=f"{name}_{block}_{what}")(x)
            for what, activation in (("value", "tanh"), ("gate", "sigmoid"))
        )  # fmt: skip
        x = layers.Concatenate(name=f"{name}_{block}")([x, ops.multiply(value, gate)])
    return x


def _attended(x: Any, keys: int, values: int, name: str) -> Any:
    """Add what a causal look back reads behind what was there.  Shapes: (N, T, C) -> (N, T, C + values)."""
    query, key = (layers.Dense(keys, name=f"{name}_{what}")(x) for what in ("query", "key"))
    value = layers.Dense(values, name=f"{name}_value")(x)
    scaled: Any = ops.multiply(query, keys**-0.5)
    read = dot_product_attention(scaled, key, value, causal(x.shape[1])[0])
    return layers.Concatenate(name=name)([x, read])
