"""The page over several runs: who is ranked, who is on the front, what got worse, and that names stay text."""

import shutil
import subprocess

import pytest
from edgewright.devices.report import report
from edgewright.devices.report.overview import Session, front, html, leaderboard
from edgewright.devices.verdict.document import compose
from made_up_run import a_run
from pages import HOSTILE, Page
from report_sample import latency_samples, sample

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def session(label="monday", device="local", names=("float", "small"), **more):
    run = a_run(**more)
    run.model, run.data, run.device = "net", "digits", device
    for place, name in enumerate(("float", "small")):
        run.artifacts.append(
            {"name": name, "format": "tflite", "precision": ("float32", "w8a8")[place], "sparsity": 0.0, "bytes": 900,
             "sha256": f"{place}{label}".ljust(64, "0"), "quantized_ops": 1, "float_ops": 0}
        )  # fmt: skip
        run.measured[name] |= {"metric": "accuracy", "value": 0.9 - place / 100, "runtime": "litert", "n": 1000,
                               "load_us": None, "first_us": None, "peak_ram_bytes": None}  # fmt: skip
    from edgewright.devices.verdict.compare import compare

    return Session(label=label, run=run, results=compose(run, compare(run)))


def test_the_faster_file_leads_and_both_are_on_the_front():
    entries = leaderboard([session()])
    assert [(one["artifact"], one["rank"]) for one in entries] == [("small", 1), ("float", 2)]
    assert front(entries) == {one["sha256"] for one in entries}


def test_a_dominated_file_is_off_the_front():
    entries = leaderboard([session(us=150)])
    assert [one["artifact"] for one in entries] == ["float", "small"]
    assert front(entries) == {entries[0]["sha256"]}


def test_files_that_cannot_be_told_apart_share_a_rank():
    entries = leaderboard([session(us=100, noise=0.1)])
    assert [one["rank"] for one in entries] == [1, 1]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"emulated": True}, "emulated"),
        ({"trend": 1.4}, "drift"),
        ({"control": 120}, "noise"),
        ({"lost": 90}, "verdict"),
    ],
)
def test_unsteady_emulated_and_failed_files_have_no_rank(more, why):
    entries = {one["artifact"]: one for one in leaderboard([session(**more)])}
    assert entries["small"]["rank"] is None and why in entries["small"]["why_not"]
    assert (entries["float"]["rank"] == 1) == (why == "verdict")


def test_the_newest_measurement_of_a_file_counts():
    older, newer = session("a"), session("a", us=40)
    (entry,) = [one for one in leaderboard([older, newer]) if one["artifact"] == "small"]
    assert entry["p50_us"] == pytest.approx(40, rel=0.02)


def test_the_page_holds_every_device_hash_regression_and_estimate():
    later = session("tuesday", us=60)
    later.run.data = "digits"
    later.results["estimates"] = [
        {"artifact": "small", "target": "some-npu", "kind": "estimated", "latency_us": 12.0, "cycles": 6000,
         "accelerator_operators": 9, "cpu_operators": 0, "sram_bytes": 1000, "flash_bytes": 2000, "reason": ""}
    ]  # fmt: skip
    later.results["profiles"] = [
        {"artifact": "small", "device": "local", "runtime": "litert", "reason": "", "inference_us": 10.5,
         "rows": [{"operator": "CONV_2D", "name": name, "us": 4.5, "share": 0.45, "calls": 1} for name in "ab"]
         + [{"operator": "ADD", "name": "c", "us": 1.0, "share": 0.1, "calls": 1}]}
    ]  # fmt: skip
    page = Page(html([session(), later, session("elsewhere", "ssh://board")]))
    assert page.tags.count("svg") == 2  # one front for each device
    for shown in ("ssh://board", "0monday0000", "regressed", "monday → tuesday", "some-npu", "estimated", "6,000",
                  "CONV_2D 2 ×", "90%", "operators 10.0 µs, inference 10.5 µs"):  # fmt: skip
        assert shown in page.text, shown
    assert "12.0" in page.text and page.active == []


def test_other_kernels_are_another_device():
    builtin = session("b", us=40)
    builtin.results["config"] = {"kernels": "builtin"}
    text = Page(html([session("a"), builtin])).text
    assert "on local, builtin kernels" in text and "Against the earlier run" not in text


def test_hostile_names_stay_text_on_the_overview():
    hostile = session(HOSTILE, HOSTILE)
    hostile.results["model"] = HOSTILE
    page = Page(html([hostile]))
    assert "script" not in page.tags and "img" not in page.tags and page.active == []
    assert page.text.count(HOSTILE) >= 3


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_no_script_of_a_name_runs_in_a_browser(tmp_path):
    act = "document.title='run'"
    attack = f'"><script>{act}</script><img src=x onerror="{act}"><svg onload="{act}">'
    document = sample(model=attack) | {"data": attack, "notes": [attack], "command": attack}
    document["flags"] = [{"kind": attack, "text": attack}]
    for artifact in document["artifacts"][:1]:
        artifact["precision"] = attack
    hostile = session(attack, attack)
    hostile.results["model"] = attack
    pages = {"report": report.html(document, latency_samples()), "overview": html([hostile])}
    for name, text in pages.items():
        path = tmp_path / f"{name}.html"
        path.write_text(text)
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "</html>" in done.stdout
        assert "<title>run</title>" not in done.stdout, name
