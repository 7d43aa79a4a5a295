"""The sentence that says which file to ship, and the word `slower`, on made-up runs whose right answer is known."""

import json

import pytest
from edgewright.devices.agent import machine as processor
from edgewright.devices.agent import modes
from edgewright.devices.asking import described
from edgewright.devices.report import report
from edgewright.devices.verdict import compare as comparing
from edgewright.devices.verdict.advice import advice
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.document import compose
from edgewright.devices.verdict.results import Bundle, Run
from edgewright.devices.verdict.slowness import why_slow
from edgewright.pipeline import run as pipeline
from edgewright.pipeline.steps import Steps
from made_up_run import a_run, blocks
from pages import Page

NO_VNNI = {"lacks": ["VNNI"]}
SIZES = {"float": (1000, "float32"), "w8": (286, "w8"), "w8a8": (280, "w8a8-qat"), "float16": (500, "float16")}


def several(times, *, lost=(), **more) -> Run:
    """Return a run of float (100 us) and the files of `times`; those in `lost` lose five points."""
    run, bad = a_run(us=100, noise=0.001, **more), a_run(lost=50)
    kept, measured = run.raw.scores.pop("small"), run.measured.pop("small")
    del run.baselines["small"], run.raw.latency["small"]
    for seed, (name, us) in enumerate(times.items(), 4):
        run.baselines[name], run.measured[name] = "float", {**measured}
        run.raw.scores[name] = bad.raw.scores["small"] if name in lost else kept
        run.raw.latency[name] = blocks(us, noise=0.001, seed=seed)
    run.artifacts = [{"name": name, "bytes": SIZES[name][0], "precision": SIZES[name][1]} for name in ("float", *times)]
    return run


def advised(run: Run, **thresholds) -> str:
    limits = Thresholds(**thresholds)
    return advice(run, compare(run, limits), limits)


@pytest.mark.parametrize(
    ("run", "limits", "sentence"),
    [
        (
            {"times": {"w8": 100.1, "w8a8": 200}, "environment": NO_VNNI},
            {},
            "ship w8: as fast as float, 3.5 times smaller, no drop; w8a8 takes twice the time here: this CPU has "
            "no VNNI",
        ),
        ({"times": {"w8": 100.1, "w8a8": 32}}, {}, "ship w8a8: 3.1 times as fast as float, 3.6 times smaller, no drop"),
        (
            {"times": {"w8": 140, "w8a8": 32}, "lost": ["w8a8"]},
            {},
            "ship float: no other file passes; w8 takes 1.4 times the time here; w8a8 fails (accuracy -5.00 points "
            "[-6.40, -3.70], more than the 1 allowed)",
        ),
        (
            {"times": {"w8": 140, "w8a8": 200}, "environment": NO_VNNI},
            {},
            "ship float: no other file passes; w8a8 takes twice the time here: this CPU has no VNNI; w8 takes 1.4 "
            "times the time here",
        ),
        (
            {"times": {"w8": 140, "w8a8": 200}},
            {"min_speedup": 0.4},
            "ship w8a8: 0.5 times as fast as float, 3.6 times smaller, no drop",
        ),
        (
            {"times": {"w8": 100.1, "w8a8": 200}, "simulated": True},
            {},
            "ship w8a8: 3.6 times smaller than float, no drop; chosen by size alone: simulated: no latency",
        ),
        (
            {"times": {"w8": 100.1, "w8a8": 200}, "emulated": True},
            {},
            "ship w8a8: 3.6 times smaller than float, no drop; chosen by size alone: times of an emulated processor "
            "are not ranked",
        ),
        (
            {"times": {"float16": 100.1}, "n": 100},
            {},
            "ship float: no other file passes; float16 is undecided (about 200 more samples would decide)",
        ),
    ],
    ids=["as fast", "faster", "one fails", "slower", "size asked", "simulated", "emulated", "undecided"],
)  # fmt: skip
def test_advice_in_words(run, limits, sentence):
    if run.get("simulated"):
        found = several(**run)
        found.raw.latency, found.raw.control = {}, {}
        assert advised(found, **limits) == sentence
        return
    assert advised(several(**run), **limits) == sentence


def test_without_a_metric_it_is_said_that_none_was_judged():
    run = several({"w8a8": 32})
    run.metric, run.raw.scores = None, {}
    assert advised(run, max_drop=None) == (
        "ship w8a8: 3.1 times as fast as float, 3.6 times smaller, if its answers hold: no metric was judged"
    )


def test_a_smaller_file_that_is_shown_to_be_slower_is_not_advised():
    """103 against 100 us: a difference that the clock shows, however small, is not bought by size unasked."""
    assert advised(several({"w8": 103})).startswith("ship float: no other file passes; w8 takes 3% longer here")
    assert advised(several({"w8": 100.5})).startswith("ship w8: as fast as float")


@pytest.mark.parametrize(
    ("head_us", "sentence"),
    [
        (10, "ship the files of small: 4 times smaller than float, no drop; chosen by size alone: how often each "
             "file of a model is called decides what it takes"),
        (40, "ship the files of big: no other file passes; chosen by size alone: how often each file of a model is "
             "called decides what it takes; w8a8 has a file that is slower than its baseline"),
    ],
)  # fmt: skip
def test_files_of_one_model_are_shipped_together_or_not(head_us, sentence):
    run = several({"w8a8": 30})
    run.baselines |= {"head": "head", "head8": "head"}
    run.raw.latency |= {"head": blocks(20, noise=0.001, seed=7), "head8": blocks(head_us, noise=0.001, seed=8)}
    run.measured |= {"head": {**run.measured["float"]}, "head8": {**run.measured["float"]}}
    run.artifacts = [{"name": name, "bytes": size, "precision": "w8a8" if "8" in name else "float32"}
                     for name, size in (("float", 900), ("head", 300), ("w8a8", 200), ("head8", 100))]  # fmt: skip
    run.bundles = {"big": Bundle(files={"a": "float", "b": "head"}), "small": Bundle(files={"a": "w8a8", "b": "head8"})}
    run.raw.scores = {"big": run.raw.scores["float"], "small": run.raw.scores["w8a8"]}
    assert advised(run) == sentence


def test_nothing_is_advised_without_verdicts_and_the_document_has_the_sentence():
    run = several({"w8": 100.1})
    assert compose(run)["advice"] == ""
    assert compose(run, compare(run))["advice"].startswith("ship w8")


@pytest.mark.parametrize(
    ("lost", "us", "min_speedup", "word", "exit_code"),
    [
        (0, 50, None, "pass", 0),
        (0, 100, None, "pass", 0),
        (0, 150, None, "slower", 0),
        (0, 150, 0.4, "pass", 0),
        (0, 150, 0.8, "fail", 1),
        (0, 150, 1.0, "fail", 1),
        (50, 150, None, "fail", 1),
        (8, 150, None, "inconclusive", 0),
        (8, 150, 1.0, "fail", 1),
        (0, 50, 1.5, "pass", 0),
    ],
)
def test_words_exit_code_and_wanted_speedup_agree(lost, us, min_speedup, word, exit_code):
    from edgewright.cli.benches import judged

    run = a_run(us=us, lost=lost, noise=0.001)
    run.measured = {name: {"metric": "accuracy", "runtime": "litert", **found} for name, found in run.measured.items()}
    answer = judged(run, Thresholds(min_speedup=min_speedup), None)
    assert [one["verdict"] for one in answer.document["verdicts"]] == [word]
    assert (0 if answer.ok else 1) == exit_code


def test_a_slower_file_is_never_shown_as_a_pass():
    run = several({"w8a8": 200}, environment=NO_VNNI)
    run.artifacts = [
        {
            "format": "tflite",
            "sha256": "0" * 64,
            "sparsity": 0.0,
            "quantized_ops": 1,
            "float_ops": 0,
            "path": "x",
            **row,
        }
        for row in run.artifacts
    ]
    run.model, run.data = "net", "digits"
    for found in run.measured.values():
        found |= {"metric": "accuracy", "value": 0.9, "runtime": "litert", "n": 1000}
    document = json.loads(json.dumps(compose(run, compare(run))))
    (row,) = document["verdicts"]
    assert row["verdict"] == "slower" and row["because"].endswith(", this CPU has no VNNI")
    text = report.markdown(document)
    assert "# net on digits: 1 slower" in text and " pass " not in text and "this CPU has no VNNI" in text
    assert text.rstrip().splitlines()[-1].startswith("Advice: ship float: no other file passes; w8a8 takes twice")
    page = report.html(document)
    assert 'class="slower">slower<' in page and 'class="pass"' not in page
    assert "Advice: ship float" in Page(page).text


def test_every_word_has_a_colour_and_a_place_in_counts():
    from edgewright.devices.report.rows import KINDS, kind

    assert set(KINDS) == set(comparing.WORDS) and kind("of a later version") == "inconclusive"
    page = report.render("base.html", title="")
    assert all(f".{word}::before" in page and f"--{word}:" in page for word in KINDS)


@pytest.mark.parametrize(
    ("precision", "lacks", "why"),
    [
        ("w8a8-qat", ["VNNI"], "this CPU has no VNNI"),
        ("w8", ["VNNI"], "this CPU has no VNNI"),
        ("float16", ["VNNI"], ""),
        ("w8a16-ptq", ["VNNI"], ""),
        ("w8a8-ptq", ["dot products"], "this CPU has no dot products of bytes (asimddp)"),
        ("w8a8-ptq", [], ""),
        (None, ["VNNI"], ""),
    ],
)
def test_why_a_file_is_slow(precision, lacks, why):
    assert why_slow(precision, {"lacks": lacks}) == why and why_slow(precision, {}) == ""


def test_what_a_target_refuses_is_not_advised_and_unlike_files_are_told_apart():
    run = several({"w8": 50, "w8a8": 30})
    assert advised(run).startswith("ship w8a8")
    run.artifacts = [{**row, **({"refused": "no kernel"} if row["name"] == "w8a8" else {})} for row in run.artifacts]
    assert advised(run).startswith("ship w8:")
    run.artifacts = [{**row, "refused": "no kernel"} for row in run.artifacts]
    assert advised(run) == ""
    run = several({"w8": 107, "w8a8": 172})
    run.artifacts = [{**row, "precision": "w8a8-qat"} if row["name"] != "float" else row for row in run.artifacts]
    assert "w8a8 takes 1.1 to 1.7 times the time here" in advised(run)
    run = several({"w8": 107, "w8a8": 120})
    run.artifacts = [{**row, "precision": "w8a8-qat"} if row["name"] != "float" else row for row in run.artifacts]
    assert "w8a8 takes 7% to 20% longer here" in advised(run)


def test_a_slow_kernel_is_named_with_what_avoids_it():
    run = several({"w8a8": 200}, environment={"system": "Linux 6.1 x86_64", "lacks": []})
    plain = advised(run)
    run.layers = {"w8a8": [{"name": "a", "op": "SOFTMAX", "dtype": "int8"}]}
    assert (
        advised(run) == f"{plain}: here an int8 softmax runs outside XNNPACK, --target cpu-x86 leaves softmax in float"
    )
    assert "--target cpu-x86" in compare(run)[0].reasons[-1]
    run.layers["w8a8"][0]["dtype"] = "float32"
    assert advised(run) == plain
    run.layers["w8a8"][0]["dtype"], run.environment["system"] = "int8", "Linux 6.1 aarch64"
    assert advised(run) == plain


@pytest.mark.parametrize(
    ("machine", "info", "lacks"),
    [
        ("x86_64", "flags\t\t: fpu avx2 avx512f", ["VNNI"]),
        ("x86_64", "flags\t\t: fpu avx2 avx512_vnni", []),
        ("aarch64", "Features\t: fp asimd", ["dot products", "half precision"]),
        ("aarch64", "Features\t: fp asimd asimdhp asimddp", []),
        ("arm64", None, []),  # macOS tells no flags: nothing is said
    ],
)
def test_what_a_processor_lacks(monkeypatch, machine, info, lacks):
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(processor, "read", lambda path: info if path == "/proc/cpuinfo" else None)
    monkeypatch.delenv("EDGEWRIGHT_CPU", raising=False)
    assert modes.environment({"models": []})["lacks"] == processor.lacking() == lacks


@pytest.mark.parametrize(("lacks", "more"), [(["VNNI"], 1), ([], 0), (["dot products"], 0)])
def test_a_run_asks_its_device_and_lets_seven_bits_compete_where_vnni_is_missing(tmp_path, monkeypatch, lacks, more):
    asked = []
    monkeypatch.setattr(pipeline, "described", lambda device: asked.append(device) or {"lacks": lacks})
    steps = Steps(tmp_path)
    for _ in range(2):  # the second time from the folder: a device that is gone is not missed
        files = pipeline.files_for(pipeline._lacking("ssh://board", steps))
        assert files == (*pipeline.FILES, *[("qat-w7a8", "onnx", "w7a8-qat")] * more)
    assert asked == ["ssh://board"]


def test_this_device_describes_itself():
    told = described("local")
    assert told["lacks"] == processor.lacking() and told["runtimes"]["litert"] and "event" not in told
