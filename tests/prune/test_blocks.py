"""Blocks y = x + f(x) leave a model: what is built again is the model in which f gives zeros, worked out by hand."""

import edgewright
import keras
import numpy as np
import pytest
from edgewright.cli import main
from edgewright.errors import BadInput, WrongOrder
from edgewright.prune import BlockConfig, prepare_prune, prune_blocks
from image_nets import IMAGE_NETS, pre_activation, repeated
from keras import layers
from many_nets import NETS, FusedAttention, build_net, ended, image, outputs, residual, sample, sequence, u_net
from sequence_nets import SEQUENCE_NETS, cross_attention, deep_attention


@keras.saving.register_keras_serializable("tests")
class Encoder(layers.Layer):
    """A Transformer's layer as one: attention, then a hidden layer, each added to what it is given."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.norms = [layers.LayerNormalization(name=f"norm_{each}") for each in range(2)]
        self.attention = FusedAttention(2, 4, name="attention")
        self.hidden = layers.Dense(width, activation="gelu", name="hidden")

    def build(self, shape):
        self.back = layers.Dense(shape[-1], name="back")
        self.attention.build(shape)
        self.hidden.build(shape)
        self.back.build((*shape[:-1], self.width))
        for norm in self.norms:
            norm.build(shape)

    def call(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.back(self.hidden(self.norms[1](x)))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def encoders():
    inputs, x = sequence()
    for each in range(3):
        x = Encoder(12, name=f"encoder_{each}")(x)
    return ended(inputs, layers.GlobalAveragePooling1D()(x))


def encoders_in_a_row():
    return keras.Sequential([keras.Input((5, 6)), layers.Dense(8), Encoder(12, name="encoder"), layers.Dense(3)])


def shared_block():
    """One block of a model inside the model, called twice: it goes from both calls."""
    given = keras.Input((8, 8, 8))
    block = keras.Model(given, layers.ReLU()(given + layers.Conv2D(8, 3, padding="same")(given)), name="block")
    inputs, x = image()
    return ended(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(8, 1)(block(layers.MaxPooling2D(1)(block(x))))))


def names(report):
    return {block.name for block in report.blocks if block.gone}


@pytest.mark.parametrize(
    "make",
    [*(each for each in (*NETS, *IMAGE_NETS, *SEQUENCE_NETS)
       if each.__name__ in {"residual", "nested_sequential", "deep_attention", "class_token", "cross_attention",
                            "wavenet", "mixer", "pre_activation", "layer_scale", "patches", "tied_embedding"}),
     encoders, encoders_in_a_row, shared_block],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_rebuilt_equals_the_model_whose_blocks_add_zeros(make):
    model = build_net(make)
    before = model.get_weights()
    smaller, report = prune_blocks(model, BlockConfig(blocks=1), sample(model))
    assert report.deviation <= 1e-5
    assert smaller.count_params() == report.parameters[1] < report.parameters[0] == model.count_params()
    assert report.macs[1] < report.macs[0]
    assert [y.shape for y in outputs(smaller, sample(model))] == [y.shape for y in outputs(model, sample(model))]
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_a_residual_block_whose_last_kernel_is_zero_is_the_net_without_it():
    model = build_net(pre_activation)
    smaller, report = prune_blocks(model, BlockConfig(blocks=1), sample(model))
    assert names(report) == {"add_1"}
    last = model.get_layer("conv2d_4")
    last.set_weights([np.zeros_like(each) for each in last.get_weights()])
    np.testing.assert_allclose(outputs(smaller, sample(model))[0], outputs(model, sample(model))[0], atol=1e-5)
    assert "conv2d_4" not in [layer.name for layer in smaller.layers]


def test_a_layer_that_adds_twice_goes_whole():
    model = build_net(encoders)
    layer = model.get_layer("encoder_1")
    for part in (layer.attention.out, layer.back):
        part.set_weights([1e-3 * each for each in part.get_weights()])
    smaller, report = prune_blocks(model, BlockConfig(blocks=1), sample(model))
    assert names(report) == {"encoder_1"}
    assert [layer.name for layer in smaller.layers if "encoder" in layer.name] == ["encoder_0", "encoder_2"]


def test_influence_by_hand():
    """x = (3, 4), f(x) = (4, -3) turns by 45 degrees: cosine 1/sqrt(2), angle a quarter, norm 1."""
    x = keras.Input((2,))
    turned = layers.Dense(2, use_bias=False, name="turned")
    model = keras.Model(x, layers.Dense(1)(layers.Add(name="sum")([x, turned(x)])))
    turned.set_weights([np.array([[0, -1], [1, 0]], "float32")])
    given = np.array([[3, 4], [6, 8]], "float32")
    for criterion, wanted in (("cosine", 1 - 0.5**0.5), ("angle", 0.25), ("norm", 1.0)):
        _, report = prune_blocks(model, BlockConfig(blocks=1, criterion=criterion), given)
        assert report.blocks[0].influence == pytest.approx(wanted, abs=1e-6)


def test_the_least_influential_go_and_skip_is_left():
    model = build_net(deep_attention)
    _, report = prune_blocks(model, BlockConfig(share=0.25), sample(model))
    order = sorted(report.blocks, key=lambda block: block.influence)
    assert len(report.blocks) == 12 and names(report) == {block.name for block in order[:3]}
    _, other = prune_blocks(model, BlockConfig(blocks=3, skip=(order[0].name, order[1].weights[0])), sample(model))
    assert names(other) == {block.name for block in order[2:5]}
    assert sum(block.reason == "BlockConfig.skip names it" for block in other.blocks) == 2


def test_an_input_is_never_cut_off():
    _, report = prune_blocks(build_net(cross_attention), BlockConfig(blocks=2), sample(build_net(cross_attention)))
    (kept,) = (block for block in report.blocks if not block.gone)
    assert kept.reason == "an input of the model goes through it alone"


def test_a_shared_layer_stays_while_another_block_needs_it():
    model = build_net(repeated)
    smaller, report = prune_blocks(model, BlockConfig(blocks=3), sample(model))
    assert all(not any("conv2d_1" in weight for weight in block.weights) for block in report.blocks)
    assert "conv2d_1" in [layer.name for layer in smaller.layers]


def test_sums_of_two_branches_are_no_blocks():
    with pytest.raises(BadInput, match="0 blocks"):
        prune_blocks(build_net(u_net), BlockConfig(blocks=1), sample(build_net(u_net)))


@pytest.mark.parametrize(
    "settings",
    [{}, {"blocks": 0}, {"blocks": 1.5}, {"blocks": 1, "share": 0.5}, {"share": 1.0},
     {"blocks": 1, "criterion": "l1"}, {"blocks": 1, "skip": ["nowhere"]}, {"blocks": 9}],
)  # fmt: skip
def test_bad_configurations(settings):
    model = build_net(residual)
    with pytest.raises(BadInput, match="BlockConfig"):
        prune_blocks(model, BlockConfig(**settings), sample(model))


def test_wrong_order_and_no_samples():
    model = build_net(residual)
    with pytest.raises(WrongOrder, match="being pruned"):
        prune_blocks(prepare_prune(model)[0], BlockConfig(blocks=1), sample(model))
    with pytest.raises(BadInput, match="samples="):
        prune_blocks(model, BlockConfig(blocks=1))
    with pytest.raises(BadInput, match="unknown"):
        BlockConfig.from_dict({"blocks": 1, "block": 2})


def test_goes_on_to_saving_qat_and_both_exports(tmp_path):
    model = build_net(pre_activation)
    (x,) = sample(model, 8)
    smaller, _ = prune_blocks(model, BlockConfig(blocks=1), x)
    smaller.save(tmp_path / "smaller.keras")
    again = keras.saving.load_model(tmp_path / "smaller.keras")
    np.testing.assert_allclose(outputs(again, [x])[0], outputs(smaller, [x])[0], atol=1e-6)
    quantized, _ = edgewright.prepare_qat(smaller, calibration=x)
    for export in (edgewright.export_tflite, edgewright.export_onnx):
        assert len(export(quantized).data) > 0
        assert len(export(smaller).data) < len(export(model).data)


def test_verb(tmp_path, capsys):
    build_net(residual).save(tmp_path / "net.keras")
    given = ["prune", str(tmp_path / "net.keras"), "--out", str(tmp_path / "smaller.keras"), "--blocks", "1"]
    assert main(given) == 2
    assert "--data is missing" in capsys.readouterr().err
    assert main([*given, "--channels", "0.5"]) == 2
    assert "--blocks" in capsys.readouterr().err


@pytest.mark.slow
def test_verb_trains_on(tmp_path, capsys):
    model = edgewright.build("resnet8")
    model.save(tmp_path / "net.keras")
    given = ["prune", str(tmp_path / "net.keras"), "--out", str(tmp_path / "smaller.keras"), "--blocks", "1"]
    assert main([*given, "--data", "digits", "--quick", "--epochs", "1"]) == 0
    assert "1 of" in capsys.readouterr().out
    smaller = keras.saving.load_model(tmp_path / "smaller.keras")
    assert smaller.count_params() < model.count_params()
