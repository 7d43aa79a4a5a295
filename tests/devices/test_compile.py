"""A compiler as a child: what it says is read, what it does never reaches us."""

import dataclasses
import sys

import pytest
from edgewright import files
from edgewright.devices.preflight import compile as compiling
from edgewright.devices.preflight.compile import compile_file, save
from edgewright.devices.targets import target

SCRIPT = """
import os, signal, sys, time
mode, out = sys.argv[1:3]
print("CPU operators = 1 (50%)\\nNPU operators = 1 (50%)")
print("operator: GELU, ofm: 'a/gelu'\\nReason: no kernel")
if mode == "crash": os.kill(os.getpid(), signal.SIGSEGV)
if mode == "hang": time.sleep(60)
if mode == "refuse": sys.exit("error: not my kind of file")
if mode == "raise": raise ValueError("compiler bug")
if mode == "garbage": sys.stdout.buffer.write(b"\\xff\\xfe\\n")
if mode != "nothing":
    open(f"{out}/model_done.tflite", "wb").write(b"compiled")
    open(f"{out}/model.csv", "w").write("seconds,cycles\\n0.002,1000\\n")
"""


def fake(tmp_path, mode):
    script = tmp_path / "compiler.py"
    script.write_text(SCRIPT)
    step = target.CompileStep(
        program=sys.executable, remedy="install it", arguments=(str(script), mode, "{folder}", "{model}"),
        output="{stem}_done.tflite", cpu_operators=r"CPU operators = (\d+)", time_limit_s=10,
        accelerator_operators=r"NPU operators = (\d+)",
        refusal=r"operator: (?P<op>\w+), ofm: '(?P<name>[^']*)'\s+Reason: (?P<reason>[^\n]+)",
        summary=target.Summary(
            file="{stem}.csv", latency_us=target.Figure(column="seconds", times=1e6),
            cycles=target.Figure(column="cycles"),
        ),
    )  # fmt: skip
    return dataclasses.replace(target.load("ethos-u55-128"), compile=step)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "; rm -rf $HOME #.tflite"
    path.write_bytes(b"a model")
    return path


def test_what_the_compiler_says_is_read(tmp_path, model):
    found = compile_file(model, fake(tmp_path, "ok"))
    assert (found.status, found.data, found.cpu_operators, found.accelerator_operators) == ("ok", b"compiled", 1, 1)
    assert [(one.op, one.name, one.reason) for one in found.refused] == [("GELU", "a/gelu", "no kernel")]
    assert found.figures == {"latency_us": 2000.0, "cycles": 1000.0}
    row = found.estimate()
    assert row["kind"] == "estimated" and row["latency_us"] == 2000.0
    path = save(found, tmp_path / "out" / "x.tflite", model)
    assert path.read_bytes() == b"compiled" and files.sha256(model) in path.with_name("x.tflite.json").read_text()


@pytest.mark.parametrize(
    ("mode", "status", "words"),
    [
        ("crash", "crashed", "signal 11"),
        ("raise", "crashed", "compiler bug"),
        ("garbage", "crashed", "no text"),
        ("refuse", "rejected", "not my kind of file"),
        ("nothing", "rejected", "wrote no file"),
        ("hang", "timeout", "within 1 s"),
    ],
)
def test_whatever_it_does_is_a_result(tmp_path, model, mode, status, words):
    found = compile_file(model, fake(tmp_path, mode), time_limit_s=1 if mode == "hang" else None)
    assert found.status == status and words in found.reason and not found.data


def test_zeros_of_an_idle_accelerator_are_no_estimate(tmp_path, model):
    found = dataclasses.replace(compile_file(model, fake(tmp_path, "ok")), accelerator_operators=0)
    assert "latency_us" not in found.estimate() and "nothing runs" in found.estimate()["reason"]


def test_a_missing_compiler_is_said_plainly(monkeypatch, model):
    monkeypatch.setattr(compiling, "compiler", lambda step: None)
    found = compile_file(model, target.load("edgetpu"))
    assert found.status == "missing"
    assert "edgetpu_compiler is not on this machine" in found.reason and "https://coral.ai" in found.reason
