"""Keras models on disk: written whole or not at all, read without running code that came with the file."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import BadInput, EdgewrightError, one_line
from ..files import replacing, sha256, write_json
from ..models import registry
from ..training.runner import predict_all
from . import origins
from .facts import tables
from .model_files import check_keras_file
from .origins import Origin

OF_DATA = ("task", "preprocessing", "labels", "tokens", "heads")
_NOTED = (*OF_DATA, *Origin.__dataclass_fields__, "networks", "states")


def save_model(model: keras.Model, path: str | Path) -> Path:
    """Write `model` as a .keras file, whole or not at all, and return its path.

    Beside it, as path + ".json", what is known of where the model comes from, which training it further needs.
    """
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
    if (origin := origins.of(model)) is not None:
        note(path, origin.facts())
    return path


def save_networks(
    networks: Mapping[str, keras.Model], path: Path, facts: Callable[[str], Mapping[str, Any]]
) -> dict[str, Path]:
    """Write networks as `path`, or several as STEM-NETWORK.keras, and return the file of each.

    facts: network -> what is noted beside its file, where each of several knows the others too.
    """
    alone = len(networks) == 1
    files = {name: path if alone else path.with_name(f"{path.stem}-{name}.keras") for name in networks}
    for name, model in networks.items():
        save_model(model, files[name])
    for name, file in files.items():
        others = {} if alone else {"networks": {other: beside.name for other, beside in files.items()}}
        note(file, {**facts(name), **others})
    return files


def siblings(path: Path) -> dict[str, Path]:
    """Return the files of the networks that a .keras file was written with, itself among them; none where it is alone.

    Raises: BadInput naming a file that is not there any more.
    """
    files = {name: path.with_name(file) for name, file in noted(path).get("networks", {}).items()}
    for name, file in files.items():
        if not file.is_file():
            raise BadInput(f"{path}: goes with {file}, its {name}, which is not there; keep the files together")
    return files


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


def manifest_facts(path: str | Path) -> dict[str, Any]:
    """Return what an exported file's manifest says of its network, as far as it is noted."""
    known = noted(path)
    told = {name: value for name, value in known.items() if name in (*OF_DATA, "model", "preset", "network", "states")}
    origin, network = Origin.read(known), known.get("network")
    if origin is None or not any(each.tables for each in origin.deploy if each.network == network):
        return told
    return {**told, **tables(origin.deploy, with_siblings(Path(path)), str(network))}


def load_model(path: str | Path) -> keras.Model:
    """Read a .keras file in safe mode: built-in layers, Edgewright's, and those that the caller registered before.

    Raises: BadInput for a missing or damaged file, one that unpacks to an absurd size, a Lambda layer (it carries
    code), or a layer class that is not registered.
    """
    path = Path(path)
    check_keras_file(path)
    registry.names()  # registers the layers of the zoo
    try:
        model: Any = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # the reader raises whatever a malformed file provokes
        raise BadInput(f"{path}: {_reason(error)}") from error
    return origins.remember(model, Origin.read(noted(path)))


def with_siblings(path: Path) -> dict[str, keras.Model]:
    """Return the networks that `path` was written with, in their order, itself among them."""
    model = load_model(path)
    others = siblings(path)
    if len(others) < 2:
        return {model.name: model}
    return {name: model if other == path else load_model(other) for name, other in others.items()}


def check_savable(model: keras.Model, name: str) -> None:
    """Raise BadInput if `model`, once saved, could not be loaded: its classes are built anew from their configuration.

    name: what the user calls the model.
    """
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model), safe_mode=True)
    except Exception as error:  # layers of the user's raise whatever they like
        raise BadInput(f"{name}: could not be loaded once it is saved: {_reason(error)}") from error


def refuse_other(model: keras.Model, path: Path, samples: Any) -> keras.Model:
    """Return what is read of a file; refuse one that does not answer as the model it was written from.

    Raises: EdgewrightError naming the output and how far it is off.
    """
    copy = load_model(path)
    before, after = predict_all(model, samples), predict_all(copy, samples)
    for place, (kept, read) in enumerate(zip(before, after, strict=True)):
        if not np.allclose(kept, read, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(kept).max()))):
            off = float(np.abs(kept.astype(np.float64) - read).max())
            path.unlink()
            raise EdgewrightError(
                f"{path.name}: read back, output {place} differs from the model's by up to {off:.3g}: something of it "
                f"is not saved. A layer of yours that keeps state outside its weights must write it in get_config or "
                "save_own_variables"
            )
    return copy


def _reason(error: Exception) -> str:
    text, root = one_line(error), one_line(_root(error))
    if "Lambda" in text or "lambda" in text:
        return "refused: a Lambda layer runs code that comes with the file; write it as a layer class of your own"
    if unknown := re.search(r"Could not locate (?:class|function) '(\w+)'", root):
        return (
            f"class {unknown[1]!r} is not registered: decorate it with @keras.saving.register_keras_serializable() and "
            "import its module before the file is read (on the command line: --import pkg.module)"
        )
    if missing := re.search(r"(\w+)\.__init__\(\) .*argument.*", root):
        return f"{missing[0][:160]}: give {missing[1]} a get_config that returns what its __init__ takes"
    return f"cannot be read ({type(error).__name__}: {root[:200]})"


def _root(error: BaseException) -> BaseException:
    """Return the first of the errors that led to `error`: Keras wraps them on its way out of nested layers."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error
