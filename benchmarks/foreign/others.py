"""Nets of kimm, layers of keras-rs in the models they are for, and keras-tcn."""

import keras
import numpy as np
from keras import layers

from .nets import images, integers, net, normal

KIMM = {  # name: size of image
    "ConvMixer736D32": 32, "ConvNeXtAtto": 32, "DenseNet121": 32, "EfficientNetLiteB0": 32, "GhostNetW050": 32,
    "GhostNetV2W100": 64, "HGNetTiny": 32, "HGNetV2B0": 32, "InceptionNeXtTiny": 32, "LCNet035": 32,
    "MobileNetV3W050Small": 32, "MobileOneS0": 32, "MobileViTXXS": 64, "MobileViTV2W050": 64, "RegNetX002": 32,
    "RegNetY002": 32, "RepVGGA0": 32, "ResNet18": 32, "TinyNetE": 32, "VisionTransformerTiny16": 32,
}  # fmt: skip


def _register(name: str, size: int) -> None:
    @net("kimm", f"kimm_{name}")
    def build():
        import kimm

        model = getattr(kimm.models, name)(weights=None, input_shape=(size, size, 3), classes=10)
        return model, images(size, size, 3, high=255.0)


for name, size in KIMM.items():
    _register(name, size)


# ---- keras-rs


def _features(vocabularies: list[int], width: int = 8):
    """Return inputs of one integer each and their embeddings, (batch, width) each."""
    inputs = [keras.Input((), dtype="int32", name=f"feature_{i}") for i in range(len(vocabularies))]
    return inputs, [layers.Embedding(top, width)(x) for top, x in zip(vocabularies, inputs, strict=True)]


@net("keras-rs")
def rs_deep_cross_network():
    import keras_rs

    tops = [20, 30, 5]
    inputs, embedded = _features(tops)
    x = first = layers.Concatenate()(embedded)
    for _ in range(2):
        x = keras_rs.layers.FeatureCross(projection_dim=6)(first, x)
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1)(x)), [integers(top=top, seed=i) for i, top in enumerate(tops)]


@net("keras-rs")
def rs_deep_cross_full_rank():
    import keras_rs

    inputs = keras.Input((24,))
    x = keras_rs.layers.FeatureCross()(inputs)
    x = keras_rs.layers.FeatureCross(diag_scale=0.1, pre_activation="tanh")(inputs, x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), normal(24)


@net("keras-rs")
def rs_dlrm():
    import keras_rs

    tops = [20, 30, 5]
    inputs, embedded = _features(tops)
    dense = keras.Input((6,), name="numbers")
    bottom = layers.Dense(8, activation="relu")(layers.Dense(16, activation="relu")(dense))
    crossed = keras_rs.layers.DotInteraction()([bottom, *embedded])
    x = layers.Concatenate()([bottom, crossed])
    out = layers.Dense(1, activation="sigmoid")(layers.Dense(16, activation="relu")(x))
    return keras.Model([dense, *inputs], out), [normal(6), *(integers(top=top, seed=i) for i, top in enumerate(tops))]


@net("keras-rs")
def rs_dot_interaction_skip_gather():
    import keras_rs

    inputs = [keras.Input((8,), name=f"x{i}") for i in range(4)]
    x = keras_rs.layers.DotInteraction(self_interaction=True, skip_gather=True)(inputs)
    return keras.Model(inputs, layers.Dense(3)(x)), [normal(8, seed=i) for i in range(4)]


@net("keras-rs")
def rs_embed_reduce():
    import keras_rs

    inputs = keras.Input((10,), dtype="int32")
    x = keras_rs.layers.EmbedReduce(40, 8, combiner="mean")(inputs)
    return keras.Model(inputs, layers.Dense(4)(x)), integers(10, top=40)


@net("keras-rs")
def rs_two_towers():
    user, item = (keras.Input((), dtype="int32", name=name) for name in ("user", "item"))
    left = layers.Dense(16)(layers.Dense(16, activation="relu")(layers.Embedding(40, 16)(user)))
    right = layers.Dense(16)(layers.Dense(16, activation="relu")(layers.Embedding(60, 16)(item)))
    return keras.Model([user, item], layers.Dot(axes=1)([left, right])), [integers(top=40), integers(top=60, seed=1)]


@net("keras-rs")
def rs_retrieval_scores():
    """A query tower before all candidates, as brute-force retrieval ranks them."""
    import keras_rs

    candidates = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    user = keras.Input((), dtype="int32", name="user")
    query = layers.Dense(16)(layers.Embedding(40, 16)(user))
    scores, _ = keras_rs.layers.BruteForceRetrieval(candidate_embeddings=candidates, k=5)(query)
    return keras.Model(user, scores), integers(top=40)


class _Positions(layers.Layer):
    """Learned positions added to a sequence."""

    def __init__(self, length: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.length, self.width = length, width
        self.table = layers.Embedding(length, width)

    def build(self, shape):
        self.table.build((self.length,))

    def call(self, x):
        return x + self.table(keras.ops.arange(keras.ops.shape(x)[1]))

    def get_config(self):
        return {**super().get_config(), "length": self.length, "width": self.width}


@net("keras-rs")
def rs_sas_rec():
    """Self-attention over the items seen so far; scores of all items by the embedding's own table."""
    length, items, width = 12, 50, 16
    inputs = keras.Input((length,), dtype="int32")
    table = layers.Embedding(items, width, mask_zero=False)
    x = _Positions(length, width)(layers.Rescaling(width**0.5)(table(inputs)))
    for _ in range(2):
        normed = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, width // 2)(normed, x, use_causal_mask=True)
        hidden = layers.Dense(width, activation="relu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(hidden)
    x = layers.LayerNormalization()(x)[:, -1]
    return keras.Model(inputs, layers.Dense(items)(x)), integers(length, top=items)


@net("keras-rs")
def rs_gru_ranking():
    """A list of items ranked against a user's history."""
    history, items = keras.Input((8,), dtype="int32", name="history"), keras.Input((5,), dtype="int32", name="items")
    table = layers.Embedding(50, 16)
    user = layers.GRU(16)(table(history))
    scores = layers.Dot(axes=(2, 1))([layers.Dense(16)(table(items)), user])
    return keras.Model([history, items], scores), [integers(8, top=50), integers(5, top=50, seed=1)]


# ---- keras-tcn


def _tcn(**more):
    from tcn import TCN

    inputs = keras.Input((20, 4))
    x = TCN(nb_filters=8, kernel_size=3, dilations=(1, 2, 4), **more)(inputs)
    return keras.Model(inputs, layers.Dense(3)(x)), normal(20, 4)


@net("keras-tcn")
def tcn_plain():
    return _tcn()


@net("keras-tcn")
def tcn_sequences():
    return _tcn(return_sequences=True, use_batch_norm=True, nb_stacks=2)


@net("keras-tcn")
def tcn_layer_norm():
    return _tcn(use_layer_norm=True, use_skip_connections=False)


@net("keras-tcn")
def tcn_same():
    return _tcn(padding="same", activation="gelu", dropout_rate=0.1)
