"""What a verb leaves behind: results on standard output, all else on standard error, an exit code."""

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from ..errors import one_line
from ..progress import say


def failed(message: str, exit_code: int, argv: Sequence[str]) -> int:
    """Say why on standard error, with the traceback where `--debug` was asked, and return the exit code."""
    if "--debug" in argv:
        traceback.print_exc()
    say(f"edgewright: {one_line(message)}")
    return exit_code


def place(error: BaseException) -> str:
    """Return file and line of the innermost frame that is the user's, if one is."""
    elsewhere = (Path(__file__).parent.parent, sysconfig.get_path("stdlib"))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        installed = "site-packages" in path.parts or any(path.is_relative_to(one) for one in elsewhere)
        if path.is_file() and not installed:
            return f"{path.name}:{frame.lineno}: "
    return ""


@contextmanager
def results_only() -> Iterator[None]:
    """Keep standard output for results: what libraries print meanwhile, native code too, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
