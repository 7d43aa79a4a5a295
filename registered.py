"""Our layers, losses and optimizers under the names that saved models know, for whoever loads one by Keras itself.

`import edgewright` imports no Keras, and Keras finds none of our classes before their modules ran. So a stand-in for
each is entered once Keras is there: at once if it is, else at the end of its import. A stand-in imports the class when
a model asks for it.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PACKAGE = "edgewright"
CLASSES = {  # module -> what it registers; a test compares this with what is registered
    "models.attending": ("Alignment", "AttentiveRecurrence"),
    "models.attention": (
        "CacheRow", "LayerDrop", "LearnedPositions", "RelativeBias", "SelfAttention", "SinusoidalPositions",
    ),
    "models.autoencoder": ("ReversibleDense",),
    "models.blocks": ("LocalResponseNormalization", "LocallyConnected2D", "StandardizedConv2D"),
    "models.cells": ("ConvLSTMCell", "DeepTransitionCell", "LSTMVariantCell"),
    "models.convolved": ("Bilinear", "MaxUnpooling2D"),
    "models.default_boxes": ("Constants",),
    "models.detection": ("Fusion", "ScaledNorm"),
    "models.efficient": ("LinearAttentionCell", "LocalAttention", "SegmentAttention", "SparseAttention"),
    "models.elmo": ("LayerMix",),
    "models.energy": ("MeanField", "Sweep"),
    "models.gan": ("MinibatchDiscrimination",),
    "models.glimpse": ("Drawing", "Looking", "Reading", "Writing"),
    "models.graph": ("Contraction", "SpectralFilter"),
    "models.graph_blocks": ("HeadScores", "Offset"),
    "models.growing": ("Fade", "PixelNormalization"),
    "models.linear": ("Monomials", "RandomFourierFeatures"),
    "models.lstm_dropout": ("LSTMDropoutCell", "RecurrentDropout"),
    "models.markov": ("FilterCell", "LogSum"),
    "models.memory_cells": ("DNCCell", "MANNCell", "NTMCell"),
    "models.memory_network": ("AttentionGate", "GatedGRUCell", "WordSum"),
    "models.mlp": ("Vote",),
    "models.ngram": ("Interpolated",),
    "models.noise": ("AnnealedDropout", "Cutout", "DropConnect", "MaxPoolingDropout2D", "VariationalDropout"),
    "models.prototypes": ("LogDensities", "Nearness"),
    "models.rcnn": ("RoiPool",),
    "models.reading": ("Highway", "Weighed"),
    "models.reservoir": ("EchoStateCell", "ReservoirWeights", "SpikingCell"),
    "models.scoring": ("Gram",),
    "models.state_space": ("KalmanCell",),
    "models.text": ("LastOf", "MeanOf"),
    "models.tree": ("StackLSTMCell",),
    "models.vit": ("ClassToken",),
    "models.walks": ("Curved", "Salted"),
    "models.word2vec": ("Bag",),
    "models.yolo": ("Places",),
    "prune.clustering": ("ClusteringModel",),
    "prune.magnitude": ("PruningModel",),
    "quantize.layer": ("QuantizedGraph",),
    "training.adam": ("FusedAdam",),
    "training.chains": ("PathLoss",),
    "training.learners.ranking": ("WindowRanking",),
    "training.learners.sampled_nodes": ("LabelsAndPairs",),
    "training.losses": (
        "AskedCrossentropy", "Divergence", "FocalCrossentropy", "HintError", "MultiClassHinge", "NormalLikelihood",
        "OfFunction",
        "OfProbabilities", "PaddedCrossentropy", "PerceptronCriterion", "SigmoidSquaredError", "SmoothedCrossentropy",
        "TokenAccuracy",
    ),
    "training.schedules": ("Warmed",),
    "training.transduction": ("TransducerLoss",),
}  # fmt: skip


def register() -> None:
    """Make our classes known to Keras, now or when it is imported. Does nothing the second time."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "saving"):
        _enter(keras)
    elif not any(isinstance(finder, _WhenKerasComes) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenKerasComes())


def _enter(keras: Any) -> None:
    known = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            known.setdefault(f"{PACKAGE}>{name}", _stand_in(module, name))


def _stand_in(module: str, name: str) -> type:
    def from_config(cls: type, config: dict[str, Any], **more: Any) -> Any:
        real = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
        return real.from_config(config, **more)

    return type(name, (), {"from_config": classmethod(from_config), "__module__": f"{PACKAGE}.{module}"})


class _WhenKerasComes(importlib.abc.MetaPathFinder):
    """Finds Keras as the others do, and enters our classes once it has run."""

    _asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras" or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _AndThen(spec.loader, self)
        return spec


class _AndThen(importlib.abc.Loader):
    """Runs Keras by its own loader, enters our classes, and leaves no trace of itself."""

    def __init__(self, loader: Any, finder: importlib.abc.MetaPathFinder):
        self._loader, self._finder = loader, finder

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _enter(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
