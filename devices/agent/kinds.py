"""What the agent's functions take: jobs and parts of them as JSON has them, and what says a line."""

# ruff: noqa: UP006, UP035 (Python 3.8 has no other words for these types)

from __future__ import annotations

from typing import Any, Callable, Dict

Job = Dict[str, Any]  # a job, a file in it, a tensor
Say = Callable[..., None]
