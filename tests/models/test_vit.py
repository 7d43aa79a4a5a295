"""The Vision Transformer: sizes of ViT-B/16, and the place of its token."""

import math

import keras
import numpy as np
import pytest
from edgewright.models import registry
from edgewright.models.vit import ClassToken


@pytest.mark.parametrize(("head", "count"), [("none", 85_798_656), ("linear", 86_567_656), ("tanh", 87_158_248)])
def test_sizes_of_b16(head, count):
    with keras.StatelessScope(initialize_variables=False):
        model = registry.build("vit", head=head)
        assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == count
    if head == "none":
        assert model.output_shape == (None, 768)
    assert model.get_layer("tokens").output.shape == (None, 196, 768)  # 224 / 16 squared
    assert model.get_layer("class_token").output.shape == (None, 197, 768)


def test_the_token_is_put_first_and_positions_are_added():
    layer = ClassToken()
    layer.build((None, 16, 64))
    token, positions = np.full((1, 64), 3.0), np.arange(17 * 64).reshape(17, 64)
    layer.set_weights([token, positions])
    x = np.random.default_rng(0).normal(size=(2, 16, 64)).astype(np.float32)
    found = np.asarray(layer(x))
    np.testing.assert_allclose(found[:, 0], np.tile(token + positions[0], (2, 1)))
    np.testing.assert_allclose(found[:, 1:], x + positions[1:], rtol=1e-6)


def test_attention_of_chosen_blocks_is_a_further_output():
    model = registry.build("vit", "edge", width=16, attention_of=(2,))
    answers = model(np.random.default_rng(0).uniform(size=(3, 28, 28, 1)))
    assert set(answers) == {"attention_2", "logits"}
    assert answers["attention_2"].shape == (3, 4, 17, 17)
    np.testing.assert_allclose(np.asarray(answers["attention_2"]).sum(-1), 1, atol=1e-5)
