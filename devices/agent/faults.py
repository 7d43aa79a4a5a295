"""Whose fault it is that a job ends early: the model's, the runtime's or the device's."""

from __future__ import annotations

from typing import Any


class Rejected(Exception):
    """The runtime, or this device, cannot run the model."""


class Untold(Exception):
    """The runtime does not say how long operators take."""


class Unavailable(Exception):
    """The device lacks what the job needs: no fault of the model."""


OURS = (Rejected, Untold, Unavailable, OSError)  # what says itself whose fault it is


class refusing:
    """Whatever a runtime raises here is its refusal of the model: Rejected, with its words."""

    def __enter__(self):
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any):
        if error is not None and isinstance(error, Exception) and not isinstance(error, OURS):
            words = str(error).strip().splitlines()
            raise Rejected(f"{kind.__name__}: {words[0] if words else 'no message'}") from error
        return False
