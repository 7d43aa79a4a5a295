"""Values by operator as Model Explorer lays them over a graph: noise of quantization, time on a device.

Format: `model_explorer.node_data_builder.GraphNodeData`. An operator is named by a tensor that it computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

BEST_DB = 100.0  # what is exact has an infinite ratio, which JSON has no number for
_GOOD, _BAD = "#4caf50", "#f44336"


def of_noise(diagnosis: Mapping[str, Any]) -> dict[str, Any]:
    """Return the signal-to-noise ratio of each operator in decibels, the lowest in red, of what `diagnose` found."""
    values = {row["name"]: min(BEST_DB, row["snr_db"]) for row in diagnosis["rows"] if not math.isnan(row["snr_db"])}
    return _data(f"signal to noise of {diagnosis['model']}, dB", values, (_BAD, _GOOD))


def of_times(profile: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """Return the microseconds of each operator, the most in red, of a profile in results.json; and how many are in no
    node, since the runtime does not tell the layer of their operators.
    """
    values: dict[str, float] = {}
    for row in profile["rows"] or []:
        values[row["name"]] = values.get(row["name"], 0.0) + row["us"]
    unplaced_us = values.pop("", 0.0)
    return _data(f"{profile['runtime']} on {profile['device']}, µs", values, ("#ffffff", _BAD)), unplaced_us


def _data(name: str, values: Mapping[str, float], colours: tuple[str, str]) -> dict[str, Any]:
    results = {tensor: {"value": round(value, 3)} for tensor, value in values.items()}
    gradient = [{"stop": stop, "bgColor": colour} for stop, colour in enumerate(colours)]
    return {"name": name, "results": results, "thresholds": [], "gradient": gradient}
