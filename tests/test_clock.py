"""Precision by the clock: what is slower in 8 bits stays in float, on a made-up clock whose right answer is known."""

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.devices.verdict.results import Raw, Run
from edgewright.errors import BadInput, EdgewrightError
from edgewright.pipeline import clock
from edgewright.pipeline.clock import FLOAT, INTEGER, MIXED, Sites, Timed, by_the_clock, fit
from edgewright.pipeline.regions import converted
from edgewright.quantize import QatConfig, find_quantized, prepare_qat
from keras import layers
from made_up_run import blocks

X = np.random.default_rng(0).normal(size=(32, 12, 12, 1)).astype("float32")


@pytest.fixture(scope="module")
def net():
    """A convolution on one channel, two depthwise and two pointwise ones, and a dense layer."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 12, 1), name="x")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(x)
    for block in "ab":
        x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name=f"{block}_depthwise")(x)
        x = layers.Conv2D(8, 1, activation="relu", name=f"{block}_pointwise")(x)
    x = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(inputs, x, name="small")


class Clock:
    """A device whose operators and conversions take known times: gains by layer, microseconds a conversion."""

    def __init__(self, gains, conversion=0.2, float_us=20.0, surprise=0.0, trend=1.0):
        self.gains, self.conversion, self.float_us = gains, conversion, float_us
        self.surprise, self.trend, self.asked = surprise, trend, []

    def gain(self, scopes):
        return next((gain for layer, gain in self.gains.items() if any(layer in scope for scope in scopes)), 0.0)

    def us(self, sites, name, floats):
        if name == FLOAT:
            return self.float_us
        gains = sum(self.gain(sites.scopes[number]) for number in sites.all - floats)
        many = len(list(converted(sites.borders(), floats)))
        return self.float_us + gains + self.conversion * many + (self.surprise if name == MIXED else 0.0)

    def time(self, bench, wanted, config):
        self.asked.append(dict(wanted))
        sites = Sites.of(bench.plan)
        times = {name: self.us(sites, name, floats) for name, floats in wanted.items()}
        return made_up(times, self.trend)


def made_up(times, trend=1.0):
    raw = Raw(latency={name: blocks(us, noise=0.0005, seed=seed) for seed, (name, us) in enumerate(times.items(), 1)})
    raw.control = {FLOAT: blocks(times[FLOAT] * trend, noise=0.0005, seed=99)}
    measured = {name: {"status": "ok", "reason": ""} for name in times}
    run = Run(device="local", baselines=dict.fromkeys(times, FLOAT), artifacts=[], measured=measured, raw=raw)
    return Timed.of(run, {name: name for name in times})


@pytest.fixture
def clocked(net, monkeypatch):
    def asked(made_up_clock, config=None):
        monkeypatch.setattr(clock._Bench, "time", lambda *given: made_up_clock.time(*given))  # noqa: PLW0108
        return by_the_clock(net, X, "local", config)

    return asked


def layers_in_float(config):
    return {scope.partition("/")[0] for scope, precision in config.by_name.items() if precision is None}


@pytest.mark.parametrize(
    ("gains", "conversion", "chosen", "floats"),
    [
        ({"stem": 3.0, "pointwise": -2.0}, 0.2, MIXED, {"stem"}),
        ({"stem": -1.0, "depthwise": 2.0, "pointwise": -2.0}, 0.2, MIXED, {"a_depthwise", "b_depthwise"}),
        ({"stem": -1.0, "depthwise": 0.3, "pointwise": -2.0}, 0.2, INTEGER, set()),  # two conversions cost 0.4
        ({"stem": 1.0, "depthwise": 1.0, "pointwise": 0.5, "logits": 0.1}, 0.2, FLOAT, set()),
        ({"stem": -1.0, "pointwise": -2.0}, 0.2, INTEGER, set()),
    ],
    ids=["stem", "depthwise", "conversions cost more", "float", "8 bits"],
)
def test_what_is_slower_stays_in_float_and_conversions_are_counted(gains, conversion, chosen, floats, clocked):
    config, told = clocked(Clock(gains, conversion))
    assert told.chosen == chosen and layers_in_float(config) == floats
    assert config.default == (None if chosen == FLOAT else "w8a8")
    of_kind = {row["kind"].partition(" ")[0]: row["gain_us"] for row in told.rows}
    assert of_kind["DEPTHWISE_CONV_2D"] == pytest.approx(2 * gains.get("depthwise", 0.0), abs=0.15)
    assert told.border_us == pytest.approx(conversion, abs=0.08)
    assert f"by the clock of local: {chosen}; over float32 (20.0 µs): 8 bits" in str(told)


def test_a_mixed_file_that_the_clock_does_not_confirm_is_not_taken(clocked):
    config, told = clocked(Clock({"stem": 3.0, "pointwise": -2.0}, surprise=4.0))
    assert told.chosen == INTEGER and config == QatConfig() and MIXED in told.speedups


def test_times_in_doubt_change_nothing(clocked):
    config, told = clocked(Clock({"stem": 3.0, "pointwise": -2.0}, trend=1.2))
    assert config == QatConfig() and told.chosen == INTEGER and "in doubt, so nothing is left in float" in str(told)


def test_what_the_caller_named_keeps_its_precision(clocked):
    asked = QatConfig(by_name={"stem": "w8a16", "b_pointwise": None})
    config, _ = clocked(Clock({"stem": 3.0, "depthwise": 2.0, "pointwise": -2.0}), asked)
    assert list(config.by_name)[:2] == ["stem", "b_pointwise"] and config.by_name["stem"] == "w8a16"
    assert {"a_depthwise", "b_depthwise"} <= layers_in_float(config)


def test_the_fit_separates_kinds_conversions_and_values(net):
    aware, _ = prepare_qat(net, calibration=X)
    sites = Sites.of(find_quantized(aware).plan)
    gains = {kind: 0.5 * place - 1 for place, kind in enumerate(sites.timed)}
    probes = {FLOAT: sites.all, INTEGER: frozenset(), **sites.probes()}
    times = {}
    for name, floats in probes.items():
        inside = sites.all - floats
        us = 30 + sum(gains.get(sites.kinds[number], 0.0) * sites.work[number] for number in inside)
        times[name] = us + sum(border.us for border in converted(sites.borders(0.3, 1e-4), floats) if inside)
    found, a_conversion, a_value = fit(sites, probes, Timed(made_up(times).run, times, {}))  # to the last digit
    assert a_conversion == pytest.approx(0.3, rel=1e-3) and a_value == pytest.approx(1e-4, rel=1e-3)
    for number in sites.all:
        kind = sites.kinds[number]
        assert found[kind] * sites.work[number] == pytest.approx(gains.get(kind, 0.0) * sites.work[number], rel=1e-3)


def test_a_shared_layer_has_one_precision():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,), name="x")
    model = keras.Model(inputs, layers.Dense(2, name="last")(shared(shared(inputs))), name="twice")
    aware, _ = prepare_qat(model, calibration=X.reshape(32, -1)[:, :6])
    sites = Sites.of(find_quantized(aware).plan)
    assert (0, 1) in sites.tied and len(sites.kinds) == 3


@pytest.mark.parametrize("device", ["qemu-x86_64", "tflite-micro"])
def test_a_device_without_a_clock_is_refused_before_any_work(net, device):
    with pytest.raises(BadInput, match="has no clock of its own"):
        by_the_clock(net, X, device)


def test_a_file_that_does_not_run_is_said(net):
    run = made_up({FLOAT: 10.0, INTEGER: 12.0}).run
    del run.raw.latency[INTEGER]
    run.measured[INTEGER]["reason"] = "crashed"
    with pytest.raises(EdgewrightError, match="8 bits was not timed on local: crashed"):
        Timed.of(run, {FLOAT: FLOAT, INTEGER: INTEGER})


@pytest.mark.slow
def test_on_this_machine_the_choice_is_no_slower_than_both_pure_files(monkeypatch):
    x = inputs = keras.Input((16, 16, 1), name="x")
    x = layers.Conv2D(16, 3, activation="relu", name="stem")(x)
    net = keras.Model(inputs, layers.Dense(4, name="logits")(layers.Flatten()(x)), name="brief")
    samples = np.random.default_rng(0).normal(size=(8, 16, 16, 1)).astype("float32")
    brief = ew.BenchConfig(answers=False, max_seconds=2, min_rounds=10, attempts=1)
    monkeypatch.setattr(clock, "LOOK", brief)
    monkeypatch.setattr(clock, "JUDGE", brief)
    config, told = by_the_clock(net, samples)
    over_float = {FLOAT: 1.0, **{name: found.value for name, found in told.speedups.items()}}
    if not told.doubts:
        assert over_float[told.chosen] >= max(over_float[FLOAT], over_float[INTEGER])
    assert bool(layers_in_float(config)) == (told.chosen == MIXED)
    assert {row["kind"].partition(" ")[0] for row in told.rows} == {"CONV_2D", "FULLY_CONNECTED", "RESHAPE"}
