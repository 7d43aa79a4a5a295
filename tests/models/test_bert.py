"""Encoders of the BERT family: their sizes, padding, one block for all, tags."""

import keras
import numpy as np
import pytest
from edgewright.export import export_onnx, export_tflite
from edgewright.export.flatbuffer import unpacked
from edgewright.models import registry
from edgewright.prune import prune
from edgewright.quantize import prepare_qat

SIZES = {"depth": 1, "width": 8, "heads": 2, "feed_forward": 8, "vocabulary": 500}
INPUTS = ("ids", "segments", "mask")


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        (("bert_base", {}), 109_482_240),
        (("bert_base", {"vocabulary": 30_000}), 109_081_344),
        (("bert_large", {}), 335_141_888),
        (("bert_large", {"vocabulary": 30_000}), 334_607_360),
        (("albert", {}), 11_683_584),
    ],
)
def test_published_sizes_are_those_of_encoder_and_pooler(arguments, params):
    name, options = arguments
    with keras.StatelessScope(initialize_variables=False):
        model = registry.build(name, **options)
        head = model.get_layer("logits")
        assert model.count_params() - head.count_params() == params


def test_padding_says_nothing():
    model = registry.build("bert_base", "edge", **SIZES)
    random = np.random.default_rng(0)
    ids, mask = random.integers(5, 500, (3, 32)), np.repeat(np.arange(32)[None] < 9, 3, 0)
    other = np.where(mask, ids, random.integers(5, 500, ids.shape))
    one, two = (model({"ids": each.astype("int32"), "segments": 0 * each.astype("int32"), "mask": mask.astype("int32")})
                for each in (ids, other))  # fmt: skip
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_albert_has_one_block():
    deep, deeper = (registry.build("albert", "edge", depth=depth) for depth in (2, 5))
    assert deep.count_params() == deeper.count_params()
    inputs = {name: np.ones((1, 32), "int32") for name in ("ids", "segments", "mask")}
    deeper.set_weights(deep.get_weights())
    assert np.abs(np.asarray(deep(inputs)) - np.asarray(deeper(inputs))).max() > 1e-4


def test_one_block_stays_one_through_pruning_qat_and_files():
    """A kernel of 8 x 24 lies in each file once for two blocks that are one, and twice for two."""
    kernels = {}
    for name, options in (("albert", {"embedding": 4}), ("bert_base", {})):
        model = registry.build(name, "edge", **{**SIZES, "feed_forward": 24, "depth": 2}, **options)
        pruned, _ = prune(model)
        random = np.random.default_rng(0)
        ids = random.integers(5, 500, (32, 32)).astype("int32")
        samples = {
            "ids": ids,
            "segments": ids % 2,
            "mask": (np.arange(32) < random.integers(4, 32, (32, 1))).astype("int32"),
        }
        aware, _ = prepare_qat(pruned, calibration=samples)
        for made in (pruned, aware):
            assert sum(np.prod(weight.shape) for weight in made.trainable_weights) == model.count_params()
        buffers = unpacked(export_tflite(aware).data).buffers
        onnx = pytest.importorskip("onnx")
        constants = onnx.load_from_string(export_onnx(aware).data).graph.initializer
        kernels[name] = (
            sum(buffer.data is not None and len(buffer.data) == 8 * 24 for buffer in buffers),
            sum(sorted(constant.dims) == [8, 24] for constant in constants),
        )
    assert kernels == {"albert": (2, 2), "bert_base": (4, 4)}  # into the hidden units, and out of them


def test_tags_are_of_each_token():
    model = registry.build("bert_base", "edge", **SIZES, classes=7, tags=True)
    assert model.output_shape == (None, 32, 7)
    with pytest.raises(ValueError, match="pooler"):
        model.get_layer("pooler")
