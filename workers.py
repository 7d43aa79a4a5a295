"""Processes that take orders, one JSON object a line, and answer each with one; their death or silence is told."""

import json
import os
import queue
import runpy
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TextIO

from .children import FORKS, Fork, end_by
from .errors import EdgewrightError

Order = dict[str, Any]


class Worker:
    """A process of `python -m module *arguments`, started when first asked and again when it has died.

    environment: beside our own. most_orders: after so many the process is renewed, None for never; orders that leave
    nothing behind, `"light": true`, are not counted. quiet: keep its standard error for `last_words` instead of passing
    it on.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        most_orders: int | None = None,
        quiet: bool = False,
    ):
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, **(environment or {})}
        self._most_orders, self._served, self._busy = most_orders, 0, False
        self._errors = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115  (lives as long as the worker)
        self.process: subprocess.Popen[bytes] | Fork | None = None

    def fork(self) -> None:
        """Have a fork of this process run the module first, which spares it imports; processes after it are started."""
        if FORKS:
            self.stop()
            self.process = Fork(self._run, self._environment, self._errors)

    def _run(self) -> None:
        sys.argv = self._command[2:]
        runpy.run_module(self._command[2], run_name="__main__")

    def ask(self, order: Order, limit_s: float) -> Order:
        """Return the answer.  Raises: EdgewrightError if the process died over it or was silent for `limit_s`."""
        process = self._ready(light=bool(order.get("light")))
        assert process.stdin is not None and process.stdout is not None
        self._busy, answered, answer = True, True, b""
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            answered = bool(select.select([process.stdout], [], [], limit_s)[0])
            answer = process.stdout.readline() if answered else b""
        except BrokenPipeError:
            pass
        except KeyboardInterrupt:
            self.stop()
            raise
        if not answer:
            if answered:  # it closed its output, so it is about to end: by itself, which its status tells
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
            self.stop()
            raise EdgewrightError(
                f"died with status {process.returncode}" if answered else f"gave no answer in {limit_s:g} s"
            )
        self._busy = False
        return json.loads(answer)

    def _ready(self, *, light: bool) -> "subprocess.Popen[bytes] | Fork":
        full = self._served == self._most_orders and not light
        if full or (self.process is not None and self.process.poll() is not None):
            self.stop()
        if self.process is None:
            self._served = 0
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is ours to handle: `stop` ends the process
            )
        self._served += not light
        return self.process

    def last_words(self) -> str:
        """Return the last line that a quiet worker wrote to standard error."""
        assert self._errors is not None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"

    def stop(self) -> None:
        """End the process: by closing its input if it is idle, by force if it is at work or stays."""
        process, self.process = self.process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        if self._busy:
            process.kill()
        with suppress(BrokenPipeError):  # it died with an order on its way
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._busy = False


class Workers:
    """Several workers, and orders given to whichever is idle."""

    def __init__(self, several: Sequence[Worker]):
        self._all = several
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in several:
            self._idle.put(worker)

    def serve(
        self, orders: Sequence[Order], limit_s: float, at_once: int | None = None
    ) -> Iterator[tuple[Order, Order | EdgewrightError]]:
        """Yield each order with its answer, as they come; with an error if the process died or was silent over it.

        at_once: how many to work on, by default as many as there are processes.
        """
        pool = ThreadPoolExecutor(at_once or len(self._all))
        try:
            futures = {pool.submit(self._serve, order, limit_s): order for order in orders}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _serve(self, order: Order, limit_s: float) -> Order | EdgewrightError:
        worker = self._idle.get()
        try:
            return worker.ask(order, limit_s)
        except EdgewrightError as lost:
            return EdgewrightError(f"the process {lost}")
        finally:
            self._idle.put(worker)


def serve(answer: Callable[[Order], Order]) -> None:
    """Be the other side of a `Worker`: answer the orders on standard input until it closes.

    It closes when the process that gives the orders is gone, however it ended: then work on an order is broken off too.
    What `answer` or a library prints goes to standard error.
    """
    answers = _answers_alone()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    at_work = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put("")
        if at_work.is_set():
            os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while line := lines.get():
        at_work.set()
        result = answer(json.loads(line))
        at_work.clear()
        print(json.dumps(result), file=answers, flush=True)


def serve_in_forks(answer: Callable[[Order], Order], first: Callable[[Order], None]) -> None:
    """As `serve`, each order in a child of its own, which leaves nothing behind; what ends a child ends us alike.

    first: what a child does before it has a second thread, as forking children of its own. We have none either.
    """

    def be(order: Order) -> None:
        first(order)
        serve(answer)

    answers = _answers_alone()
    while line := sys.stdin.readline():
        child = Fork(partial(be, json.loads(line)))
        child.stdin.write(line.encode())
        child.stdin.flush()
        if sys.stdin in select.select([child.stdout, sys.stdin], [], [])[0]:  # who gave the order is gone
            child.kill()
            os._exit(1)
        answered = child.stdout.readline()
        child.stdin.close()
        status = child.wait()
        child.stdout.close()
        if not answered:
            end_by(status)
        print(answered.decode(), end="", file=answers, flush=True)


def _answers_alone() -> TextIO:
    """Return standard output for answers; what else is written to it goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


@contextmanager
def workers(count: int, module: str, *arguments: str, most_orders: int | None = None) -> Iterator[Workers]:
    """Yield `count` workers that are gone afterwards."""
    several = [Worker(module, *arguments, most_orders=most_orders) for _ in range(count)]
    try:
        yield Workers(several)
    finally:
        for worker in several:
            worker.stop()
