"""What is said again of a sequence: only some of its steps are asked for."""

from __future__ import annotations

import numpy as np

UNASKED = -1.0  # the target of what nobody asks for


def share_recalled(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the share of each sequence's yes-or-no answers that is right, of those asked for; yes is above 0.

    Shapes: (N, ...) and as many targets -> (N, 1) float64.
    """
    said, truth = (outputs > 0).reshape(len(targets), -1), targets.reshape(len(targets), -1)
    asked = truth > UNASKED
    right = (asked & (said == (truth > 0.5))).sum(-1, keepdims=True)
    return right / np.maximum(asked.sum(-1, keepdims=True), 1)
