"""Progress is for people, and only as much of it as they can read."""

from edgewright import progress


def test_a_task_within_a_task_says_nothing(capsys, monkeypatch):
    clock = iter(range(0, 1000, 10))  # ten seconds pass from one look at it to the next
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.track("outer", 2) as outer:
        with progress.track("inner", 3) as inner:
            inner(3)
        outer(2)
    with progress.track("later", 1) as later:
        later()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "outer: 2/2", "outer: 2/2 in 20.0 s", "later: 1/1", "later: 1/1 in 20.0 s",
    ]  # fmt: skip


def test_a_task_that_fails_does_not_silence_the_next(capsys, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    try:
        with progress.track("failed", 1):
            raise ValueError
    except ValueError:
        pass
    with progress.track("next", 1):
        pass
    assert capsys.readouterr().err.splitlines() == ["next: 0/1 in 10.0 s"]


def test_items_are_the_steps_of_a_task_that_ends_where_the_reader_does(monkeypatch, capfd):
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert [each for each in progress.tracked("rounds", range(3)) if each] == [1, 2]
    said = capfd.readouterr().err
    assert "rounds: 1/3" in said and "rounds: 3/3 in" in said
    for _ in progress.tracked("stopped", range(3)):
        break
    with progress.track("later", 1) as advance:
        advance()
    assert "later: 1/1" in capfd.readouterr().err
