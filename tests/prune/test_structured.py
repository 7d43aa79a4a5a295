"""Channels leave a model: what is built again computes what the masked one does, and goes on to QAT and files."""

import itertools
import os
import random
import time

import edgewright
import keras
import numpy as np
import pytest
from edgewright.cli import main
from edgewright.copies import copy_model
from edgewright.errors import BadInput, WrongOrder
from edgewright.prune import ChannelConfig, prepare_prune, prune_channels
from edgewright.prune.structured import channels
from edgewright.prune.structured.cut import Cut
from edgewright.prune.structured.units import Anatomy, place
from edgewright.quantize.graph.tracing import trace_calls
from image_nets import IMAGE_NETS
from many_nets import (
    NETS,
    attention,
    both_ways,
    build_net,
    concat_of_producers,
    concat_with_itself,
    depthwise_then_reshape,
    fused_attention,
    one_output_channel,
    outputs,
    residual,
    sample,
    two_towers,
    written_out,
)
from random_nets import draw_net
from sequence_nets import SEQUENCE_NETS, deep_attention, tied_autoencoder

ZOO = ("lenet5", "resnet8", "ds_cnn", "lstm", "mobilenet_v1", "transformer_classifier", "gcn")


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("make", NETS, ids=lambda make: make.__name__)
def test_rebuilt_equals_masked(make, share):
    model = build_net(make)
    before = model.get_weights()
    smaller, report = prune_channels(model, ChannelConfig(channels=share))
    assert report.deviation <= 1e-5
    assert report.parameters[1] < report.parameters[0] and report.macs[1] < report.macs[0]
    assert smaller.count_params() == report.parameters[1]
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]
    assert [y.shape for y in outputs(smaller, sample(model))] == [y.shape for y in outputs(model, sample(model))]
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def cuts_of_all_shapes():
    """Yield each net with each share; the scopes alternate, both with EDGEWRIGHT_SHAPES=all (`make torture`).

    The criterion is drawn, each net's own; `benchmarks/structured_nets.py` tries more.
    """
    for index, make in enumerate([*NETS, *IMAGE_NETS, *SEQUENCE_NETS]):
        draw = random.Random(make.__name__)
        for number, share in enumerate((0.0, 0.3, 0.7)):
            for which, scope in enumerate(("group", "global")):
                if os.environ.get("EDGEWRIGHT_SHAPES") == "all" or (index + number) % 2 == which:
                    config = ChannelConfig(
                        channels=share, scope=scope, criterion=draw.choice(["l1", "random", "activation"])
                    )
                    yield pytest.param(make, config, id=f"{make.__name__}-{share}-{scope}")


@pytest.fixture(scope="module")
def shape(request):
    """A net, built and traced once for all its shares and scopes: a cut changes neither (`test_rebuilt_equals_masked`).

    What is shared: the model, its trace and the groups in it.
    """
    model = build_net(request.param)
    trace = trace_calls(model)
    return model, trace, Anatomy(trace)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "config"), list(cuts_of_all_shapes()), indirect=["shape"])
def test_all_shapes(shape, config, monkeypatch):
    model, trace, anatomy = shape
    monkeypatch.setattr(channels, "trace_calls", lambda given: {id(model): trace}[id(given)])
    monkeypatch.setattr(channels, "Anatomy", lambda given: {id(trace): anatomy}[id(given)])
    smaller, report = prune_channels(model, config, samples=sample(model))
    assert report.deviation <= 1e-5 and smaller.count_params() == report.parameters[1] <= report.parameters[0]
    assert (smaller.count_params() == model.count_params()) == (config.channels == 0)


def test_nothing_cut_is_the_identity():
    model = build_net(concat_of_producers)
    same, report = prune_channels(model, ChannelConfig(channels=0.0))
    for old, new in zip(model.weights, same.weights, strict=True):
        assert old.path == new.path
        assert np.array_equal(old, new)
    assert report.macs[0] == report.macs[1]


def test_zeros_in_what_goes_change_nothing():
    """The masked model by hand: a convolution whose smallest maps are zeroed, and their rows in what reads them."""
    model = build_net(residual)
    smaller, _ = prune_channels(model, ChannelConfig(channels=0.5))
    by_hand = copy_model(model)
    anatomy = Anatomy(trace_calls(model))
    (group,) = (each for each in anatomy.groups if len(each) == 16)
    kept = smaller.get_layer("conv2d_1").get_weights()[0].shape[-1]
    assert kept == 8
    inside, _ = prune_channels(model, ChannelConfig(channels=0.5, skip=("conv2d",)))
    kernel = model.get_layer("conv2d_1").get_weights()[0]
    size = np.abs(kernel).sum(axis=(0, 1, 2)) / np.abs(kernel).sum(axis=(0, 1, 2)).mean()
    reader = model.get_layer("conv2d_2").get_weights()[0]
    size = size + np.abs(reader).sum(axis=(0, 1, 3)) / np.abs(reader).sum(axis=(0, 1, 3)).mean()
    gone = np.argsort(size)[:8]
    reader[:, :, gone] = 0
    by_hand.get_layer("conv2d_2").set_weights([reader])
    assert len(group) == 16
    for want, got in zip(outputs(by_hand, sample(model)), outputs(inside, sample(model)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_what_a_layer_cannot_lose_stays_and_is_named():
    _, report = prune_channels(build_net(written_out), ChannelConfig(channels=0.5))
    (stays,) = (group for group in report.groups if group.reason)
    assert stays.before == stays.after == 12
    assert "fixed" in stays.reason
    _, report = prune_channels(build_net(attention), ChannelConfig(channels=0.7))
    reasons = {name: why for name, _, why in report.left}
    assert reasons["logits/kernel[1]"] == "it is an output of the model"
    assert "reads it as a whole" in reasons["layer_normalization/gamma[0]"]


def test_what_one_number_says_goes_alike():
    _, report = prune_channels(build_net(both_ways), ChannelConfig(channels=0.4, scope="global"))
    forward, backward = (group for group in report.groups if "lstm" in group.name)
    assert forward.after == backward.after


@pytest.mark.parametrize("criterion", ["l1", "l2", "bn_scale", "taylor", "activation", "random"])
def test_criteria(criterion):
    model = build_net(residual)
    config = ChannelConfig(channels=0.5, criterion=criterion)
    _, report = prune_channels(model, config, samples=sample(model))
    assert [group.after for group in report.groups] == [4, 8]


def test_the_least_important_goes():
    model = build_net(residual)
    kernel, *rest = model.get_layer("conv2d_1").get_weights()
    kernel[..., [2, 5]] *= 1e-3
    model.get_layer("conv2d_1").set_weights([kernel, *rest])
    for criterion in ("l1", "l2", "activation"):
        config = ChannelConfig(channels=2 / 16, criterion=criterion, skip=("conv2d",))
        smaller, _ = prune_channels(model, config, samples=sample(model))
        left = smaller.get_layer("conv2d_1").get_weights()[0]
        np.testing.assert_array_equal(left, np.delete(kernel, [2, 5], axis=-1))


@pytest.mark.parametrize("budget", ["macs", "parameters"])
@pytest.mark.parametrize("scope", ["global", "group"])
def test_budgets(budget, scope):
    _, report = prune_channels(build_net(residual), ChannelConfig(**{budget: 0.6, "scope": scope}))
    before, after = getattr(report, budget)
    assert 0.25 * before <= after <= 0.4 * before


def test_counts_are_rounded_up():
    _, report = prune_channels(build_net(residual), ChannelConfig(channels=0.55, multiple_of=4))
    assert [group.after for group in report.groups] == [4, 8]
    with pytest.raises(BadInput, match="cannot be reached"):
        prune_channels(build_net(residual), ChannelConfig(macs=0.9, multiple_of=8))


@pytest.mark.parametrize(
    "settings",
    [{}, {"channels": 1.0}, {"channels": 0.5, "macs": 0.5}, {"channels": 0.5, "criterion": "l3"},
     {"channels": 0.5, "multiple_of": 0}, {"channels": 0.5, "skip": ["nowhere"]}],
)  # fmt: skip
def test_bad_configurations(settings):
    with pytest.raises(BadInput, match="ChannelConfig"):
        prune_channels(build_net(two_towers), ChannelConfig(**settings))


def test_wrong_order():
    model = build_net(residual)
    with pytest.raises(WrongOrder):
        prune_channels(prepare_prune(model)[0])
    quantized, _ = edgewright.prepare_qat(model, calibration=sample(model)[0])
    with pytest.raises(WrongOrder):
        prune_channels(quantized)


def test_goes_on_through_training_saving_qat_and_both_exports(tmp_path):
    model = build_net(residual)
    smaller, _ = prune_channels(model, ChannelConfig(channels=0.5))
    (x,) = sample(model, 32)
    smaller.compile("adam", "mse")
    smaller.fit(x, np.zeros((32, 3), "float32"), verbose=0)
    smaller.save(tmp_path / "smaller.keras")
    again = keras.saving.load_model(tmp_path / "smaller.keras")
    np.testing.assert_allclose(outputs(again, [x])[0], outputs(smaller, [x])[0], atol=1e-6)
    quantized, _ = edgewright.prepare_qat(smaller, calibration=x)
    whole, _ = edgewright.prepare_qat(model, calibration=x)
    for export in (edgewright.export_tflite, edgewright.export_onnx):
        assert len(export(quantized).data) < len(export(whole).data)
        assert len(export(smaller).data) < len(export(model).data)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_are_rebuilt(seed):
    keras.backend.clear_session(free_memory=False)
    _, report = prune_channels(draw_net(1000 + seed), ChannelConfig(channels=0.5, criterion="random", seed=seed))
    assert report.deviation <= 1e-5


def test_verb(tmp_path, capsys):
    model = build_net(residual)
    model.save(tmp_path / "net.keras")
    given = ["prune", str(tmp_path / "net.keras"), "--out", str(tmp_path / "smaller.keras")]
    assert main([*given, "--channels", "0.55", "--criterion", "l2", "--multiple-of", "4"]) == 0
    smaller = keras.saving.load_model(tmp_path / "smaller.keras")
    assert smaller.get_layer("conv2d_1").filters == 8
    assert "16 -> 8" in capsys.readouterr().out
    for wrong, words in (
        (["--channels", "1.5"], "between 0 and 1"),
        (["--multiple-of", "8"], "is of channels; give --channels or --macs"),
    ):
        assert main([*given, *wrong]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), zip(ZOO, itertools.cycle([0.3, 0.7]), strict=False))
def test_zoo(name, share):
    model = edgewright.build(name)
    for network in model.values() if isinstance(model, dict) else [model]:
        _, report = prune_channels(network, ChannelConfig(channels=share))
        assert report.deviation <= 1e-5
        assert report.macs[1] < report.macs[0]


def test_counts_of_a_cut_without_building():
    model = build_net(residual)
    anatomy = Anatomy(trace_calls(model))
    assert Cut(anatomy).parameters() == model.count_params()


# ---------------------------------------------------------------- what users of other tools report as wrong


def places(make):
    """Return for each group how many units it has, and the indices of each unit along each axis of a weight."""
    anatomy = Anatomy(trace_calls(build_net(make)))
    return [(len(group), {place(anatomy.tensors[tensor], axis): index.tolist()
                          for (tensor, axis), index in group.index.items()}) for group in anatomy.groups]  # fmt: skip


def of_size(groups, size):
    (found,) = (where for count, where in groups if count == size)
    return found


def test_concatenated_producers_stay_groups_of_their_own():
    """Eight channels, twelve and four lie side by side in the kernel that reads them all."""
    groups = places(concat_of_producers)
    assert sorted(count for count, _ in groups) == [4, 8, 10, 12]
    for size, start in ((8, 0), (12, 8), (4, 20)):
        assert of_size(groups, size)["conv2d_3/kernel[2]"] == [[start + each] for each in range(size)]


def test_a_tensor_beside_itself_loses_each_channel_twice():
    assert of_size(places(concat_with_itself), 8)["conv2d_1/kernel[2]"] == [[each, each + 8] for each in range(8)]


def test_fused_queries_keys_and_values_with_norms_on_heads():
    """The kernel's columns are (3, heads, depth) = (3, 4, 3): a head goes with its nine. A norm reads the depth of all
    heads, and the values have the depth of queries and keys: it stays.
    """
    name = "fused_attention/qkv/kernel[1]"
    ((count, where),) = (group for group in places(fused_attention) if name in group[1])
    assert count == 4
    assert where[name] == [np.arange(36).reshape(3, 4, 3)[:, head].ravel().tolist() for head in range(4)]
    assert where["fused_attention/out/kernel[0]"] == np.arange(12).reshape(4, 3).tolist()


def test_a_convolution_of_one_output_channel_is_not_depthwise():
    (where,) = (where for count, where in places(one_output_channel) if "conv2d/kernel[3]" in where)
    assert where["conv2d_1/kernel[2]"] == [[each] for each in range(8)]
    smaller, _ = prune_channels(build_net(one_output_channel), ChannelConfig(channels=0.5))
    assert smaller.get_layer("conv2d_1").kernel.shape == (3, 3, 4, 1)


def test_depthwise_then_reshape_and_transpose():
    """(N, 8, 8, C) -> (N, 64, C) -> (N, C, 64), flattened: each channel has 64 rows in a row."""
    where = of_size(places(depthwise_then_reshape), 8)
    assert where["depthwise_conv2d/kernel[2]"] == [[each] for each in range(8)]
    assert where["logits/kernel[0]"] == np.arange(512).reshape(8, 64).tolist()


def test_search_ends_on_a_deep_attention_net():
    trace = trace_calls(build_net(lambda: deep_attention(24)))
    started = time.process_time()
    anatomy = Anatomy(trace)
    assert time.process_time() - started < 10
    assert len(anatomy.groups) == 2 * 24  # heads and hidden units of each layer


def test_tied_layers_stay_tied():
    model = build_net(tied_autoencoder)
    smaller, report = prune_channels(model, ChannelConfig(channels=0.5))
    kernel = smaller.get_layer("dense").kernel
    assert any(each.of.kernel is kernel for each in smaller.layers if hasattr(each, "of"))
    assert smaller.count_params() == report.parameters[1] == 2 * 6 + 6 * 8 + 8 + 8 * 5 + 5 + 8 - 6
