"""Paths of model files, checked before anything is loaded. Imports no Keras."""

import difflib
from pathlib import Path

from ..archives import check_zip
from ..errors import BadInput

FILES_OF_DEVICES = (".tflite", ".onnx")


def check_keras_file(path: Path) -> None:
    """Refuse a path that is no saved Keras model, in words that say what it is.  Raises: BadInput."""
    if path.suffix in FILES_OF_DEVICES:
        raise BadInput(
            f"{path}: a {path.suffix} file cannot be changed any more; give the .keras file it was made from"
        )
    if path.suffix in (".h5", ".hdf5"):
        raise BadInput(f"{path}: an HDF5 file; load it by keras.models.load_model and save it again as name.keras")
    if path.is_dir():
        raise BadInput(f"{path}: a folder; give a .keras file, as model.save('name.keras') writes it")
    if not path.is_file():
        raise BadInput(f"{path}: no such file; {beside(path, '.keras') or 'give a .keras file'}")
    if path.suffix != ".keras":
        raise BadInput(
            f"{path}: not a model that can be read; give a .keras file, as model.save('name.keras') writes it"
        )
    _check_archive(path)


def _check_archive(path: Path) -> None:
    """Refuse what is not a zip archive, reaches outside itself, or unpacks to far more than it should."""
    try:
        names = check_zip(path)
    except BadInput as error:
        raise BadInput(f"{error}; a .keras file is what model.save('name.keras') writes") from error
    if "config.json" not in names:
        raise BadInput(f"{path}: an archive without config.json is no .keras file; save the model with model.save(...)")


def beside(path: Path, *suffixes: str) -> str:
    """Name the file beside a missing one that may be meant."""
    try:
        there = [str(one) for one in path.parent.iterdir() if one.suffix in suffixes]
    except OSError:
        return ""
    near = difflib.get_close_matches(str(path), there, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""
