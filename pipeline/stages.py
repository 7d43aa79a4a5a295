"""The stages as library functions: each takes a Keras model or artifacts, and data by name or as a Dataset.

A model of the zoo (`build`), one loaded with its sidecar, and what these functions make of it are trained as the zoo
says: by their own learner and rate. A model of several networks is a dict of them by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from ..devices import measure
from ..devices.measure import BenchConfig, ModelFile, Run
from ..devices.verdict import document
from ..devices.verdict.compare import Thresholds, Verdict
from ..devices.verdict.compare import compare as judge
from ..errors import BadInput
from ..export import Artifact
from ..models import registry
from ..prune import PruneConfig, PruneReport
from ..prune import cluster as _cluster
from ..prune import factorize as _factorize
from ..prune import prepare_cluster as _prepare_cluster
from ..prune import prepare_prune as _prepare_prune
from ..prune import strip_cluster as _strip_cluster
from ..prune import strip_prune as _strip_prune
from ..quantize import find_quantized
from ..quantize import prepare_qat as _prepare_qat
from ..training import data as datasets
from ..training.config import TrainConfig
from ..training.corruptions import corrupted
from ..training.tasks import Networks
from ..training.train import TrainResult
from ..training.views import NETWORK, ByViews
from . import find, origins, pruning, quantizing, teachers, training
from .budget import train_config
from .by_tfmot import prune_with_tfmot, quantize_with_tfmot
from .foreign import bench_random
from .judged import presented, to_measure
from .origins import Origin
from .pruning import scheduled
from .whole import judged_by_task, presented_to_task

__all__ = ["Comparison", "bench", "build", "cluster", "compare", "factorize", "load_data", "prepare_cluster",
           "prepare_prune", "prepare_qat", "prune", "prune_with_tfmot", "quantize_with_tfmot", "scheduled",
           "strip_cluster", "strip_prune", "train", "train_config"]  # fmt: skip

load_data = datasets.load
cluster = origins.carried(_cluster)
prepare_cluster = origins.carried(_prepare_cluster)
strip_cluster = origins.carried(_strip_cluster)
factorize = origins.carried(_factorize)
prepare_prune = origins.carried(_prepare_prune)
strip_prune = origins.carried(_strip_prune)
prepare_qat = origins.carried(_prepare_qat)


def build(name: str, preset: str = "paper", *, also: Sequence[str] = (), **options: Any) -> Any:
    """Build a model with fresh weights, or a dict of models for an architecture of several.

    also: networks that go to a device on request (`edgewright models` has them), to be pruned and quantized as well.
    options: `input_shape`, `classes`, `seed`, and arguments of the builder; what is left out is the preset's.
    Raises: BadInput for an unknown name, preset or argument, and for an input too small for the architecture.
    """
    networks = registry.networks(name, preset, **options)
    for network, model in networks.items():
        origins.remember(model, Origin.of_zoo(name, preset, network))
    origins.request(networks, also)
    return networks[name] if registry.get(name).alone else networks


def train(
    model: keras.Model | Networks, data: Any, config: TrainConfig | None = None, *, learner: str | None = None,
    out: str | Path | None = None, teacher: Any = None,
) -> TrainResult:  # fmt: skip
    """Train `model` in place and restore its best epoch.

    A quantization-aware model never ends below calibration alone, as validation data judges it: where no epoch was
    better, it is the calibrated model again, and that is said.
    data: a name, pkg.module:function, a Dataset, or arrays, lists, dicts, frames, PyDatasets or tf.data.Datasets as
    (x, y), of which a fifth is held out to test and a tenth to validate, or as ((x, y), (x_test, y_test)).
    config: by default what `edgewright train`, or `edgewright qat`, uses for this size of data.  learner: by default
    the model's own, where it is of the zoo, else "fit".  out: folder of logs and checkpoints; with it an interrupted
    training resumes exactly.
    teacher: a trained model, or its .keras file, whose answers are learned beside the targets; of several networks a
    dict; or a Distillation, which says how.
    """
    teaching = teachers.of(teacher)
    networks, work = find.of(model, data, learner=learner)
    aware = any(find_quantized(network) for network in networks.values())
    settings = config or train_config("qat" if aware else "train", work.dataset, **work.pace)
    return (quantizing.retrain if aware else training.train)(networks, work, settings, out, teaching=teaching)


def prune(
    model: keras.Model | Networks, config: Any = None, *, data: Any = None,
    training: TrainConfig | None = None, learner: str | None = None, out: str | Path | None = None,
    teacher: Any = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Return `model` with its smallest weights at zero, and a report of every tensor; `model` is untouched.

    Of several networks dicts are returned, of those that go to a device.
    config: a PruneConfig, or a ChannelConfig, BlockConfig, ClusterConfig or LowRankConfig, each of another way.
    data: fine-tune on it while sparsity grows by the schedule of `config`, or after each step of channels. Without data
    the model is changed at once. teacher: "float" for `model` itself, else as for `train`; it needs data.
    """
    config, teaching = config or PruneConfig(), teachers.of(teacher)
    if data is None:
        if teaching is not None:
            raise BadInput("data is missing: a teacher teaches while training goes on; give data, or leave teacher out")
        given = dict(model) if isinstance(model, Mapping) else {model.name: model}
        pruned = pruning.cut(given, config, find.deployed(given))
    else:
        given, work = find.of(model, data, learner=learner)
        settings = training or train_config("prune", work.dataset, **work.pace)
        pruned = pruning.prune(given, work, config, settings, out, teaching=teaching)
    for name, network in pruned.networks.items():
        origins.remember(network, origins.of(given[name]))
    if isinstance(model, Mapping):
        return pruned.networks, dict(pruned.reports)
    return _alone(pruned.networks), _alone(pruned.reports)


def _alone(by_network: Mapping[str, Any]) -> keras.Model | PruneReport:
    (alone,) = by_network.values()
    return alone


class Measurement(Run):
    """A run that can be written: `save(folder)`."""

    def save(self, folder: str | Path) -> Path:
        """Write raw.npz, then results.json, each whole or absent; return the path of results.json."""
        return document.save(self, folder)


def bench(
    artifacts: Sequence[Artifact | str | Path], *, baseline: Artifact | str | Path, data: Any = None,
    device: str = "local", config: BenchConfig | None = None, corrupt: Sequence[str] = (),
    views: bool = False,
) -> Measurement:  # fmt: skip
    """Measure artifacts or model files against `baseline` on `device`.

    data: a Dataset, the name of one, pkg.module:function, or arrays, frames and so on as (x, y), all of which is
    judged; read as the baseline's inputs and outputs say. Without it, no accuracy: random inputs. Files whose networks
    a task runs itself (that read texts, draw samples, play) are judged by that, each as the network that it is.
    corrupt: what makes the test samples worse, as "noise:0.1" (see `training.corruptions`). views: a class is told by
    the mean over ten views of an image (see `training.views`).
    Raises: BadInput for data that does not fit, or where the device's runtime opens no file.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        paths = _on_disk([*artifacts, baseline], Path(folder))
        run = _measured(paths, data, device, config or BenchConfig(), corrupt, views)
    return Measurement(**{field.name: getattr(run, field.name) for field in fields(run)})


def _measured(
    paths: Sequence[Path], data: Any, device: str, config: BenchConfig, corrupt: Sequence[str] = (), views: bool = False
) -> Run:
    """Measure files, of which the last is the baseline."""
    files = [ModelFile.read(path) for path in dict.fromkeys(paths)]
    first = ModelFile.read(paths[-1])
    if data is None:
        return bench_random(files, baseline=first.name, device=device, config=config)
    known: dict[str, Any] = {
        "baseline": first.name,
        "device": device,
        "config": config,
        "model": files[-1].manifest.get("name", files[-1].name),
    }
    if (dataset := presented_to_task(data, first)) is not None:
        dataset = corrupted(dataset, corrupt)
        return measure.bench(files, **{**known, **judged_by_task(dataset, files, first)}, data=dataset.name)
    order = [first, *(file for file in files if file.name != first.name)]
    dataset = corrupted(presented(data, order, device), corrupt)
    if views:
        inputs = first.manifest.get("inputs") or [{"name": "images"}]
        return measure.bench(
            files, **known, data=f"{dataset.name} (ten views)",
            judge=ByViews(dataset, inputs[0]["name"], config.samples),
            bundles={file.name: {NETWORK: file.name} for file in files},
            feeds={file.name: dataset.test.x for file in files},
        )  # fmt: skip
    return measure.bench(files, **known, **to_measure(dataset), data=dataset.name)


def _on_disk(found: Sequence[Artifact | str | Path], folder: Path) -> list[Path]:
    """Return the path of each file, written to `folder` if it is in memory.

    Raises: BadInput for two that are called alike: one would take the other's place.
    """
    paths, known = [], {}
    for one in found:
        if not isinstance(one, Artifact):
            paths.append(Path(one))
            continue
        name = f"{one.name}{one.suffix}"
        if known.setdefault(name, one.data) != one.data:
            raise BadInput(
                f"two different files are called {name}; tell them apart: export_tflite(model, name='other')"
            )
        paths.append(folder / name if (folder / name).exists() else one.save(folder / name))
    return paths


class Comparison(list[Verdict]):
    """Verdicts that print as a table."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing to compare: every file is its own baseline"


def compare(run: Run, thresholds: Thresholds | None = None) -> Comparison:
    """Judge every file of `run` against its baseline: `pass`, `slower`, `fail` or `inconclusive`, with intervals."""
    return Comparison(judge(run, thresholds or Thresholds()))
