"""Sweeps: what a job is, killed and restarted ones, both executors alike."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sweep_driver
from edgewright.cli import view
from edgewright.errors import BadInput, EdgewrightError
from edgewright.pipeline import executors
from edgewright.pipeline.executors import EXECUTORS
from edgewright.pipeline.jobs import Job, agreed, finished, run_jobs
from edgewright.pipeline.sweep import SweepConfig, parse_recipe, plan

JOBS = int(os.environ.get("EDGEWRIGHT_SWEEP_JOBS", "6"))  # 24 on demand


def start(folder, executor="local"):
    command = [sys.executable, sweep_driver.__file__, str(folder), str(JOBS), executor]
    paths = [str(Path(sweep_driver.__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def test_killed_at_random_and_restarted_no_finished_job_is_lost_or_repeated(tmp_path):
    chance = random.Random(0)
    kept, kills, log, done = set(), 0, tmp_path / "log", 0
    while kills < max(3, JOBS // 2):
        driver = start(tmp_path)
        while not log.exists() or len(log.read_text().split()) <= done:
            assert driver.poll() is None
            time.sleep(0.02)  # until it works: starting takes longer than a job
        time.sleep(chance.uniform(0, 0.4))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        kills += 1
        time.sleep(0.3)  # what was left running would show now
        started = log.read_text().split()
        assert not kept & set(started[done:]), "a finished job was started again"
        kept = {f"job-{i}" for i in range(JOBS) if finished(tmp_path / "jobs", f"job-{i}")}
        done = len(started)
        if len(kept) == JOBS:
            break
    last = start(tmp_path)
    output, _ = last.communicate(timeout=60)
    assert last.returncode == 0
    rows = json.loads(output)
    assert not kept & set(log.read_text().split()[done:])
    assert [row["status"] for row in rows] == ["ok"] * JOBS
    assert [row["files"][0]["value"] for row in rows] == [i / 100 for i in range(JOBS)]
    assert not [path for path in (tmp_path / "jobs").iterdir() if path.name.startswith(".part-")]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra ray)")
def test_ray_and_this_machine_agree_and_timings_are_apart(tmp_path):
    found = {}
    for executor in EXECUTORS:
        driver = start(tmp_path / executor, executor)
        output, _ = driver.communicate(timeout=180)
        assert driver.returncode == 0
        found[executor] = json.loads(output)
    assert found["ray"] == found["local"]
    same = [(tmp_path / executor / "results.json").read_bytes() for executor in EXECUTORS]
    assert same[0] == same[1] and b"latency" not in same[0]
    timings = json.loads((tmp_path / "ray" / "timings.json").read_text())["jobs"]
    assert len(timings) == JOBS and all(row["latency_us"]["f"]["p50"] for row in timings)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(tmp_path):
    with pytest.raises(EdgewrightError, match=r"edgewright\[ray\]"):
        run_jobs(sweep_driver.jobs(tmp_path / "log", 1), tmp_path, EXECUTORS["ray"], 1)


def job(script, **more):
    return Job(key="k", name="k", command=("{python}", "-c", script, "{out}"), keeps=("results.json",), **more)


@pytest.mark.parametrize(
    ("script", "limit_s", "words"),
    [
        ("raise ValueError('no data')", 30, "failed: exit code 1: ValueError: no data"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 30, "failed: exit code -11"),
        ("pass", 30, "failed: exit code 0"),  # no result
        ("import time; time.sleep(60)", 0.5, "timeout: no result within 0.5 s"),
    ],
)
def test_a_failed_job_is_told_and_runs_again(tmp_path, script, limit_s, words):
    document = run_jobs([job(script, limit_s=limit_s)], tmp_path, EXECUTORS["local"], 1)
    (row,) = document["jobs"]
    assert row["status"] == "failed" and words in row["reason"]
    assert not finished(tmp_path / "jobs", "k")


def test_nothing_of_a_job_outlives_us(tmp_path):
    script = f"import subprocess; subprocess.Popen(['sleep', '77']); open({str(tmp_path / 'pid')!r}, 'w').write('x')"
    run_jobs([job(script)], tmp_path, EXECUTORS["local"], 1)
    assert (tmp_path / "pid").exists()
    alive = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 77" not in alive


def test_the_plan_is_models_by_recipes_by_devices_and_keys_tell_them_apart():
    config = SweepConfig(models=("lenet5", "mlp"), recipes=("", "sparsity=0.8,epochs=2"), devices=("local", "other"))
    jobs = plan(config)
    assert len(jobs) == len({one.key for one in jobs}) == 8
    assert plan(config) == jobs
    assert jobs[3].command[-4:] == ("--epochs", "2", "--sparsity", "0.8")
    quick = plan(SweepConfig(models=("lenet5",), quick=True))[0]
    assert quick.key not in {one.key for one in jobs} and "--quick" in quick.command


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"models": ("lenet",)}, "lenet5"),
        ({"recipes": ("colour=red",)}, "colour=red"),
        ({"recipes": ("sparsity",)}, "no NAME=VALUE"),
        ({"executor": "slurm"}, "allowed: local, ray"),
        ({"at_once": 0}, "--jobs 0"),
    ],
)
def test_a_wrong_sweep_is_refused_before_any_work(wrong, words):
    with pytest.raises(BadInput, match=words):
        SweepConfig(**{"models": ("lenet5",), **wrong})


def test_recipes_are_typed():
    assert parse_recipe("sparsity=0.8, epochs=5") == {"sparsity": 0.8, "epochs": 5}


def test_latencies_are_no_part_of_what_must_agree():
    from report_sample import sample

    kept = json.dumps(agreed(sample()))
    assert "sha256" in kept and "0.9833" in kept
    assert not [word for word in ("latency", "speedup", "peak_ram", "verdict") if word in kept]


def test_a_viewer_that_is_missing_is_named(tmp_path, monkeypatch):
    (tmp_path / "m.tflite").write_bytes(b"x")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EdgewrightError, match=r"edgewright\[view\]"):
        view.view(tmp_path / "m.tflite")
    with pytest.raises(BadInput, match="no such file"):
        view.view(tmp_path / "n.tflite")


def test_the_viewer_gets_the_file_as_one_argument(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    path = tmp_path / "; echo $HOME.onnx"
    path.write_bytes(b"x")
    assert view.command(path, 9000)[-3:] == ["--port", "9000", str(path.resolve())]


def test_executors_are_the_documented_ones():
    assert set(executors.EXECUTORS) == {"local", "ray"}
