"""What can be known of a command line's arguments before any work and without Keras: files, names, folders, formats.

A check takes the argument as the user types it and its value, and raises BadInput.
"""

import difflib
import importlib.machinery
import importlib.util
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

from ..errors import BadInput, nearest
from ..models import index
from ..pipeline.model_files import FILES_OF_DEVICES, beside, check_keras_file
from ..precision import EXPORTS, of_format
from ..training import config
from ..training.distillation import ITSELF

PICTURES = (".svg", ".png", ".pdf")
_OURS = {
    ".lock",
    "steps",
    "results.json",
    "matrix.json",
    "tune.json",
    "inspection.json",
}  # what marks a folder as one of ours
_PREFIX, _VARIABLES = "EDGEWRIGHT_", ("DATA", "CACHE")


def check_environment() -> None:
    """Refuse a misspelt variable of ours, which nobody would read, and a folder of data that is not there."""
    given = {name.removeprefix(_PREFIX): value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    for name in given.keys() - set(_VARIABLES):
        if near := difflib.get_close_matches(name, _VARIABLES, n=1):
            raise BadInput(f"environment variable {_PREFIX}{name} is unknown; did you mean {_PREFIX}{near[0]}?")
    if given.get("DATA") and not Path(given["DATA"]).is_dir():
        raise BadInput(f"{_PREFIX}DATA={given['DATA']!r} is not a folder; name one that exists, or unset it")


def at_least(least: int) -> Callable[[str, float], None]:
    """Return a check of a number's lower bound."""

    def check(argument: str, value: float) -> None:
        if not least <= value < math.inf:
            raise BadInput(f"{argument} {value}: must be at least {least}")

    return check


def above(bound: int) -> Callable[[str, float], None]:
    """Return a check of a bound that a number lies above."""

    def check(argument: str, value: float) -> None:
        if not bound < value < math.inf:
            raise BadInput(f"{argument} {value}: must be above {bound}")

    return check


def share(argument: str, value: float) -> None:
    """Check a share of weights."""
    if not 0 <= value < 1:
        raise BadInput(f"{argument} {value}: must lie between 0 and 1 (0.5 zeroes half of the weights)")


def share_of(what: str) -> Callable[[str, float], None]:
    """Return a check of a share that is not the whole."""

    def check(argument: str, value: float) -> None:
        if not 0 <= value < 1:
            raise BadInput(f"{argument} {value}: a {what} lies in [0, 1)")

    return check


def one_of(*names: str, without: str = "") -> Callable[[str, str], None]:
    """Return a check of a name, alone or with how far; `without` is the word for none."""

    def check(argument: str, value: str) -> None:
        if value != without:
            config.measured_by(f"{argument} {value}:", value, names)

    return check


def named(*names: str) -> Callable[[str, str], None]:
    """Return a check of a name."""

    def check(argument: str, value: str) -> None:
        if value not in names:
            raise BadInput(f"{argument} {value!r}: unknown; {nearest(value, names)}")

    return check


def written_share(argument: str, value: str) -> None:
    """Check a share, above 0, that is still text."""
    try:
        within = 0 < float(value) <= 1
    except ValueError:
        within = False
    if not within:
        raise BadInput(f"{argument} {value!r}: must be a number above 0, at most 1")


def part(argument: str, value: float) -> None:
    """Check a share that may be the whole."""
    if not 0 <= value <= 1:
        raise BadInput(f"{argument} {value}: must lie between 0 and 1")


def teacher(argument: str, value: str) -> None:
    """Check the file of a teacher for training that begins anew."""
    if value in ITSELF:
        raise BadInput(
            f"{argument} {value}: is the model itself before `prune` or `qat` changes it; give the .keras file of a "
            "trained model"
        )
    teacher_of_changed(argument, value)


def teacher_of_changed(argument: str, value: str) -> None:
    """Check the file of a teacher, or the word for what pruning or QAT begins with."""
    if value in ITSELF:
        return
    if is_zoo(value):
        raise BadInput(
            f"{argument} {value}: a net of the zoo knows nothing yet; train it (`edgewright train {value} --out "
            f"{value}.keras`) and give the file"
        )
    keras_file(argument, value)


def model(argument: str, value: str) -> None:
    """Check a zoo name, pkg.module:function or .keras file."""
    path = Path(value)
    if ":" in value and not path.exists():
        function(argument, value)
    elif path.suffix == ".py" or path.with_suffix(".py").is_file():
        raise BadInput(f"{argument} {value!r}: name the function that builds the model, as {_spec(value)}:build")
    elif not is_zoo(value) and (path.suffix or "/" in value or path.exists()):  # a folder may be called as a net is
        keras_file(argument, value)
    else:
        index.check_name(value)


def check_own(model: str, data: str | None, preset: str) -> None:
    """Check what only models of the zoo have: data of their own, and presets."""
    if data is None and not is_zoo(model):
        raise BadInput(f"--data is missing: {model} is not of the zoo; name a data set or give pkg.module:function")
    check_preset(model, preset)


def check_preset(model: str, preset: str) -> None:
    """Check that a preset is one of the model's."""
    if preset != "edge" and not is_zoo(model):
        raise BadInput(f"--preset {preset}: {model} is not of the zoo and has no presets; leave it out")


def zoo_model(argument: str, value: str) -> None:
    """Check a name of the zoo."""
    index.check_name(value)


def is_zoo(value: str) -> bool:
    """Tell whether `value` is a name of the zoo."""
    return any(row["name"] == value for row in index.rows())


def keras_file(argument: str, value: str) -> None:
    """Check the path of a saved Keras model."""
    check_keras_file(Path(value))


def device_file(argument: str, value: str) -> None:
    """Check the path of a model file that devices run."""
    path = Path(value)
    if not path.is_file():
        raise BadInput(f"{argument} {path}: is not a file; {beside(path, *FILES_OF_DEVICES) or 'give a model file'}")
    if path.suffix not in FILES_OF_DEVICES:
        hint = "; `edgewright export` makes one of it" if path.suffix == ".keras" else ""
        raise BadInput(f"{argument} {path}: suffix {path.suffix!r}; allowed: {', '.join(FILES_OF_DEVICES)}{hint}")


def checkable(argument: str, value: str) -> None:
    """Check a file for devices, or what can become one."""
    (device_file if Path(value).suffix in FILES_OF_DEVICES else model)(argument, value)


def weights(argument: str, value: str) -> None:
    """Check the source of initial weights."""
    if value != "imagenet" and not Path(value).is_file():
        raise BadInput(f'{argument} {value}: no such file; give a .keras or .weights.h5 file, or "imagenet"')


def data(argument: str, value: str) -> None:
    """Check the name of a data set; whatever looks like a file is for the reader of files."""
    if ":" in value:
        function(argument, value)
    elif Path(value).suffix or "/" in value:
        if not Path(value).exists():
            raise BadInput(f"{argument} {value}: no such file; name a data set, or give pkg.module:function")
    else:
        from ..training.data import sets

        sets.source(value)


def function(argument: str, value: str) -> None:
    """Check the form of pkg.module:function, and that its package is there. Nothing of it is imported."""
    name, _, builder = value.partition(":")
    if not builder.isidentifier() or name.endswith(".py"):
        raise BadInput(f"{argument} {value!r}: write pkg.module:function, such as {_spec(name)}:{builder or 'build'}")
    module(argument, name)


def modules_of(value: str) -> list[str]:
    """Return the module that pkg.module:function names, which registers what the function builds; none of others."""
    return [value.partition(":")[0]] if ":" in value and not Path(value).exists() else []


def module(argument: str, value: str) -> None:
    """Check the name of a module, and that its package is there. Nothing of it is imported."""
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", value) or value.endswith(".py"):
        raise BadInput(f"{argument} {value!r}: write a module as {_spec(value)}, without a path or .py")
    top = value.partition(".")[0]
    if not _has_module(top):
        raise BadInput(f"{argument} {value!r}: no module {top!r}, neither in {Path.cwd()} nor in the environment")


def device(argument: str, value: str) -> None:
    """Check the name of a device; it is not asked whether it answers."""
    from ..devices.transports.transport import connect

    connect(value)


def target(argument: str, value: str) -> None:
    """Check the name of a target."""
    from ..devices.targets import target as targets

    targets.load(value)


def keras_out(argument: str, value: str) -> None:
    """Check where a Keras model is to be written."""
    if Path(value).suffix != ".keras":
        raise BadInput(f"{argument} {value}: a Keras model is written as a .keras file; end the name in .keras")
    out_file(argument, value)


def picture_out(argument: str, value: str) -> None:
    """Check where a picture is to be written."""
    if Path(value).suffix not in PICTURES:
        raise BadInput(f"{argument} {value}: a picture is written as {', '.join(PICTURES)}; end the name so")
    out_file(argument, value)


def yaml_file(argument: str, value: str) -> None:
    """Check that a YAML file is there."""
    if not Path(value).is_file():
        raise BadInput(f"{argument} {value}: no such file; give a YAML file")


def text_file(argument: str, value: str) -> None:
    """Check that a text file is there."""
    if not Path(value).is_file():
        raise BadInput(f"{argument} {value}: no such file; give a text file")


def count_or_text(argument: str, value: str) -> None:
    """Check a number, or that a text file is there."""
    if not value.isdigit() and not Path(value).is_file():
        raise BadInput(f"{argument} {value}: neither a whole number nor a file; give how many, or a text file")


def out_file(argument: str, value: str) -> None:
    """Check that a file can be written; missing folders are made."""
    path = Path(value)
    if path.is_dir():
        raise BadInput(f"{argument} {path}: a folder; give the name of a file in it")
    _writable(argument, path, path.parent)


def out_folder(argument: str, value: str) -> None:
    """Check that a folder can be written, and is new, empty or one of ours: we write files of common names into it."""
    path = Path(value)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{argument} {path}: File exists; give a folder")
    _writable(argument, path, path)
    if path.is_dir() and (inside := {one.name for one in path.iterdir()}) and not inside & _OURS:
        raise BadInput(f"{argument} {path}: holds files of something else; give a new folder, such as {path / 'run'}")


def folder(argument: str, value: str) -> None:
    """Check that a folder is there."""
    places = (Path(value) / "results.json", Path(value) / "bench" / "results.json")
    if not any(place.is_file() for place in places):
        what = "holds" if Path(value).is_dir() else "is a file and holds" if Path(value).exists() else "is not there:"
        raise BadInput(f"{value}: {what} no results.json; give the folder of a run")


def plain_folder(argument: str, value: str) -> None:
    """Check that a folder can be written into, whatever it holds."""
    path = Path(value)
    if path.exists() and not path.is_dir():
        raise BadInput(f"{argument} {path}: is a file; with --target it is the folder that files are written to")
    _writable(argument, path, path)


def format_of(argument: str, value: str, wanted: str | None) -> str:
    """Return the format of the model file to write: as wanted, by its suffix, or tflite where it has none.

    Raises: BadInput where the two differ, or the suffix is of something else.
    """
    path = Path(value)
    known = {suffix: suffix[1:] for suffix in FILES_OF_DEVICES}
    if path.is_dir():
        _writable(argument, path, path)
        return wanted or "tflite"
    out_file(argument, value)
    told = known.get(path.suffix)
    if told and wanted and told != wanted:
        raise BadInput(f"--format {wanted}: {argument} {value} ends in {path.suffix}; leave --format out, or rename it")
    if told is None and re.fullmatch(r"\.[A-Za-z]\w*", path.suffix):
        raise BadInput(f"{argument} {value}: suffix {path.suffix!r}; allowed: {', '.join(known)}, which say the format")
    return told or wanted or "tflite"


def precision(argument: str, value: str | None, format: str) -> None:
    """Check the name of a precision that `format` can have."""
    if value is None:
        return
    allowed = of_format(format)
    if value not in EXPORTS:
        raise BadInput(f"{argument} {value}: unknown; {nearest(value, allowed)}")
    if value not in allowed:
        raise BadInput(f"{argument} {value}: not available in ONNX; allowed: {', '.join(allowed)}")


def _writable(argument: str, path: Path, parent: Path) -> None:
    there = next(one for one in (parent, *parent.absolute().parents) if one.exists())
    if not there.is_dir():
        raise BadInput(f"{argument} {path}: {there} is a file, not a folder; give another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"{argument} {path}: {there} is not writable; give a place that can be written")


def _spec(path: str) -> str:
    """Return the path of a Python file as the name of a module."""
    return ".".join(Path(path).with_suffix("").parts[-2:] if path.endswith(".py") else [path or "my_nets"]).strip("./")


def _has_module(top: str) -> bool:
    """Tell whether the package or module `top` can be found, here or in the environment."""
    if importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())]) is not None:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except ValueError:  # a module without a spec, as __main__ is
        return False
