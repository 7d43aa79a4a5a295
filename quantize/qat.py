"""Quantization-aware training: a model rebuilt from its operations with fake-quantizers where its int8 kernels round.

    qat, report = prepare_qat(model, calibration=samples)
    qat.compile(...); qat.fit(...)          # any learner, TensorFlow or JAX

Batch normalisation is folded before training, ranges start from calibration, exact zeros of kernels stay zero, and the
kernels of a clustered model keep their number of values.
Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from .config import RANGES, QatConfig
from .graph.nodes import Graph
from .layer import QuantizedGraph, Unsaved
from .planning import make_plan
from .prepare import QatReport, as_model, find_quantized, prepare_qat, refuse_quantized, source_of

__all__ = [
    "RANGES",
    "Graph",
    "QatConfig",
    "QatReport",
    "QuantizedGraph",
    "Unsaved",
    "as_model",
    "find_quantized",
    "make_plan",
    "prepare_qat",
    "refuse_quantized",
    "source_of",
]
