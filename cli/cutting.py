"""What `edgewright prune` is told of channels: exactly one budget, and nothing that would do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BadInput

# What each option says is of these budgets alone; those that every budget has are below.
_OF = {"device": ("latency",), "precision": ("memory", "latency")}
_OF_ANY: dict[str, Any] = {"criterion": "l1", "scope": "group", "steps": 1, "multiple_of": None, "target": None}
_DEFAULTS = {"device": "local", "precision": "float32"} | _OF_ANY


def channel_settings(budgets: Mapping[str, float | None], *, has_data: bool, **options: Any) -> dict[str, Any] | None:
    """Return what a ChannelConfig is made of, None where no budget of channels is given: then zeros are meant.

    budgets: name -> value, None for one that was not given.
    Raises: BadInput for two budgets, for an option that has nothing to do, and for a budget that needs data.
    """
    given = {name: value for name, value in budgets.items() if value is not None}
    asked = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
    if len(given) > 1:
        raise BadInput(
            f"{' and '.join(map(_flag, given))}: one of them says how many channels go; leave the others out"
        )
    if not given:
        if asked:
            raise BadInput(
                f"{', '.join(map(_flag, asked))}: is of channels, and nothing says how many go; give one of "
                f"{', '.join(map(_flag, budgets))}"
            )
        return None
    (name,) = given
    idle = [option for option in asked if name not in _OF.get(option, (name,))]
    if idle:
        wanted = " or ".join(map(_flag, _OF[idle[0]]))
        raise BadInput(f"{_flag(idle[0])} {asked[idle[0]]}: is of {wanted}; leave it out, or give that budget")
    if name == "max_drop" and not has_data:
        raise BadInput("--data is missing: --max-drop is judged on validation data; name a data set, or another budget")
    return {**given, **options}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
