"""Captions of pictures in German and English, line by line the same: Multi30K (Elliott 2016, arXiv:1605.00459)."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

from . import sources

SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}  # split -> how its files are called
GERMAN, ENGLISH = "de", "en"


def paths(languages: Sequence[str], parts: Sequence[str] = tuple(SPLITS)) -> list[str]:
    """Return the files of some splits, those of a split together, in the order of `languages`."""
    return [f"multi30k/{SPLITS[part]}.{language}.gz" for part in parts for language in languages]


def here() -> bool:
    """Tell if all files are on this machine."""
    return all(map(sources.find, paths((GERMAN, ENGLISH))))


def captions(part: str, languages: Sequence[str]) -> list[list[str]]:
    """Return the sentences of a split, of each language a list."""
    files = paths(languages, [part])
    return [gzip.decompress(sources.read(path)).decode("utf-8").rstrip("\n").split("\n") for path in files]
