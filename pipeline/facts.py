"""What a file says of the data that its network was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..training.data import Dataset
from ..training.runner import table_of

if TYPE_CHECKING:
    from ..models.registry import Deployable
    from ..training.tasks import Networks


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


def tables(deploy: Iterable[Deployable], networks: Networks, network: str) -> dict[str, Any]:
    """Return what a manifest says of the networks that stay with the host of a network, as {"tables": name -> values}.

    The values are nested lists, float32.
    """
    names = [name for each in deploy if each.network == network for name in each.tables]
    return {"tables": {name: table_of(networks[name]).tolist() for name in names}} if names else {}
