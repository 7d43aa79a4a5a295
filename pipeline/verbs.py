"""The stages as verbs of the command line: files in, files out, one answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from keras import tree

from ..arguments import Answer
from ..devices import compile as compiling
from ..devices import measure, overview, report, target
from ..devices.compare import Thresholds
from ..devices.measure import BenchConfig, ModelFile, Run
from ..devices.regress import regressions
from ..errors import BadInput
from ..export import EXPORTERS
from ..files import write
from ..progress import say
from ..prune import PruneConfig
from ..prune import prune as prune_once
from ..quantize import QatConfig, find_quantized, prepare_qat
from ..quantize.streaming import streaming as one_step
from ..training.data import Dataset, calibration
from ..training.tasks import TASKS
from ..training.train import Evaluation, TrainConfig, data_for, evaluate
from ..training.train import train as fit
from . import check as preflight
from . import deliver, foreign, stages
from . import diagnose as noise
from .budget import QUICK_TRAINING_SAMPLES
from .judged import facts
from .mixed import mixed_precision
from .saved import load_model, note, noted, save_model
from .stages import train_config
from .subject import find

RARE = 0.2  # of an even share of the samples, below which a class is called rare


def train(model: str, out: Path, data: str | None, preset: str, *, weights: str | None, quick: bool, seed: int,
          epochs: int | None, batch_size: int | None, learning_rate: float | None,
          class_weights: str | None = None) -> Answer:  # fmt: skip
    subject = find(model, data, preset=preset, weights=weights, seed=seed, quick=quick)
    network = subject.make()
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
          epochs: int | None, engine: str = "edgewright") -> Answer:  # fmt: skip
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
    settings = train_config("prune", dataset, quick=quick, epochs=epochs, seed=seed)
    if engine == "tfmot":
        sparse, found = stages.prune_with_tfmot(network, config, dataset, settings)
    else:
        sparse, found = stages.prune(network, config, data=dataset, training=settings, out=_logs(out))
    judged = evaluate(sparse, dataset.test, dataset.task)
    return _written(sparse, out, dataset, judged, rows=list(found.rows), text=str(found))


def qat(model: str, out: Path, data: str, *, precision: str, observer: str, ranges: str, freeze_after: int | None,
        recurrence: str | None, target: str | None, quick: bool, seed: int, epochs: int | None,
        engine: str = "edgewright", max_drop: float | None = None) -> Answer:  # fmt: skip
    wanted = {"default": precision, "observer": observer, "ranges": ranges, "freeze_after": freeze_after}
    wanted |= {"recurrence": recurrence} if recurrence else {}
    config = preflight.quantization_for(target, **wanted) if target else QatConfig(**wanted)
    if engine == "tfmot":
        _check_for_tfmot(out, config)
    network = load_model(model)
    dataset = data_for(network, data, limit=QUICK_TRAINING_SAMPLES if quick else None, seed=seed)
    settings = train_config("qat", dataset, quick=quick, epochs=epochs, seed=seed)
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
    metric = TASKS[dataset.task].metric
    text = f"{found}\n{path}: {metric} {value:.4f} on the test set of {dataset.name}, fake-quantized in tf-keras"
    document = {"path": str(path), "data": dataset.name, "metric": metric, "value": value, "rows": list(found.rows)}
    return Answer(document=document, text=text)


def export(
    model: str, out: Path, *, format: str, precision: str | None, data: str | None, streaming: bool = False
) -> Answer:
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
    artifact = EXPORTERS[format](network, precision=precision, calibration=samples)
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
        write(out, noise.picture(found).encode())
    return Answer(document=found.to_json(), text=str(found), ok=found.first_divergence is None)


def bench(files: Sequence[str], *, baseline: str, data: str | None, device: str, out: Path | None, max_drop: float,
          min_speedup: float | None, targets: Sequence[str] = (), **measuring: Any) -> Answer:  # fmt: skip
    """measuring: of BenchConfig."""
    found = [target.load(name) for name in targets]  # unknown names before any work
    config = BenchConfig(**measuring)
    paths = [Path(file) for file in dict.fromkeys([*files, baseline])]
    described = [ModelFile.read(path) for path in paths]
    known = {"baseline": Path(baseline).name, "device": device, "config": config}
    if data is None:
        run = foreign.bench_random(described, **known)
    elif data.endswith(".npz"):
        run = foreign.bench_npz(described, npz=Path(data), **known)
    else:
        run = stages.bench(paths, baseline=Path(baseline), data=data, device=device, config=config)
    run.estimates = compiling.estimates({file.name: file.path for file in described}, found)
    judged_metric = max_drop if run.metric else None
    answer = judged(run, Thresholds(max_drop=judged_metric, min_speedup=min_speedup), out)
    measured = all(one["status"] != "incomplete" for one in run.measured.values())
    return answer if measured else replace(answer, ok=False)  # what the device could not do is no success


def compare(folders: Sequence[str], *, max_drop: float, min_speedup: float | None) -> Answer:
    """Judge one run again, or a later run against an earlier one."""
    runs = [_run_in(Path(folder)) for folder in folders]
    thresholds = Thresholds(max_drop=max_drop, min_speedup=min_speedup)
    if len(runs) == 1:
        return judged(runs[0], thresholds, None)
    if len(runs) != 2:
        raise BadInput(f"FOLDER: {len(runs)} were given; give one run, or an earlier and a later one")
    other = _two_models(folders, runs)
    found = regressions(runs[0], runs[1], thresholds)
    document = {"schema": 1, "models": [run.model for run in runs], "changes": found.to_json()}
    return Answer(document=document, text="\n\n".join(filter(None, [other, str(found)])), ok=not found.regressed)


def _two_models(folders: Sequence[str], runs: Sequence[Run]) -> str:
    """Say that two runs are of two models, which is no regression of either; refuse where they share no file."""
    first, second = runs
    shared = first.measured.keys() & second.measured.keys()
    words = (
        f"{folders[0]} is a run of {first.model or 'unnamed files'}, {folders[1]} of {second.model or 'unnamed files'}"
    )
    if not shared:
        raise BadInput(
            f"{words}: no file is in both; compare two runs of one model, or show both on one page: edgewright report "
            f"{folders[0]} {folders[1]} --out page.html"
        )
    return f"{words}: two models are compared, not one with itself" if first.model != second.model else ""


def render(folders: Sequence[str], out: Path | None) -> Answer:
    """Write the report of one run anew, or one page over several runs."""
    if len(folders) == 1 and out is None:
        results, run = _results_in(Path(folders[0]))
        samples = {name: values.tolist() for name, values in run.samples().items()}
        page = write(Path(folders[0]) / "report.html", report.html(results, samples))
        return Answer(document={"report": str(page)}, text=str(page))
    if out is None:
        raise BadInput("--out is missing: say where the page over several runs goes, as overview.html")
    sessions = []
    for folder in folders:
        results, run = _results_in(Path(folder))
        sessions.append(overview.Session(label=folder, run=run, results=results))
    page = write(out, overview.html(sessions))
    boards = {session.place: overview.leaderboard([session]) for session in sessions}
    kept = ("artifact", "rank", "sha256", "p50_us", "metric_value", "verdict", "why_not")
    document = [
        {"model": model, "device": device, **{key: entry[key] for key in kept}}
        for (model, device), entries in boards.items()
        for entry in entries
    ]
    return Answer(document={"report": str(page), "leaderboard": document}, text=str(page))


def _results_in(folder: Path) -> tuple[dict[str, Any], Run]:
    path = next((one for one in (folder / "results.json", folder / "bench" / "results.json") if one.is_file()), None)
    if path is None:
        raise BadInput(f"{folder}: holds no results.json; give the folder of a run")
    return json.loads(path.read_text()), _run_in(folder)


def judged(run: Run, thresholds: Thresholds, out: Path | None) -> Answer:
    """Return the verdicts on `run` as an answer, and write run and report to `out` if given."""
    verdicts = stages.compare(run, thresholds)
    results = {"model": "", "data": "", **run.to_json(verdicts, thresholds)}
    if out is not None:
        run.save(out, verdicts, thresholds)
        write(out / "report.html", report.html(results, {name: each.tolist() for name, each in run.samples().items()}))
    return Answer(document=results, text=report.markdown(results), ok=all(one.verdict != "fail" for one in verdicts))


def inspect(path: str) -> dict[str, Any]:
    """Return what the runtime says of a model file."""
    found = measure.inspect(ModelFile.read(path))
    return {"path": path, "status": found.status, "reason": found.reason, **(found.one("model") if found.ok else {})}


def _run_in(folder: Path) -> Run:
    return Run.load(folder / "bench" if (folder / "bench").is_dir() else folder)


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
