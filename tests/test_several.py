"""A model of several networks through every stage: trained in its own game, files told apart, judged together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import edgewright as ew
import keras
import loopback
import numpy as np
import pytest
from edgewright.cli.commands import main
from edgewright.devices.measure import BenchConfig, ModelFile
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.registry import Deployable
from edgewright.pipeline import exporting, find, origins, pictures
from edgewright.pipeline.plan import planned
from edgewright.pipeline.run import RunConfig, RunPlan, execute
from edgewright.pipeline.whole import judged_by_task
from edgewright.quantize import find_quantized
from edgewright.training.config import TrainConfig
from keras import layers

PLAN = RunPlan(files=(("float", "tflite", "float32"), ("qat", "tflite", "w8a8-qat"),
                      ("qat-pruned", "tflite", "w8a8-qat")), brief=True)  # fmt: skip
BRIEF = TrainConfig(epochs=1)


def tiny_gan(input_shape, latent=4):
    z, images = keras.Input((latent,), name="z"), keras.Input(tuple(input_shape), name="images")
    drawn = layers.Dense(input_shape[0], activation="tanh", name="sample")(layers.Dense(12, "relu", name="hidden")(z))
    told = layers.Dense(1, name="logit")(layers.Dense(12, "relu", name="hidden")(images))
    return {"generator": keras.Model(z, drawn, name="generator"),
            "discriminator": keras.Model(images, told, name="discriminator")}  # fmt: skip


def tiny_text(input_shape, classes, units=8):
    tokens, token = (
        keras.Input(tuple(input_shape), dtype="int32", name="tokens"),
        keras.Input((1,), dtype="int32", name="token"),
    )
    state = keras.Input((units,), name="state")
    whole = layers.GRU(units, return_sequences=True, reset_after=False, name="gru")
    sequence = layers.Dense(classes, name="logits")(whole(layers.Embedding(classes, 6, name="embedding")(tokens)))
    cell = layers.GRUCell(units, reset_after=False, name="gru")
    x = layers.Reshape((6,), name="frame")(layers.Embedding(classes, 6, name="embedding")(token))
    hidden, _ = cell(x, [state])
    logits = layers.Dense(classes, name="logits")(hidden)
    return {"sequence": keras.Model(tokens, sequence, name="sequence"),
            "step": keras.Model([token, state], {"logits": logits, "state_out": hidden}, name="step")}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Enter two small models for as long as these tests run."""
    registry.names()
    common: dict[str, Any] = {"params": 1, "paper": "none"}
    game = common | {"task": "generation", "learner": "adversarial", "learning_rate": 1e-3, "data": ("digits",)}
    text = common | {"task": "language_model", "dtype": "int32", "classes": 91, "data": ("scikit_learn_texts",)}
    enter = registry.register(**game, input_shape=(64,), networks=("generator", "discriminator"), deploy=("generator",))
    enter(tiny_gan)
    step = Deployable(network="step", derived_from="sequence", states={"state_out": "state"})
    registry.register(**text, input_shape=(8,), networks=("sequence", "step"), deploy=(step,))(tiny_text)
    yield
    for name in ("tiny_gan", "tiny_text"):
        del registry._ENTRIES[name]


@pytest.fixture(scope="module", params=["tiny_gan", "tiny_text"])
def run(request, tmp_path_factory, brief_timing):
    config = RunConfig(model=request.param, quick=True, epochs=1)
    folder = tmp_path_factory.mktemp("run") / "out"
    return request.param, config, *execute(config, folder, PLAN)


DEPLOYED = {"tiny_gan": "generator", "tiny_text": "step"}


def test_models_and_files_are_named_after_their_networks(run):
    name, _, results, folder = run
    networks = registry.get(name).networks
    for role in ("float", "pruned", "qat", "qat-pruned"):
        assert {path.name for path in (folder / "models" / role).glob("*.keras")} == {
            f"{one}.keras" for one in networks
        }
    deployed = DEPLOYED[name]
    assert {one["name"] for one in results["artifacts"]} == {
        f"{name}-{deployed}-float32.tflite", f"{name}-{deployed}-w8a8-qat.tflite",
        f"{name}-{deployed}-pruned-w8a8-qat.tflite",
    }  # fmt: skip
    manifest = json.loads((folder / "artifacts" / f"{name}-{deployed}-w8a8-qat.tflite.json").read_text())
    assert manifest["network"] == deployed and manifest["task"] == registry.get(name).task
    assert bool(manifest["states"]) == (name == "tiny_text")


def test_they_are_judged_by_their_task_on_the_device_as_before_it(run):
    name, _, results, folder = run
    assert [row["status"] for row in results["measurements"]] == ["ok"] * 3
    values = {row["artifact"]: row["value"] for row in results["measurements"]}
    trained = json.loads((folder / "steps" / "train.json").read_text())["result"]["metric"]
    assert values[f"{name}-{DEPLOYED[name]}-float32.tflite"] == pytest.approx(trained, rel=0.01)
    qat = json.loads((folder / "steps" / "qat.json").read_text())["result"]["metric"]
    assert values[f"{name}-{DEPLOYED[name]}-w8a8-qat.tflite"] == pytest.approx(qat, rel=0.02)
    assert len(results["verdicts"]) == 2 and all(one["speedup"] for one in results["verdicts"])
    assert len(results["parity"]) == 2
    assert all(one["within_one_step"] >= 0.99 for one in results["parity"].values())


def test_what_a_network_was_asked_is_kept_for_its_file(run):
    name, _, _, folder = run
    models = folder / "models" / "qat"
    asked, answers = np.load(models / f"{DEPLOYED[name]}-asked.npz"), np.load(models / f"{DEPLOYED[name]}-outputs.npy")
    given = {"tiny_gan": {"z": (32, 4)}, "tiny_text": {"token": (32, 8, 1)}}[name]
    assert {each: asked[each].shape for each in asked.files} == given and len(answers) == 32


def test_a_network_that_reads_what_another_makes_is_asked_just_that():
    networks = registry.networks("undercomplete_autoencoder", "edge")
    work = find.find("undercomplete_autoencoder", "digits")
    codes = np.asarray(networks["encoder"](work.dataset.train.x))
    asked = work.arrays("decoder", 8, networks)["code"]
    assert (np.abs(asked[:, None] - codes[None]).max(-1).min(1) < 1e-5).all()
    made_up = work.arrays("decoder", 8)["code"]
    assert not (np.abs(made_up[:, None] - codes[None]).max(-1).min(1) < 1e-5).any()


def test_a_step_that_reads_what_an_encoder_makes_is_asked_just_that():
    networks = registry.networks("hard_attention_captioner", "edge")
    asked = find.find("hard_attention_captioner", None, preset="edge").arrays("step", 8, networks)
    assert asked["memory"].shape == (8, 10, 36, 64) and asked["memory"].min() == 0  # behind a ReLU


def test_what_goes_to_a_device_is_pruned_and_quantized_and_nothing_else(run):
    name, _, _, folder = run
    loaded = {path.stem: ew.load_model(path) for path in (folder / "models" / "qat-pruned").glob("*.keras")}
    quantized = {network for network, model in loaded.items() if find_quantized(model)}
    assert quantized == ({"generator"} if name == "tiny_gan" else {"sequence", "step"})
    pruned = {path.stem: ew.load_model(path) for path in (folder / "models" / "pruned").glob("*.keras")}
    kernel = {"tiny_gan": ("generator", "sample"), "tiny_text": ("step", "logits")}[name]
    zeros = np.mean(pruned[kernel[0]].get_layer(kernel[1]).kernel.numpy() == 0)
    assert zeros == pytest.approx(0.5, abs=0.02)


def test_what_is_not_quantized_itself_is_not_diagnosed(run, capfd):
    name, _, results, folder = run
    other = {"tiny_gan": "discriminator", "tiny_text": "step"}[name]
    assert main(["diagnose", str(folder / "models" / "qat" / f"{other}.keras"), "--data", results["data"]]) == 2
    wanted = {"tiny_gan": "generator", "tiny_text": "sequence"}[name]
    assert f"'{other}' is not quantized itself; give the file of {wanted}" in capfd.readouterr().err


def test_the_same_run_again_does_nothing(run, capfd):
    _, config, results, folder = run
    again, _ = execute(config, folder, PLAN)
    assert capfd.readouterr().err.count("done before") == 6 and again["parity"] == results["parity"]


def test_files_alone_are_judged_by_their_task_too(run, capfd):
    name, _, results, folder = run
    files = [str(folder / "artifacts" / f"{name}-{DEPLOYED[name]}-{kind}.tflite") for kind in ("float32", "w8a8-qat")]
    data = ["--data", registry.get(name).data[-1], "--max-seconds", "1", "--json"]
    assert main(["bench", files[1], "--baseline", files[0], *data]) in (0, 1), capfd.readouterr().err
    rows = {row["artifact"]: row for row in json.loads(capfd.readouterr().out)["measurements"]}
    first = {row["artifact"]: row for row in results["measurements"]}
    for path in map(Path, files):  # a quick run has fewer training samples, the same ones to test
        assert rows[path.name]["metric"] == first[path.name]["metric"]
        assert rows[path.name]["value"] == pytest.approx(first[path.name]["value"], rel=0.05)


def test_they_are_judged_alike_over_ssh(run, tmp_path):
    name, _, results, folder = run
    files = [folder / "artifacts" / f"{name}-{DEPLOYED[name]}-{kind}.tflite" for kind in ("float32", "w8a8-qat")]
    with loopback.serving(tmp_path) as server:
        found = ew.bench(files[1:], baseline=files[0], data=registry.get(name).data[-1], device=server.url(),
                         config=BenchConfig(latency=False))  # fmt: skip
    here = {row["artifact"]: row for row in results["measurements"]}
    for path in files:
        assert found.measured[path.name]["status"] == "ok"
        assert found.measured[path.name]["value"] == pytest.approx(here[path.name]["value"], rel=0.05)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The files of both networks of a pair that nobody trained, in float and calibrated: file name -> path."""
    work, folder = find.find("gan_mlp", "digits", quick=True), tmp_path_factory.mktemp("parts")
    files = planned(work, [("float", "tflite", "float32"), ("float", "tflite", "w8a8-ptq")], {"float": ""})
    made = exporting.export({"float": work.make()}, work, files)
    return {file.name: str(artifact.save(folder / file.name)) for file, artifact in made}


def test_loose_files_of_several_networks_are_judged_as_the_models_that_they_are(parts, capfd):
    base = next(path for name, path in parts.items() if name == "gan_mlp-generator-float32.tflite")
    shuffled = [path for path in sorted(parts.values()) if path != base]
    line = ["bench", *shuffled, "--baseline", base, "--data", "digits", "--max-seconds", "1", "--json"]
    assert main(line) in (0, 1), capfd.readouterr().err
    found = json.loads(capfd.readouterr().out)
    bundles = {row["name"]: row for row in found["bundles"]}
    assert set(bundles) == {"gan_mlp-float32.tflite", "gan_mlp-w8a8-ptq.tflite"}
    assert all(set(row["files"]) == {"generator", "discriminator"} for row in bundles.values())
    assert all(row["metric"] == "log_likelihood" and np.isfinite(row["value"]) for row in bundles.values())
    judged = {row["artifact"]: row for row in found["verdicts"]}
    assert set(judged) == {"gan_mlp-w8a8-ptq.tflite", *(f"gan_mlp-{part}-w8a8-ptq.tflite" for part in
                                                        ("generator", "discriminator"))}  # fmt: skip
    assert judged["gan_mlp-discriminator-w8a8-ptq.tflite"]["baseline"] == "gan_mlp-discriminator-float32.tflite"
    assert judged["gan_mlp-w8a8-ptq.tflite"]["metric_delta"] is not None


def test_what_files_draw_is_shown_float_beside_int8_and_the_samples_once(parts):
    work = find.find("gan_mlp", "digits", quick=True)
    files = planned(work, [("float", "tflite", "float32"), ("float", "tflite", "w8a8-ptq")], {"float": ""})
    found = pictures.shown([(file, Path(parts[file.name])) for file in files], work)
    names = ("gan_mlp-float32.tflite", "gan_mlp-w8a8-ptq.tflite")
    told = [(entry["artifact"], entry["shows"]) for entry in found]
    assert told == [(names[0], "samples"), (names[0], "drawn"), (names[1], "drawn")]
    assert len({entry["png"] for entry in found}) == 3
    assert pictures.shown([], find.find("lenet5", "digits", preset="edge")) == []


def test_models_of_which_parts_are_missing_are_refused_before_any_work(parts):
    files = {name: ModelFile.read(path) for name, path in parts.items()}
    dataset = find.find("gan_mlp", "digits", quick=True).dataset
    base = files.pop("gan_mlp-generator-float32.tflite")
    with pytest.raises(BadInput, match=r"gan_mlp-float32.tflite, and only one of them has discriminator; give"):
        judged_by_task(dataset, [base, files["gan_mlp-generator-w8a8-ptq.tflite"],
                                 files["gan_mlp-discriminator-w8a8-ptq.tflite"]], base)  # fmt: skip
    told = judged_by_task(dataset, [files["gan_mlp-generator-w8a8-ptq.tflite"], base], base)
    assert told["bundles"] == {name: {"generator": name} for name in ("gan_mlp-generator-w8a8-ptq.tflite", base.name)}
    with pytest.raises(BadInput, match="the same part of one model"):
        judged_by_task(dataset, [base, replace(base, name="copy.tflite")], base)


def test_the_library_takes_and_returns_networks_by_name():
    networks = ew.build("tiny_gan")
    result = ew.train(networks, "digits", BRIEF)
    assert result.metric_name == "log_likelihood" and np.isfinite(result.metric)
    pruned, reports = ew.prune(networks, data="digits", training=BRIEF)
    assert set(pruned) == {"generator", "discriminator"} and set(reports) == {"generator"}
    assert origins.of(pruned["discriminator"]).learner == "adversarial"
    z = find.of(networks, "digits")[1].samples("generator")
    quantized, _ = ew.prepare_qat(pruned["generator"], calibration=z)
    assert np.isfinite(ew.train({**pruned, "generator": quantized}, "digits", BRIEF).metric)


def test_the_verbs_write_a_file_each_and_go_on_within_the_game(tmp_path, capfd):
    def told(*line):
        assert main([*line, "--json"]) == 0, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    data = ["--data", "digits", "--quick", "--epochs", "1"]
    first = told("train", "gan_mlp", "--out", str(tmp_path / "gan.keras"), *data)
    assert {name: Path(path).name for name, path in first["networks"].items()} == {
        "generator": "gan-generator.keras", "discriminator": "gan-discriminator.keras"}  # fmt: skip
    beside = json.loads((tmp_path / "gan-generator.keras.json").read_text())
    assert beside["networks"] == {"generator": "gan-generator.keras", "discriminator": "gan-discriminator.keras"}
    assert (beside["model"], beside["network"], beside["learner"]) == ("gan_mlp", "generator", "adversarial")
    told("prune", str(tmp_path / "gan-generator.keras"), "--out", str(tmp_path / "p.keras"))
    second = told("qat", str(tmp_path / "p-generator.keras"), "--out", str(tmp_path / "q.keras"), *data)
    assert second["metric"] == "log_likelihood" and {row["network"] for row in second["rows"]} >= {"generator"}
    manifest = told("export", str(tmp_path / "q-generator.keras"), "--out", str(tmp_path / "g.tflite"))
    assert (manifest["precision"], manifest["network"]) == ("w8a8-qat", "generator")
    assert manifest["sparsity"] == pytest.approx(0.5, abs=0.01)
    found = told("diagnose", str(tmp_path / "q-generator.keras"), "--data", "digits", "--samples", "4")
    assert found["samples"] == 4 and found["first_divergence"] is None and found["points"] == []
