"""Spoken digits (Free Spoken Digit Dataset) as mel-frequency cepstra, read from the archive without unpacking it.

The features are NumPy, not a Keras layer: the same numbers on every backend, and on a device that has no Keras.
"""

import hashlib
import io
import re
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.fft import dct

from ...archives import tar_members
from ...errors import BadInput
from ...files import sha256
from . import sources
from .dataset import Dataset
from .official import DIGESTS
from .sets import Asked, dataset, present, split_for

RATE = 8000  # Hz
LENGTH = 8000  # samples kept of a recording, 1 s: 99.3% of them are shorter
WINDOW = 320  # samples of a frame, 40 ms
FFT = 512  # points
BANDS = 40  # mel bands, and so the most coefficients a frame can have
FORMS = {("float32", 3): "(frames, coefficients, 1)", ("float32", 2): "(frames, coefficients)"}

NAME = re.compile(r"\d_[a-z]+_\d+\.wav")
TREE = "fsdd/recordings"
PACKED = ("fsdd/free-spoken-digit-dataset.tar.xz", "fsdd/free-spoken-digit-dataset.tar.gz")


def packed() -> Path | None:
    """Return where the archive lies, or None."""
    return next(filter(None, map(sources.find, PACKED)), None)


@dataset(input_shape=(49, 10, 1), tasks=("classification", "reconstruction"), here=lambda: packed() is not None)
def fsdd(asked: Asked) -> Dataset:
    """Return 3,000 spoken digits: takes 0-4 of a digit and speaker are the official test set, 5-9 for validation.
    The groups are the speakers.

    A sample is T frames over one second, each the first F of 40 cepstral coefficients; (49, 10) as in Zhang 2017.
    """
    form = present(FORMS, "fsdd", asked)
    frames, coefficients, channels = (*asked.input_shape, 1)[:3]
    if channels != 1 or coefficients > BANDS or frames < 2:
        raise BadInput(f"fsdd cannot be shown as {asked.input_shape}: 2 or more frames, up to {BANDS} coefficients")
    archive = fetched()
    raw = sources.remembered(f"fsdd v2 {frames} {sha256(archive)}", lambda: _read(archive, frames))
    x, digit, take = raw["cepstra"][..., :coefficients], raw["digit"], raw["take"]
    parts = {"train": take >= 10, "validation": (take >= 5) & (take < 10), "test": take < 5}
    x = standardise(x, parts["train"]).reshape(-1, *asked.input_shape)
    splits: dict[str, Any] = {
        part: split_for(asked.task, part, x[of], digit[of], anomalous=-1) for part, of in parts.items()
    }
    if asked.task == "classification":
        splits = {part: replace(splits[part], group=raw["speaker"][of]) for part, of in parts.items()}
    return Dataset(
        name="fsdd",
        task=asked.task,
        classes=10 if asked.task == "classification" else 0,
        preprocessing=(
            f"last second at {RATE} Hz, silence before; {frames} frames of 40 ms, {BANDS} mel bands 20-4000 Hz, log, "
            f"orthonormal DCT-II, first {coefficients} standardised with training statistics; shown as {form}"
        ),
        source=(f"{TREE} {DIGESTS[TREE]}",),
        **splits,
    )


def fetched() -> Path:
    """Return where the archive lies, downloaded first where it lies nowhere."""
    return packed() or sources.download(PACKED[1], None)  # its content is verified, the packing may differ


def recordings(archive: Path) -> dict[str, bytes]:
    """Return the WAV files by name, in their order.  Raises: BadInput if one of them is not the official one."""
    members = ((name.rsplit("/", 1)[-1], content) for name, content in tar_members(archive))
    found = {name: content for name, content in sorted(members) if NAME.fullmatch(name)}
    try:
        sources.verify(TREE, listing(found))
    except BadInput:
        if archive.is_relative_to(sources.cache()):
            archive.unlink()  # a damaged download is not kept
        raise
    return found


def take_of(name: str) -> int:
    """Return which take of its digit and speaker a recording is."""
    return int(name.rpartition("_")[2][:-4])


def _read(archive: Path, frames: int) -> dict[str, np.ndarray]:
    found = recordings(archive)
    names = list(found)
    digit, take = zip(*((int(name[0]), take_of(name)) for name in names), strict=True)
    waves = np.stack([read_wave(found[name]) for name in names])
    speaker = np.array([name.split("_")[1] for name in names])
    return {"cepstra": cepstra(waves, frames), "digit": np.array(digit), "take": np.array(take), "speaker": speaker}


def listing(recordings: dict[str, bytes]) -> bytes:
    """Return what `LC_ALL=C sha256sum *.wav` prints: its digest knows the recordings whatever they are packed in."""
    return "".join(f"{hashlib.sha256(recordings[n]).hexdigest()}  {n}\n" for n in sorted(recordings)).encode()


def read_wave(content: bytes) -> np.ndarray:
    """Read a mono 16-bit WAV file as float32 (LENGTH,) in [-1, 1): the last second, silence before a shorter one."""
    with wave.open(io.BytesIO(content)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
            raise BadInput(f"a recording has {file.getparams()}; mono, 16 bit, {RATE} Hz is wanted")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")[-LENGTH:]
    return np.pad(samples.astype(np.float32) / 32768, (LENGTH - len(samples), 0))


def cepstra(waves: np.ndarray, frames: int) -> np.ndarray:
    """Compute all mel-frequency cepstra. Shapes: (N, LENGTH) -> (N, frames, BANDS) float32."""
    hop = (LENGTH - WINDOW) // (frames - 1)
    taper = np.hanning(WINDOW).astype(np.float32)
    bank = mel_bank(FFT)
    rows = []
    for samples in waves:
        cut = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop][:frames]  # (T, WINDOW)
        power = np.abs(np.fft.rfft(cut * taper, FFT)) ** 2
        rows.append(dct(np.log(power @ bank + 1e-6), norm="ortho"))
    return np.stack(rows).astype(np.float32)


def mel_bank(size: int) -> np.ndarray:
    """Return the weights (size / 2 + 1, BANDS) of triangles evenly spaced on the mel scale 1127 ln(1 + f / 700)."""

    def mel(hz: float | np.ndarray) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(hz) / 700)

    edges = np.linspace(mel(20), mel(RATE / 2), BANDS + 2)
    at = mel(np.fft.rfftfreq(size, 1 / RATE))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def standardise(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Bring each coefficient (last axis) to mean 0 and deviation 1 over the samples of the mask `train`."""
    axes = tuple(range(x.ndim - 1))
    mean, deviation = x[train].mean(axes, dtype=np.float64), x[train].std(axes, dtype=np.float64)
    return ((x - mean) / deviation).astype(np.float32)
