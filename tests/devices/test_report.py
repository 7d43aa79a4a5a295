import base64
import io
import json
import re

import numpy as np
import pytest
from edgewright.devices.report import report
from edgewright.devices.report import rows as rows_of
from edgewright.devices.report.pictures import strip
from edgewright.metrics import METRICS, figures
from matplotlib.image import imread
from pages import HOSTILE, Page
from report_sample import latency_samples, sample


def test_page_shows_verdicts_with_both_intervals_and_the_command():
    page = Page(report.html(sample(), latency_samples()))
    for shown in ("4 pass", "1 fail", "1 inconclusive", "2.90×", "[2.87, 2.93]", "[−0.40, +0.30]", "99.44%",
                  "360 test samples", "edgewright run lenet5 --data digits", "CONV_2D", "int8"):  # fmt: skip
        assert shown in page.text
    assert page.tags.count("svg") == 5


def test_page_loads_nothing_and_runs_nothing():
    text = report.html(sample(), latency_samples())
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "img", "a", "form", "base"} & set(page.tags)
    assert page.active == []
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_hostile_names_are_shown_as_text():
    document = json.loads(json.dumps(sample()).replace("pruned-w8a8-qat.tflite", "HOSTILE"))
    document = json.loads(json.dumps(document).replace("HOSTILE", json.dumps(HOSTILE)[1:-1]))
    document |= {"model": HOSTILE, "data": HOSTILE, "command": HOSTILE, "notes": [HOSTILE],
                 "environment": {HOSTILE: HOSTILE}, "curves": {HOSTILE: document["curves"]["train"]}}  # fmt: skip
    page = Page(report.html(document, {HOSTILE: [1.0, 2.0]}))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.active == []
    assert page.text.count(HOSTILE) >= 6


def test_the_sparse_page_of_a_run_without_measurements():
    document = sample() | {"measurements": [], "verdicts": [], "curves": {}, "layers": {}}
    for key in ("environment", "command", "notes", "thresholds", "created"):
        del document[key]
    page = Page(report.html(document))
    assert "not measured on a device" in page.text
    assert page.tags.count("svg") == 1  # file sizes are known without a device
    assert "no verdict" in report.markdown(document)


def test_a_verdict_without_a_number_says_why():
    document = sample()
    unknown = dict.fromkeys(("speedup", "speedup_ci95", "metric_delta", "metric_delta_ci95", "agreement"))
    document["verdicts"][0] |= {**unknown, "verdict": "inconclusive", "reason": "crashed (signal 11)"}
    assert "crashed (signal 11)" in Page(report.html(document)).text
    assert re.search(r"float16.tflite +\| inconclusive +\| +– \| +– \| +– \|", report.markdown(document))


def test_markdown_by_hand():
    assert report.table(("file", "kB"), [("a|b", "1.0"), ("c", "–")]) == (
        "| file |  kB |\n"
        "|------|----:|\n"
        "| a\\|b | 1.0 |\n"
        "| c    |   – |"
    )  # fmt: skip


def test_markdown_summary_drops_control_characters():
    text = report.markdown(sample(model="net\x1b[31m\n# forged"))
    assert "\x1b" not in text
    assert text.splitlines()[0] == "# net�[31m�# forged on digits: 4 pass, 1 fail, 1 inconclusive"


@pytest.mark.parametrize(("thresholds", "expected"), [
    ({"max_drop": 0.01, "min_speedup": None}, "drops by at most 1 point"),
    ({"max_drop": 0.005, "min_speedup": 1.5}, "at most 0.5 points and the speed-up is at least 1.5×"),
])  # fmt: skip
def test_rule_is_stated(thresholds, expected):
    assert expected in Page(report.html(sample() | {"thresholds": thresholds})).text


def test_flags_controls_estimates_rules_and_hot_spots_are_shown():
    document = sample()
    document["controls"] = [{"artifact": "float32.tflite", "speedup": 1.002, "speedup_ci95": [0.99, 1.01]}]
    document["flags"] = [{"kind": "drift", "text": "the device became 14% slower while measuring"}]
    document["estimates"] = [
        {"artifact": "w8a8-qat.tflite", "target": "some-npu", "kind": "estimated", "latency_us": 182.2, "cycles": 91118,
         "accelerator_operators": 15, "cpu_operators": 2, "sram_bytes": 49920, "flash_bytes": 23744, "reason": ""}
    ]  # fmt: skip
    document["rules"] = [
        {"suite": "MLPerf Tiny", "rule": "five windows", "met": 8, "of": 8},
        {"suite": "MLPerf Tiny", "rule": "at least 10 s of inference", "met": 3, "of": 8},
        {"suite": "MLPerf Tiny", "rule": "quality target", "met": None, "of": 8},
    ]
    document["profiles"] = [
        {"artifact": "w8a8-qat.tflite", "device": "local", "runtime": "litert", "reason": "", "inference_us": 41.5,
         "rows": [{"operator": "CONV_2D", "name": "stem", "us": 30.0, "share": 0.75, "calls": 1},
                  {"operator": "ADD", "name": "", "us": 10.0, "share": 0.25, "calls": 3}]},
        {"artifact": "w8a8-qat.onnx", "device": "local", "runtime": "r", "rows": None, "reason": "r does not say"},
    ]  # fmt: skip
    document["verdicts"][0] |= {"speedup_p90": 2.71, "speedup_p90_ci95": [2.6, 2.8]}
    text = Page(report.html(document, latency_samples())).text
    for shown in ("against a second copy of itself: 1.002×", "14% slower while measuring", "Estimated, not measured",
                  "without the processor's part", "91,118",
                  "1 of 3", "3 of 8", "does not apply", "2.71×", "operators 40.0 µs, inference 41.5 µs", "ADD 3 ×",
                  "30.0 µs", "75%", "Not known: r does not say."):  # fmt: skip
        assert shown in text, shown
    summary = report.markdown(document)
    assert "drift: the device became 14% slower" in summary
    assert "estimated, not measured" in summary and "91,118" in summary
    assert re.search(r"w8a8-qat.tflite +\| CONV_2D +\| 30.0 +\| +75% +\|", summary) and "r does not say" in summary
    assert "MLPerf Tiny, rules met by every file: five windows" in summary


def test_a_pruned_file_comes_with_what_zeros_save():
    told = (
        "today's kernels of litert multiply zeros like any number: pruned weights make a file smaller once it is packed"
    )
    assert told in report.markdown(sample())
    dense = sample()
    dense["artifacts"] = [artifact | {"sparsity": 0.0} for artifact in dense["artifacts"]]
    assert "multiply zeros" not in report.markdown(dense)


def test_a_page_without_flags_says_that_none_was_seen():
    document = sample() | {"controls": [{"artifact": "f", "speedup": 1.0, "speedup_ci95": [1.0, 1.0]}], "flags": []}
    assert "No drift, throttling, noise or interruption was seen" in Page(report.html(document)).text


def test_bars_are_the_longest_operators_and_the_rest_is_summed_up():
    rows = [{"operator": f"OP {i}", "name": "n", "us": float(i), "share": i / 78, "calls": 1} for i in range(1, 13)]
    bars = rows_of.profile_entry(
        {"artifact": "a", "device": "d", "runtime": "r", "rows": rows, "inference_us": 80}, most=10
    )["bars"]
    assert [bar["operator"] for bar in bars] == [*(f"OP {i}" for i in range(12, 2, -1)), "2 others"]
    assert (bars[0]["width"], bars[-1]["us"], bars[-1]["calls"]) == ("100.0%", "3.0", "2 ×")


def test_kinds_are_added_up_without_how_they_run():
    rows = [
        {"operator": "Convolution (NHWC, QC8) IGEMM", "name": "a", "us": 6.0, "share": 0.6, "calls": 1},
        {"operator": "Convolution (NHWC, QC8) DWConv", "name": "b", "us": 3.0, "share": 0.3, "calls": 1},
        {"operator": "Clamp (NC)", "name": "", "us": 0.0, "share": 0.1, "calls": 1},
    ]
    profile = {"artifact": "a", "device": "d", "runtime": "r", "rows": rows, "inference_us": 11.0}
    bars = rows_of.profile_entry(profile, by_kind=True)["bars"]
    assert [(bar["operator"], bar["us"], bar["share"]) for bar in bars] == [
        ("Convolution", "9.0", "90%"), ("Clamp", "< 1", "10%"),
    ]  # fmt: skip


def test_unusual_kernels_and_delegates_are_told():
    document = sample() | {"config": {"kernels": "builtin", "delegate": "/lib/npu.so,core=1"}}
    assert "device: local · builtin kernels · delegate /lib/npu.so,core=1" in Page(report.html(document)).text
    assert report.how(sample()) == []


def with_confusion():
    """Return results in which the retrained int8 file takes one of class 1 for class 0 that float tells apart."""
    results = sample()
    for row in results["measurements"]:
        lost = row["artifact"].endswith("w8a8-qat.tflite") and "pruned" not in row["artifact"]
        truth = np.array([0] * 5 + [1] * 5)
        said = np.where(np.arange(10) == 5, 0 if lost else 1, truth)
        answers = np.eye(2, dtype="f4")[said]
        row["figures"] = {"": figures(METRICS["accuracy"], answers, truth)}
    return results


def test_the_page_shows_which_class_pays():
    results = with_confusion()
    found = rows_of.confused(results)
    assert (found.artifact, found.baseline) == ("w8a8-qat.tflite", "float32.tflite")
    assert found.base.tolist() == [[5, 0], [0, 5]] and (found.ours - found.base).tolist() == [[0, 0], [1, -1]]
    page = report.html(results, {})
    assert "Which class pays" in page and "−1" in page
    assert "Which class pays" not in report.html(sample(), {})


def test_errors_of_values_stand_in_the_page_and_the_summary():
    results = sample()
    for row in results["measurements"]:
        row["figures"] = {"": {"mae": 2.0, "rmse": 2.1602}}
    assert "2.16" in report.markdown(results) and "root mean" in report.html(results, {})


def test_pictures_lie_in_the_page_float_beside_int8():
    grey = strip(np.linspace(0, 1, 2 * 9).reshape(2, 9))
    told = [
        {"artifact": name, "shows": shows, "png": grey}
        for name, shows in (("a.tflite", "samples"), ("a.tflite", "drawn"), ("b.tflite", "drawn"))
    ]
    text = report.html(sample() | {"pictures": told})
    assert text.count(f"data:image/png;base64,{grey}") == 3 and "b.tflite" in text
    image = imread(io.BytesIO(base64.b64decode(grey)))
    assert image.shape[:2] == (3, 7)  # two of 3x3, and a line between them
    np.testing.assert_allclose(image[:, :3, 0].ravel(), np.arange(9) / 17, atol=0.01)
    assert image[:, 3, 0].min() == 1
    assert strip(np.zeros((2, 10))) == ""  # no square


def test_colours_stay_colours():
    red = np.zeros((1, 2, 2, 3))
    red[..., 0] = 1
    assert imread(io.BytesIO(base64.b64decode(strip(red))))[0, 0, :3].tolist() == [1, 0, 0]
