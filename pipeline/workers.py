"""Processes that take JSON orders: several at once, and the death of one is an answer, not the end."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from ..errors import EdgewrightError

Order = dict[str, Any]
MOST_ORDERS = 8  # of one process: TensorFlow keeps what it once traced, some 300 MB for each model


class Workers:
    """`count` processes of `python -m module *arguments`, started when first needed and again when one has died."""

    def __init__(self, count: int, module: str, arguments: Sequence[str]):
        self._command = [sys.executable, "-m", module, *arguments]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all = [_Worker(self._command) for _ in range(count)]
        for worker in self._all:
            self._idle.put(worker)

    def serve(
        self, orders: Sequence[Order], at_once: int | None = None
    ) -> Iterator[tuple[Order, Order | EdgewrightError]]:
        """Yield each order with its answer, as they come; with an error if the process died over it.

        at_once: how many to work on, by default as many as there are processes.
        """
        pool = ThreadPoolExecutor(at_once or len(self._all))
        try:
            futures = {pool.submit(self._serve, order): order for order in orders}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _serve(self, order: Order) -> Order | EdgewrightError:
        worker = self._idle.get()
        try:
            return worker.serve(order)
        finally:
            self._idle.put(worker)

    def stop(self) -> None:
        for worker in self._all:
            worker.stop()


class _Worker:
    def __init__(self, command: Sequence[str]):
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0

    def serve(self, order: Order) -> Order | EdgewrightError:
        if self._served == MOST_ORDERS:
            self.stop()
        if self._process is None or self._process.poll() is not None:
            self._served = 0
            environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._served += 1
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if answer:
            return json.loads(answer)
        return EdgewrightError(f"the process died with status {self._process.wait()}")

    def stop(self) -> None:
        """End the process: by closing its input if it is idle, by force if it is not."""
        if self._process is None:
            return
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._process = None


@contextmanager
def workers(count: int, module: str, *arguments: str) -> Iterator[Workers]:
    """Yield workers that are gone afterwards."""
    started = Workers(count, module, arguments)
    try:
        yield started
    finally:
        started.stop()
