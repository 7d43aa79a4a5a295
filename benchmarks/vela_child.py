"""Compiles files with vela in its own environment, one order a line, as long as it lives (see target_tables.py)."""

import contextlib
import json
import os
import re
import sys
import tempfile

from ethosu.vela import vela


def compiled(path, operator, arguments):
    """Return "npu", "cpu" or "rejected" for a file of one operator, and what vela said.

    A border of booleans brings operators of vela's own, so what counts is whether it speaks of this one.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as words:
        kept = [os.dup(1), os.dup(2)]
        sys.stdout.flush()
        os.dup2(words.fileno(), 1), os.dup2(words.fileno(), 2)
        failure = ""
        try:
            vela.main([path, "--output-dir", folder, *arguments])
        except SystemExit as error:
            failure = f"exit {error.code}" if error.code else ""
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number), os.close(copy)
        written = any(name.endswith("_vela.tflite") for name in os.listdir(folder))
        words.seek(0)
        said = words.read().decode("utf-8", "replace")
    if failure or not written:
        return "rejected", (said + failure)[-3000:]
    on_npu = re.search(r"NPU operators = (\d+)", said)
    left = on_npu is None or on_npu[1] == "0" or f"operator: {operator}," in said
    return ("cpu" if left else "npu"), said[-3000:]


for line in sys.stdin:
    order = json.loads(line)
    with contextlib.redirect_stdout(sys.stderr):
        status, reason = compiled(order["path"], order["operator"], order["arguments"])
    print(json.dumps({"status": status, "reason": reason}), flush=True)
