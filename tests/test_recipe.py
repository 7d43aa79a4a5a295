"""Recipes: read, written back, refused by name before any work, and what a run makes of them."""

import json
from pathlib import Path

import edgewright
import keras
import pytest
import yaml
from edgewright.cli import main
from edgewright.devices.targets.target import load
from edgewright.devices.verdict.results import Run
from edgewright.errors import BadInput
from edgewright.pipeline import recipe
from edgewright.pipeline.chain import files_of, needed, stages_of
from edgewright.pipeline.check import refused_by, suited_to, tell_refused
from edgewright.pipeline.find import find
from edgewright.pipeline.mixed import Mixed
from edgewright.pipeline.recipe import KINDS, Recipe, Step
from edgewright.pipeline.run import FILES, RunConfig, execute, plan_for
from edgewright.pipeline.suited import suited
from edgewright.pipeline.sweep import SweepConfig, parse_recipe, plan
from edgewright.prune import ChannelConfig, PruneConfig
from edgewright.prune.methods import METHODS
from edgewright.quantize import QatConfig

CHAIN = """
steps:
- train: {epochs: 20}
- channels: {macs: 0.5, multiple_of: 8, learning_rate: 0.001, teacher: float, temperature: 4}
- zeros: {sparsity: 0.6, epochs: 3}
- qat: {precision: w8a16, by_name: {stem: null}}
files: [tflite float32, tflite w8a16-qat, onnx w8a16-qat]
"""


def test_a_step_has_settings_of_its_method_its_training_and_its_teacher():
    train, channels, zeros, qat = Recipe.from_dict(yaml.safe_load(CHAIN)).steps
    assert train.training == {"epochs": 20} and train.options is None
    assert channels.options == ChannelConfig(macs=0.5, multiple_of=8)
    assert channels.training == {"learning_rate": 0.001} and channels.teaching == {"teacher": "float", "temperature": 4}
    assert zeros.options == PruneConfig(sparsity=0.6) and zeros.training == {"epochs": 3}
    assert qat.options == QatConfig(default="w8a16", by_name={"stem": None})


def test_a_recipe_comes_back_as_it_was_written(tmp_path):
    one = Recipe.from_dict(yaml.safe_load(CHAIN))
    (tmp_path / "r.yaml").write_text(recipe.text([one, Recipe()]))
    assert recipe.read(tmp_path / "r.yaml") == (one, Recipe())
    assert yaml.safe_load(recipe.text([one])) == yaml.safe_load(CHAIN)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (["chanels"], "unknown step 'chanels'; did you mean channels"),
        ([{"channels": {"mac": 0.5}}], "channels: unknown key 'mac'; allowed: .*did you mean macs"),
        ([{"channels": {"macs": 1.5}}], r"channels: ChannelConfig: macs=1.5 must lie in \[0, 1\)"),
        ([{"channels": {"macs": "half"}}], "channels: {'macs': 'half'}"),
        ([{"zeros": {"sparsity": 0.5, "epochs": 0}}], "epochs is 0"),
        ([{"qat": {"default": "w8a8"}}], "unknown key 'default'"),  # it is called precision here
        ([{"qat": {"precision": "w3a3"}}], "'w3a3' is not a precision"),
        ([{"zeros": {"temperature": 3}}], "temperature is of a teacher"),
        ([{"zeros": {"teacher": "float", "temperature": 0}}], "temperature is 0; allowed is a number above 0"),
        (["qat", {"channels": {"macs": 0.5}}], "channels after qat: it builds the model again"),
        (["qat", "zeros"], "zeros after qat: quantizers are placed"),
        (["zeros", {"channels": {"macs": 0.5}}], "channels after zeros"),
        ([{"mixed": {"max_drop": 0.1, "keep_db": 35}}], "max_drop=0.1 and keep_db=35: give one of the two"),
        ([{"mixed": {"keep_db": 0}}], "keep_db=0 must be decibels above 0"),
        ([{"mixed": {"keep_db": "abc"}}], "keep_db='abc' must be a number"),
        ([{"mixed": {"max_drop": True}}], "max_drop=True must be a number"),
        ([{"mixed": {"max_drop": 2}}], "max_drop=2 must lie between 0 and 1"),
        (["qat", "mixed"], "mixed after qat: a model is quantized once"),
        (["zeros", "train"], "train after zeros: a recipe begins with it"),
        (["train", "train"], "train after train"),
        ([{"zeros": {}, "qat": {}}], "write one kind"),
        ([{"zeros": 0.5}], "0.5 are no settings"),
    ],
)
def test_a_wrong_step_is_refused_by_name(steps, words):
    with pytest.raises(BadInput, match=words):
        Recipe.from_dict({"steps": steps})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["tflite w8a8-qat"], "not what these steps come to"),
        (["onnx float16"], "not what these steps come to"),
        (["tflite"], "write FORMAT PRECISION"),
        (["coreml float32"], "formats: tflite, onnx"),
        ("tflite w8", "is no list"),
    ],
)
def test_a_file_that_the_steps_do_not_come_to_is_refused(files, words):
    with pytest.raises(BadInput, match=words):
        Recipe.from_dict({"steps": ["zeros"], "files": files})


@pytest.mark.parametrize(
    ("settings", "asked"),
    [({}, (0.01, None)), ({"max_drop": 0.02}, (0.02, None)), ({"keep_db": 35}, (None, 35))],
)
def test_a_mixed_step_keeps_points_or_decibels_and_says_what_it_reached(settings, asked, monkeypatch, capfd):
    def heard(networks, work, max_drop=None, config=None, *, keep_db=None):
        assert (networks, work, max_drop, keep_db) == ("networks", "work", *asked)
        rows = (
            {"layer": "logits", "snr_db": 20.0, "precision": "w8a16"},
            {"layer": "x", "snr_db": 40, "precision": "w8a8"},
        )
        return Mixed(QatConfig(by_name={"logits": "w8a16"}), rows, {"float32": 0.9, "chosen": 0.89})

    monkeypatch.setattr(recipe, "mixed_for", heard)
    step = Step.read({"mixed": settings})
    assert step.to_dict() == {"mixed": settings} and Step.read(step.to_dict()) == step
    assert KINDS["mixed"].quantizing("networks", "work", step.options).by_name == {"logits": "w8a16"}
    assert "mixed: 1 of 2 layers in w8a16, the others in w8a8; validation metric: float32 0.9000, chosen 0.8900" in (
        capfd.readouterr().err
    )


def test_every_method_of_pruning_is_a_kind_of_step():
    assert {method.name for method in METHODS} < KINDS.keys()
    assert len({method.name for method in METHODS}) == len(METHODS)


def test_the_usual_run_is_recipes_with_the_roles_that_there_always_were():
    stages = stages_of(recipe.usual(0.8))
    assert [(stage.role, stage.source, stage.name, stage.tag) for stage in stages] == [
        ("float", None, "train", ""),
        ("qat", "float", "qat", ""),
        ("qat-w7a8", "float", "qat-w7a8", ""),
        ("pruned", "float", "prune", "-pruned"),
        ("qat-pruned", "pruned", "qat-pruned", "-pruned"),
    ]
    assert stages[3].step.options == PruneConfig(sparsity=0.8)
    assert {role for role, _, _ in FILES} <= {stage.role for stage in stages}
    assert [stage.role for stage in needed(stages, {"qat"})] == ["float", "qat"]


def test_files_are_of_the_step_that_their_precision_asks_for():
    chain = Recipe.from_dict(yaml.safe_load(CHAIN))
    assert files_of([chain]) == (
        ("float", "tflite", "float32"), ("float", "onnx", "float32"), ("channels-pruned", "tflite", "float32"),
        ("qat-w8a16-channels-pruned", "tflite", "w8a16-qat"),
        ("qat-w8a16-channels-pruned", "onnx", "w8a16-qat"),
    )  # fmt: skip
    assert files_of([Recipe(steps=(Step.read("qat"),))])[2:] == (
        ("qat", "tflite", "w8a8-qat"), ("qat", "onnx", "w8a8-qat"),
    )  # fmt: skip


def test_a_target_says_how_the_usual_run_quantizes():
    plain, aware = recipe.usual(0.5), recipe.usual(0.5, RunConfig(model="mlp", target="cpu-x86").quantization)
    suited = dict.fromkeys(load("cpu-x86").quantization.in_float)
    assert "Softmax" in suited
    assert [each.steps[-1].options.by_type for each in plain] == [{}, {}, {}]
    assert [each.steps[-1].options.by_type for each in aware] == [suited] * 3
    assert [each.aware for each in aware] == [each.aware for each in plain] == ["w8a8-qat", "w7a8-qat", "w8a8-qat"]
    assert Recipe.from_dict(yaml.safe_load(recipe.text(aware[:1]))) == aware[0]
    with pytest.raises(BadInput, match=r"--target cpu-x86: the recipe"):
        RunConfig(model="mlp", target="cpu-x86", recipe="r.yaml")


def test_what_a_target_refuses_is_said_and_not_advised(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")], name="net")
    paths = [edgewright.export_tflite(model, name=name).save(tmp_path / f"{name}.tflite") for name in ("a", "b")]
    refused = refused_by("ethos-u55-128", paths)
    assert refused.keys() == {"a.tflite", "b.tflite"} and refused_by("cpu-x86", paths) == {}
    run = Run(device="local", baselines={}, artifacts=[{"name": name} for name in ("a.tflite", "c")], measured={})
    tell_refused(run, "ethos-u55-128", refused)
    assert [row.get("refused") is not None for row in run.artifacts] == [True, False]
    assert "not on ethos-u55-128" in run.notes[0] and "refuses a.tflite, b.tflite" in run.notes[0]


@pytest.mark.parametrize(("target", "precision"), [(None, "w8a16"), ("cortex-m", "w8a16"), ("cpu-x86", None)])
def test_a_target_says_what_is_given_where_eight_bits_are_too_few(target, precision):
    work = suited_to(find("lstm_peephole", None, quick=True), target)
    assert work.origin.wide and suited(work).by_name == dict.fromkeys(work.origin.wide, precision)


def test_two_recipes_that_make_otherwise_what_is_called_alike_are_refused():
    halves = [Recipe(steps=(Step.read({"channels": {"macs": macs}}),)) for macs in (0.5, 0.25)]
    with pytest.raises(BadInput, match="makes 'channels' otherwise"):
        stages_of(halves)


def test_a_recipe_decides_on_sparsity(tmp_path):
    (tmp_path / "r.yaml").write_text("steps: [qat]")
    with pytest.raises(BadInput, match=r"the recipe .* decides"):
        RunConfig(model="lenet5", recipe=str(tmp_path / "r.yaml"), sparsity=0.8)
    assert [each.aware for each in plan_for(RunConfig(model="lenet5", recipe=str(tmp_path / "r.yaml"))).recipes] == [
        "w8a8-qat"
    ]


def test_a_wrong_recipe_ends_before_any_work(tmp_path, capsys):
    (tmp_path / "r.yaml").write_text("steps: [{channels: {mac: 0.5}}]")
    words = ["run", "mlp", "--data", "digits", "--recipe", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "unknown key 'mac'" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_sweep_takes_files_and_options_and_tells_files_apart_by_what_they_hold(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("steps: [qat]")
    assert parse_recipe(str(path)) == {"recipe": str(path)}
    config = SweepConfig(models=("lenet5",), recipes=("epochs=2", str(path), f"recipe={path},epochs=2"))
    first = plan(config)
    assert [one.command[-2:] for one in first] == [("--epochs", "2"), ("--recipe", str(path)), ("--recipe", str(path))]
    path.write_text("steps: [zeros, qat]")
    again = plan(config)
    assert first[0].key == again[0].key and first[1].key != again[1].key
    path.write_text("steps: [zeroes]")
    with pytest.raises(BadInput, match="unknown step 'zeroes'"):
        SweepConfig(models=("lenet5",), recipes=(str(path),))


@pytest.fixture(scope="module")
def done(tmp_path_factory, brief_timing):
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "r.yaml"
    path.write_text(
        "steps:\n- train: {epochs: 3}\n- channels: {channels: 0.5, epochs: 2, teacher: float}\n"
        "- zeros: {sparsity: 0.75, epochs: 1, teacher: float, temperature: 2}\n"
        "files: [tflite float32, tflite w8a8-ptq]\n"
    )
    config = RunConfig(model="mlp", data="digits", quick=True, recipe=str(path), judge="validation")
    return config, *execute(config, folder / "run")


def test_a_run_takes_the_steps_of_its_recipe_and_keeps_it(done):
    config, results, folder = done
    names = [one["name"] for one in results["artifacts"]]
    assert names == [
        "mlp-float32.tflite", "mlp-channels-pruned-float32.tflite", "mlp-channels-pruned-w8a8-ptq.tflite",
    ]  # fmt: skip
    assert set(results["baselines"].values()) == {"mlp-float32.tflite"}
    assert {step: len(rows) for step, rows in results["curves"].items()} == {
        "train": 3, "channels": 2, "channels-pruned": 1,
    }  # fmt: skip
    dense, sparse, _ = results["artifacts"]
    assert sparse["bytes"] < 0.6 * dense["bytes"] and sparse["sparsity"] >= 0.74
    assert recipe.read(folder / "recipe.yaml") == recipe.read(config.recipe)


def test_files_can_be_judged_on_validation_data(done):
    _, results, folder = done
    counted = {one["n"] for one in results["measurements"]}
    again, _ = execute(
        RunConfig(**{**yaml.safe_load(Path(folder / "config.yaml").read_text()), "judge": "test"}), folder
    )
    assert counted.isdisjoint({one["n"] for one in again["measurements"]}) and again["measurements"][0]["n"] == 359


def test_what_is_done_is_not_done_again(done, capfd):
    config, _, folder = done
    execute(config, folder)
    said = capfd.readouterr().err
    assert said.count("done before") == 4 and "bench ..." in said  # which was done for other data last
    record = json.loads((folder / "steps" / "channels.json").read_text())
    assert record["config"]["step"] == {"channels": {"channels": 0.5, "epochs": 2, "teacher": "float"}}
    dense, first, second = (
        json.loads((folder / "steps" / f"{name}.json").read_text()) for name in ("train", "channels", "channels-pruned")
    )
    # the run's own float network teaches every step, whatever lies between
    assert second["inputs"]["teacher mlp"] == dense["outputs"]["models/float.keras"] == first["inputs"]["model"]
    assert second["inputs"]["model"] == first["outputs"]["models/channels.keras"]


def test_a_teacher_that_cannot_be_one_is_refused_before_any_work(tmp_path):
    (tmp_path / "r.yaml").write_text("steps: [{train: {teacher: float}}]")
    config = RunConfig(model="mlp", data="digits", quick=True, recipe=str(tmp_path / "r.yaml"))
    with pytest.raises(BadInput, match="training begins anew"):
        execute(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
