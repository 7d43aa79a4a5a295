"""A process that has imported what a script needs: each run of the script is a fork of it, and a process of its own.

Importing TensorFlow and Keras takes longer than many a run, and is paid once. A fork may be killed as any process, and
is after four minutes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

# The script defines `run(*words) -> str`, and computes nothing before: threads do not outlive a fork.
SERVER = """
import json, os, signal, sys, traceback
script = {}
exec(compile(sys.argv[1], "script", "exec"), script)
for line in sys.stdin:
    inner, outer = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(240)
        os.dup2(outer, 1)
        code = 1
        try:
            os.write(outer, script["run"](*json.loads(line)).encode())
            code = 0
        except BaseException:
            os.write(outer, traceback.format_exc().encode())
        os._exit(code)
    os.close(outer)
    print(child, flush=True)
    with os.fdopen(inner, "rb") as said:
        text = said.read().decode()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text]), flush=True)
os._exit(0)  # without taking apart all that was imported
"""


class Imported:
    """The process; `start` a run, then wait for its `end`."""

    def __init__(self, script: str, environment: Mapping[str, str]):
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), text=True,
        )  # fmt: skip
        assert self._server.stdin is not None and self._server.stdout is not None
        self._asked, self._answers = self._server.stdin, self._server.stdout

    def start(self, words: Sequence[str]) -> int:
        """Start a run with these words; return its process id."""
        self._asked.write(json.dumps(list(words)) + "\n")
        self._asked.flush()
        return int(self._answers.readline())

    def end(self) -> tuple[int, str]:
        """Wait for the run to end; return its exit code, or minus the signal that ended it, and what it said."""
        code, said = json.loads(self._answers.readline())
        return code, said

    def __enter__(self) -> "Imported":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._asked.close()
        self._server.wait(timeout=30)
        self._answers.close()


def lives(process: int) -> bool:
    """Return whether a run is still at work; its parent lets go of it as soon as it ends."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
