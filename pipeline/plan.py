"""What files a run makes: of which model and network, in which format and precision, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .workload import Workload

FLOAT = "float"  # the role of the networks that everything is made from and judged against
Planned = tuple[str, str, str]  # role, format, precision


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to be made. role: of the model that `network` is one of. bundle: what it is judged together with."""

    role: str
    format: str
    precision: str
    network: str
    label: str
    bundle: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.label}.{self.format}"

    @property
    def is_baseline(self) -> bool:
        """Whether other files of the format are judged against it."""
        return self.role == FLOAT and self.precision == "float32"


def planned(work: Workload, files: Sequence[Planned], tags: Mapping[str, str]) -> list[File]:
    """Return what is to be made: each of `files` of each network that goes to a device.

    tags: role -> what it adds to a file's name.
    """
    made = []
    for role, format, precision in files:
        whole = f"{work.name}{tags[role]}-{precision}"
        for each in work.deploy:
            label = f"{work.name}-{each.network}{tags[role]}-{precision}" if work.several else whole
            made.append(File(role=role, format=format, precision=precision, network=each.network, label=label,
                             bundle=f"{whole}.{format}"))  # fmt: skip
    return made
