"""Plain sentences to pre-train on: the Penn Treebank, and English with its translation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import sources
from .captions import ENGLISH, GERMAN, captions, paths
from .pieces import SPECIAL, UNKNOWN, Text

TREEBANK = {"train": "ptb/ptb.train.txt", "validation": "ptb/ptb.valid.txt", "test": "ptb/ptb.test.txt"}


def pretraining_text(training: Sequence[str], *, translated: bool) -> tuple[Text, list[str]]:
    """Return what a reader of the sentences `training` is pre-trained on, and the files it is from.

    translated: captions in English and German; else the treebank's training part. Where those files are not on this
    machine it is the training sentences themselves.
    """
    languages = (ENGLISH, GERMAN)
    files = paths(languages, ["train"]) if translated else [TREEBANK["train"]]
    if not all(map(sources.find, files)):
        return Text(sentences=training, documents=np.zeros(len(training), int)), []
    if translated:
        english, german = captions("train", languages)
        return Text(sentences=english, translations=german, documents=np.arange(len(english))), files
    lines = sources.read(files[0]).decode("ascii").rstrip("\n").split("\n")
    known = [line.strip().replace("<unk>", SPECIAL[UNKNOWN]) for line in lines]
    return Text(sentences=known, documents=np.zeros(len(known), int)), files
