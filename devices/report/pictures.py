"""Pictures for the report: rows of images as a PNG, in the text of a document."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

BETWEEN = 1  # pixels between two images


def strip(images: np.ndarray) -> str:
    """Return images side by side as a PNG in base64; "" where they are no images.

    Shapes: (N, H, W), (N, H, W, 1 or 3), or (N, n) with n a square; values outside [0, 1] are cut.
    """
    shown = _images(np.asarray(images, np.float32))
    if shown is None:
        return ""
    from matplotlib.image import imsave

    padded = np.pad(np.clip(shown, 0, 1), [(0, 0), (0, 0), (0, BETWEEN), (0, 0)], constant_values=1.0)
    whole = np.concatenate(list(padded), axis=1)[:, :-BETWEEN]  # (H, N (W + 1) - 1, C)
    written = io.BytesIO()
    imsave(written, np.repeat(whole, 4 - whole.shape[-1], -1) if whole.shape[-1] == 1 else whole, format="png")
    return base64.b64encode(written.getvalue()).decode("ascii")


def _images(images: np.ndarray) -> np.ndarray | None:
    """Return (N, H, W, C), or None."""
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        return images.reshape(-1, side, side, 1) if side > 1 and side**2 == images.shape[1] else None
    if images.ndim == 3:
        return images[..., None]
    return images if images.ndim == 4 and images.shape[-1] in (1, 3) else None


def rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the page shows: of each file the pictures by what they show, those that all share first."""
    found: dict[str, list[dict[str, str]]] = {}
    for entry in results.get("pictures", []):
        found.setdefault(entry["artifact"], []).append({"shows": entry["shows"], "png": entry["png"]})
    return [{"artifact": artifact, "pictures": pictures} for artifact, pictures in found.items()]
