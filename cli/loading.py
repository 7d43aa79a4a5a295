"""Import what needs Keras, once everything that can be said without it was said."""

import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import backend, imports


def with_keras(module: str, own: Sequence[str] | None = None) -> Any:
    """Return a module of ours that needs Keras: whatever can be said without it was said before.

    own: modules of the user's to import first.

    Keras is imported with standard error held back: TensorFlow's libraries greet there whatever log level is set.
    """
    if "keras" not in sys.modules:
        backend.check()
        _import_quietly("keras")
    for name in own or ():
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        importlib.import_module(name)
    return importlib.import_module(f"..{module}", __package__)


def _import_quietly(name: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        try:
            os.dup2(held.fileno(), 2)
            imports.load(name)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
