"""Tries model files in TensorFlow Lite Micro's interpreter: a process of an environment that has it, apart from ours.

An order is a line of JSON, {path, arena_bytes}; the answer another, {status, reason, kept_bytes}: what kernels keep.
Where the interpreter ends the process, there is no answer, and whoever asked knows.
"""

import json
import os
import re
import sys
import tempfile

import numpy as np
from tflite_micro.python.tflite_micro import runtime


def tried(path: str, arena_bytes: int) -> "dict[str, object]":
    """Load a file and run it once on ones; say "ok" or "rejected", and what the interpreter said."""
    with open(path, "rb") as file:
        data = file.read()
    with tempfile.TemporaryFile() as words:
        kept = os.dup(2)
        os.dup2(words.fileno(), 2)
        try:
            status, reason = _run(data, arena_bytes)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        words.seek(0)
        said = words.read().decode("utf-8", "replace")
    kept = re.search(r"'Persistent buffer data' used (\d+) bytes", said)
    reason = reason and (said.strip() or reason)[-4000:]
    return {"status": status, "reason": reason, "kept_bytes": int(kept[1]) if kept else 0}


def _run(data: bytes, arena_bytes: int) -> "tuple[str, str]":
    try:
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena_bytes)
        for index in range(99):
            try:
                told = interpreter.get_input_details(index)
            except (IndexError, ValueError, RuntimeError):
                break
            interpreter.set_input(np.ones(told["shape"], told["dtype"]), index)
        interpreter.invoke()
        interpreter.print_allocations()
    except (RuntimeError, ValueError, TypeError) as error:
        return "rejected", str(error) or type(error).__name__
    return "ok", ""


if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(tried(order["path"], order["arena_bytes"])), flush=True)
