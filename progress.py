"""Progress for people: a bar on a terminal, plain lines otherwise, always on standard error.

Standard output stays free for results, so `--json` is never mixed with progress.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

Advance = Callable[..., None]
Item = TypeVar("Item")
_running: list[str] = []  # what is tracked now


def say(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def track(what: str, total: int) -> Iterator[Advance]:
    """Yield `advance(steps=1, note="")` for a task of `total` steps.

    A terminal gets a bar. Elsewhere a line appears at most every five seconds, and one at the end if that took over
    two. A task within a task says nothing of its own: it is a part of one of the outer one's steps.
    """
    shown = _lines if not sys.stderr.isatty() else _bar
    with (_nothing if _running else shown)(what, total) as advance:
        _running.append(what)
        try:
            yield advance
        finally:
            _running.remove(what)


def tracked(what: str, items: Collection[Item]) -> Iterator[Item]:
    """Yield items, one a step of the task that they are."""
    with track(what, len(items)) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def _nothing(what: str, total: int) -> Iterator[Advance]:
    yield lambda steps=1, note="": None


@contextmanager
def _lines(what: str, total: int) -> Iterator[Advance]:
    start = said = time.monotonic()
    done = 0

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, said
        done += steps
        now = time.monotonic()
        if now - said >= 5:
            said = now
            say(f"{what}: {done}/{total} {note}".rstrip())

    yield advance
    seconds = time.monotonic() - start
    if seconds > 2:
        say(f"{what}: {done}/{total} in {seconds:.1f} s")


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, note="")
        yield lambda steps=1, note="": progress.update(task, advance=steps, note=note)
