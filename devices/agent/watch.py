"""Runs on a device: start a command, and kill it with its children once whoever asked for it is gone.

    python watch.py LIMIT_S COMMAND...

Standard input stays open, and empty, as long as the asker is there: it ends with the connection, however that ends. A
command that outlives the limit is killed too, and counts as ended by the alarm. The last line of standard error is
`edgewright-exit CODE`, negative for a signal. Needs Python 3.8 and POSIX, nothing else.
"""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress


def watch(limit_s, command):
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes `select` when the command ends: no polling while it is timed
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    ready, _, _ = select.select([0, awake], [], [], limit_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # an ended command too: its group may hold children still
    code = process.wait()
    return code if ready else -signal.SIGALRM


if __name__ == "__main__":
    ended = watch(float(sys.argv[1]), sys.argv[2:])
    os.write(2, f"\nedgewright-exit {ended}\n".encode())
