"""Processes that take orders: what their death, their silence and their age come to."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from edgewright.children import FORKS, Fork
from edgewright.errors import EdgewrightError
from edgewright.workers import Worker, workers

DOUBLING = """
import json, os, sys, time
for line in sys.stdin:
    order = json.loads(line)
    if order["n"] == 1:
        print("here it ends", file=sys.stderr, flush=True)
        os.abort()
    if order["n"] == 3:
        time.sleep(1000)
    if order["n"] == 7:
        os.close(1)
        time.sleep(0.5)
        sys.exit(3)
    print(json.dumps({"double": 2 * order["n"], "process": os.getpid()}), flush=True)
"""


@pytest.fixture(autouse=True)
def doubling(tmp_path, monkeypatch):
    (tmp_path / "doubling.py").write_text(DOUBLING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)  # for forks


def test_death_and_silence_are_answers_and_the_others_go_on():
    with workers(2, "doubling") as several:
        answers = {order["n"]: answer for order, answer in several.serve([{"n": n} for n in range(6)], 3)}
    died, silent = answers.pop(1), answers.pop(3)
    assert isinstance(died, EdgewrightError) and str(died) == "the process died with status -6"
    assert isinstance(silent, EdgewrightError) and str(silent) == "the process gave no answer in 3 s"
    assert {n: answer["double"] for n, answer in answers.items()} == {n: 2 * n for n in (0, 2, 4, 5)}


def test_one_that_closes_its_output_and_ends_later_is_told_by_its_own_status():
    with workers(1, "doubling") as several:
        ((_, died),) = several.serve([{"n": 7}], 20)
    assert str(died) == "the process died with status 3"


def test_a_worker_is_renewed_before_it_has_grown():
    with workers(1, "doubling", most_orders=4) as several:
        answers = [answer["process"] for _, answer in several.serve([{"n": 2}] * 5, 20)]
    assert sorted(answers.count(process) for process in set(answers)) == [1, 4]


def test_a_worker_is_started_again_and_its_last_words_are_kept():
    worker = Worker("doubling", quiet=True)
    with pytest.raises(EdgewrightError, match="died with status -6"):
        worker.ask({"n": 1}, 20)
    assert worker.last_words() == "here it ends"
    first = worker.ask({"n": 2}, 20)["process"]
    assert worker.ask({"n": 4}, 20) == {"double": 8, "process": first}
    worker.process.kill()  # between two orders
    worker.process.wait()
    assert worker.ask({"n": 5}, 20)["double"] == 10
    worker.stop()
    assert worker.process is None


def test_leaving_while_one_is_at_work_ends_it():
    with workers(1, "doubling") as several:
        (worker,) = several._all
        waiting = several.serve([{"n": 2}, {"n": 3}], 1000)
        next(waiting)
        while not worker._busy:
            time.sleep(0.01)
        process: subprocess.Popen = worker.process
        start = time.monotonic()
    assert process.poll() is not None and time.monotonic() - start < 4


FORKING = """
import os, time
from edgewright.workers import Worker, serve_in_forks
seen, inner = [], Worker("doubling")
def answer(order):
    seen.append(order["n"])
    if order["n"] == 1:
        os.abort()
    if order["n"] == 3:
        print("process", os.getpid(), flush=True)
        time.sleep(1000)
    return {"seen": seen, "parent": os.getppid(), "inner": inner.ask(order, 20)}
serve_in_forks(answer, lambda order: inner.fork())
"""
forking = pytest.mark.skipif(not FORKS, reason="no process is forked on this system")


@forking
def test_each_order_is_served_in_a_fork_that_may_have_forks(tmp_path):
    (tmp_path / "forking.py").write_text(FORKING)
    with workers(1, "forking") as several:
        answers = [answer for _, answer in several.serve([{"n": n} for n in (2, 4, 1, 5)], 20)]
        several._all[0].stop()
    two, four, died, five = answers
    assert [answer["seen"] for answer in (two, four, five)] == [[2], [4], [5]]  # nothing is left of an order before
    assert two["parent"] == four["parent"] != five["parent"] and str(died) == "the process died with status -6"
    assert [answer["inner"]["double"] for answer in (two, four, five)] == [4, 8, 10]


@forking
def test_a_fork_runs_the_module_and_where_it_died_the_module_is_started():
    worker = Worker("doubling", quiet=True)
    worker.fork()
    forked = worker.process
    assert worker.ask({"n": 2}, 20) == {"double": 4, "process": forked.pid} and isinstance(forked, Fork)
    with pytest.raises(EdgewrightError, match=r"gave no answer in 0\.2 s"):
        worker.ask({"n": 3}, 0.2)
    assert forked.returncode == -9 and worker.ask({"n": 4}, 20)["process"] != forked.pid
    worker.fork()
    with pytest.raises(EdgewrightError, match="died with status -6"):
        worker.ask({"n": 1}, 20)
    assert worker.last_words() == "here it ends"
    worker.stop()


ASKING = """
from edgewright.workers import Worker
Worker(MODULE).ask({"n": 3}, 1000)
"""
SERVING = """
import os, time
from edgewright.workers import serve
def answer(order):
    print("process", os.getpid(), flush=True)  # to standard error: answers go where orders came from
    time.sleep(1000)
serve(answer)
"""


@pytest.mark.parametrize("module", ["serving", pytest.param("forking", marks=forking)])
def test_a_worker_does_not_outlive_who_asked_it_even_at_work(tmp_path, module):
    (tmp_path / f"{module}.py").write_text({"serving": SERVING, "forking": FORKING}[module])
    script = ASKING.replace("MODULE", repr(module))
    asking = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    number = next(int(line.split()[1]) for line in asking.stderr if line.startswith("process"))
    asking.kill()
    asking.wait()
    asking.stderr.close()
    for _ in range(100):
        if not Path(f"/proc/{number}").exists() or "zombie" in Path(f"/proc/{number}/status").read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"process {number} works on")
