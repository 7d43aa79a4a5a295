"""Graphs drawn at random: every kernel of the exported file rounds as the fake-quantizer beside it did.

EDGEWRIGHT_GRAPHS sets how many (200; `make torture` draws 500, 5000 take about an hour).
"""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from edgewright.devices import measure
from edgewright.export.onnx_writer import write_onnx
from edgewright.export.tflite_writer import write_tflite
from edgewright.pipeline.diagnose import diagnose
from edgewright.quantize import find_quantized, prepare_qat
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from keras import layers, ops
from kernel_agreement import Server, Tally, agreements, probe


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One process that runs file after file, for `diagnose` too."""
    with Server(tmp_path_factory.mktemp("graphs")) as server, pytest.MonkeyPatch.context() as patch:

        def answers(path, inputs, device="local"):
            return server.run(Path(path).read_bytes(), "xnnpack", next(iter(inputs.values())))

        patch.setattr(measure, "answers", answers)
        yield server


ACTIVATIONS = ("relu", "relu6", "tanh", "sigmoid", "elu", "gelu", "silu", "hard_sigmoid", "softplus", "leaky_relu")
widths = st.integers(2, 6)


def windows(x):
    """Attention within windows of half an image's size, which stand where the samples did meanwhile."""
    _, height, width, maps = x.shape
    if height % 2 or width % 2:
        return x
    y = ops.transpose(ops.reshape(x, (-1, 2, height // 2, 2, width // 2, maps)), (0, 1, 3, 2, 4, 5))
    y = ops.reshape(y, (-1, height * width // 4, maps))
    y = layers.MultiHeadAttention(2, 2)(y, y)
    y = ops.transpose(ops.reshape(y, (-1, 2, 2, height // 2, width // 2, maps)), (0, 1, 3, 2, 4, 5))
    return x + ops.reshape(y, (-1, height, width, maps))


@st.composite
def steps_on_images(draw, x):
    channels = draw(widths)
    padding = draw(st.sampled_from(["same", "valid"])) if min(x.shape[1:3]) >= 3 else "same"
    stride = draw(st.sampled_from([1, 2]))
    bodies = {
        "conv": lambda: layers.Conv2D(channels, draw(st.sampled_from([1, 3])), strides=stride, padding=padding)(x),
        "depthwise": lambda: layers.DepthwiseConv2D(3, strides=stride, padding=padding)(x),
        "norm": lambda: layers.BatchNormalization()(x),
        "max": lambda: layers.MaxPooling2D(2, padding="same")(x),
        "average": lambda: layers.AveragePooling2D(2, padding="same")(x),
        "up": lambda: layers.UpSampling2D(2)(x) if x.shape[1] < 8 else x,
        "pad": lambda: layers.ZeroPadding2D(1)(x) if x.shape[1] < 8 else x,
        "activation": lambda: layers.Activation(draw(st.sampled_from(ACTIVATIONS)))(x),
        "residual": lambda: x + layers.Conv2D(x.shape[-1], 3, padding="same")(x),
        "concat": lambda: ops.concatenate([x, layers.Conv2D(channels, 1)(x)], axis=-1),
        "scale": lambda: x * layers.Dense(x.shape[-1], activation="sigmoid")(ops.mean(x, axis=(1, 2), keepdims=True)),
        "mirror": lambda: ops.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)), mode="symmetric") if x.shape[1] < 8 else x,
        "roll": lambda: ops.roll(x, (1, -1), (1, 2)),
        "patches": lambda: ops.image.extract_patches(x, 2, strides=stride, padding="same"),
        "pixels": lambda: ops.depth_to_space(layers.Conv2D(8, 1)(x), 2) if x.shape[1] < 8 else x,
        "windows": lambda: windows(x),
        "flatten": lambda: layers.Flatten()(x),
        "pool": lambda: layers.GlobalAveragePooling2D()(x),
        "rows": lambda: layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x),
    }
    return bodies[draw(st.sampled_from(sorted(bodies)))]()


@st.composite
def steps_on_sequences(draw, x):
    width = draw(widths)
    bodies = {
        "dense": lambda: layers.Dense(width)(x),
        "conv": lambda: layers.Conv1D(width, 3, padding=draw(st.sampled_from(["same", "causal"])))(x),
        "activation": lambda: layers.Activation(draw(st.sampled_from(ACTIVATIONS)))(x),
        "norm": lambda: layers.LayerNormalization()(x) if x.shape[-1] > 3 else x,
        "attention": lambda: x + layers.MultiHeadAttention(2, 2)(x, x),
        "gate": lambda: x * layers.Dense(x.shape[-1], activation="sigmoid")(x),
        "permute": lambda: layers.Permute((2, 1))(x),
        "flip": lambda: ops.flip(x, axis=1),
        "softmax": lambda: ops.softmax(x),
        "recurrent": lambda: layers.LSTM(width)(x) if x.shape[1] <= 8 else ops.mean(x, axis=1),
        "max": lambda: ops.max(x, axis=1),
        "cumsum": lambda: ops.cumsum(x, axis=1),
        "shift": lambda: ops.concatenate([ops.zeros_like(x[:, :1]), x[:, :-1]], axis=1),
        "length": lambda: x / (1.0 + ops.norm(x, axis=-1, keepdims=True)),
        "logsumexp": lambda: ops.logsumexp(x, axis=-1),
        "distributed": lambda: layers.TimeDistributed(layers.Dense(width))(x),
        "flatten": lambda: layers.Flatten()(x),
    }
    return bodies[draw(st.sampled_from(sorted(bodies)))]()


@st.composite
def steps_on_vectors(draw, x):
    bodies = {
        "dense": lambda: layers.Dense(draw(widths) * 2)(x),
        "activation": lambda: layers.Activation(draw(st.sampled_from(ACTIVATIONS)))(x),
        "residual": lambda: x - layers.Dense(x.shape[-1], activation="relu")(x),
        "table": lambda: ops.log(2.0 + 0.1 * ops.square(x)) * 0.5,
        "product": lambda: ops.maximum(x, 0.5 * layers.Dense(x.shape[-1])(x)),
    }
    return bodies[draw(st.sampled_from(sorted(bodies)))]()


BY_RANK = {4: steps_on_images, 3: steps_on_sequences, 2: steps_on_vectors}


@st.composite
def models(draw):
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(draw(st.integers(0, 2**16)))
    shape = draw(st.sampled_from([(8, 8, 3), (6, 6, 4), (6, 4), (8, 3), (10,)]))
    x = inputs = keras.Input(shape, name="x")
    for _ in range(draw(st.integers(1, 6))):
        x = draw(BY_RANK[len(x.shape)](x))
    if x is inputs:
        x = layers.Activation("tanh")(x)
    model = keras.Model(inputs, x, name="drawn")
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(np.random.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(np.random.normal(0, 0.2, weight.shape))
    return model


def test_every_kernel_rounds_as_in_training(server):
    tallies = {runtime: Tally(runtime) for runtime in ("xnnpack", "onnxruntime")}

    @settings(
        max_examples=int(os.environ.get("EDGEWRIGHT_GRAPHS", "200")),
        deadline=None,
        derandomize="EDGEWRIGHT_GRAPHS" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(model=models())
    def rounds_as_in_training(model):
        x = np.random.default_rng(0).normal(size=(16, *model.input_shape[1:])).astype("float32")
        qat, report = prepare_qat(model, calibration=x)
        assert not report.float_ops, report
        found = diagnose(qat, x)
        note(str(found))
        assert found.first_divergence is None, found.first_divergence
        last = found.rows[-1:]  # none where movements cancel and the graph returns its input
        if (
            last and last[0].device_within_one < 0.99
        ):  # an earlier kernel was off by a step, which what follows enlarged
            assert min(row.kernel_exact for row in found.rows) < 1
        kernels = kernels_of(qat, x, server)
        faults = [f"{runtime}: {kernel.fault}" for runtime in kernels for kernel in kernels[runtime] if kernel.fault]
        assert not faults, "\n".join(faults)
        for runtime, tally in tallies.items():
            tally.add(kernels[runtime], f"graph {sum(map(len, tally.by_operator.values()))}")

    rounds_as_in_training()
    said = [tally.shortcoming(operator) for tally in tallies.values() for operator in tally.by_operator]
    assert not any(said), "\n".join(filter(None, said))


def kernels_of(qat, x, server):
    """Return by runtime how each kernel rounds."""
    layer = find_quantized(qat)
    given = probe(layer, qat.name)
    if not given.tensors:  # where movements cancel the graph returns its input
        return {"xnnpack": [], "onnxruntime": []}
    files = {"xnnpack": write_tflite(given.program), "onnxruntime": write_onnx(given.program)}
    return agreements(layer, x, {name: given.parts(server.run(data, name, x)) for name, data in files.items()})
