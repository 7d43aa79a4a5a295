"""The stages as verbs of the command line: files in, files out, one answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from keras import tree

from .. import metrics
from ..devices.targets import target as targets
from ..errors import BadInput, EdgewrightError
from ..export import EXPORTERS
from ..files import write
from ..inspection.methods import Asked
from ..pipeline import (
    by_tfmot,
    deliver,
    exporting,
    find,
    inspecting,
    pruning,
    quantizing,
    sanity,
    shortlisting,
    training,
    validating,
)
from ..pipeline import check as preflight
from ..pipeline import diagnose as noise
from ..pipeline.back_translating import with_monolingual
from ..pipeline.budget import QUICK_TRAINING_SAMPLES, train_config
from ..pipeline.clock import FLOAT, INTEGER, clocked_for
from ..pipeline.mixed import LADDER, mixed_for
from ..pipeline.origins import request
from ..pipeline.saved import check_savable, load_model, manifest_facts, noted, save_networks, siblings
from ..pipeline.workload import Workload
from ..progress import say
from ..prune import methods
from ..quantize import QatConfig, find_quantized, prepare_qat
from ..quantize.streaming import streaming as one_step
from ..training.config import TrainConfig
from ..training.data import Dataset
from ..training.distillation import Distillation
from ..training.tasks import Evaluation, Networks
from .arguments import Answer
from .benches import bench, compare, judged, render

RARE = 0.2  # of an even share of the samples, below which a class is called rare


def train(model: str, out: Path, data: str | None, preset: str, *, also: Sequence[str], weights: str | None,
          freeze: int, quick: bool, seed: int, epochs: int | None, batch_size: int | None, learning_rate: float | None,
          class_weights: str | None = None, teaching: Distillation | None = None,
          check: bool = False, folds: int | None = None, folds_by: str = "chance",
          translated: tuple[str, str] | None = None, **options: Any) -> Answer:  # fmt: skip
    """Train a model of one network or several from the start, or go on with that of a file.

    folds: judge the training on so many folds first. translated: a reverse model, and text for it. options: further
    settings of `TrainConfig`.
    """
    work = find.find(model, data, preset=preset, weights=weights, freeze=freeze, seed=seed, quick=quick,
                     also=also)  # fmt: skip
    work = with_monolingual(work, *translated) if translated else work
    networks = work.make()
    for network in networks.values():
        check_savable(network, model)
    settings = _settings("train", work, quick=quick, seed=seed, epochs=epochs, batch_size=batch_size,
                         learning_rate=learning_rate, class_weights=class_weights, **options)  # fmt: skip
    if check:
        say(str(sanity.check(work, settings)))
    found = validating.across(work, settings, folds, folds_by, teaching) if folds is not None else None
    result = training.train(networks, work, settings, _logs(out), teaching=teaching)
    more = {} if found is None else {"text": str(found), "folds": found.to_dict()}
    return _written(work.complete(networks), out, work, result.judged, **more)


def prune(model: str, out: Path, data: str | None, *, way: tuple[str, Mapping[str, Any]], also: Sequence[str],
          quick: bool, seed: int, epochs: int | None, engine: str = "edgewright", class_weights: str | None = None,
          teaching: Distillation | None = None) -> Answer:  # fmt: skip
    """Prune the networks of a file that go to a device, at once or while training goes on. way: name and settings."""
    config = methods.configured(*way, seed=seed)
    if data is None and engine == "tfmot":
        raise BadInput("--data is missing: engine tfmot prunes while it trains; name a data set or pkg.module:function")
    if data is None:
        return _cut(model, out, config, also)
    networks, work = _loaded(model, data, quick=quick, seed=seed, also=also)
    settings = _settings("prune", work, quick=quick, seed=seed, epochs=epochs, class_weights=class_weights)
    if engine == "tfmot":
        ((name, network),) = _alone(networks, engine).items()
        sparse, report = by_tfmot.prune_with_tfmot(network, config, work.dataset, settings)
        made, rows, text, held = {name: sparse}, list(report.rows), str(report), ()
    else:
        pruned = pruning.prune(networks, work, config, settings, _logs(out), teaching=teaching)
        made, rows, text, held = pruned.networks, pruned.rows(), _told(pruned.reports), pruned.held
    return _written(made, out, work, training.evaluated(made, work), rows=rows, text=text, held=held)


def _cut(model: str, out: Path, config: Any, also: Sequence[str]) -> Answer:
    networks = find.with_siblings(Path(model))
    request(networks, also)
    pruned = pruning.cut(networks, config, find.deployed(networks))
    known = noted(model)
    known |= {"also": list(also)} if also else {}
    files = save_networks(pruned.networks, out, lambda name: {**known, "network": name} if known else {})
    text = "\n".join([_told(pruned.reports), *map(str, files.values())])
    return Answer(document={"model": str(next(iter(files.values()))), "rows": pruned.rows()}, text=text)


def qat(model: str, out: Path, data: str, wanted: Mapping[str, Any], *, target: str | None, also: Sequence[str],
        quick: bool, seed: int, epochs: int | None, engine: str = "edgewright", max_drop: float | None = None,
        keep_db: float | None = None, by_clock: str | None = None, class_weights: str | None = None,
        teaching: Distillation | None = None) -> Answer:  # fmt: skip
    """Retrain the networks of a file with quantizers in those that go to a device; wanted: fields of QatConfig."""
    config = preflight.quantization_for(target, **wanted) if target else QatConfig(**wanted)
    if engine == "tfmot":
        _check_for_tfmot(out, config)
    networks, work = _loaded(model, data, quick=quick, seed=seed, also=also)
    work = preflight.suited_to(work, target)
    settings = _settings("qat", work, quick=quick, seed=seed, epochs=epochs, class_weights=class_weights)
    if engine == "tfmot":
        (network,) = _alone(networks, engine).values()
        return _qat_with_tfmot(network, out, work.dataset, settings)
    if by_clock is not None:
        config = _by_clock(networks, work, by_clock, config)
    if max_drop is not None or keep_db is not None:
        ladder = targets.load(target).quantization.finer if target else LADDER
        chosen = mixed_for(networks, work, max_drop, config, keep_db=keep_db, ladder=ladder)
        say(str(chosen))
        config = chosen.config
    quantized = quantizing.quantize(networks, work, settings, _logs(out), config, teaching=teaching)
    return _written(quantized.networks, out, work, quantized.result.judged, rows=quantized.rows(),
                    text=_told(quantized.reports), held=quantized.held)  # fmt: skip


def _by_clock(networks: Networks, work: Workload, device: str, config: QatConfig) -> QatConfig:
    """Return what a device's clock leaves in float.  Raises: EdgewrightError where that is all."""
    chosen, told = clocked_for(networks, work, device, config)
    say(str(told))
    if told.chosen == FLOAT:
        raise EdgewrightError(
            f"{told.device}: float32 is the fastest, 8 bits take {1 / told.speedups[INTEGER].value:.2g} times as long: "
            "ship the float file (edgewright export --precision float32), or leave out --by-clock to quantize for size"
        )
    return chosen


def _settings(stage: str, work: Workload, **options: Any) -> TrainConfig:
    return train_config(stage, work.dataset, **work.pace, **options)


def _loaded(
    model: str, data: str, *, quick: bool = False, seed: int = 0, also: Sequence[str] = ()
) -> tuple[dict[str, keras.Model], Workload]:
    return find.of_file(model, data, limit=QUICK_TRAINING_SAMPLES if quick else None, seed=seed, also=also)


def _alone(networks: Networks, what: str) -> Networks:
    if len(networks) > 1:
        raise BadInput(f"{what} takes one network, the model has {', '.join(networks)}; leave it out")
    return networks


def _asked(model: str, networks: Networks, work: Workload) -> str:
    """Return which of the networks a file holds, one that is quantized.  Raises: BadInput for another."""
    names = [name for name, path in siblings(Path(model)).items() if path == Path(model)] or list(networks)
    if names[0] not in work.compressed:
        raise BadInput(f"{model}: network {names[0]!r} is not quantized itself; give the file of "
                       f"{' or '.join(work.compressed)}")  # fmt: skip
    return names[0]


def _told(reports: Mapping[str, Any]) -> str:
    """Return reports as text, of several networks under the name of each."""
    return "\n".join(f"{name}\n{report}" if len(reports) > 1 else str(report) for name, report in reports.items())


def _check_for_tfmot(out: Path, config: QatConfig) -> None:
    if out.suffix != ".tflite":
        raise BadInput(f"--out {out}: QAT by engine tfmot ends in a TFLite file; end the name in .tflite")
    known = {"default": "w8a8", "observer": "minmax", "ranges": "frozen", "recurrence": "unrolled", "by_type": {}}
    known |= {"residual_stream": None}
    for option, plain in known.items():
        if (value := getattr(config, option)) != plain:
            name = {"default": "precision", "by_type": "target"}.get(option, option.replace("_", "-"))
            raise BadInput(f"--{name} {value}: engine tfmot knows 8 bits and a moving average only; leave it out")


def _qat_with_tfmot(network: keras.Model, out: Path, dataset: Dataset, settings: TrainConfig) -> Answer:
    artifact, report, value = by_tfmot.quantize_with_tfmot(network, dataset, settings)
    path = artifact.save(out)
    (metric,) = artifact.manifest["metrics"]
    text = f"{report}\n{path}: {metric} {value:.4f} on the test set of {dataset.name}, fake-quantized in tf-keras"
    document = {"path": str(path), "data": dataset.name, "metric": metric, "value": value, "rows": list(report.rows)}
    return Answer(document=document, text=text)


def export(
    model: str, out: Path, *, format: str, precision: str | None, data: str | None, streaming: bool = False,
    shortlist: str | None = None, **more: Any,
) -> Answer:  # fmt: skip
    """Write one network as a file for devices. shortlist: what is kept of its tokens. more: of the exporter."""
    network, samples = load_model(model), None
    if (precision or "").endswith("-ptq") and find_quantized(network) is None:
        if data is None:
            raise BadInput(
                f"--data is missing: {precision} calibrates on samples; name a data set or give pkg.module:function"
            )
        network, samples = _calibrated(model, data, precision or "")
    if streaming:
        network, samples = _as_step(network, precision or "", samples), None
    more |= _shortlisted(model, shortlist, data)
    artifact = EXPORTERS[format](network, precision=precision, calibration=samples, **more)
    artifact = replace(artifact, manifest={**artifact.manifest, **manifest_facts(model)})
    path = artifact.save(out)
    text = f"{path}: {artifact.manifest['precision']}, {artifact.manifest['bytes']:,} bytes"
    return Answer(document={"path": str(path), **artifact.manifest}, text=text)


def _calibrated(model: str, data: str, precision: str) -> tuple[keras.Model, Any]:
    """Return the network of a file as it is exported, and samples for it."""
    networks, work = _loaded(model, data)
    network = noted(model).get("network")
    return exporting.to_export(networks, work, network if network in networks else next(iter(networks)), precision)


def _shortlisted(model: str, shortlist: str | None, data: str | None) -> dict[str, Any]:
    """Return what the exporter is told of a shortlist."""
    if shortlist is None:
        return {}
    known, dataset = noted(model), None if data is None else _loaded(model, data)[1].dataset
    return {"shortlist": shortlisting.chosen(shortlist, known.get("labels", ()), known.get("task", ""), dataset)}


def _as_step(network: keras.Model, precision: str, samples: Any) -> keras.Model:
    """Return one time step of a model; ranges are calibrated on whole sequences first where `samples` are given."""
    if samples is not None:
        bits = precision.partition("-")[0]
        network, _ = prepare_qat(network, QatConfig(default=bits), calibration=samples)
    return one_step(network)


def export_for(model: str, names: Sequence[str], out: Path, *, data: str | None, streaming: bool = False,
               shortlist: str | None = None) -> Answer:  # fmt: skip
    """Write one network as each target takes it."""
    given = load_model(model)
    network, samples = (given, None) if data is None else _calibrated(model, data, "w8a8-ptq")
    if streaming:
        network, samples = _as_step(network, "w8a8", samples), None
    more = _shortlisted(model, shortlist, data)
    if find_quantized(network) is not None and find_quantized(given) is None:  # calibrated on the way here
        more["precision"] = "w8a8-ptq"
    deliveries = deliver.deliver(network, names, out, samples, **more)
    return Answer(
        document=[each.to_json() for each in deliveries],
        text="\n\n".join(map(str, deliveries)),
        ok=all(each.ok for each in deliveries),
    )


def check(model: str, wanted: str, **options: Any) -> Answer:
    """Say what a target cannot run of a model."""
    verdict = preflight.check(model, wanted, **options)
    agrees = verdict.confirmed is None or verdict.confirmed["agrees"]
    return Answer(document=verdict.to_json(), text=str(verdict), ok=verdict.fits and agrees)


def diagnose(model: str, *, data: str, samples: int, device: str, out: Path | None) -> Answer:
    """Show where quantization costs accuracy."""
    if samples < 1:
        raise BadInput(f"--samples {samples}: must be at least 1")
    networks, work = _loaded(model, data, quick=True)
    name = _asked(model, networks, work)
    network = networks[name]
    original = network if find_quantized(network) is None else None
    if original is not None:
        network, _ = prepare_qat(network, calibration=work.samples(name, networks=networks))
    if work.sampled:
        given = tree.map_structure(lambda array: array[:samples], work.dataset.test.x)
    else:  # what the task shows a network of, made by the others where they feed it
        given = work.samples(name, samples, networks)
    diagnosis = noise.diagnose(network, given, device=device)
    if work.sampled:
        points, notes = noise.points_of(network, work.dataset, original=original, device=device)
        diagnosis = replace(diagnosis, points=points, notes=notes)
    if out is not None:
        write(out, noise.picture(diagnosis, out.suffix[1:]))
    return Answer(document=diagnosis.to_json(), text=str(diagnosis), ok=diagnosis.first_divergence is None)


def inspect(
    model: str, methods: Sequence[str], out: Path | None, *, data: str, against: str | None, samples: int, **asked: Any
) -> Answer:
    """Show what a network and its quantized form look at. asked: of `Asked`."""
    networks, work = _loaded(model, data, quick=True)
    (network,) = _alone(networks, "edgewright inspect").values()
    plain = None if against is None else load_model(against)
    found = inspecting.inspect(network, work, methods, Asked(**asked), samples=samples, against=plain)
    page = None if out is None else found.save(out)
    text = "\n".join([str(found), *([] if page is None else [f"pictures: {page}"])])
    return Answer(document={**found.to_json(), "page": page and str(page)}, text=text)


def _logs(out: Path) -> Path:
    return out.with_name(f"{out.stem}-logs")


def _written(
    networks: Networks, out: Path, work: Workload, judged: Evaluation | None, text: str = "",
    held: Sequence[str] = (), **more: Any,
) -> Answer:  # fmt: skip
    assert judged is not None
    files, dataset = save_networks(networks, out, work.facts), work.dataset
    names = ", ".join(map(str, files.values()))
    line = f"{names}: {judged.metric_name.replace('_', ' ')} {judged.value:.4f} on the test set of {dataset.name}"
    rare = [_rare(head, figures, dataset) for head, figures in judged.figures.items() if "support" in figures]
    each = zip(metrics.get(judged.metric_name).each, judged.figures.values(), strict=False)
    rare += [_worst(figures["groups"], own) for own, figures in each if "groups" in figures]
    document = {"model": str(next(iter(files.values()))), "data": dataset.name, "metric": judged.metric_name}
    document |= {"value": float(judged.value)} | ({"figures": judged.figures} if any(judged.figures.values()) else {})
    document |= {"networks": {name: str(file) for name, file in files.items()}} if work.several else {}
    document |= {"held": list(held)} if held else {}
    return Answer(document={**document, **more}, text="\n".join(filter(None, [text, line, *rare])))


def _rare(head: str, figures: Mapping[str, Any], dataset: Dataset) -> str:
    """Say where accuracy hides a class: below a tenth of the even share, it counts for next to nothing there."""
    support, names = figures["support"], dataset.named_labels.get(head) or ()
    there = [number for number, count in enumerate(support) if count]
    number = min(there, key=lambda index: support[index])
    if support[number] * len(there) > RARE * sum(support):
        return ""
    name = names[number] if number < len(names) else number
    recall, precision = figures["recall"][number], figures["precision"][number]
    what = f"class {name} is rare ({support[number]:,} of {sum(support):,})"
    return f"{what}: recall {recall:.4f}, precision {precision:.4f}"


def _worst(groups: Mapping[str, Mapping[str, Any]], metric: metrics.Metric) -> str:
    """Say for which group a model does worst."""
    worst = min if metric.higher_is_better else max
    name, row = worst(groups.items(), key=lambda item: item[1]["value"])
    return f"group {name} is the worst of {len(groups)}: {metric.name.replace('_', ' ')} {row['value']:.4f}"


__all__ = ["bench", "compare", "export", "inspect", "judged", "prune", "qat", "render", "train"]
