"""Files with states: a device runs them over sequences as the net that reads these whole does, and judges them so."""

import json
import os
import signal

import keras
import numpy as np
import pytest
from edgewright import cli
from edgewright.devices.measure import BenchConfig, ModelFile, answers, bench, inspect, profile
from edgewright.devices.runner import open_runner
from edgewright.devices.transports.transport import DeviceLost, JobFailed
from edgewright.devices.verdict.compare import compare
from edgewright.devices.verdict.document import save
from edgewright.devices.verdict.results import Run
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.metrics import METRICS, Scores
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import run as run_steps
from edgewright.quantize.streaming import streaming
from keras import layers
from loopback import serving
from processes import await_no, pids

STEPS, FEATURES, CLASSES = 8, 4, 3
QUIET = BenchConfig(latency=False)
SHORT = BenchConfig(min_rounds=4, max_rounds=4, block_ms=1, max_seconds=5)


def sequences(count=24, seed=0):
    return np.random.default_rng(seed).normal(size=(count, STEPS, FEATURES)).astype("float32")


def described(artifact, path, **more):
    """Save a file with the states of its step, whatever its exporter writes of them; other facts by name."""
    manifest = {**artifact.manifest, **more}
    path = artifact.save(path)
    beside = path.with_name(path.name + ".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **{k: manifest[k] for k in more}}))
    return ModelFile.read(path)


@pytest.fixture(scope="module")
def net():
    """A sequence net, its step, and its quantization-aware step."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((STEPS, FEATURES), name="frames")
    states = layers.LSTM(5, name="lstm", return_sequences=True)(inputs)
    model = keras.Model(inputs, layers.Dense(CLASSES, name="logits")(states), name="net")
    qat, _ = prepare_qat(model, calibration=sequences(64))
    return model, streaming(model), streaming(qat)


@pytest.fixture(scope="module")
def steps(net, tmp_path_factory):
    """The files of the steps: float and int8, in both formats."""
    _, step, qat = net
    folder = tmp_path_factory.mktemp("steps")
    states = export_tflite(qat).manifest["states"]
    return {
        f"{name}.{suffix}": described(export(model), folder / f"{name}.{suffix}", states=states, network="step")
        for name, model in (("float", step), ("int8", qat))
        for suffix, export in (("tflite", export_tflite), ("onnx", export_onnx))
    }


@pytest.mark.parametrize("name", ["float.tflite", "float.onnx"])
def test_steps_on_a_device_answer_as_the_sequence_net(net, steps, name):
    expected = net[0].predict(sequences(), verbose=0)
    np.testing.assert_allclose(answers(steps[name], sequences()), expected, atol=2e-6)


@pytest.mark.parametrize("name", ["int8.tflite", "int8.onnx"])
def test_int8_steps_on_a_device_answer_as_the_fake_quantized_step(net, steps, name):
    expected, given = run_steps(net[2], sequences()), answers(steps[name], sequences())
    step = float(np.diff(np.unique(given)).min())
    assert given.shape == expected.shape == (24, STEPS, CLASSES)
    assert (np.abs(given - expected) < 1.5 * step).mean() >= 0.99 and np.ptp(given) > 20 * step


def test_a_file_with_states_is_inspected_profiled_and_refused_with_states_it_does_not_have(steps):
    file = steps["float.tflite"]
    assert inspect(file).ok
    rows = profile(file, sequences())
    if rows["rows"] is None:  # of a net so small each operator takes less than the clock of some machines tells
        assert "microsecond" in rows["reason"]
    else:
        assert rows["inferences"] >= 10 and rows["inference_us"] > 0
    wrong = ModelFile(name="w", path=file.path, format="tflite", manifest={"states": {"nowhere": "lstm_state_0"}})
    refused = inspect(wrong)
    assert refused.status == "rejected" and "'nowhere'" in refused.reason
    with pytest.raises(Exception, match="sequences"):
        answers(file, np.zeros((3,), np.float32))


def test_a_benchmark_judges_whole_sequences_and_times_steps(net, steps, tmp_path):
    truth = net[0].predict(sequences(), verbose=0).argmax(-1)  # (N, T)
    run = bench(
        [steps["int8.tflite"]], baseline=steps["float.tflite"], inputs=sequences(), targets=truth[:, -1],
        metric="accuracy", config=SHORT,
    )  # fmt: skip
    assert {name: found["status"] for name, found in run.measured.items()} == dict.fromkeys(run.measured, "ok")
    assert run.measured["float.tflite"]["value"] == 1.0 and run.measured["int8.tflite"]["value"] >= 0.9
    assert run.answers["int8.tflite"][0].shape == (24, STEPS, CLASSES) and len(run.answers["int8.tflite"]) == 1
    (verdict,) = compare(run)
    assert verdict.speedup is not None and verdict.metric == "accuracy" and verdict.agreement >= 0.9
    assert [row["states"] for row in run.artifacts] == [steps["float.tflite"].states] * 2
    save(run, tmp_path, [verdict])
    assert compare(Run.load(tmp_path)) == [verdict]


def test_perplexity_of_steps_has_the_sample_as_its_unit(net, steps):
    truth = net[0].predict(sequences(), verbose=0).argmax(-1)
    run = bench(
        [steps["int8.tflite"]], baseline=steps["float.tflite"], inputs=sequences(), targets=truth, metric="perplexity",
        config=QUIET,
    )  # fmt: skip
    scores = run.raw.scored("int8.tflite")
    assert len(scores.rows) == 24 * STEPS and len(scores.units) == 24
    (verdict,) = compare(run)
    assert verdict.metric_gain == pytest.approx(-verdict.metric_delta / run.measured["float.tflite"]["value"])


def test_a_step_is_not_timed_against_a_sequence(net, steps, tmp_path):
    whole = ModelFile.read(export_tflite(net[0]).save(tmp_path / "whole.tflite"))
    truth = net[0].predict(sequences(), verbose=0).argmax(-1)
    run = bench([steps["float.tflite"]], baseline=whole, inputs=sequences(), targets=truth, metric="accuracy",
                config=SHORT)  # fmt: skip
    (verdict,) = compare(run)
    assert verdict.metric_delta == 0 and verdict.speed == "unclear"
    assert any("timed by the step" in reason for reason in verdict.reasons)


def test_states_are_carried_on_while_a_step_is_timed(steps):
    """The feed of the timed loop, driven by hand: the second inference reads the state that the first one left."""
    from edgewright.devices.agent import runtimes, states

    file = steps["float.tflite"]
    model = runtimes.open_model({"path": str(file.path), "runtime": "litert", "threads": 1})
    feed = states.Sequences({"frames": sequences()}, model, file.states, states.Names(model)).feed(16)
    stepped = []
    for i in range(STEPS + 1):
        feed(i)
        model.invoke()
        stepped.append(np.array(model.get(0)).ravel())
    expected = answers(file, sequences(2))
    np.testing.assert_allclose(stepped, [*expected[0], expected[1, 0]], atol=1e-6)


# ---- Runners


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A step that reads a token and says the logits of the next, with a state that it hands on."""
    keras.utils.set_random_seed(0)
    token = keras.Input((), dtype="int32", name="token")
    state = keras.Input((5,), name="state")
    given = layers.Embedding(5, 5, name="embedding")(token)
    new = layers.Dense(5, name="new")(layers.Concatenate()([given, state]))
    logits = layers.Dense(5, name="logits")(new)
    step = keras.Model([token, state], {"logits": logits, "next": new}, name="step")
    for variable in step.trainable_variables:
        variable.assign(0.5 * np.random.default_rng(len(variable.shape)).normal(size=variable.shape))
    path = tmp_path_factory.mktemp("letters") / "letters.tflite"
    file = described(export_tflite(step), path, states={"next": "state"}, network="step")
    return step, file


def greedy(step, first, count):
    """Decode by Keras: (N,) first tokens -> logits (N, count, 5)."""
    tokens, state, told = first, np.zeros((len(first), 5), np.float32), []
    for _ in range(count):
        made = step([tokens, state])
        told.append(np.asarray(made["logits"]))
        tokens, state = told[-1].argmax(-1).astype(np.int32), np.asarray(made["next"])
    return np.stack(told, 1)


@pytest.fixture(scope="module", params=["local", "ssh"])
def device(request, tmp_path_factory):
    if request.param == "local":
        yield "local"
        return
    folder = tmp_path_factory.mktemp("ssh")
    with serving(folder) as server:
        yield server.url(folder=str(folder))


def test_a_runner_unrolls_on_the_device(letters, device):
    step, file = letters
    first = np.arange(5, dtype=np.int32)
    with open_runner({"step": file}, device) as run:
        told = run.unroll("step", {}, first={"token": first}, steps=12, feed={"logits": "token"})
        forced = run.unroll("step", {"token": np.tile(first[:, None], (1, 3))})
        one = run("step", {"token": first, "state": np.zeros((5, 5), np.float32)})
        again = run("step", {"token": np.tile(first[:, None], (1, 3))})
        held = run.unroll("step", {}, held={"token": first}, steps=3)
    assert set(told) == {"logits"} and told["logits"].shape == (5, 12, 5) and told["logits"].dtype == np.float32
    np.testing.assert_allclose(told["logits"], greedy(step, first, 12), rtol=1e-4, atol=1e-4)
    assert set(one) == {"logits", "next"} and np.array_equal(one["logits"], forced["logits"][:, 0])
    np.testing.assert_array_equal(held["logits"], forced["logits"])
    assert np.array_equal(again["logits"], forced["logits"]) and forced["logits"].shape == (5, 3, 5)


class Texts:
    """A task: the perplexity of made-up texts, unrolled on whatever runs the step."""

    metric = METRICS["perplexity"]

    def __init__(self, count=12):
        self.tokens = np.random.default_rng(1).integers(0, 5, (count, 9)).astype(np.int32)

    def evaluate(self, run):
        logits = run.unroll("step", {"token": self.tokens[:, :-1]})["logits"]
        return Scores.of_samples(self.metric.scores(logits, self.tokens[:, 1:]), len(self.tokens))


def test_a_judge_evaluates_each_file_and_a_verdict_says_which_way(letters, tmp_path, device):
    step, file = letters
    worse = keras.models.clone_model(step)
    worse.set_weights([1.5 * weights for weights in step.get_weights()])
    other = described(export_tflite(worse), tmp_path / "worse.tflite", states={"next": "state"}, network="step")
    feed = {"token": Texts().tokens}
    run = bench([other], baseline=file, judge=Texts(), feeds={each.name: feed for each in (file, other)}, device=device,
                config=SHORT)  # fmt: skip
    values = {name: found["value"] for name, found in run.measured.items()}
    assert values["worse.tflite"] > 1.1 * values["letters.tflite"] and run.measured["worse.tflite"]["n"] == 12
    (verdict,) = compare(run)
    assert verdict.verdict == "fail" and verdict.metric_gain < -0.1 and verdict.speedup is not None
    save(run, tmp_path / "run", [verdict])
    document = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["files"] for row in document["bundles"]] == [{"step": "letters.tflite"}, {"step": "worse.tflite"}]
    assert document["measurements"][0]["value_ci95"] and document["bundles"][0]["n"] == 12
    assert compare(Run.load(tmp_path / "run")) == [verdict]


class Frames:
    """A task that reads sequences: how well the last step says the sign of a mean."""

    metric = METRICS["accuracy"]

    def __init__(self, scale):
        self.frames = scale * sequences()

    def evaluate(self, run):
        (logits,) = run.unroll("step", {"frames": self.frames}).values()
        return Scores.by_row(self.metric.scores(logits[:, -1], (self.frames.mean((1, 2)) > 0).astype(int)))


@pytest.mark.parametrize(("scale", "timed", "said"), [(1, 100, 0), (100, 1, 1)])
def test_ranges_are_held_against_what_a_judge_asks_not_against_what_is_timed(steps, scale, timed, said):
    file = steps["int8.tflite"]
    run = bench([file], baseline=file, judge=Frames(scale), feeds={file.name: {"frames": timed * sequences()}},
                config=QUIET)  # fmt: skip
    told = [note for note in run.notes if "was calibrated on" in note]
    assert len(told) == said and all("input 'frames'" in note and "are cut off" in note for note in told)


def test_what_a_judge_needs_is_asked_for_first(letters):
    _, file = letters
    with pytest.raises(BadInput, match="feeds hold no samples for letters"):
        bench([file], baseline=file, judge=Texts())
    with pytest.raises(BadInput, match="leave targets and metric out"):
        bench([file], baseline=file, judge=Texts(), metric="accuracy", config=QUIET)
    with pytest.raises(BadInput, match="name these as a bundle"):
        bench([file, file.__class__(name="b", path=file.path, format="tflite")], baseline=file.name, judge=Texts(),
              bundles={"both": {"step": "b"}}, config=QUIET)  # fmt: skip


def test_an_agent_that_hangs_or_dies_is_no_number(tflite, letters, device, tmp_path):
    _, file = letters
    endless = ModelFile(name="endless", path=tflite["endless"], format="tflite")
    with open_runner({"net": endless}, device, BenchConfig(time_limit_s=2)) as run:
        with pytest.raises(JobFailed, match="timeout: no result within 2 s"):
            run("net", {"": np.zeros((1, 8), np.float32)})
        with pytest.raises(DeviceLost):
            run("net", {"": np.zeros((1, 8), np.float32)})
    with open_runner({"step": file}, device) as run, pytest.raises(JobFailed, match="nothing was given for input"):
        run.unroll("step", {}, first={"state": np.zeros((2, 5), np.float32)}, steps=3)
    with open_runner({"step": file}, device) as run, pytest.raises(BadInput, match="same number"):
        run.unroll("step", {}, first={"token": np.zeros(2, np.int32)}, held={"state": np.zeros((3, 5))}, steps=3)
    with pytest.raises(JobFailed, match="rejected"), open_runner({"net": _broken(tmp_path)}, device):
        pass


def _broken(folder):
    (folder / "broken.tflite").write_bytes(b"TFL3" * 50)
    return ModelFile.read(folder / "broken.tflite")


def test_a_bundle_whose_device_is_lost_is_incomplete(letters):
    _, file = letters

    class Lost(Texts):
        def evaluate(self, run):
            raise DeviceLost("unplugged")

    run = bench([file], baseline=file, judge=Lost(), config=QUIET)
    assert run.measured[file.name]["status"] == run.bundles[file.name].status == "incomplete"
    assert run.measured[file.name]["value"] is None


def test_the_command_line_judges_a_streaming_file_on_sequences(net, steps, tmp_path, capsys):
    truth = net[0].predict(sequences(), verbose=0).argmax(-1)
    np.savez(tmp_path / "d.npz", frames=sequences(), y=truth[:, -1])
    files = [str(steps[name].path) for name in ("int8.tflite", "float.tflite")]
    for data, metric in ((["--data", str(tmp_path / "d.npz")], "accuracy"), ([], None)):
        assert cli.main(["bench", files[0], "--baseline", files[1], *data, "--max-seconds", "1", "--json"]) in (0, 1)
        document = json.loads(capsys.readouterr().out)
        assert [row["status"] for row in document["measurements"]] == ["ok", "ok"]
        (verdict,) = document["verdicts"]
        assert verdict["metric"] == metric and verdict["speedup"] and (metric is None or verdict["agreement"] > 0.9)


def test_an_agent_on_a_board_goes_with_its_connection(letters, tmp_path):
    _, file = letters
    there = tmp_path / "there"
    there.mkdir()
    with serving(tmp_path) as server:
        with open_runner({"step": file}, server.url(folder=str(there))) as run:
            assert pids("agent.zip", there)
            os.kill(run._agent._talk._process.pid, signal.SIGKILL)  # the ssh that carries requests and answers
            await_no(str(there), "agent.zip")  # the shared connection holds both ends until it sees that it is gone
            with pytest.raises(DeviceLost):
                run("step", {"token": np.zeros((1, 2), np.int32)})
        await_no(str(there))
        assert not list(there.iterdir())
