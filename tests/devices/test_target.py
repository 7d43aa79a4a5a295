"""Targets are data: every file is valid, wrong ones are refused by name, and no code knows a target."""

import re
from pathlib import Path

import edgewright
import pytest
from edgewright.devices.targets import target
from edgewright.errors import BadInput

ROOT = Path(edgewright.__file__).parent
NAMES = {
    "android", "browser-wasm", "cortex-m", "cpu-arm64", "cpu-x86", "edgetpu", "ethos-u55-128", "ethos-u65-256",
    "ethos-u85-256", "onnx-cpu", "openvino-cpu", "raspberry-pi",
}  # fmt: skip
LEAST = """
title = "t"
sources = ["s"]
figures = "measured"
runtimes = ["litert"]
[model]
formats = ["tflite"]
precision = "float32"
dtypes = ["float32"]
[operators]
tflite = "any"
"""


def test_the_targets_are_there():
    assert set(target.names()) >= NAMES


@pytest.mark.parametrize("name", target.names())
def test_every_target_is_valid_and_says_where_it_is_from(name):
    found = target.load(name)
    assert found.sources
    assert set(found.operators) == set(found.model.formats)
    for known in found.operators.values():
        assert known == target.ANY or list(known) == sorted(set(known))
    if found.fallback:
        assert target.load(found.fallback).fallback is None
    assert (found.export == "compiled") == (found.compile is not None)
    assert found.figures != "estimated" or (found.compile and found.compile.summary)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("colour = 'red'", "colour"),
        ("[model.shape]\nx = 1", "model.shape"),
        ("[memory]\narena_bytes = 'much'", "memory.arena_bytes"),
        ("[compile]\nprogram = 'cc'", "compile.arguments"),
        ("figures = ", "line"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_what_is_wrong(change, named):
    text = change + "\n" + LEAST if "[" not in change else LEAST + change
    with pytest.raises(BadInput, match=re.escape(named)):
        target.parse("mine", text)


def test_a_least_file_is_a_target():
    found = target.parse("mine", LEAST)
    assert found.runs("tflite", "CONV_2D") and not found.runs("onnx", "Conv")
    assert found.memory.arena_bytes is None


def test_an_unknown_target_names_its_neighbours():
    with pytest.raises(BadInput, match="did you mean ethos-u"):
        target.load("ethos-u55")
    with pytest.raises(BadInput, match=r"allowed: .*cortex-m"):
        target.load("zx81")


def test_no_target_is_named_in_code():
    code = [path for path in ROOT.rglob("*.py") if not {"tests", "benchmarks", "examples"} & set(path.parts)]
    code = [path for path in code if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]
    assert len(code) > 50
    named = re.compile("|".join(rf"[\"']{re.escape(name)}[\"']" for name in target.names()))
    assert [str(path) for path in code if named.search(path.read_text())] == []


def test_advice_is_given_in_words():
    known = target.advice()
    assert "relu6" in known["operators"]["GELU"]
    assert "BatchNormalization" in known["layers"]["LayerNormalization"]
