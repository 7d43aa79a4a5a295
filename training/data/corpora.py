"""Plain sentences to pre-train on: the Penn Treebank, and English with its translation."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import numpy as np

from . import sources
from .pieces import SPECIAL, UNKNOWN, Text

TREEBANK = ["ptb/ptb.train.txt"]
CAPTIONS = ["multi30k/train.en.gz", "multi30k/train.de.gz"]


def pretraining_text(training: Sequence[str], *, translated: bool) -> tuple[Text, list[str]]:
    """Return what a reader of the sentences `training` is pre-trained on, and the files it is from.

    translated: captions in English and German; else the treebank's training part. Where those files are not on this
    machine it is the training sentences themselves.
    """
    files = CAPTIONS if translated else TREEBANK
    if not all(map(sources.find, files)):
        return Text(sentences=training, documents=np.zeros(len(training), int)), []
    if translated:
        english, german = (gzip.decompress(sources.read(path)).decode().rstrip("\n").split("\n") for path in files)
        return Text(sentences=english, translations=german, documents=np.arange(len(english))), files
    lines = sources.read(files[0]).decode("ascii").rstrip("\n").split("\n")
    known = [line.strip().replace("<unk>", SPECIAL[UNKNOWN]) for line in lines]
    return Text(sentences=known, documents=np.zeros(len(known), int)), files
