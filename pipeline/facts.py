"""What a file says of the data that its network was trained on."""

from __future__ import annotations

from typing import Any

from ..training.data import Dataset


def facts(dataset: Dataset) -> dict[str, Any]:
    """Return what a manifest says of the data: task, preprocessing, what tokens are, what classes are called."""
    found: dict[str, Any] = {"task": dataset.task, "preprocessing": dataset.preprocessing}
    if dataset.labels:
        found["labels"] = list(dataset.labels)
    if dataset.tokens:
        found["tokens"] = list(dataset.tokens)
    if dataset.heads:
        found["heads"] = {
            name: {"task": head.task, "labels": list(head.labels)} for name, head in dataset.heads.items()
        }
    return found
