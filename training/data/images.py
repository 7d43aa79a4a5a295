"""Image sets: digits of scikit-learn, MNIST, Fashion-MNIST and CIFAR-10 in their official formats."""

import gzip
import io
import lzma
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...archives import tar_members
from ...errors import BadInput
from ...progress import say
from . import sources
from .dataset import Dataset, divide
from .sets import Asked, dataset, present, split_for

TASKS = ("classification", "reconstruction", "anomaly_detection")
LEVELS = 17  # pixel tokens: the grey levels of `digits`
ANOMALOUS = 0  # the class held out of training in anomaly detection
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601

Augmentation = Callable[[int], list[Any]]
OF_DIGITS = {"parity": lambda labels: labels % 2}  # what a digit tells besides
Parts = dict[str, tuple[np.ndarray, np.ndarray]]  # split -> images (N, H, W, C) of any real dtype, labels (N,)


# ---------------------------------------------------------------- the sets


@dataset(input_shape=(8, 8, 1), tasks=TASKS, floor=0.65)
def digits(asked: Asked) -> Dataset:
    """Return the 1,797 handwritten digits of scikit-learn: a fifth of a class to test, a tenth to validate."""
    import sklearn
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    x, y = np.reshape(bunch.data, (-1, 8, 8, 1)), bunch.target
    rest, test = divide(y, 0.2)
    parts = {"test": (x[test], y[test]), **_with_validation(x[rest], y[rest], 0.125)}
    return replace(_images("digits", parts, 16, asked, (f"scikit-learn {sklearn.__version__}",)), told=OF_DIGITS)


def _idx_files(name: str) -> list[str]:
    return [f"{name}/{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]


def _has_idx(name: str) -> Callable[[], bool]:
    return lambda: all(map(sources.find, _idx_files(name)))


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=_has_idx("mnist"))
def mnist(asked: Asked) -> Dataset:
    """Return MNIST: 55,000 training, 5,000 validation and the 10,000 official test images; training shifts them."""
    return replace(_idx_set("mnist", asked, partial(shifted, share=2 / 28)), told=OF_DIGITS)


@dataset(input_shape=(28, 28, 1), tasks=TASKS, here=_has_idx("fashion_mnist"))
def fashion_mnist(asked: Asked) -> Dataset:
    """Return Fashion-MNIST, split as MNIST; training shifts and mirrors its images."""
    return _idx_set("fashion_mnist", asked, partial(shifted, share=2 / 28, mirrored=True))


def _idx_set(name: str, asked: Asked, augmentation: Augmentation | None = None) -> Dataset:
    files = _idx_files(name)
    x, y, x_test, y_test = (read_idx(gzip.decompress(sources.read(path))) for path in files)
    parts = {"test": (x_test[..., None], y_test), **_with_validation(x[..., None], y, 1 / 12)}
    return _images(name, parts, 255, asked, sources.describe(files), augmentation)


def read_idx(content: bytes) -> np.ndarray:
    """Read an IDX file of bytes: two zeros, type 8 (uint8), rank, one big-endian int32 a dimension, then the values."""
    if content[:3] != b"\0\0\x08":
        raise BadInput(f"not an IDX file of bytes: it starts with {content[:4].hex()}, 000008.. is wanted")
    rank = content[3]
    shape = np.frombuffer(content, ">i4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


# ---------------------------------------------------------------- CIFAR-10

_CIFAR_ARCHIVE = "cifar10/cifar-10-python.tar.gz"
_CIFAR_FOLDER = "cifar10/cifar-10-batches-py/"
_CIFAR_BATCHES = [f"data_batch_{k}" for k in range(1, 6)]


def _cifar_files() -> list[str]:
    """Return the batch files that are here: the whole archive, or the test batch and some training batches."""
    if sources.find(_CIFAR_ARCHIVE):
        return [_CIFAR_ARCHIVE]
    there = [
        path
        for batch in [*_CIFAR_BATCHES, "test_batch"]
        if (path := next(filter(sources.find, (_CIFAR_FOLDER + batch, _CIFAR_FOLDER + batch + ".xz")), None))
    ]
    return there if len(there) > 1 and "test_batch" in there[-1] else []


@dataset(input_shape=(32, 32, 3), tasks=TASKS, here=lambda: bool(_cifar_files()), floor=0.4)
def cifar10(asked: Asked) -> Dataset:
    """Return CIFAR-10: a tenth of the training batches that are here for validation, the official test batch.

    Training shifts its images by up to four pixels and mirrors them (He 2015, Deep residual learning, section 4.2).
    """
    files = _cifar_files() or [_CIFAR_ARCHIVE]
    if 1 < len(files) < 6:
        say(f"cifar10: {len(files) - 1} of 5 training batches are here: {10_000 * (len(files) - 1):,} images")
    contents = {path: sources.read(path) for path in files}  # digests are checked before the cache is asked
    raw = sources.remembered(f"cifar10 v1 {sources.describe(files)}", lambda: _read_cifar(contents))
    parts = {"test": (raw["x_test"], raw["y_test"]), **_with_validation(raw["x"], raw["y"], 0.1)}
    augmentation = partial(shifted, share=4 / 32, mirrored=True)
    return _images("cifar10", parts, 255, asked, sources.describe(files), augmentation)


def _read_cifar(contents: dict[str, bytes]) -> dict[str, np.ndarray]:
    batches = _unpack_cifar(contents)
    x_test, y_test = read_cifar_batch(batches.pop("test_batch"))
    pairs = [read_cifar_batch(batches[name]) for name in sorted(batches)]
    return {
        "x": np.concatenate([x for x, _ in pairs]),
        "y": np.concatenate([y for _, y in pairs]),
        "x_test": x_test,
        "y_test": y_test,
    }


def _unpack_cifar(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Return batch name -> pickle from verified files: the archive, or batches that may be packed with xz."""
    if _CIFAR_ARCHIVE not in contents:
        return {
            path.removeprefix(_CIFAR_FOLDER).removesuffix(".xz"): lzma.decompress(data) if path.endswith("xz") else data
            for path, data in contents.items()
        }
    members = tar_members(contents[_CIFAR_ARCHIVE], _CIFAR_ARCHIVE)
    batches = {name.rsplit("/", 1)[-1]: content for name, content in members}
    return {name: batches[name] for name in [*_CIFAR_BATCHES, "test_batch"] if name in batches}


class _BatchUnpickler(pickle.Unpickler):
    """Reads a CIFAR batch: a dict of bytes, lists and one array; every other class or function is refused."""

    _ALLOWED = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"): ("numpy", "ndarray"),
        ("numpy", "dtype"): ("numpy", "dtype"),
    }

    def find_class(self, module: str, name: str):
        """Return one of the three NumPy names an array pickle needs."""
        if (module, name) not in self._ALLOWED:
            raise BadInput(f"the CIFAR batch asks for {module}.{name}; only plain NumPy arrays are read")
        return super().find_class(*self._ALLOWED[module, name])


def read_cifar_batch(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read an official python-version batch. Returns images (N, 32, 32, 3) uint8 and labels (N,)."""
    batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    planes = batch[b"data"].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.array(batch[b"labels"], np.int32)


# ---------------------------------------------------------------- how images are shown


def _with_validation(x: np.ndarray, y: np.ndarray, share: float) -> Parts:
    train, validation = divide(y, share)
    return {"train": (x[train], y[train]), "validation": (x[validation], y[validation])}


def _images(
    name: str,
    parts: Parts,
    white: float,
    asked: Asked,
    source: tuple[str, ...],
    augmentation: Augmentation | None = None,
) -> Dataset:
    """Show raw images as asked; pixels are divided by `white` into [0, 1].

    augmentation: for classifiers of images that are shown as such.
    """
    show, words = present(FORMS, name, asked)
    splits: dict[str, Any] = {
        part: split_for(asked.task, part, show(x.astype(np.float32) / white, asked.input_shape), y, ANOMALOUS)
        for part, (x, y) in parts.items()
    }
    height, width, channels = parts["train"][0].shape[1:]
    steps = [f"{height}x{width}x{channels} pixels / {white:g}", words.format(asked.input_shape)]
    if asked.task == "anomaly_detection":
        steps.append(f"class {ANOMALOUS} held out as anomalous")
    classes = len(np.unique(parts["train"][1])) if asked.task == "classification" else 0
    vocabulary = LEVELS if asked.dtype == "int32" else 0
    return Dataset(
        name=name,
        task=asked.task,
        classes=classes,
        vocabulary=vocabulary,
        preprocessing="; ".join(steps),
        source=source,
        augmentation=augmentation if asked.task == "classification" and len(asked.input_shape) == 3 else None,
        **splits,
    )


def shifted(seed: int, *, share: float, mirrored: bool = False) -> list[Any]:
    """Return layers that shift an image by up to `share` of its size, whole pixels, zeros coming in; and mirror it."""
    from keras import layers

    shift = layers.RandomTranslation(share, share, fill_mode="constant", interpolation="nearest", seed=seed)
    return [shift, *([layers.RandomFlip("horizontal", seed=seed + 1)] if mirrored else [])]


def as_image(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring images (N, h, w, c) to (N, H, W, C): grey and RGB into each other, then size.

    Up to a quarter more is a margin of zeros (28 -> 32, LeCun 1998). Twice as much or more keeps an eighth of margin on
    each side, as MNIST's digits have it: without, a convolution without padding hardly sees the strokes at the edge.
    """
    *size, channels = shape
    inner = [_inner(old, new) for old, new in zip(x.shape[1:3], size, strict=True)]
    margins = [((new - n) // 2, new - n - (new - n) // 2) for n, new in zip(inner, size, strict=True)]
    return np.pad(resize(to_channels(x, channels), inner), [(0, 0), *margins, (0, 0)])


def _inner(old: int, new: int) -> int:
    if old <= new <= 1.25 * old:
        return old
    return new - 2 * (new // 8) if new >= 2 * old else new


def as_steps(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Show images as sequences (N, T, F): rows are steps, columns (resized) are features."""
    return resize(to_channels(x, 1), shape)[..., 0]


def as_vector(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Show images as vectors (N, n): as they are if the sizes agree, else resized to the squarest h x w = n."""
    (length,) = shape
    if x[0].size == length:
        return x.reshape(len(x), length)
    height = next(h for h in range(int(length**0.5), 0, -1) if length % h == 0)
    return resize(to_channels(x, 1), (height, length // height)).reshape(len(x), length)


def as_tokens(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Show images as token ids (N, n) int32: grey levels 0..16 of the vector, in reading order."""
    return np.rint(as_vector(x, shape) * (LEVELS - 1)).astype(np.int32)


FORMS = {
    ("float32", 3): (as_image, "shown as image {}"),
    ("float32", 2): (as_steps, "rows as time steps {}"),
    ("float32", 1): (as_vector, "flattened to {}"),
    ("int32", 1): (as_tokens, f"{LEVELS} grey levels as tokens {{}}"),
}


def to_channels(x: np.ndarray, channels: int) -> np.ndarray:
    """Convert between 1 and 3 channels: grey is repeated, RGB becomes its luma."""
    if x.shape[-1] == channels:
        return x
    if (x.shape[-1], channels) == (1, 3):
        return np.repeat(x, 3, axis=-1)
    if (x.shape[-1], channels) == (3, 1):
        return x @ GREY[:, None]
    raise BadInput(f"images with {x.shape[-1]} channels cannot be shown with {channels}; 1 and 3 can")


def resize(x: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resize (N, h, w, c) to (N, *size, c), bilinear."""
    old = x.shape[1:3]
    if old == tuple(size):
        return x
    rows, columns = (_bilinear(a, b) for a, b in zip(old, size, strict=True))
    planes = rows @ np.moveaxis(x, -1, 1) @ columns.T  # (N, c, h, w) -> (N, c, H, W)
    return np.ascontiguousarray(np.moveaxis(planes, 1, -1))


def _bilinear(old: int, new: int) -> np.ndarray:
    """Return the weights (new, old) of bilinear resizing along one axis: half-pixel centres, wider when shrinking."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, None] - np.arange(old)) / max(scale, 1)
    weights = np.maximum(1 - distance, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
