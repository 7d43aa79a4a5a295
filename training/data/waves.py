"""Waveforms as levels of the mu-law, cut into windows: what a model of raw audio reads, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .audio import RATE, TREE, fetched, packed, read_wave, recordings, take_of
from .dataset import Dataset, Split
from .official import DIGESTS
from .sets import Asked, dataset, present

TASKS = ("waveform_model",)
LEVELS = 256  # of 8 bits, where the model does not say
FORMS = {("int32", 1): "windows of {} samples"}
COUNTS = {"train": 6000, "validation": 300, "test": 200}  # windows
PITCHES = 90.0, 360.0  # Hz, of made-up tones
PARTIALS = 4


@dataset(input_shape=(4096,), dtype="int32", tasks=TASKS, here=lambda: packed() is not None)
def fsdd_waves(asked: Asked) -> Dataset:
    """Return windows of the spoken digits of `fsdd`, at places drawn by seed; split by takes as they are."""
    waves: dict[str, list[np.ndarray]] = {part: [] for part in COUNTS}
    for name, content in recordings(fetched()).items():
        take, wave = take_of(name), np.trim_zeros(read_wave(content), "f")  # a second of which is silence at first
        waves["train" if take >= 10 else "validation" if take >= 5 else "test"].append(wave)
    return _windows("fsdd_waves", waves, asked, (f"{TREE} {DIGESTS[TREE]}",))


@dataset(input_shape=(4096,), dtype="int32", tasks=TASKS)
def made_up_waves(asked: Asked) -> Dataset:
    """Return windows of tones that fade, each of a few partials in chance proportions, with a little noise."""
    random, (length,) = np.random.default_rng(0), asked.input_shape
    waves = {part: [tone(length + 1, random) for _ in range(count)] for part, count in COUNTS.items()}
    return _windows("made_up_waves", waves, asked, ("drawn by Edgewright",))


def tone(length: int, random: np.random.Generator) -> np.ndarray:
    """Return a tone, (length,) float32 in [-1, 1]."""
    times, partials = np.arange(length) / RATE, np.arange(1, PARTIALS + 1)
    strength = random.uniform(0.2, 1.0, PARTIALS) / partials
    phase = random.uniform(0, 2 * np.pi, PARTIALS)
    waves = np.sin(2 * np.pi * random.uniform(*PITCHES) * partials * times[:, None] + phase)
    fading = 0.9 * np.exp(-times * random.uniform(0, 20))
    return (fading * (waves @ strength) / strength.sum() + random.normal(0, 0.005, length)).astype(np.float32)


def _windows(name: str, waves: Mapping[str, Sequence[np.ndarray]], asked: Asked, source: tuple[str, ...]) -> Dataset:
    words, (length,) = present(FORMS, name, asked), asked.input_shape
    levels, random, splits = asked.classes or LEVELS, np.random.default_rng(1), {}
    for part, count in COUNTS.items():
        cut = np.stack([_cut(waves[part][place % len(waves[part])], length + 1, random) for place in range(count)])
        ids = companded(cut, levels)
        splits[part] = Split(x=np.ascontiguousarray(ids[:, :-1]), y=np.ascontiguousarray(ids[:, 1:]))
    return Dataset(
        name=name,
        task=asked.task,
        classes=levels,
        vocabulary=levels,
        preprocessing=f"{RATE} Hz; {levels} levels of the mu-law; {words.format(length)}",
        source=source,
        **splits,
    )


def _cut(wave: np.ndarray, length: int, random: np.random.Generator) -> np.ndarray:
    """Return a window of a waveform, at a place by chance, silence behind a shorter one."""
    start = int(random.integers(0, max(1, len(wave) - length + 1)))
    part = wave[start : start + length]
    return np.pad(part, (0, length - len(part)))


def companded(x: np.ndarray, levels: int) -> np.ndarray:
    """Return values in [-1, 1] as levels, fine ones around 0: sign(x) log(1 + m |x|) / log(1 + m), m = levels - 1.

    Shapes: (...) -> the same, int32 in [0, levels).  Source: van den Oord 2016, arXiv:1609.03499, section 2.2; G.711.
    """
    most = levels - 1
    bent = np.sign(x) * np.log1p(most * np.abs(np.clip(x, -1, 1))) / np.log1p(most)
    return np.minimum(((bent + 1) / 2 * levels).astype(np.int32), most)
