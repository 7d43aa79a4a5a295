"""The stages as library functions: each takes a Keras model or artifacts, and data by name or as a Dataset."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..devices import measure
from ..devices.compare import Thresholds, Verdict
from ..devices.compare import compare as judge
from ..devices.measure import BenchConfig, ModelFile, Run
from ..errors import BadInput
from ..export import Artifact
from ..export.artifact import make_manifest
from ..metrics import METRICS
from ..progress import say
from ..prune import PruneConfig, prepare_prune, strip_prune
from ..prune import prune as prune_once
from ..quantize import find_quantized, tfmot
from ..training import data as datasets
from ..training.data import Dataset, Split
from ..training.tasks import TASKS, targets_of
from ..training.train import TrainConfig, TrainResult, data_for, evaluate, predict
from ..training.train import train as fit
from .budget import budget

load_data = datasets.load


def train(
    model: keras.Model, data: str | Dataset, config: TrainConfig | None = None, *, learner: str = "fit",
    out: str | Path | None = None,
) -> TrainResult:  # fmt: skip
    """Train `model` in place and restore its best epoch.

    A quantization-aware model never ends below calibration alone, as validation data judges it: where no epoch was
    better, it is the calibrated model again, and that is said.
    config: by default what `edgewright train`, or `edgewright qat`, uses for this size of data.  out: folder of logs
    and checkpoints; with it an interrupted training resumes exactly.
    """
    dataset = data_for(model, data)
    if find_quantized(model):
        return _retrain(model, dataset, config or train_config("qat", dataset), learner, out)
    return fit(model, dataset, config or train_config("train", dataset), learner=learner, out=out)


def _retrain(model: keras.Model, dataset: Dataset, config: TrainConfig, learner: str, out: str | Path | None) -> Any:
    task, split = TASKS[dataset.task], dataset.validation

    def judge() -> dict[str, float]:
        outputs = predict(model, split.x)
        targets = targets_of(task, split, outputs.shape[1:])
        logs = {"val_loss": float(keras.ops.convert_to_numpy(task.loss(config.label_smoothing)(targets, outputs)))}
        if task.labelled:
            logs["val_accuracy"] = float((outputs.argmax(-1) == targets).mean())
        return logs

    calibrated = [weight.copy() for weight in model.get_weights()]
    result = fit(model, dataset, config, learner=learner, out=out)
    trained, reached = model.get_weights(), judge()
    model.set_weights(calibrated)
    if task.best_epoch([judge(), reached], len(split)) == 0:
        say(f"{model.name}: no epoch of QAT validated better than calibration alone, which is kept")
        kept = evaluate(model, dataset.test, dataset.task)
        return replace(result, metric=kept.value, outputs=kept.outputs)
    model.set_weights(trained)
    return result


def prune(
    model: keras.Model, config: PruneConfig | None = None, *, data: str | Dataset | None = None,
    training: TrainConfig | None = None, learner: str = "fit", out: str | Path | None = None,
) -> tuple[keras.Model, Any]:  # fmt: skip
    """Return `model` with its smallest weights at zero, and a report of every tensor; `model` is untouched.

    data: fine-tune on it while sparsity grows by the schedule of `config`. Without data the weights are cut at once.
    """
    config = config or PruneConfig()
    if data is None:
        return prune_once(model, config)
    dataset = data_for(model, data)
    training = training or train_config("prune", dataset)
    pruning, report = prepare_prune(model, scheduled(config, training, dataset))
    fit(pruning, dataset, training, learner=learner, out=out)
    return strip_prune(pruning), report


def prune_with_tfmot(
    model: keras.Model, config: PruneConfig, dataset: Dataset, training: TrainConfig
) -> tuple[keras.Model, tfmot.TfmotReport]:
    """Return `model` pruned by TensorFlow Model Optimization while it trains on `dataset`, and a report of every layer.

    Raises: BadInput if `config` treats layers apart, or TFMOT cannot take one of them.
    """
    if config.by_name or config.by_type or config.sparsity is None:
        raise BadInput("engine tfmot prunes every layer alike: give PruneConfig sparsity alone, no by_name and by_type")
    plan = scheduled(config, training, dataset)
    return tfmot.prune(
        model,
        *_for_tfmot(model, dataset.train, dataset.task),
        sparsity=config.sparsity,
        schedule=plan.schedule,
        begin_step=plan.begin_step,
        end_step=plan.end_step,
        frequency=plan.frequency,
        training=_training_for_tfmot(dataset, training),
    )


def quantize_with_tfmot(
    model: keras.Model, dataset: Dataset, training: TrainConfig
) -> tuple[Artifact, tfmot.TfmotReport, float]:
    """Return the int8 TFLite file of TFMOT's QAT on `dataset`, a report, and the metric of its fake-quantized model."""
    metric = METRICS[TASKS[dataset.task].metric]
    quantized, found = tfmot.qat(
        model,
        *_for_tfmot(model, dataset.train, dataset.task),
        training=_training_for_tfmot(dataset, training),
        judge=_in_order(model, dataset.test),
    )
    value = metric.reduce(metric.scores(quantized.outputs, dataset.test.y))
    manifest = make_manifest(
        quantized.data,
        model,
        name=f"{model.name}-w8a8-qat-tfmot",
        format="tflite",
        precision="w8a8-qat",
        sparsity=quantized.sparsity,
        engine="tfmot",
        task=dataset.task,
        preprocessing=dataset.preprocessing,
        metrics={metric.name: value},
    )
    return Artifact(quantized.data, manifest), found, value


def _for_tfmot(model: keras.Model, split: Split, task: str) -> tuple[list[np.ndarray], np.ndarray]:
    return _in_order(model, split), targets_of(TASKS[task], split, model.output_shape[1:])


def _in_order(model: keras.Model, split: Split) -> list[np.ndarray]:
    """Return the samples of a split as one array for each input of the model."""
    return [split.x] if isinstance(split.x, np.ndarray) else [split.x[leaf.name] for leaf in model.inputs]


def _training_for_tfmot(dataset: Dataset, training: TrainConfig) -> tfmot.TfmotTraining:
    batch_size = training.batch_for(len(dataset.train))
    return tfmot.TfmotTraining(
        loss="sparse_categorical_crossentropy" if TASKS[dataset.task].labelled else "mean_squared_error",
        epochs=training.passes * training.epochs_for(training.passes * -(-len(dataset.train) // batch_size)),
        batch_size=batch_size,
        learning_rate=training.learning_rate,
        seed=training.seed,
    )


def train_config(
    stage: str, dataset: Dataset, *, quick: bool = False, brief: bool = False, epochs: int | None = None, seed: int = 0,
    peak: float = 2e-3, **settings: Any,
) -> TrainConfig:  # fmt: skip
    """Return how `stage` ("train", "prune" or "qat") trains on `dataset`; settings that are not None replace the
    budget's.

    peak: the learning rate of the model's training, of which later stages take a share.
    """
    spend = budget(stage, len(dataset.train), quick=quick, brief=brief, epochs=epochs, learning_rate=peak)
    chosen = {
        "batch_size": spend.batch_size,
        "learning_rate": spend.learning_rate,
        "passes": spend.passes,
        "enough": spend.enough,
    }
    chosen |= {name: value for name, value in settings.items() if value is not None}
    return TrainConfig(epochs=spend.epochs, seed=seed, **chosen)


def scheduled(config: PruneConfig, training: TrainConfig, dataset: Dataset) -> PruneConfig:
    """Return `config` with its schedule laid over the training: the full sparsity after half of the steps."""
    per_epoch = -(-len(dataset.train) // training.batch_for(len(dataset.train)))
    steps = per_epoch * training.passes * (training.epochs or 1)
    return replace(config, begin_step=0, end_step=max(1, steps // 2), frequency=max(1, steps // 40))


def bench(
    artifacts: Sequence[Artifact | str | Path], *, baseline: Artifact | str | Path, data: str | Dataset | None = None,
    device: str = "local", config: BenchConfig | None = None,
) -> Run:  # fmt: skip
    """Measure artifacts or model files against `baseline` on `device`.

    data: a Dataset, or the name of one, presented as the first file's manifest says; without it, no accuracy: random
    inputs.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        paths = [_on_disk(one, Path(folder)) for one in [*artifacts, baseline]]
        files = [ModelFile.read(path) for path in dict.fromkeys(paths)]
        against = ModelFile.read(paths[-1]).name
        dataset = data if isinstance(data, Dataset) or data is None else _presented(data, files[-1])
        if dataset is None:
            return measure.bench(
                files, baseline=against, inputs=random_inputs(files[-1]), device=device, config=config or BenchConfig()
            )
        return measure.bench(
            files,
            baseline=against,
            inputs=dataset.test.x,
            targets=dataset.test.y,
            metric=TASKS[dataset.task].metric,
            device=device,
            config=config or BenchConfig(),
            model=files[-1].manifest.get("name", files[-1].name),
            data=dataset.name,
        )


def random_inputs(file: ModelFile, count: int = 64) -> dict[str, np.ndarray]:
    """Return standard normal inputs (zeros for integer inputs) in the shapes that the device reads off the file."""
    found = measure.inspect(file)
    if not found.ok:
        raise BadInput(f"{file.path}: {found.reason}")
    random = np.random.default_rng(0)
    inputs = {}
    for entry in found.one("model")["inputs"]:
        shape = (count, *entry["shape"][1:])
        is_float = str(entry["dtype"]).startswith(("float", "int8", "uint8"))
        inputs[entry["name"]] = random.normal(size=shape).astype(np.float32) if is_float else np.zeros(shape, np.int32)
    return inputs


def _presented(data: str, file: ModelFile) -> Dataset:
    inputs = file.manifest.get("inputs") or measure.inspect(file).one("model")["inputs"]
    shape = tuple(inputs[0]["shape"][1:])
    dtype = inputs[0]["dtype"] if "int32" in str(inputs[0]["dtype"]) else "float32"
    return datasets.load(data, input_shape=shape, dtype=dtype, task=file.manifest.get("task"))


def _on_disk(one: Artifact | str | Path, folder: Path) -> Path:
    return one.save(folder / f"{one.name}{one.suffix}") if isinstance(one, Artifact) else Path(one)


class Comparison(list[Verdict]):
    """Verdicts that print as a table."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing to compare: every file is its own baseline"


def compare(run: Run, thresholds: Thresholds | None = None) -> Comparison:
    """Judge every file of `run` against its baseline: `pass`, `fail` or `inconclusive`, with 95% intervals."""
    return Comparison(judge(run, thresholds or Thresholds()))
