"""Multiply-adds by hand."""

import keras
from edgewright.models import registry
from edgewright.pipeline.cost import multiply_adds
from keras import layers


def count(shape, *stack):
    inputs = x = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return multiply_adds(keras.Model(inputs, x))


def test_layers_by_hand():
    assert count((7,), layers.Dense(5)) == 35
    assert count((4, 7), layers.Dense(5)) == 140
    # 7x7x5 to 5x5x10 with 3x3 windows: 11,250 multiplies dense, 2,375 separable (arXiv:1704.04861)
    assert count((7, 7, 5), layers.Conv2D(10, 3)) == 11_250
    assert count((7, 7, 5), layers.SeparableConv2D(10, 3)) == 2_375
    assert count((7, 7, 6), layers.Conv2D(10, 3, groups=2)) == 25 * 10 * 9 * 3
    assert count((4, 4, 3), layers.Conv2DTranspose(2, 2, strides=2)) == 16 * 3 * 2 * 4
    assert count((6, 4), layers.BatchNormalization(), layers.ReLU()) == 0


def test_attention_counts_both_products():
    x = keras.Input((5, 8))
    model = keras.Model(x, layers.Attention()([x, x]))
    assert multiply_adds(model) == 5 * 5 * 8 * 2


def test_resnet8_costs_what_the_benchmark_says():
    """MLPerf Tiny's image classifier: 12.5 million (arXiv:2106.07597)."""
    assert round(multiply_adds(registry.build("resnet8")) / 1e6, 1) == 12.5
