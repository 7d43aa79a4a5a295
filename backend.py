"""Which backend Keras will have, known without importing it."""

import importlib.util
import json
import os
import sys
from pathlib import Path

from .errors import BadInput

BACKENDS = ("tensorflow", "jax")


def chosen() -> str:
    """Return the backend that Keras has, or will take once it is imported."""
    if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "backend"):
        return keras.backend.backend()
    if given := os.environ.get("KERAS_BACKEND"):
        return given
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return json.loads((folder / "keras.json").read_text()).get("backend", BACKENDS[0])
    except (OSError, ValueError, AttributeError):
        return BACKENDS[0]


def check() -> None:
    """Raise BadInput if Edgewright does not run on the backend that is chosen, or it is not installed."""
    name = chosen()
    if name not in BACKENDS:
        raise BadInput(
            f"Keras' backend is {name!r}; allowed: {', '.join(BACKENDS)}: set KERAS_BACKEND={BACKENDS[0]} (models that "
            "were saved on another backend load there too)"
        )
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        raise BadInput(f"KERAS_BACKEND={name!r}: {name} is not installed; pip install {name}")
