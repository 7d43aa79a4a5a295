"""The learners by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from ...errors import BadInput
from . import fit
from .register import LEARNERS, Learner, Networks, learner

__all__ = ["Learner", "Networks", "fit", "get", "learner", "table"]


def table() -> Mapping[str, Learner]:
    """Return every learner by name, importing the modules of this package on first use."""
    for module in pkgutil.iter_modules(importlib.import_module(__name__).__path__):
        importlib.import_module(f".{module.name}", __name__)
    return LEARNERS


def get(name: str) -> Learner:
    """Return the learner `name`, behind which its options may stand, as "autoencoding:noise=0.1,drop=0.2".

    Raises: BadInput listing the learners, or the options.
    """
    known, (plain, _, options) = table(), name.partition(":")
    if plain not in known:
        raise BadInput(f"no learner {plain!r}; there are {', '.join(known)}")
    return known[plain].told(options)
