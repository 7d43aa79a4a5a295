"""The stages as verbs of the command line: files in, files out, one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from keras import tree

from ..errors import BadInput
from ..export import EXPORTERS
from ..files import write
from ..pipeline import check as preflight
from ..pipeline import deliver, stages
from ..pipeline import diagnose as noise
from ..pipeline.budget import QUICK_TRAINING_SAMPLES
from ..pipeline.judged import facts
from ..pipeline.mixed import mixed_precision
from ..pipeline.saved import check_savable, load_model, note, noted, save_model
from ..pipeline.stages import train_config
from ..pipeline.workload import find
from ..progress import say
from ..prune import PruneConfig
from ..prune import prune as prune_once
from ..quantize import QatConfig, find_quantized, prepare_qat
from ..quantize.streaming import streaming as one_step
from ..training.data import Dataset, calibration
from ..training.tasks import TASKS
from ..training.train import Evaluation, TrainConfig, data_for, evaluate
from ..training.train import train as fit
from .arguments import Answer
from .benches import bench, compare, inspect, judged, render

RARE = 0.2  # of an even share of the samples, below which a class is called rare


def train(model: str, out: Path, data: str | None, preset: str, *, weights: str | None, quick: bool, seed: int,
          epochs: int | None, batch_size: int | None, learning_rate: float | None,
          class_weights: str | None = None) -> Answer:  # fmt: skip
    subject = find(model, data, preset=preset, weights=weights, seed=seed, quick=quick)
    network = subject.make()
    check_savable(network, model)
    settings = train_config(
        "train",
        subject.dataset,
        quick=quick,
        epochs=epochs,
        seed=seed,
        peak=subject.learning_rate,
        batch_size=batch_size,
        learning_rate=learning_rate,
        class_weights=class_weights,
    )
    result = fit(network, subject.dataset, settings, learner=subject.learner, out=_logs(out))
    return _written(network, out, subject.dataset, result.judged)


def prune(model: str, out: Path, data: str | None, *, sparsity: float, schedule: str, quick: bool, seed: int,
          epochs: int | None, engine: str = "edgewright", class_weights: str | None = None) -> Answer:  # fmt: skip
    network = load_model(model)
    config = PruneConfig(sparsity=sparsity, schedule=schedule)
    if data is None and engine == "tfmot":
        raise BadInput("--data is missing: engine tfmot prunes while it trains; name a data set or pkg.module:function")
    if data is None:
        sparse, found = prune_once(network, config)
        save_model(sparse, out)
        if known := noted(model):
            note(out, known)
        return Answer(document={"model": str(out), "rows": list(found.rows)}, text=f"{found}\n{out}")
    dataset = data_for(network, data, limit=QUICK_TRAINING_SAMPLES if quick else None, seed=seed)
    settings = train_config("prune", dataset, quick=quick, epochs=epochs, seed=seed, class_weights=class_weights)
    if engine == "tfmot":
        sparse, found = stages.prune_with_tfmot(network, config, dataset, settings)
    else:
        sparse, found = stages.prune(network, config, data=dataset, training=settings, out=_logs(out))
    judged = evaluate(sparse, dataset.test, dataset.task)
    return _written(sparse, out, dataset, judged, rows=list(found.rows), text=str(found))


def qat(model: str, out: Path, data: str, *, precision: str, observer: str, ranges: str, freeze_after: int | None,
        recurrence: str | None, target: str | None, quick: bool, seed: int, epochs: int | None,
        engine: str = "edgewright", max_drop: float | None = None,
        class_weights: str | None = None) -> Answer:  # fmt: skip
    wanted = {"default": precision, "observer": observer, "ranges": ranges, "freeze_after": freeze_after}
    wanted |= {"recurrence": recurrence} if recurrence else {}
    config = preflight.quantization_for(target, **wanted) if target else QatConfig(**wanted)
    if engine == "tfmot":
        _check_for_tfmot(out, config)
    network = load_model(model)
    dataset = data_for(network, data, limit=QUICK_TRAINING_SAMPLES if quick else None, seed=seed)
    settings = train_config("qat", dataset, quick=quick, epochs=epochs, seed=seed, class_weights=class_weights)
    if engine == "tfmot":
        return _qat_with_tfmot(network, out, dataset, settings)
    if max_drop is not None:
        chosen = mixed_precision(network, dataset, max_drop, config)
        say(str(chosen))
        config = chosen.config
    quantized, found = prepare_qat(network, config, calibration=calibration(dataset))
    result = stages.train(quantized, dataset, settings, out=_logs(out))
    return _written(quantized, out, dataset, result.judged, rows=list(found.rows), text=str(found))


def _check_for_tfmot(out: Path, config: QatConfig) -> None:
    if out.suffix != ".tflite":
        raise BadInput(f"--out {out}: QAT by engine tfmot ends in a TFLite file; end the name in .tflite")
    known = {"default": "w8a8", "observer": "minmax", "ranges": "frozen", "recurrence": "unrolled", "by_type": {}}
    for option, plain in known.items():
        if (value := getattr(config, option)) != plain:
            name = {"default": "precision", "by_type": "target"}.get(option, option)
            raise BadInput(f"--{name} {value}: engine tfmot knows 8 bits and a moving average only; leave it out")


def _qat_with_tfmot(network: keras.Model, out: Path, dataset: Dataset, settings: TrainConfig) -> Answer:
    artifact, found, value = stages.quantize_with_tfmot(network, dataset, settings)
    path = artifact.save(out)
    metric = TASKS[dataset.task].metric.name
    text = f"{found}\n{path}: {metric} {value:.4f} on the test set of {dataset.name}, fake-quantized in tf-keras"
    document = {"path": str(path), "data": dataset.name, "metric": metric, "value": value, "rows": list(found.rows)}
    return Answer(document=document, text=text)


def export(
    model: str, out: Path, *, format: str, precision: str | None, data: str | None, streaming: bool = False, **more: Any
) -> Answer:
    """more: of the exporter."""
    network = load_model(model)
    samples = None
    if (precision or "").endswith("-ptq") and find_quantized(network) is None:
        if data is None:
            raise BadInput(
                f"--data is missing: {precision} calibrates on samples; name a data set or give pkg.module:function"
            )
        samples = calibration(data_for(network, data))
    if streaming:
        network, samples = _as_step(network, precision or "", samples), None
    artifact = EXPORTERS[format](network, precision=precision, calibration=samples, **more)
    artifact = replace(artifact, manifest={**artifact.manifest, **noted(model)})
    path = artifact.save(out)
    text = f"{path}: {artifact.manifest['precision']}, {artifact.manifest['bytes']:,} bytes"
    return Answer(document={"path": str(path), **artifact.manifest}, text=text)


def _as_step(network: keras.Model, precision: str, samples: Any) -> keras.Model:
    """Return one time step of a model; ranges are calibrated on whole sequences first where `samples` are given."""
    if samples is not None:
        bits = precision.partition("-")[0]
        network, _ = prepare_qat(network, QatConfig(default=bits), calibration=samples)
    return one_step(network)


def export_for(model: str, names: Sequence[str], out: Path, *, data: str | None, streaming: bool = False) -> Answer:
    network = load_model(model)
    samples = None if data is None else calibration(data_for(network, data))
    if streaming:
        network, samples = _as_step(network, "w8a8", samples), None
    found = deliver.deliver(network, names, out, samples)
    return Answer(
        document=[one.to_json() for one in found], text="\n\n".join(map(str, found)), ok=all(one.ok for one in found)
    )


def check(model: str, wanted: str, **options: Any) -> Answer:
    found = preflight.check(model, wanted, **options)
    return Answer(document=found.to_json(), text=str(found), ok=found.fits)


def diagnose(model: str, *, data: str, samples: int, device: str, out: Path | None) -> Answer:
    if samples < 1:
        raise BadInput(f"--samples {samples}: must be at least 1")
    network = load_model(model)
    dataset = data_for(network, data, limit=QUICK_TRAINING_SAMPLES)
    original = network if find_quantized(network) is None else None
    if original is not None:
        network, _ = prepare_qat(network, calibration=calibration(dataset))
    chosen = tree.map_structure(lambda array: array[:samples], dataset.test.x)
    found = noise.diagnose(network, chosen, device=device)
    points, notes = noise.points_of(network, dataset, original=original, device=device)
    found = replace(found, points=points, notes=notes)
    if out is not None:
        write(out, noise.picture(found, out.suffix[1:]))
    return Answer(document=found.to_json(), text=str(found), ok=found.first_divergence is None)


def _logs(out: Path) -> Path:
    return out.with_name(f"{out.stem}-logs")


def _written(
    model: keras.Model, out: Path, dataset: Dataset, judged: Evaluation | None, text: str = "", **more: Any
) -> Answer:
    assert judged is not None
    save_model(model, out)
    note(out, facts(dataset))
    line = f"{out}: {judged.metric_name.replace('_', ' ')} {judged.value:.4f} on the test set of {dataset.name}"
    rare = [_rare(head, found, dataset) for head, found in judged.figures.items() if found]
    document = {"model": str(out), "data": dataset.name, "metric": judged.metric_name, "value": float(judged.value)}
    document |= {"figures": judged.figures} if rare else {}
    return Answer(document={**document, **more}, text="\n".join(filter(None, [text, line, *rare])))


def _rare(head: str, found: Mapping[str, Any], dataset: Dataset) -> str:
    """Say where accuracy hides a class: below a tenth of the even share, it counts for next to nothing there."""
    support, names = found["support"], dataset.named_labels.get(head) or ()
    there = [number for number, count in enumerate(support) if count]
    number = min(there, key=lambda one: support[one])
    if support[number] * len(there) > RARE * sum(support):
        return ""
    name = names[number] if number < len(names) else number
    recall, precision = found["recall"][number], found["precision"][number]
    what = f"class {name} is rare ({support[number]:,} of {sum(support):,})"
    return f"{what}: recall {recall:.4f}, precision {precision:.4f}"


__all__ = ["bench", "compare", "export", "inspect", "judged", "prune", "qat", "render", "train"]
