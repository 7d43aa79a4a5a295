"""Runs tests of copies of the tree, each time in a fork of this process, which has loaded what is slow to load.

Reads an order a line, JSON: the copy's root, pytest's arguments, where to write what it says, seconds. Answers with
pytest's exit code; a negative number is the signal that ended it.
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras  # noqa: F401  with TensorFlow: half of the time that a test takes
import onnx  # noqa: F401
import pytest


def run(order: dict) -> None:
    """Run the tests of one copy; never returns."""
    root = Path(order["root"])
    signal.alarm(order["seconds"])
    said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(root)
    os.environ["PYTHONPATH"] = str(root.parent)
    sys.path.insert(0, str(root.parent))
    import edgewright

    if not str(edgewright.__file__).startswith(str(root)):
        print(f"the tests of {root} would import another edgewright: {edgewright.__file__}", flush=True)
        os._exit(pytest.ExitCode.INTERNAL_ERROR)
    code = pytest.main(order["arguments"])
    sys.stdout.flush()
    os._exit(code)


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
