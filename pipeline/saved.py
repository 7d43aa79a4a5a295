"""Keras models on disk: written whole or not at all, read without running code that came with the file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from ..archives import check_zip
from ..errors import BadInput
from ..files import replacing, sha256, write_json
from ..models import registry
from ..prune import PruneConfig  # noqa: F401  registers the layers that a saved pruning model needs
from ..quantize import qat  # noqa: F401  registers the layers that a saved quantization-aware model needs

_NOTED = ("task", "preprocessing", "labels", "heads")


def save_model(model: keras.Model, path: str | Path) -> Path:
    """Write `model` as a .keras file, whole or not at all, and return its path."""
    path = Path(path)
    if path.suffix != ".keras":
        raise BadInput(f"{path}: a Keras model is written as a .keras file; end the name in .keras")
    with replacing(path) as temporary:
        named = temporary.with_name(f"{temporary.name}.keras")
        try:
            model.save(named)
            os.replace(named, temporary)
        finally:
            named.unlink(missing_ok=True)
    return path


def note(path: Path, facts: Mapping[str, Any]) -> None:
    """Write beside a .keras file what it was trained on: path + ".json", which holds for this content alone."""
    write_json(path.with_name(f"{path.name}.json"), {"sha256": sha256(path), **facts})


def noted(path: str | Path) -> dict[str, Any]:
    """Return what `note` wrote beside this very file; empty for a model of unknown make."""
    path = Path(path)
    beside = path.with_name(f"{path.name}.json")
    try:
        facts = json.loads(beside.read_text()) if beside.is_file() else {}
    except ValueError:
        return {}
    if not isinstance(facts, dict) or facts.get("sha256") != sha256(path):
        return {}
    return {name: facts[name] for name in _NOTED if name in facts}


def load_model(path: str | Path) -> keras.Model:
    """Read a .keras file in safe mode: built-in layers, Edgewright's, and those that the caller registered before.

    Raises: BadInput for a missing or damaged file, one that unpacks to an absurd size, a Lambda layer (it carries
    code), or a layer class that is not registered.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a .keras file")
    _check_archive(path)
    registry.names()  # registers the layers of the zoo
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # the reader raises whatever a malformed file provokes
        raise BadInput(f"{path}: {_reason(error)}") from error


def _check_archive(path: Path) -> None:
    """Refuse what is not a zip archive, reaches outside itself, or unpacks to far more than it should."""
    try:
        names = check_zip(path)
    except BadInput as error:
        raise BadInput(f"{error}; a .keras file is what model.save('name.keras') writes") from error
    if "config.json" not in names:
        raise BadInput(f"{path}: an archive without config.json is no .keras file; save the model with model.save(...)")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "Lambda" in text or "lambda" in text:
        return "refused: a Lambda layer runs code that comes with the file; write it as a layer class of your own"
    if "Could not locate" in text or "not registered" in text:
        return f"{text[:160]}: give the model as pkg.module:function, so that your own layer classes are imported"
    return f"cannot be read ({type(error).__name__}: {text[:200]})"
