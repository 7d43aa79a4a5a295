"""Which units go: the least important, as many as the budget says, in numbers that kernels like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch

import numpy as np

from ...errors import BadInput
from .config import ChannelConfig, ChannelReport
from .cost import Cost
from .cut import Cut
from .units import Anatomy, Group

Plan = dict[int, list[int]]  # by number of a group, the units that go, the least important first
HALVINGS = 20


class Selection:
    """Chooses among the groups that are not refused. refused: by number of a group, why nothing goes from it.

    cost: what the budget counts, None for units. since: the report of earlier steps: shares are of what was there
    before them. share: by which the last plan met the budget.
    """

    def __init__(
        self, anatomy: Anatomy, scores: Sequence[np.ndarray], config: ChannelConfig, *, cost: Cost | None = None,
        since: ChannelReport | None = None,
    ):  # fmt: skip
        self.anatomy, self.scores, self.config = anatomy, scores, config
        self.cost, self.since = cost, since
        self.sizes = originals(anatomy, since)
        self.multiple = config.multiple_of or 1
        self.share = 0.0
        self.refused: dict[int, str] = {}
        self.alike: list[set[int]] = []  # groups that lose as many units, since one number says how many they have
        for number, group in enumerate(anatomy.groups):
            if any(_names(pattern, group, anatomy) for pattern in config.skip):
                self.refused[number] = "ChannelConfig.skip names it"
        _refuse_idle(config, anatomy)

    def plan(self) -> Plan:
        """Return what goes.  Raises: BadInput if the budget cannot be met."""
        self.share = self.config.budget[1] if self.cost is None else self._least(self.cost)
        return self._share(self.share)

    def _least(self, cost: Cost) -> float:
        """Return the least share of the units by which `cost` falls as far as it shall."""
        name, share = self.config.budget
        whole = cost(Cut(self.anatomy)) if self.since is None else self.since.before(name)
        aim = (1 - share) * whole
        most = cost(self.cut(self._share(1.0)))
        if most > aim:
            raise BadInput(
                f"ChannelConfig: {name}={share} cannot be reached: at most {1 - most / whole:.2f} of the {name} go "
                f"with most={self.config.most} of a group; {len(self.refused)} groups are left whole"
            )
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if cost(self.cut(self._share(middle))) <= aim else (middle, high)
        return high

    def cut(self, plan: Plan) -> Cut:
        """Return what is left when `plan` is done."""
        return Cut(self.anatomy, [(self.anatomy.groups[number], units) for number, units in plan.items()])

    def open_groups(self) -> list[int]:
        """Return the groups to choose from: of those that overlap the one that most goes with, heads before depth."""
        groups = self.anatomy.groups
        order = sorted(range(len(groups)), key=lambda each: (-len(groups[each].classes), -len(groups[each])))
        taken: set[int] = set()
        chosen = []
        for number in order:
            if number not in self.refused and not taken & groups[number].classes:
                taken |= groups[number].classes
                chosen.append(number)
        return sorted(chosen)

    def _share(self, share: float) -> Plan:
        """Return the plan by which `share` of all units, or of each group's, are gone."""
        chosen = self.open_groups()
        gone_before = {number: self.sizes[number] - len(self.anatomy.groups[number]) for number in chosen}
        counts = {number: share * self.sizes[number] - gone_before[number] for number in chosen}
        if self.config.scope == "global" and chosen:
            ranked = np.sort(np.concatenate([self.scores[number] for number in chosen]))
            count = share * sum(self.sizes[number] for number in chosen) - sum(gone_before.values())
            bar = ranked[min(len(ranked) - 1, max(0, int(count)))]
            full = share >= 1
            counts = {number: len(self.scores[number]) if full else float((self.scores[number] < bar).sum())
                      for number in chosen}  # fmt: skip
        gone = {number: self._rounded(number, count) for number, count in counts.items()}
        for groups in self.alike:
            together = [number for number in groups if number in gone]
            gone.update(dict.fromkeys(together, min((gone[number] for number in together), default=0)))
        return {number: np.argsort(self.scores[number], kind="stable")[:count].tolist()
                for number, count in gone.items() if count}  # fmt: skip

    def _rounded(self, number: int, count: float) -> int:
        """Return how many units go where `count` should, so that what is left is a multiple and not too little."""
        size, multiple = len(self.anatomy.groups[number]), self.multiple
        least = max(1, math.ceil(round((1 - self.config.most) * self.sizes[number], 6)))
        left = max(least, size - math.floor(round(count, 6)))
        return max(0, size - math.ceil(left / multiple) * multiple)


def originals(anatomy: Anatomy, since: ChannelReport | None) -> list[int]:
    """Return how many units each group had before earlier steps."""
    groups = anatomy.groups
    if since is None:
        return [len(group) for group in groups]
    if [group.name for group in groups] == [row.name for row in since.groups]:  # some may be called alike
        return [row.before for row in since.groups]
    known = {row.name: row.before for row in since.groups}
    return [known.get(group.name, len(group)) for group in groups]


def _names(pattern: str, group: Group, anatomy: Anatomy) -> bool:
    """Tell if `pattern` names a weight that the group lies along, or the layer that has it."""
    paths = {anatomy.tensors[tensor].name.replace(".", "/") for tensor, _ in group.index}
    names = paths | {"/".join(path.split("/")[:end]) for path in paths for end in range(1, path.count("/") + 1)}
    return any(fnmatch(name, pattern) for name in names)


def _refuse_idle(config: ChannelConfig, anatomy: Anatomy) -> None:
    for pattern in config.skip:
        if not any(_names(pattern, group, anatomy) for group in anatomy.groups):
            raise BadInput(f"ChannelConfig: skip={pattern!r} names no weight that loses channels")


def among(plan: Mapping[int, list[int]], groups: set[int]) -> Plan:
    """Return what of `plan` concerns `groups`."""
    return {number: units for number, units in plan.items() if number in groups}
