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
