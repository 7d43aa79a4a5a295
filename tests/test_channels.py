"""Budgets of channels by files, clocks, targets and validation data, and training between steps."""

import json
import re
from pathlib import Path

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli.pruning import way_of
from edgewright.devices.preflight import reading
from edgewright.devices.targets import memory
from edgewright.devices.turns import timed_in_turns
from edgewright.errors import BadInput
from edgewright.pipeline import channels, find
from edgewright.pipeline.latency import Latency, LayerTimes, exported, interpolated, saved
from edgewright.prune.methods import configured
from edgewright.prune.structured.cost import peak_bytes
from edgewright.prune.structured.cut import Cut
from edgewright.prune.structured.selection import Selection
from edgewright.prune.structured.units import Anatomy
from edgewright.quantize.graph.tracing import trace_calls
from edgewright.training.config import TrainConfig
from fake_devices import Null


def small(width=8):
    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name="first")(x)
    y = keras.layers.Conv2D(2 * width, 3, strides=2, padding="same", activation="relu", name="second")(y)
    return keras.Model(x, keras.layers.Dense(10, name="logits")(keras.layers.GlobalAveragePooling2D()(y)), name="small")


def anatomy_of(model):
    return Anatomy(trace_calls(model))


@pytest.mark.parametrize("name", ["ds_cnn", "lenet5"])
def test_memory_is_what_a_planner_finds(name, tmp_path):
    """The planner of devices, on the file's own operators, finds the same bytes."""
    model = ew.build(name, preset="edge")
    graph = reading.read(ew.export_tflite(model).save(tmp_path / "net.tflite"))
    assert peak_bytes(Cut(anatomy_of(model))) == memory.plan(memory.lifetimes(graph), 16)


def test_a_file_is_as_small_as_asked():
    model = small()
    smaller, report = channels.cut(model, ew.ChannelConfig(bytes=0.3))
    size = len(ew.export_tflite(model).data)
    assert report.costs["bytes"] == (size, len(ew.export_tflite(smaller).data))
    assert report.costs["bytes"][1] <= 0.7 * size


def fake_time(key):
    """Microseconds that are linear in each width: a convolution's by channels in and out, the others' none."""
    shapes = re.findall(r"\[float32 (?:\d+x)*?(\d+)x(\d+)\]", key)
    return 1.0 if not key.startswith("float32 Conv") else 3 + 0.5 * int(shapes[0][0]) * int(shapes[0][1])


class Clock:
    """Times files by their names; asked: how many. ends_after: jobs, then it is interrupted."""

    def __init__(self, ends_after=99):
        self.asked, self.jobs, self.ends_after = [], 0, ends_after

    def __call__(self, files):
        self.jobs += 1
        if self.jobs > self.ends_after:
            raise KeyboardInterrupt
        self.asked += files
        return {key: np.full(5, fake_time(key)) for key in files}


@pytest.fixture
def cached(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path))
    return tmp_path / "layer-times"


@pytest.fixture
def no_files(monkeypatch):
    """Nothing is exported: the clock goes by names."""

    class File:
        def save(self, path):
            return path

    monkeypatch.setattr("edgewright.pipeline.latency.exported", lambda model, precision: File())
    monkeypatch.setattr("edgewright.pipeline.latency.made_up", lambda artifact: None)


def test_latency_is_the_sum_of_layers_scaled_to_the_whole(cached, no_files):
    model, clock = small(), Clock()
    cost = Latency(LayerTimes({"device": "fake"}, clock), whole_us=200.0)
    anatomy = anatomy_of(model)
    config = ew.ChannelConfig(channels=0.4)
    plain = Selection(anatomy, [np.arange(len(group)) for group in anatomy.groups], config)

    def by_hand(first, second):  # an inference of nothing takes 1 us, of which each layer's time is free
        return (2 + 0.5 * first) + (2 + 0.5 * first * second)

    assert cost(Cut(anatomy)) == pytest.approx(200.0)
    assert cost(plain.cut(plain.plan())) == pytest.approx(200 * by_hand(5, 10) / by_hand(8, 16), rel=1e-6)
    _, report = ew.prune_channels(model, ew.ChannelConfig(latency=0.5), cost=cost)
    assert report.costs["latency"][0] == pytest.approx(200) and report.costs["latency"][1] <= 100
    (path,) = cached.glob("*.json")
    kept = json.loads(path.read_text())
    assert kept["device"] == {"device": "fake"} and set(kept["us"]) == set(clock.asked)


def test_a_table_is_made_once_and_goes_on_where_it_was_stopped(cached, no_files, monkeypatch):
    monkeypatch.setattr("edgewright.pipeline.latency.BATCH", 4)
    anatomy, stopped = anatomy_of(small()), Clock(ends_after=2)
    with pytest.raises(KeyboardInterrupt):
        Latency(LayerTimes({"device": "fake"}, stopped), 1.0)(Cut(anatomy))
    assert len(stopped.asked) == 8
    again = Clock()
    Latency(LayerTimes({"device": "fake"}, again), 1.0)(Cut(anatomy))
    assert again.asked and not set(again.asked) & set(stopped.asked)
    third, other = Clock(), Clock()
    Latency(LayerTimes({"device": "fake"}, third), 1.0)(Cut(anatomy))
    assert third.asked == []
    Latency(LayerTimes({"device": "another"}, other), 1.0)(Cut(anatomy))
    assert set(other.asked) == set(stopped.asked) | set(again.asked)


def test_between_widths_time_is_linear_in_each():
    between = interpolated([[2, 4, 8], [1, 3]], np.array([[2.0, 6.0], [4.0, 12.0], [8.0, 24.0]]))
    assert [between(sizes) for sizes in ((4, 3), (5, 2), (8, 1), (16, 3))] == pytest.approx([12, 10, 8, 48])
    assert interpolated([[7]], np.array([3.0]))((7,)) == 3


def test_files_are_timed_in_turns():
    with saved({"a": exported(small(4), "float32"), "b": exported(small(4), "w8a8")}) as files:
        times = timed_in_turns(files, device=Null())
        with pytest.raises(BadInput, match="emulated"):
            timed_in_turns(files, device=Null(emulated=True))
    assert {name: set(rounds) for name, rounds in times.items()} == {"a": {1.0}, "b": {1.0}}


def test_latency_on_this_machine(cached):
    """The table against the clock: wide bounds, since others may work here; benchmarks hold the figures."""
    x = keras.Input((24, 24, 8))
    y = keras.layers.Conv2D(32, 3, name="first")(x)
    model = keras.Model(x, keras.layers.Conv2D(2, 3, name="second")(y))
    smaller, report = ew.prune(model, ew.ChannelConfig(latency=0.25, multiple_of=16))
    (predicted_before, predicted), (before, after) = report.costs["latency"], report.costs["measured"]
    assert predicted <= 0.75 * predicted_before
    assert 0.3 < after / before < 0.9 and smaller.get_layer("first").filters == 16
    assert smaller.count_params() < model.count_params()
    assert list(cached.glob("*.json"))


def test_targets_say_what_their_kernels_like():
    asked = ew.ChannelConfig(channels=0.5, target="ethos-u55-128")
    assert channels.for_target(asked).multiple_of == 16
    assert channels.for_target(ew.ChannelConfig(channels=0.5, target="ethos-u55-128", multiple_of=2)).multiple_of == 2
    _, report = ew.prune(small(32), asked)
    assert [row.after for row in report.groups] == [16, 32]
    with pytest.raises(BadInput, match="ethos-u55-128"):
        ew.prune(small(), ew.ChannelConfig(channels=0.5, target="ethos-u55"))


TRAINING = TrainConfig(epochs=2, batch_size=128)


@pytest.fixture(scope="module")
def digits():
    return ew.load_data("digits", input_shape=(8, 8, 1), limit=512)


def test_training_between_steps_resumes_to_the_same_bits(digits, tmp_path):
    config = ew.ChannelConfig(macs=0.6, steps=2, criterion="taylor")
    model = small()
    first, report = ew.prune(model, config, data=digits, training=TRAINING, out=tmp_path)
    assert [row.before for row in report.groups] == [8, 16] and report.macs[1] <= 0.4 * report.macs[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1", "step-2"]
    (tmp_path / "step-2" / "checkpoint.npz").unlink()  # as if killed after the first step
    again, _ = ew.prune(model, config, data=digits, training=TRAINING, out=tmp_path)
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_as_many_go_as_the_metric_allows(digits, monkeypatch, tmp_path):
    """The metric made one that is known: the share of the parameters that is left."""
    model = small()
    whole = model.count_params()
    monkeypatch.setattr(channels, "_validated", lambda networks, work: networks["small"].count_params() / whole)
    config = ew.ChannelConfig(max_drop=0.5, trial_epochs=0)
    smaller, report = ew.prune(model, config, data=digits, training=TRAINING, out=tmp_path)
    assert 0.5 * whole <= smaller.count_params() <= 0.65 * whole
    share = json.loads((tmp_path / "channels.json").read_text())["networks"]["small"]["share"]
    assert report.share == share
    monkeypatch.setattr(channels, "_within", None)  # a resumed training does not search again
    assert ew.prune(model, config, data=digits, training=TRAINING, out=tmp_path)[0].count_params() == (
        smaller.count_params()
    )


def test_the_loss_is_the_task_s_own(digits):
    model = small()
    _, work = find.of(model, digits)
    batches = channels._labelled(model, work)
    x, y = digits.train.x, digits.train.y
    chosen = [int(np.flatnonzero((x == sample).all((1, 2, 3)))[0]) for sample in batches[0][0]]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    answers = model(batches[0][0])
    assert float(batches[0][1](answers)) == pytest.approx(float(loss(y[chosen], answers)), rel=1e-5)


@pytest.mark.parametrize(
    ("config", "words"),
    [({"max_drop": 0.01}, "validation data"), ({"latency": 0.5, "device": "nowhere"}, "nowhere")],
)  # fmt: skip
def test_what_cannot_be_met_is_refused_before_work(config, words, monkeypatch):
    monkeypatch.setattr(channels, "prune_channels", None)
    with pytest.raises(BadInput, match=words):
        ew.prune(small(), ew.ChannelConfig(**config))


def test_more_steps_than_epochs_are_refused(digits):
    with pytest.raises(BadInput, match="steps=3, but 2 epochs"):
        ew.prune(small(), ew.ChannelConfig(channels=0.5, steps=3), data=digits, training=TRAINING)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"macs": 0.5, "latency": 0.5}, "--macs and --latency: one at a time; leave all but one out"),
     ({"macs": 0.5, "blocks": 1}, "--macs and --blocks: one at a time; give the file that one writes to the other"),
     ({"steps": 2}, "--steps 2: is of channels; give --channels or --macs"),
     ({"macs": 0.5, "sparsity": 0.5}, "--sparsity 0.5 beside --macs: is of single weights; leave one of the two out"),
     ({"macs": 0.5, "device": "ssh://pi"}, "--device ssh://pi: is of --latency"),
     ({"macs": 0.5, "precision": "w8a8"}, "--memory or --latency"),
     ({"clusters": 16, "criterion": "l1"}, "--criterion l1 beside --clusters: is of channels, single weights"),
     ({"max_drop": 0.01}, "--data is missing: --max-drop 0.01 looks at it")],
)  # fmt: skip
def test_options_without_a_use_are_refused(options, words):
    with pytest.raises(BadInput, match=re.escape(words)):
        way_of("edgewright", None, {}, **options)


def test_options_become_a_configuration():
    assert way_of("edgewright", None, {}, macs=None, pattern=None) == ("zeros", {})
    way = way_of("edgewright", None, {}, macs=0.5, latency=None, target="cortex-m")
    assert configured(*way, seed=3) == ew.ChannelConfig(macs=0.5, target="cortex-m", seed=3)
    assert configured(*way_of("edgewright", None, {}, low_rank=0.5)) == ew.LowRankConfig(share=0.5)


def test_the_command_line(tmp_path, capsys):
    from edgewright.cli import main

    ew.save_model(small(32), Path(tmp_path, "net.keras"))
    out = tmp_path / "smaller.keras"
    assert main(["prune", f"{tmp_path}/net.keras", "--memory", "0.4", "--target", "cpu-x86", "--out", str(out)]) == 0
    assert "bytes of activations alive at once" in capsys.readouterr().out
    assert keras.saving.load_model(out).get_layer("first").filters == 16
    assert main(["prune", f"{tmp_path}/net.keras", "--macs", "0.4", "--bytes", "0.4", "--out", str(out)]) == 2
