"""The stages as library functions: each takes a Keras model or artifacts, and data by name or as a Dataset."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import metrics
from ..devices import measure
from ..devices.measure import BenchConfig, ModelFile, Run
from ..devices.verdict.compare import Thresholds, Verdict
from ..devices.verdict.compare import compare as judge
from ..errors import BadInput
from ..export import Artifact
from ..export.artifact import make_manifest
from ..progress import say
from ..prune import PruneConfig, prepare_prune, strip_prune
from ..prune import prune as prune_once
from ..quantize import find_quantized
from ..quantize.tfmot import engine as tfmot
from ..training import data as datasets
from ..training import tasks
from ..training.answers import in_order, outputs_of, places_of
from ..training.data import Dataset, Split
from ..training.tasks import TASKS, loss_of, sample_weights, shaped, targets_of
from ..training.train import TrainConfig, TrainResult, data_for, evaluate, predict_all
from ..training.train import train as fit
from .budget import budget
from .judged import presented, to_measure

load_data = datasets.load


def train(
    model: keras.Model, data: Any, config: TrainConfig | None = None, *, learner: str = "fit",
    out: str | Path | None = None,
) -> TrainResult:  # fmt: skip
    """Train `model` in place and restore its best epoch.

    A quantization-aware model never ends below calibration alone, as validation data judges it: where no epoch was
    better, it is the calibrated model again, and that is said.
    data: a name, pkg.module:function, a Dataset, or arrays, lists, dicts, frames, PyDatasets or tf.data.Datasets as
    (x, y), of which a fifth is held out to test and a tenth to validate, or as ((x, y), (x_test, y_test)).
    config: by default what `edgewright train`, or `edgewright qat`, uses for this size of data.  out: folder of logs
    and checkpoints; with it an interrupted training resumes exactly.
    """
    dataset = data_for(model, data)
    if find_quantized(model):
        return _retrain(model, dataset, config or train_config("qat", dataset), learner, out)
    return fit(model, dataset, config or train_config("train", dataset), learner=learner, out=out)


def _retrain(model: keras.Model, dataset: Dataset, config: TrainConfig, learner: str, out: str | Path | None) -> Any:
    task, split = tasks.of(dataset), dataset.validation

    def judge() -> dict[str, float]:
        return _validation(model, task, dataset, config)

    calibrated = [weight.copy() for weight in model.get_weights()]
    result = fit(model, dataset, config, learner=learner, out=out)
    trained, reached = model.get_weights(), judge()
    model.set_weights(calibrated)
    if task.best_epoch([judge(), reached], len(split)) == 0:
        say(f"{model.name}: no epoch of QAT validated better than calibration alone, which is kept")
        kept = evaluate(model, dataset.test, dataset.task)
        return replace(result, metric=kept.value, outputs=kept.outputs, judged=kept)
    model.set_weights(trained)
    return result


def _validation(model: keras.Model, task: tasks.Task, dataset: Dataset, config: TrainConfig) -> dict[str, float]:
    """Return what an epoch's logs would say of the model as it is: loss and accuracy on validation data.

    Of several outputs the losses are summed by weight.
    """
    split = dataset.validation
    answers, outputs = predict_all(model, split.x), outputs_of(model)
    places = places_of(list(task.heads), outputs, model.name) if task.heads else {"": 0}
    total = accuracy = 0.0
    for head, place in places.items():
        own = task.heads[head] if task.heads else task
        truth, values = split.y[head] if head else split.y, answers[place]
        loss, threshold = loss_of(own, outputs[place].ending, values, config)
        classes = dataset.heads[head].classes if head else dataset.classes
        weight = sample_weights(dataset, truth, config.class_weights, head) if classes else None
        found = loss(shaped(own, truth, values.shape[1:]), values, sample_weight=weight)
        total += (dataset.heads[head].weight if head else 1.0) * float(keras.ops.convert_to_numpy(found))
        if task.scored:
            metric = own.metric
            scores = metric.scores(metrics.centred(metric, values, threshold > 0), truth)
            accuracy = float(np.average(scores[:, 0], weights=weight))
    return {"val_loss": total} | ({"val_accuracy": accuracy} if task.scored else {})


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
    metric = TASKS[dataset.task].metric
    quantized, found = tfmot.qat(
        model,
        *_for_tfmot(model, dataset.train, dataset.task),
        training=_training_for_tfmot(dataset, training),
        judge=in_order(model, dataset.test.x),
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
    if task not in ("classification", "regression", "reconstruction"):
        raise BadInput(f"engine tfmot trains classification, regression and reconstruction, not {task}; leave it out")
    return in_order(model, split.x), targets_of(TASKS[task], split, model.output_shape[1:])


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
    artifacts: Sequence[Artifact | str | Path], *, baseline: Artifact | str | Path, data: Any = None,
    device: str = "local", config: BenchConfig | None = None,
) -> Run:  # fmt: skip
    """Measure artifacts or model files against `baseline` on `device`.

    data: a Dataset, the name of one, pkg.module:function, or arrays, frames and so on as (x, y), all of which is
    judged; read as the baseline's inputs and outputs say. Without it, no accuracy: random inputs.
    Raises: BadInput for data that does not fit, or where the device's runtime opens no file.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        paths = _on_disk([*artifacts, baseline], Path(folder))
        files = [ModelFile.read(path) for path in dict.fromkeys(paths)]
        first = ModelFile.read(paths[-1])
        if data is None:
            return measure.bench(
                files,
                baseline=first.name,
                inputs=random_inputs(files[-1]),
                device=device,
                config=config or BenchConfig(),
            )
        order = [first, *(file for file in files if file.name != first.name)]
        dataset = presented(data, order, device)
        return measure.bench(
            files,
            baseline=first.name,
            **to_measure(dataset),
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
    """Judge every file of `run` against its baseline: `pass`, `fail` or `inconclusive`, with 95% intervals."""
    return Comparison(judge(run, thresholds or Thresholds()))
