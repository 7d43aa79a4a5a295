"""The page of an inspection: figures, and rows of pictures of the float net and the quantized one."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import pictures
from .report import render

CLIP = 0.995  # quantile of a map at which its colours end


def html(*, title: str, samples: int, columns: Sequence[str], methods: Sequence[dict[str, Any]]) -> str:
    """Render the page."""
    return render("inspection.html", title=title, samples=samples, columns=columns, methods=methods)


def picture(values: np.ndarray, kind: str, labels: np.ndarray | None = None) -> str:
    """Return a row as a PNG in base64.

    kind: "image"; "map", from dark to light; "signed", in blue and red about white; "points", coloured by label.
    Shapes: (N, H, W) or (N, H, W, C), points (N, 2).
    """
    values = np.asarray(values, np.float32)
    if kind == "points":
        return _points(values, np.asarray(labels))
    if kind == "image":
        return pictures.strip(values)
    flat = values if values.ndim == 3 else values.mean(-1)
    return pictures.strip(np.stack([_coloured(each, kind) for each in flat]))


def _coloured(values: np.ndarray, kind: str) -> np.ndarray:
    """Return a map (h, w) as colours (h, w, 3), each on a scale of its own."""
    from matplotlib import colormaps

    most = max(float(np.quantile(np.abs(values), CLIP)), float(np.abs(values).max()) * 0.1, 1e-12)
    scaled = values / most if kind == "map" else (values / most + 1) / 2
    return colormaps["magma" if kind == "map" else "seismic"](np.clip(scaled, 0, 1))[..., :3]


def _points(points: np.ndarray, labels: np.ndarray) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    drawn = axes.scatter(*points.T, c=labels, cmap="tab10" if labels.max() < 10 else "viridis", s=10)
    if labels.max() < 10:
        axes.legend(*drawn.legend_elements(), frameon=False, fontsize=7, loc="best")
    axes.set(xticks=[], yticks=[])
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=120)
    return base64.b64encode(written.getvalue()).decode("ascii")
