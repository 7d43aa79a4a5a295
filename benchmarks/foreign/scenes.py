"""Nets for what is seen, beyond one label an image, after the structure of public tutorials, in small sizes."""

import keras
from keras import layers, ops

from .images import mlp
from .nets import images, net, normal

GROUP = "tutorial, images"


@net(GROUP)
def unet_pets():
    """Segmentation with separable convolutions, strided residuals, transposed convolutions and upsampling."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(inputs)))
    before = x
    for width in (16, 32):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = before = layers.add([x, layers.Conv2D(width, 1, strides=2, padding="same")(before)])
    for width in (32, 16, 8):
        for _ in range(2):
            x = layers.Conv2DTranspose(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(width, 1, padding="same")(layers.UpSampling2D(2)(before))
        x = before = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x)), images(32, 32)


@net(GROUP)
def unet_with_skips():
    inputs = keras.Input((32, 32, 1))
    skips, x = [], inputs
    for width in (8, 16):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    for width in (16, 8):
        x = layers.Conv2DTranspose(width, 2, 2)(x)
        x = layers.concatenate([x, skips.pop()])
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(layers.Dropout(0.3)(x))
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x)), images(32, 32, 1)


@net(GROUP)
def deeplab_v3_plus():
    """Atrous pyramid with a pooled branch brought back to size, low-level features, two bilinear resizings."""

    def block(x, width=16, size=3, rate=1):
        x = layers.Conv2D(width, size, dilation_rate=rate, padding="same", use_bias=False)(x)
        return ops.nn.relu(layers.BatchNormalization()(x))

    inputs = keras.Input((64, 64, 3))
    low = block(layers.Conv2D(8, 3, strides=4, padding="same")(inputs))
    high = block(layers.Conv2D(16, 3, strides=4, padding="same")(low))
    pooled = block(layers.AveragePooling2D(pool_size=(high.shape[-3], high.shape[-2]))(high), size=1)
    pooled = layers.UpSampling2D(high.shape[1:3], interpolation="bilinear")(pooled)
    x = layers.Concatenate()([pooled, *(block(high, rate=rate) for rate in (1, 2, 3))])
    x = layers.UpSampling2D(4, interpolation="bilinear")(block(x, size=1))
    x = block(block(layers.Concatenate()([x, block(low, width=8, size=1)])))
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    return keras.Model(inputs, layers.Conv2D(4, 1)(x)), images(64, 64)


@net(GROUP)
def fully_convolutional():
    """FCN-8: pooled stages of a backbone are scored, enlarged and added."""
    inputs = keras.Input((64, 64, 3))
    x, stages = inputs, []
    for width in (8, 8, 16, 16, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, padding="same", activation="relu")(x))
        stages.append(x)
    scores = [layers.Conv2D(4, 1, padding="same")(stage) for stage in stages[-3:]]
    x = layers.UpSampling2D(2, interpolation="bilinear")(scores[2])
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Add()([x, scores[1]]))
    x = layers.UpSampling2D(8, interpolation="bilinear")(layers.Add()([x, scores[0]]))
    return keras.Model(inputs, layers.Activation("softmax")(x)), images(64, 64)


class DepthToSpace(layers.Layer):
    """Sub-pixel shuffle by reshape and transpose."""

    def __init__(self, block: int, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def call(self, x):
        batch, height, width, depth = ops.shape(x)
        rest = depth // self.block**2
        x = ops.reshape(x, [batch, height, width, self.block, self.block, rest])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        return ops.reshape(x, [batch, height * self.block, width * self.block, rest])

    def get_config(self):
        return {**super().get_config(), "block": self.block}


@net(GROUP)
def super_resolution():
    """Sizes of image left open, as the tutorial has them."""
    inputs = keras.Input((None, None, 1))
    x = inputs
    for width in (16, 16, 8):
        x = layers.Conv2D(width, 3, activation="relu", padding="same")(x)
    return keras.Model(inputs, DepthToSpace(3)(layers.Conv2D(9, 3, padding="same", activation="relu")(x))), images(
        20, 20, 1
    )


@net(GROUP)
def enhanced_deep_super_resolution():
    inputs = keras.Input((16, 16, 3))
    x = first = layers.Conv2D(16, 3, padding="same")(layers.Rescaling(1 / 255)(inputs))
    for _ in range(3):
        y = layers.Conv2D(16, 3, padding="same")(layers.Conv2D(16, 3, padding="same", activation="relu")(x))
        x = layers.Add()([x, y])
    x = layers.Add()([first, layers.Conv2D(16, 3, padding="same")(x)])
    x = DepthToSpace(2)(layers.Conv2D(64, 3, padding="same")(x))
    x = layers.Conv2D(3, 3, padding="same")(x)
    return keras.Model(inputs, layers.Rescaling(255.0)(x)), images(16, 16, high=255.0)


@net(GROUP)
def zero_dce():
    """Low light: curves of eight iterations, applied inside the model."""
    inputs = keras.Input((24, 24, 3))
    a = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    b = layers.Conv2D(8, 3, activation="relu", padding="same")(a)
    c = layers.Conv2D(8, 3, activation="relu", padding="same")(b)
    d = layers.Conv2D(8, 3, activation="relu", padding="same")(layers.Concatenate()([b, c]))
    curves = layers.Conv2D(24, 3, activation="tanh", padding="same")(layers.Concatenate()([a, d]))
    x = inputs
    for index in range(8):
        r = curves[:, :, :, 3 * index : 3 * index + 3]
        x = x + r * (ops.square(x) - x)
    return keras.Model(inputs, x), images(24, 24)


@net(GROUP)
def mirnet_selective_fusion():
    """Branches of three sizes weighed by a softmax over stacked channel descriptors."""
    inputs = keras.Input((16, 16, 3))
    branches = [layers.Conv2D(8, size, padding="same", activation="relu")(inputs) for size in (1, 3, 5)]
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Add()(branches))
    narrow = layers.Conv2D(4, 1, activation="relu")(pooled)
    weights = ops.softmax(ops.stack([layers.Conv2D(8, 1)(narrow) for _ in branches], axis=1), axis=1)
    x = layers.Add()([branch * weights[:, index] for index, branch in enumerate(branches)])
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x) + inputs), images(16, 16)


@net(GROUP)
def convolutional_block_attention():
    """Channel and spatial attention: means and maxima, a shared perceptron, sigmoids."""
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    shared = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(16)])
    channel = shared(layers.GlobalAveragePooling2D()(x)) + shared(layers.GlobalMaxPooling2D()(x))
    x = x * ops.sigmoid(channel)[:, None, None, :]
    maps = ops.concatenate([ops.mean(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)], axis=-1)
    x = x * layers.Conv2D(1, 7, padding="same", activation="sigmoid")(maps)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalMaxPooling2D()(x))), images(24, 24)


def _embedder(size=24):
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(16),
        ],
        name="embedder",
    )


@net(GROUP)
def siamese_contrastive():
    """A tower used twice, a Euclidean distance by Lambda, one sigmoid."""
    left, right, tower = keras.Input((24, 24, 3)), keras.Input((24, 24, 3)), _embedder()

    def distance(pair):
        squares = ops.sum(ops.square(pair[0] - pair[1]), axis=1, keepdims=True)
        return ops.sqrt(ops.maximum(squares, keras.backend.epsilon()))

    merged = layers.Lambda(distance, output_shape=(1,))([tower(left), tower(right)])
    out = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(merged))
    return keras.Model([left, right], out), [images(24, 24), images(24, 24, seed=1)]


class Distances(layers.Layer):
    """Squared distances of the anchor to the positive and to the negative."""

    def call(self, anchor, positive, negative):
        return tuple(ops.sum(ops.square(anchor - other), -1) for other in (positive, negative))


@net(GROUP)
def siamese_triplet():
    inputs = [keras.Input((24, 24, 3), name=name) for name in ("anchor", "positive", "negative")]
    tower = _embedder()
    return keras.Model(inputs, Distances()(*map(tower, inputs))), [images(24, 24, seed=seed) for seed in range(3)]


@net(GROUP)
def supervised_contrastive():
    """An encoder inside, a projection head with unit norm."""
    inputs = keras.Input((24, 24, 3))
    x = layers.Dense(16, activation="relu")(_embedder()(inputs))
    return keras.Model(inputs, layers.UnitNormalization()(layers.Dense(8)(x))), images(24, 24)


@net(GROUP)
def metric_learning_similarity():
    """Anchors against positives of the same call, a Gram matrix of one sample's parts."""
    inputs = keras.Input((4, 24, 24, 3))
    x = layers.TimeDistributed(_embedder())(inputs)
    x = ops.nn.normalize(x, axis=-1) if hasattr(ops.nn, "normalize") else ops.normalize(x, axis=-1)
    similar = ops.einsum("bae,bpe->bap", x, x) / 0.2
    import numpy as np

    return keras.Model(inputs, similar), np.stack([images(24, 24, seed=seed) for seed in range(4)], 1)


@net(GROUP)
def ocr_captcha_ctc():
    """Convolutions, columns as steps, two bidirectional LSTMs, characters with a blank."""
    inputs = keras.Input((48, 16, 1))  # (width, height)
    x = inputs
    for width in (8, 16):
        x = layers.MaxPooling2D()(layers.Conv2D(width, 3, activation="relu", padding="same")(x))
    x = layers.Dense(16, activation="relu")(layers.Reshape((12, 64))(x))
    for units in (16, 8):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, dropout=0.25))(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x)), images(48, 16, 1)


@net(GROUP)
def crnn_handwriting():
    inputs = keras.Input((16, 64, 1))
    x = inputs
    for width, pool in ((8, (2, 2)), (16, (2, 2)), (16, (2, 1))):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D(pool)(layers.LeakyReLU(0.01)(layers.BatchNormalization()(x)))
    x = layers.Reshape((16, 32))(layers.Permute((2, 1, 3))(x))
    x = layers.Bidirectional(layers.GRU(16, return_sequences=True))(x)
    return keras.Model(inputs, layers.Dense(20)(x)), images(16, 64, 1)


@net(GROUP)
def retinanet_head_shared():
    """A feature pyramid, one head on all of its levels, boxes and classes joined."""

    def head(outputs, name):
        return keras.Sequential(
            [
                keras.Input((None, None, 16)),
                layers.Conv2D(16, 3, padding="same"),
                layers.ReLU(),
                layers.Conv2D(outputs, 3, padding="same"),
            ],
            name=name,
        )

    inputs = keras.Input((64, 64, 3))
    c3 = layers.Conv2D(16, 3, 8, padding="same", activation="relu")(inputs)
    c4 = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(c3)
    c5 = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(c4)
    p5 = layers.Conv2D(16, 1)(c5)
    p4 = layers.Conv2D(16, 1)(c4) + layers.UpSampling2D()(p5)
    p3 = layers.Conv2D(16, 1)(c3) + layers.UpSampling2D()(p4)
    levels = [layers.Conv2D(16, 3, padding="same")(p) for p in (p3, p4, p5)]
    classes, boxes = head(6, "classes"), head(8, "boxes")
    outputs = [
        layers.Concatenate(axis=1)([layers.Reshape((-1, last))(part(level)) for level in levels])
        for part, last in ((classes, 3), (boxes, 4))
    ]
    return keras.Model(inputs, outputs), images(64, 64)


@net(GROUP)
def bifpn():
    """Weighted fusion: learned weights, relu, divided by their sum."""

    class Fuse(layers.Layer):
        def build(self, shapes):
            self.w = self.add_weight(shape=(len(shapes),), initializer="ones", name="w")

        def call(self, tensors):
            w = ops.relu(self.w)
            w = w / (ops.sum(w) + 1e-4)
            return ops.silu(sum(w[index] * each for index, each in enumerate(tensors)))

    def conv(x):
        return layers.BatchNormalization()(layers.SeparableConv2D(8, 3, padding="same")(x))

    inputs = keras.Input((32, 32, 3))
    levels = [layers.Conv2D(8, 3, stride, padding="same")(inputs) for stride in (2, 4, 8)]
    for _ in range(2):
        a, b, c = levels
        middle = conv(Fuse()([b, layers.UpSampling2D()(c)]))
        low = conv(Fuse()([a, layers.UpSampling2D()(middle)]))
        middle = conv(Fuse()([b, middle, layers.MaxPooling2D()(low)]))
        levels = [low, middle, conv(Fuse()([c, layers.MaxPooling2D()(middle)]))]
    return keras.Model(inputs, [layers.Conv2D(4, 1)(level) for level in levels]), images(32, 32)


@net(GROUP)
def yolo_decoding():
    """A grid head whose boxes are decoded inside: sigmoid offsets, exponents of sizes, anchors."""
    import numpy as np

    inputs = keras.Input((32, 32, 3))
    x = inputs
    for width in (8, 16, 16):
        x = layers.Conv2D(width, 3, 2, padding="same", use_bias=False)(x)
        x = layers.LeakyReLU(0.1)(layers.BatchNormalization()(x))
    x = layers.Reshape((4, 4, 2, 8))(layers.Conv2D(16, 1)(x))
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(1, 4, 4, 1, 2).astype("float32")
    anchors = np.array([[1.0, 1.5], [2.0, 1.0]], "float32").reshape(1, 1, 1, 2, 2)
    centres = (ops.sigmoid(x[..., 0:2]) + grid) / 4
    sizes = ops.exp(x[..., 2:4]) * anchors / 4
    return keras.Model(inputs, [centres, sizes, ops.sigmoid(x[..., 4:])]), images(32, 32)


@net(GROUP)
def keypoints():
    """Coordinates by a separable head that ends in a sigmoid."""
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35)
    inputs = keras.Input((64, 64, 3))
    x = layers.Dropout(0.3)(base(keras.applications.mobilenet_v2.preprocess_input(inputs)))
    x = layers.SeparableConv2D(16, 2, strides=1, activation="relu")(x)
    x = layers.SeparableConv2D(48, 1, activation="sigmoid")(x)
    return keras.Model(inputs, x), images(64, 64, high=255.0)


@net(GROUP)
def depth_estimation():
    """Down and up with LeakyReLU, skips by concatenation, tanh at the end."""
    inputs = keras.Input((32, 32, 3))
    x, skips = inputs, []
    for width in (8, 16):
        y = layers.LeakyReLU(0.2)(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
        skips.append(y)
        x = layers.MaxPooling2D()(y)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(32, 3, padding="same")(x))
    for width in (16, 8):
        x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skips.pop()])
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="tanh")(x)), images(32, 32)


@net(GROUP)
def involution():
    """Kernels made from the image itself, applied to unfolded patches."""

    class Involution(layers.Layer):
        def __init__(self, channels, size, **kwargs):
            super().__init__(**kwargs)
            self.channels, self.size = channels, size
            self.make = keras.Sequential(
                [layers.Conv2D(4, 1), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(size * size, 1)]
            )

        def build(self, shape):
            self.make.build(shape)

        def call(self, x):
            _, height, width, channels = x.shape
            kernel = ops.reshape(self.make(x), (-1, height, width, self.size**2, 1, 1))
            patches = ops.image.extract_patches(x, self.size, strides=1, padding="same")
            patches = ops.reshape(patches, (-1, height, width, self.size**2, channels // 1, 1))
            return ops.squeeze(ops.sum(kernel * patches, axis=3), -1)

        def get_config(self):
            return {**super().get_config(), "channels": self.channels, "size": self.size}

    inputs = keras.Input((16, 16, 3))
    x = layers.ReLU()(Involution(3, 3)(inputs))
    x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(Involution(3, 3)(x))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))), images(16, 16)


@net(GROUP)
def forward_forward_features():
    """Layers whose inputs are normalized by their own norm."""
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    for width in (32, 32):
        x = x / (ops.norm(x, ord=2, axis=1, keepdims=True) + 1e-4)
        x = layers.Dense(width, activation="relu")(x)
    goodness = ops.mean(ops.power(x, 2), axis=1, keepdims=True)
    return keras.Model(inputs, goodness), images(28, 28, 1)[..., 0]


@net(GROUP)
def spatial_transformer():
    """An affine transform predicted from the image; sampled bilinearly."""
    inputs = keras.Input((24, 24, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 5, activation="relu")(inputs))
    x = layers.Dense(16, activation="tanh")(layers.Flatten()(x))
    theta = layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001))(x)
    import numpy as np

    theta = theta * 0.01 + np.array([1, 0, 0, 0, 1, 0, 0, 0], "float32")
    x = ops.image.affine_transform(inputs, theta)
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))), images(24, 24, 1)


@net(GROUP)
def video_frames_3d():
    """A small 3D convnet for volumes."""
    inputs = keras.Input((8, 16, 16, 1))
    x = inputs
    for width in (8, 16):
        x = layers.Conv3D(width, 3, activation="relu", padding="same")(x)
        x = layers.BatchNormalization()(layers.MaxPooling3D(2)(x))
    x = layers.Dense(16, activation="relu")(layers.GlobalAveragePooling3D()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.3)(x))), normal(8, 16, 16, 1)


@net(GROUP)
def video_conv_lstm():
    inputs = keras.Input((4, 12, 12, 1))
    x = layers.BatchNormalization()(layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(inputs))
    x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True, activation="relu")(x)
    return keras.Model(inputs, layers.Conv3D(1, 3, activation="sigmoid", padding="same")(x)), normal(4, 12, 12, 1)


@net(GROUP)
def video_tubelets():
    """A video transformer: tubelets by a 3D convolution."""
    inputs = keras.Input((8, 16, 16, 1))
    x = layers.Reshape((-1, 16))(layers.Conv3D(16, 8, 8)(inputs))
    x = x + layers.Embedding(4, 16)(ops.arange(4))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 8)(y, y)
        x = x + mlp(layers.LayerNormalization()(x), [32, 16])
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(x))), normal(8, 16, 16, 1)
