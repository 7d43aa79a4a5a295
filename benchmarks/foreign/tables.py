"""Nets for tables, recommendations, graphs and points after the structure of public tutorials."""

import keras
import numpy as np
from keras import layers, ops

from .nets import images, integers, net, normal, uniform

GROUP = "tutorial, tables"


def _census():
    """Return inputs of a table, their encoded features, and samples: numbers of very different size, and categories."""
    numbers = {"age": (40, 12), "income": (50_000, 20_000), "hours": (38, 6)}
    categories = {"workclass": 8, "education": 16, "sex": 2}
    inputs, numeric, embedded, samples = {}, [], [], {}
    for index, (name, (mean, deviation)) in enumerate(numbers.items()):
        samples[name] = normal(1, seed=index) * deviation + mean
        inputs[name] = keras.Input((1,), name=name)
        norm = layers.Normalization()
        norm.adapt(samples[name])
        numeric.append(norm(inputs[name]))
    for index, (name, top) in enumerate(categories.items()):
        samples[name] = integers(1, top=top, seed=index)
        inputs[name] = keras.Input((1,), dtype="int32", name=name)
        embedded.append(layers.Flatten()(layers.Embedding(top, 8)(inputs[name])))
    return inputs, numeric, embedded, samples


@net(GROUP)
def structured_data():
    """A dict of inputs: normalized numbers, embedded categories, one sigmoid."""
    inputs, numeric, embedded, samples = _census()
    x = layers.Dropout(0.5)(layers.Dense(32, activation="relu")(layers.concatenate([*numeric, *embedded])))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), samples


@net(GROUP)
def wide_and_deep():
    """Crossed one-hot columns beside a deep part with batch norms."""
    inputs, numeric, embedded, samples = _census()
    wide = layers.concatenate(
        [layers.CategoryEncoding(num_tokens=top, output_mode="one_hot")(inputs[name])
         for name, top in (("workclass", 8), ("education", 16))] + numeric
    )  # fmt: skip
    wide = layers.BatchNormalization()(wide)
    deep = layers.concatenate([*numeric, *embedded])
    for width in (32, 32):
        deep = layers.Dropout(0.1)(layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(deep))))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.concatenate([wide, deep]))), samples


@net(GROUP)
def deep_and_cross():
    inputs, numeric, embedded, samples = _census()
    x = first = layers.concatenate([*numeric, *embedded])
    for _ in range(2):
        x = first * layers.Dense(first.shape[-1])(x) + x
    deep = layers.Dense(16, activation="relu")(first)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.concatenate([x, deep]))), samples


@net(GROUP)
def credit_fraud():
    """All numbers in one array, normalized by one adapted layer over columns of different size."""
    x = normal(29) * np.logspace(-2, 3, 29, dtype="float32") + np.linspace(-5, 5, 29, dtype="float32")
    norm = layers.Normalization()
    norm.adapt(x)
    inputs = keras.Input((29,))
    y = norm(inputs)
    for _ in range(2):
        y = layers.Dropout(0.3)(layers.Dense(64, activation="relu")(y))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(y)), x


@net(GROUP)
def boston_regression():
    inputs = keras.Input((13,))
    x = layers.Dense(64, activation="relu")(layers.Dense(64, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(1)(x)), normal(13)


@net(GROUP)
def tab_transformer():
    """Column embeddings through attention, beside normalized numbers."""
    inputs, numeric, _, samples = _census()
    columns = [
        layers.Embedding(top, 16)(inputs[name]) for name, top in (("workclass", 8), ("education", 16), ("sex", 2))
    ]
    x = ops.concatenate(columns, axis=1)
    x = x + layers.Embedding(3, 16)(ops.arange(3))
    for _ in range(2):
        x = layers.LayerNormalization()(layers.Add()([layers.MultiHeadAttention(2, 16)(x, x), x]))
        x = layers.LayerNormalization()(layers.Add()([layers.Dense(16, activation="gelu")(x), x]))
    numbers = layers.LayerNormalization()(layers.concatenate(numeric))
    x = layers.concatenate([layers.Flatten()(x), numbers])
    x = layers.Dense(16, activation="selu")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), samples


class GatedResidual(layers.Layer):
    """A gated residual network."""

    def __init__(self, units: int, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rate = units, rate
        self.elu, self.linear = layers.Dense(units, activation="elu"), layers.Dense(units)
        self.dropout, self.norm = layers.Dropout(rate), layers.LayerNormalization()
        self.value, self.gate = layers.Dense(units), layers.Dense(units, activation="sigmoid")
        self.project = layers.Dense(units)

    def call(self, x, training=False):
        y = self.dropout(self.linear(self.elu(x)), training=training)
        x = self.project(x) if x.shape[-1] != self.units else x
        return self.norm(x + self.value(y) * self.gate(y))

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


class VariableSelection(layers.Layer):
    """Features weighed by a softmax, each through a gated network of its own."""

    def __init__(self, count: int, units: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.units = count, units
        self.each = [GatedResidual(units, 0.1) for _ in range(count)]
        self.joint, self.weigh = GatedResidual(units, 0.1), layers.Dense(count, activation="softmax")

    def call(self, features):
        weights = ops.expand_dims(self.weigh(self.joint(ops.concatenate(features, axis=-1))), axis=-1)
        parts = ops.stack([part(x) for part, x in zip(self.each, features, strict=True)], axis=1)
        return ops.squeeze(ops.matmul(ops.transpose(weights, axes=[0, 2, 1]), parts), axis=1)

    def get_config(self):
        return {**super().get_config(), "count": self.count, "units": self.units}


@net(GROUP)
def gated_variable_selection():
    inputs, numeric, embedded, samples = _census()
    features = [layers.Dense(8)(x) for x in (*numeric, *embedded)]
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(VariableSelection(6, 8)(features))), samples


@net(GROUP)
def temporal_fusion():
    """Known and observed series, an LSTM, attention with one value head, three quantiles."""
    past, future = keras.Input((12, 4), name="past"), keras.Input((4, 2), name="future")
    memory, *states = layers.LSTM(16, return_sequences=True, return_state=True)(GatedResidual(16, 0.1)(past))
    y = layers.LSTM(16, return_sequences=True)(GatedResidual(16, 0.1)(future), initial_state=states)
    x = layers.LayerNormalization()(layers.Concatenate(axis=1)([memory, y]))
    attended = layers.MultiHeadAttention(2, 8)(y, x)
    return keras.Model([past, future], layers.Dense(3)(GatedResidual(16, 0.1)(y + attended))), {
        "past": normal(12, 4),
        "future": normal(4, 2, seed=1),
    }


@net(GROUP)
def neural_decision_forest():
    """Routes through trees: sigmoids multiplied level by level, a mean over trees."""

    class Tree(layers.Layer):
        def __init__(self, depth, features, classes, **kwargs):
            super().__init__(**kwargs)
            self.depth, self.features, self.classes = depth, features, classes
            self.decide = layers.Dense(2**depth, activation="sigmoid")
            picked = np.random.default_rng(0).choice(features, features // 2, replace=False)
            self.mask = np.eye(features, dtype="float32")[picked]

        def build(self, shape):
            self.leaves = self.add_weight(
                shape=(2**self.depth, self.classes), initializer="random_normal", name="leaves"
            )

        def call(self, x):
            batch = ops.shape(x)[0]
            x = ops.matmul(x, ops.transpose(self.mask))
            right = ops.expand_dims(self.decide(x), 2)
            routes = ops.concatenate([right, 1 - right], axis=2)
            mu, first, last = ops.ones([batch, 1, 1]), 1, 2
            for level in range(self.depth):
                mu = ops.tile(ops.reshape(mu, [batch, -1, 1]), (1, 1, 2))
                mu = mu * routes[:, first:last, :]
                first, last = last, last + 2 ** (level + 1)
            mu = ops.reshape(mu, [batch, 2**self.depth])
            return ops.matmul(mu, ops.softmax(self.leaves))

        def get_config(self):
            return {**super().get_config(), "depth": self.depth, "features": self.features, "classes": self.classes}

    inputs = keras.Input((12,))
    x = layers.BatchNormalization()(inputs)
    answers = [Tree(3, 12, 2, name=f"tree_{index}")(x) for index in range(3)]
    return keras.Model(inputs, layers.Average()(answers)), normal(12)


class DotOfUserAndItem(keras.Model):
    """Collaborative filtering as a subclassed model: one input of two columns, biases, a sigmoid."""

    def __init__(self, users, items, width):
        super().__init__()
        self.user, self.user_bias = layers.Embedding(users, width), layers.Embedding(users, 1)
        self.item, self.item_bias = layers.Embedding(items, width), layers.Embedding(items, 1)

    def call(self, x):
        user, item = self.user(x[:, 0]), self.item(x[:, 1])
        dot = ops.sum(user * item, axis=-1, keepdims=True)
        return ops.nn.sigmoid(dot + self.user_bias(x[:, 0]) + self.item_bias(x[:, 1]))


@net(GROUP)
def collaborative_filtering():
    pairs = np.stack([integers(top=30), integers(top=40, seed=1)], 1)
    return DotOfUserAndItem(30, 40, 8), pairs


@net(GROUP)
def behaviour_sequence_transformer():
    """Ratings of a sequence of films: embeddings joined and weighed, attention, a regression."""
    films, ratings = keras.Input((6,), dtype="int32", name="films"), keras.Input((6,), name="ratings")
    x = layers.Embedding(50, 16)(films) + layers.Embedding(6, 16)(ops.arange(6))
    x = layers.Multiply()([x, ops.expand_dims(ratings, -1)])
    y = layers.Dropout(0.1)(layers.MultiHeadAttention(2, 16, dropout=0.1)(x, x))
    y = layers.LeakyReLU()(layers.LayerNormalization()(layers.Add()([x, y])))
    y = layers.Flatten()(layers.LayerNormalization()(layers.Add()([layers.Dense(16)(y), y])))
    y = layers.LeakyReLU()(layers.BatchNormalization()(layers.Dense(16)(y)))
    return keras.Model([films, ratings], layers.Dense(1)(y)), {
        "films": integers(6, top=50),
        "ratings": uniform(6, low=1.0, high=5.0),
    }


@net(GROUP)
def dlrm():
    """Pairwise products of embeddings gathered from a Gram matrix."""
    dense = keras.Input((4,), name="dense_features")
    categories = [keras.Input((), dtype="int32", name=f"category_{index}") for index in range(3)]
    bottom = layers.Dense(8, activation="relu")(layers.Dense(16, activation="relu")(dense))
    every = ops.stack([bottom, *(layers.Embedding(20, 8)(x) for x in categories)], axis=1)
    gram = ops.matmul(every, ops.transpose(every, (0, 2, 1)))
    rows, columns = np.tril_indices(4, -1)
    crossed = ops.take(ops.reshape(gram, (-1, 16)), rows * 4 + columns, axis=1)
    x = layers.Dense(16, activation="relu")(ops.concatenate([bottom, crossed], axis=1))
    return keras.Model([dense, *categories], layers.Dense(1, activation="sigmoid")(x)), [
        normal(4),
        *(integers(top=20, seed=index) for index in range(3)),
    ]


@net(GROUP)
def mixture_of_expert_tasks():
    """Several tasks, each with a softmax gate over shared experts."""
    inputs = keras.Input((10,))
    experts = ops.stack([layers.Dense(8, activation="relu")(inputs) for _ in range(3)], axis=1)
    outputs = []
    for index in range(2):
        gate = layers.Dense(3, activation="softmax")(inputs)
        x = ops.sum(experts * ops.expand_dims(gate, -1), axis=1)
        outputs.append(
            layers.Dense(1, activation="sigmoid", name=f"task_{index}")(layers.Dense(8, activation="relu")(x))
        )
    return keras.Model(inputs, outputs), normal(10)


@net(GROUP)
def tickets_of_three_inputs():
    """The guide's ticket model: two texts and tags in, a priority and a department out, as dicts."""
    title, body = (keras.Input((None,), dtype="int32", name=name) for name in ("title", "body"))
    tags = keras.Input((12,), name="tags")
    x = layers.concatenate(
        [layers.LSTM(16)(layers.Embedding(50, 16)(title)), layers.LSTM(8)(layers.Embedding(50, 16)(body)), tags]
    )
    outputs = {"priority": layers.Dense(1, name="priority")(x), "department": layers.Dense(4, name="department")(x)}
    return keras.Model([title, body, tags], outputs), {
        "title": integers(6, top=50),
        "body": integers(10, top=50, seed=1),
        "tags": integers(12, top=2).astype("float32"),
    }


# ---- Points and graphs


@net(GROUP)
def pointnet():
    """Transforms predicted for the points and for their features, a maximum over all points."""

    def conv_bn(x, width):
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0)(layers.Conv1D(width, 1)(x)))

    def dense_bn(x, width):
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0)(layers.Dense(width)(x)))

    def transform(x, size):
        y = layers.GlobalMaxPooling1D()(conv_bn(conv_bn(x, 8), 16))
        bias = keras.initializers.Constant(np.eye(size).flatten())
        y = layers.Dense(size * size, kernel_initializer="zeros", bias_initializer=bias)(dense_bn(y, 16))
        return layers.Dot(axes=(2, 1))([x, layers.Reshape((size, size))(y)])

    inputs = keras.Input((64, 3))
    x = conv_bn(transform(inputs, 3), 8)
    x = layers.GlobalMaxPooling1D()(conv_bn(conv_bn(transform(x, 8), 16), 32))
    x = layers.Dropout(0.3)(dense_bn(x, 16))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), uniform(64, 3, low=-1.0)


@net(GROUP)
def pointnet_segmentation():
    inputs = keras.Input((64, 3))
    local = layers.Conv1D(16, 1, activation="relu")(inputs)
    whole = layers.MaxPool1D(pool_size=64)(layers.Conv1D(32, 1, activation="relu")(local))
    whole = ops.tile(whole, [1, 64, 1])
    x = layers.Conv1D(16, 1, activation="relu")(layers.Concatenate()([local, whole]))
    return keras.Model(inputs, layers.Conv1D(4, 1, activation="softmax")(x)), uniform(64, 3, low=-1.0)


def _adjacency(nodes):
    random = np.random.default_rng(0)
    links = (random.uniform(size=(nodes, nodes)) < 0.3) | np.eye(nodes, dtype=bool)
    links = (links | links.T).astype("float32")
    degree = links.sum(1) ** -0.5
    return links * degree[:, None] * degree[None, :]


@net(GROUP)
def graph_convolution():
    """Nodes of a fixed graph."""
    links = _adjacency(12)
    inputs = keras.Input((12, 6))
    x = layers.Dropout(0.2)(ops.relu(ops.matmul(links, layers.Dense(16, use_bias=False)(inputs))))
    return keras.Model(inputs, ops.matmul(links, layers.Dense(3)(x))), normal(12, 6)


class GraphAttention(layers.Layer):
    """Attention over the neighbours of a fixed graph, masked scores, several heads joined."""

    def __init__(self, units: int, nodes: int, **kwargs):
        super().__init__(**kwargs)
        self.units, self.nodes = units, nodes
        self.links = (_adjacency(nodes) > 0).astype("float32")

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.own, self.other = (self.add_weight(shape=(self.units, 1), name=name) for name in ("own", "other"))

    def call(self, x):
        x = ops.matmul(x, self.kernel)
        scores = ops.matmul(x, self.own) + ops.transpose(ops.matmul(x, self.other), (0, 2, 1))
        scores = ops.leaky_relu(scores, 0.2) + (1.0 - self.links) * -1e9
        return ops.matmul(ops.softmax(scores, axis=-1), x)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "nodes": self.nodes}


@net(GROUP)
def graph_attention():
    inputs = keras.Input((12, 6))
    x = layers.Concatenate()([GraphAttention(8, 12)(inputs) for _ in range(2)])
    x = layers.Concatenate()([GraphAttention(8, 12)(ops.elu(x)) for _ in range(2)])
    return keras.Model(inputs, layers.Dense(3)(x)), normal(12, 6)


@net(GROUP)
def molecule_relational_gcn():
    """Adjacency of several kinds of bond as an input, reduced over atoms."""
    bonds, atoms = keras.Input((4, 9, 9), name="bonds"), keras.Input((9, 5), name="atoms")

    class Relational(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, shapes):
            bonds, atoms = shapes
            self.kernel = self.add_weight(shape=(bonds[1], atoms[2], self.units), name="kernel")
            self.bias = self.add_weight(shape=(bonds[1], 1, self.units), initializer="zeros", name="bias")

        def call(self, inputs):
            bonds, atoms = inputs
            x = ops.matmul(bonds, atoms[:, None, :, :])
            x = ops.matmul(x, self.kernel) + self.bias
            return ops.relu(ops.sum(x, axis=1))

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    x = atoms
    for units in (8, 16):
        x = Relational(units)([bonds, x])
    x = layers.Dense(8, activation="tanh")(layers.GlobalAveragePooling1D()(x))
    return keras.Model([bonds, atoms], layers.Dense(1)(x)), {
        "bonds": (uniform(4, 9, 9) < 0.3).astype("float32"),
        "atoms": np.eye(5, dtype="float32")[integers(9, top=5)],
    }


@net(GROUP)
def message_passing():
    """Edges as an input: messages gathered by fixed places, a recurrent update of nodes."""
    sources, targets = np.array([0, 1, 2, 3, 4, 5, 0, 2]), np.array([1, 2, 3, 4, 5, 0, 3, 5])
    gather = np.eye(6, dtype="float32")[targets].T  # (nodes, edges)
    nodes, edges = keras.Input((6, 4), name="nodes"), keras.Input((8, 3), name="edges")
    x, cell = layers.Dense(8)(nodes), layers.GRUCell(8)
    message = layers.Dense(8, activation="relu")
    for _ in range(2):
        sent = message(ops.concatenate([ops.take(x, sources, axis=1), edges], axis=-1))
        heard = ops.matmul(gather, sent)
        _, states = cell(ops.reshape(heard, (-1, 8)), [ops.reshape(x, (-1, 8))])
        x = ops.reshape(states[0], (-1, 6, 8))
    return keras.Model([nodes, edges], layers.Dense(1)(ops.mean(x, axis=1))), {
        "nodes": normal(6, 4),
        "edges": normal(8, 3),
    }


# ---- Control


@net(GROUP)
def deep_q_network():
    """Four frames, channels first as the game gives them, moved inside."""
    inputs = keras.Input((4, 42, 42))
    x = layers.Lambda(lambda frames: ops.transpose(frames, [0, 2, 3, 1]), output_shape=(42, 42, 4))(inputs)
    for width, size, stride in ((8, 8, 4), (16, 4, 2), (16, 3, 1)):
        x = layers.Conv2D(width, size, strides=stride, activation="relu")(x)
    x = layers.Dense(32, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4, activation="linear")(x)), images(42, 42, 4).transpose(0, 3, 1, 2)
