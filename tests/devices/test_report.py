import json
import re
from html.parser import HTMLParser

import pytest
from edgewright.devices import report
from report_sample import latency_samples, sample

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>${{7*7}}$\\frac{a}{'


class Page(HTMLParser):
    """Collect what a browser would act on: tags, event handlers and addresses."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.active, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            external = name in {"src", "href"} and not str(value).startswith("#")
            if name.startswith("on") or external or "javascript:" in str(value).lower():
                self.active.append((tag, name, value))

    def handle_data(self, data):
        self.text += data


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
