"""The search: what is chosen of what was measured, what is tried, and that no finished trial is done twice."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tune_driver
import yaml
from edgewright.cli import main
from edgewright.devices.report.front import Dot, picture
from edgewright.errors import BadInput, EdgewrightError
from edgewright.pipeline import choice, recipe
from edgewright.pipeline.choice import Candidate, Wanted, lacks, ranked
from edgewright.pipeline.recipe import KINDS, Step
from edgewright.pipeline.trials import DIMENSIONS, FREE, Space, rungs
from edgewright.pipeline.tune import TuneConfig, text, tune
from schemas import problems

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="needs optuna (extra tune)")


def candidate(file, speed, gain=0.0, bytes=1000, **more):
    """Return a made-up file: its speed-up is known to 0.005."""
    interval = None if speed is None else (speed - 0.005, speed + 0.005)
    known = {"trial": 1, "path": f"/d/{file}", "precision": "w8", "format": "tflite", "sha256": "0", "verdict": "pass",
             "metric": "accuracy", "value": 0.9 + (gain or 0), "latency_us": speed and 100 / speed}  # fmt: skip
    return Candidate(file=file, speedup=speed, speedup_ci95=interval, gain=gain, bytes=bytes, **{**known, **more})


@pytest.mark.parametrize(
    ("one", "wanted", "words"),
    [
        (candidate("a", 1.5, -0.02), Wanted(), "accuracy -2.00 points, 1 allowed"),
        (candidate("a", 1.5, -0.02), Wanted(max_drop=0.02), ""),
        (candidate("a", 0.8), Wanted(), r"slower: 0.8x \[0.795, 0.805\]"),
        (candidate("a", 0.992), Wanted(), "slower"),  # 0.987 at worst, the margin is 0.01
        (candidate("a", 0.996), Wanted(), ""),
        (candidate("a", 0.8), Wanted(max_bytes=1000), ""),
        (candidate("a", 0.8), Wanted(max_bytes=999), "the file takes 1,000 bytes, 999 allowed"),
        (candidate("a", 0.8, arena_bytes=70), Wanted(max_arena=64), "the arena takes 70 bytes, 64 allowed"),
        (candidate("a", 0.8), Wanted(max_arena=64), "unknown number of bytes"),
        (candidate("a", 1.2), Wanted(min_speedup=1.2), "1.2x wanted"),  # 1.195 at worst
        (candidate("a", 0.8), Wanted(min_speedup=1.2, max_bytes=2000), "1.2x wanted"),
        (candidate("a", None), Wanted(), "its speed is not known"),
        (candidate("a", None), Wanted(max_bytes=2000), ""),
        (candidate("a", 1.5, baseline=True), Wanted(), "is the float file"),
        (candidate("a", 1.5, None), Wanted(), "its metric is not known"),
    ],
)  # fmt: skip
def test_what_a_file_lacks(one, wanted, words):
    assert re.match(words or "^$", lacks(one, wanted)) or words in lacks(one, wanted)
    assert bool(lacks(one, wanted)) == bool(words)


def test_the_fastest_comes_first_and_of_those_alike_the_smallest():
    files = [
        candidate("slow", 0.7, bytes=10), candidate("fast", 2.0, bytes=900), candidate("alike", 1.97, bytes=300),
        candidate("lossy", 3.0, -0.05), candidate("mid", 1.5, bytes=100),
    ]  # fmt: skip
    assert [one.file for one in ranked(files, Wanted())] == ["alike", "fast", "mid"]
    # where size was asked for, a file may be slower, but comes after all that are not
    assert [one.file for one in ranked(files, Wanted(max_bytes=500))] == ["alike", "mid", "slow"]


def test_what_lacks_something_scores_below_what_lacks_nothing_and_less_the_further_it_is_off():
    order = [candidate("a", 2.0), candidate("a", 1.1), candidate("a", 1.5, -0.012), candidate("a", 1.5, -0.05)]
    scores = [choice.score(one, Wanted()) for one in order]
    assert scores == sorted(scores, reverse=True) and scores[1] > 0 > scores[2]


def test_the_front_is_what_no_other_beats():
    files = [
        candidate("a", 2.0, -0.01),
        candidate("b", 1.0, 0.0),
        candidate("c", 0.9, -0.02),
        candidate("d", 1.5, -0.03),
    ]
    assert choice.front(files) == {"1/a", "1/b"}


def test_a_run_that_was_not_steady_is_doubted(tmp_path):
    document = tune_driver.found(recipe.Recipe(), 10)
    files = choice.candidates({**document, "flags": [{"kind": "noise"}, {"kind": "busy"}]}, 3, tmp_path)
    assert {one.doubt for one in files} == {"noise"} and {one.trial for one in files} == {3}
    assert [one.baseline for one in files] == [True, False, False, False, False][: len(files)]


@pytest.mark.parametrize(
    ("epochs", "most", "expected"),
    [
        (18, 3, [(1, 2), (3, 6), (9, 18)]),
        (10, 2, [(1, 3), (3, 10)]),
        (2, 3, [(1, 2)]),
        (1, 2, [(1, 1)]),
        (5, 3, [(1, 1), (3, 5)]),
    ],
)
def test_rungs_grow_by_the_factor_and_end_in_all_epochs(epochs, most, expected):
    assert rungs(epochs, most) == expected


def test_every_choice_is_a_recipe_and_begins_with_what_pays():
    space = Space(max_drop=0.02)
    for chosen in space.beginning:
        made = space.recipe(chosen)
        assert recipe.Recipe.from_dict(made.to_dict()) == made and made.steps[0].kind in ("channels", "qat")
    plain = {kind: values[0] for kind, values in space.choices.items()}
    every = [{**plain, kind: value} for kind, values in space.choices.items() for value in values]
    assert {step.kind for chosen in every for step in space.recipe(chosen).steps} == (
        {one.kind for one in DIMENSIONS} & KINDS.keys() | {"qat", "mixed", "clock"}
    )
    mixed = space.recipe({**plain, "trained": "mixed"})
    assert mixed.steps[0].options.max_drop == 0.02 and mixed.made[-1] == ("tflite", "w8a8-qat")
    taught = Space(taught=True).recipe(space.beginning[0])
    assert [step.teaching for step in taught.steps] == [{"teacher": "float"}] * 2
    assert space.recipe(plain).made == tuple(("tflite", precision) for precision in FREE)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"trials": 0}, "--trials 0"), ({"executor": "slurm"}, "allowed: local, ray"), ({"at_once": 0}, "--jobs 0")],
)
def test_a_wrong_search_is_refused(wrong, words):
    with pytest.raises(BadInput, match=words):
        TuneConfig(model="lenet5", **wrong)


def test_bounds_are_refused_by_name():
    with pytest.raises(BadInput, match="--target is missing: --max-arena"):
        TuneConfig(model="mlp", wanted=Wanted(max_arena=1000))
    with pytest.raises(BadInput, match="--max-bytes 0"):
        Wanted(max_bytes=0)
    with pytest.raises(BadInput, match="max_drop=2"):
        Wanted(max_drop=2)


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EdgewrightError, match=r"edgewright\[tune\]"):
        tune(TuneConfig(model="lenet5"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_picture_shows_every_file_and_lists_the_front():
    dots = [
        Dot(name="float32", kind="float32", latency_us=100, value=0.9, bytes=4000, baseline=True, on_front=True),
        Dot(name="w8a8, channels 0.5", kind="w8a8", latency_us=40, value=0.895, bytes=600, on_front=True, chosen=True),
        Dot(name="w8 <&>", kind="w8", latency_us=120, value=0.9, bytes=1000),
    ]
    drawn = picture(dots, "top_1", 0.89).decode()
    assert "ship: w8a8, channels 0.5" in drawn and "allowed" in drawn and "top 1" in drawn and "w8 <&>" not in drawn
    assert picture(dots, "top_1", 0.89, "png")[:4] == b"\x89PNG"
    assert picture(dots, "top_1", 0.89).decode() == drawn  # the same drawing for the same files
    assert b"<svg" in picture([], "accuracy")


@needs_optuna
def test_a_search_leaves_out_what_is_slow_stops_what_cannot_win_and_keeps_to_its_schema(tmp_path, capfd):
    document = tune_driver.search(tmp_path / "out", 4)
    said = capfd.readouterr().err
    assert "slower than float here, so not searched: w8a16-ptq, w8a8-ptq" in said
    assert all(f"trial {number}: " in said for number in range(5))
    kinds = [set().union(*trial["recipe"]["steps"]) for trial in document["trials"][1:]]
    assert kinds == [{"channels"}] * 3 + [{"clock"}]  # nothing was trained for 8 bits throughout
    assert problems("tune", document) == [] and problems("tune", {**document, "chosen": 1})
    # 0.7 of the channels gone is three times as fast and drops 1.3 points at best, 0.5 twice and 0.8
    chosen = document["chosen"]
    assert chosen["speedup"] == 2.0 and chosen["precision"] == "w8" and chosen["bytes"] == 12_500
    third = next(trial for trial in document["trials"] if "macs': 0.3" in str(trial["recipe"]))
    assert third["state"] == "pruned" and third["reason"] == "1.43x at most, and 2.00x holds already"
    assert len(third["rungs"]) == 1 and (tmp_path / "out" / "front.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "out" / "tune.json").read_text()) == json.loads(json.dumps(document))
    assert "ship net-cut-w8.tflite" in text(document) and "2.00x" in text(document)


@needs_optuna
def test_a_recipe_that_comes_to_the_files_of_another_is_not_trained_further(tmp_path, monkeypatch):
    found, half = tune_driver.found, Step.read({"channels": {"macs": 0.5}})

    def rounded(made, epochs):  # as where there are so few channels that each share is half of them
        return found(replace(made, steps=(half,) if made.steps else ()), epochs)

    monkeypatch.setattr(tune_driver, "found", rounded)
    document = tune_driver.search(tmp_path / "out", 2)
    assert [len(trial["rungs"]) for trial in document["trials"]] == [1, 2, 1]
    assert document["trials"][2]["reason"] == "comes to the files of trial 1"


@needs_optuna
def test_where_size_is_asked_for_slow_precisions_are_tried_and_where_nothing_holds_it_is_said(tmp_path):
    small = tune_driver.search(tmp_path / "small", 1, wanted=Wanted(max_bytes=25_500))
    assert {one["precision"] for one in small["trials"][1]["files"]} >= {"w8a8-ptq", "w8a8-qat"}
    none = tune_driver.search(tmp_path / "none", 1, wanted=Wanted(max_bytes=10))
    assert none["chosen"] is None
    assert none["advice"].startswith("ship the float file: none of ") and "at most 10 bytes" in none["advice"]


@needs_optuna
def test_killed_and_restarted_it_repeats_no_finished_trial_and_ends_the_same(tmp_path):
    def start():
        command = [sys.executable, tune_driver.__file__, str(tmp_path / "out"), "4", "local"]
        paths = [str(Path(tune_driver.__file__).parent), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    log = tmp_path / "out" / "log"
    driver = start()
    while not log.exists() or len(log.read_text().split()) < 3:
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(0.5)  # what was left running would show now
    jobs = tmp_path / "out" / "jobs"
    kept = {path.name for path in jobs.iterdir() if (path / "job.json").is_file()}
    begun = log.read_text().split()
    assert 2 <= len(kept) <= 3 and not (tmp_path / "out" / "tune.json").exists()
    output, error = start().communicate(timeout=120)
    again = log.read_text().split()[len(begun) :]
    assert again and not kept & set(again), error
    document = json.loads(output)
    straight = json.loads(json.dumps(tune_driver.search(tmp_path / "straight", 4)))
    for one in ("recipe", "state", "reason"):
        assert [trial[one] for trial in document["trials"]] == [trial[one] for trial in straight["trials"]]
    assert document["chosen"] == straight["chosen"]


@pytest.mark.slow
@needs_optuna
def test_a_search_of_a_small_net_ends_in_a_file_that_holds_or_says_that_none_does(tmp_path, capfd):
    words = ["tune", "mlp", "--data", "digits", "--quick", "--trials", "1", "--epochs", "2", "--max-drop", "0.02"]
    words += ["--out", str(tmp_path / "t")]
    code = main(words)
    document = json.loads((tmp_path / "t" / "tune.json").read_text())
    assert problems("tune", document) == [] and code == (0 if document["chosen"] else 1)
    if document["chosen"]:
        assert document["chosen"]["speedup_ci95"][0] >= 0.99 and document["chosen"]["gain"] >= -0.02
        path = tmp_path / "t" / document["chosen"]["path"]
        assert path.is_file() and path.with_name(f"{path.name}.json").is_file()
        assert yaml.safe_load((tmp_path / "t" / "chosen" / "recipe.yaml").read_text())
    capfd.readouterr()
    assert main(words) == code
    said = capfd.readouterr().err
    assert "jobs: " not in said and "bench ..." not in said  # all of it was done before
