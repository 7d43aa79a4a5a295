"""The command line: every stage a verb, thin over the library.

Results go to standard output, progress to standard error. Exit codes: 0 success, 1 a verdict or a stage failed, 2 bad
usage or bad input, 130 interrupted.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from ..errors import BadInput, EdgewrightError, nearest
from ..precision import is_quantized
from ..progress import say
from ..training.config import CORRUPTIONS
from . import inputs
from .arguments import Answer, parse
from .inspecting import inspect
from .loading import with_keras
from .many import matrix, sweep, tune
from .options import (
    Also,
    Blocks,
    Channels,
    Check,
    ClassWeights,
    Clusters,
    Criterion,
    CutSteps,
    Data,
    Device,
    Engine,
    Epochs,
    FileBytes,
    Folds,
    FoldsBy,
    Freeze,
    Import,
    KerasFile,
    KerasOut,
    Latency,
    LowRank,
    Macs,
    MaxDrop,
    MinSpeedup,
    Model,
    MostDrop,
    MultipleOf,
    OfPrecision,
    OfTarget,
    Parameters,
    Pattern,
    PeakMemory,
    Preset,
    QuantizedFor,
    Quick,
    Regrow,
    Schedule,
    Scope,
    Seed,
    Shortlist,
    Sparsity,
    SparsityOrPattern,
    Teacher,
    TimedOn,
    TrainedTeacher,
    Weights,
)
from .output import failed, place, results_only
from .pruning import way_of
from .quantizing import Choosing, Quantizing, choice_of, config_of
from .teaching import Teaching, refuse_teacher, teaching_of
from .training import BackTranslation, Training, settings_of, translated_of

DESCRIPTION = """Take a Keras 3 model from training to a verdict on a device: train, prune, retrain with quantization in
the loop, export to TFLite and ONNX, measure, and say with statistics what was gained and lost."""


def models(*, family: Annotated[str | None, "only this family"] = None) -> Answer:
    """List the zoo."""
    from ..devices.report.report import table
    from ..models import index

    rows = list(index.rows())
    families = sorted({row["family"] for row in rows})
    if family is not None and family not in families:
        near = nearest(family, families)
        raise BadInput(f"--family {family!r}: unknown; {near}")
    rows = [row for row in rows if family in (None, row["family"])]
    cells = [(row["name"], row["family"], row["task"], f"{row['params']:,}", ", ".join(row["on_request"]), row["paper"])
             for row in rows]  # fmt: skip
    return Answer(document=rows, text=table(("model", "family", "task", "parameters", "on request", "paper"), cells))


def run(
    model: Model,
    *,
    data: Data = None,
    out: Annotated[str | None, "folder of the run; default: runs/MODEL-DATA", inputs.out_folder] = None,
    preset: Preset = "edge",
    also: Also = None,
    weights: Weights = None,
    freeze: Freeze = 0,
    quick: Quick = False,
    recipe: Annotated[
        str | None, "YAML file of the steps to take, in the place of the usual ones", inputs.yaml_file
    ] = None,
    sparsity: Sparsity = 0.5,
    seed: Seed = 0,
    epochs: Epochs = None,
    class_weights: ClassWeights = None,
    settings: Training,
    check: Check = False,
    shortlist: Shortlist = None,
    max_drop: MaxDrop = 0.01,
    min_speedup: MinSpeedup = None,
    judge: Annotated[
        Literal["test", "validation"], "data to judge files on; validation where you choose by the outcome"
    ] = "test",
    device: Device = "local",
    target: QuantizedFor = None,
    import_: Import = None,
) -> Answer:
    """Go the whole way: train, prune, QAT, export, bench, compare, report.

    Finished steps are kept in the folder of the run: the same command again resumes where it stopped.
    """
    inputs.check_own(model, data, preset)
    runs, reports = with_keras("pipeline.run", import_), with_keras("devices.report.report")
    with_keras("export.ahead").fork_ahead()
    config = runs.RunConfig(model=model, data=data, preset=preset, weights=weights, freeze=freeze, quick=quick,
                       sparsity=sparsity, seed=seed, epochs=epochs, class_weights=class_weights, max_drop=max_drop,
                       min_speedup=min_speedup, device=device, target=target, recipe=recipe, judge=judge,
                       training=settings_of(settings), check=check, shortlist=shortlist,
                       also=tuple(also or ()))  # fmt: skip
    results, folder = runs.execute(config, None if out is None else Path(out))
    say(f"report: {folder / 'report.html'}")
    return Answer(document=results, text=reports.markdown(results), ok=_none_failed(results["verdicts"]))


def train(
    model: Model,
    *,
    out: Annotated[str, "where to write the trained .keras file; logs and checkpoints go beside it", KerasOut],
    data: Data = None,
    preset: Preset = "edge",
    also: Also = None,
    weights: Weights = None,
    freeze: Freeze = 0,
    quick: Quick = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    batch_size: Annotated[
        int | None, "samples per step; default: from the size of the data", inputs.at_least(1)
    ] = None,
    learning_rate: Annotated[float | None, "peak learning rate; default: that of the stage", inputs.above(0)] = None,
    class_weights: ClassWeights = None,
    settings: Training,
    translated: BackTranslation,
    check: Check = False,
    folds: Folds = None,
    folds_by: FoldsBy = "chance",
    teacher: TrainedTeacher = None,
    taught: Teaching,
    import_: Import = None,
) -> Answer:
    """Train a model."""
    inputs.check_own(model, data, preset)
    teaching, reverse = teaching_of(teacher, taught, begun=False), translated_of(translated)
    verbs = with_keras("cli.verbs", import_)
    return verbs.train(model, Path(out), data, preset, also=also or (), weights=weights, freeze=freeze, quick=quick,
                       seed=seed, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
                       class_weights=class_weights, teaching=teaching, check=check, folds=folds, folds_by=folds_by,
                       translated=reverse, **settings_of(settings))  # fmt: skip


def prune(
    model: KerasFile,
    *,
    out: Annotated[str, "where to write the pruned .keras file", KerasOut],
    data: Annotated[
        str | None, "data to fine-tune on while pruning; default: prune at once, without training", inputs.data
    ] = None,
    sparsity: SparsityOrPattern = None,
    pattern: Pattern = None,
    regrow: Regrow = None,
    schedule: Schedule = None,
    channels: Channels = None,
    macs: Macs = None,
    parameters: Parameters = None,
    memory: PeakMemory = None,
    bytes: FileBytes = None,
    latency: Latency = None,
    max_drop: MostDrop = None,
    scope: Scope = None,
    steps: CutSteps = None,
    multiple_of: MultipleOf = None,
    target: OfTarget = None,
    device: TimedOn = None,
    precision: OfPrecision = None,
    criterion: Criterion = None,
    blocks: Blocks = None,
    clusters: Clusters = None,
    low_rank: LowRank = None,
    also: Also = None,
    engine: Engine = "edgewright",
    quick: Quick = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    class_weights: ClassWeights = None,
    teacher: Teacher = None,
    taught: Teaching,
    import_: Import = None,
) -> Answer:
    """Set the smallest weights to zero; or take channels or blocks out, share values, make kernels thin.

    How many channels go is said by one of --channels, --macs, --parameters, --memory, --bytes, --latency, --max-drop.
    """
    _check_other(model, out)
    teaching = teaching_of(teacher, taught)
    training = {"epochs": epochs, "class_weights": class_weights, "teacher": teacher,
                "untold": taught.get("untold")}  # fmt: skip
    way = way_of(engine, data, training, sparsity=sparsity, pattern=pattern, regrow=regrow, schedule=schedule,
                 criterion=criterion, channels=channels, macs=macs, parameters=parameters, memory=memory, bytes=bytes,
                 latency=latency, max_drop=max_drop, scope=scope, steps=steps, multiple_of=multiple_of, target=target,
                 device=device, precision=precision, blocks=blocks, clusters=clusters, low_rank=low_rank)  # fmt: skip
    _refuse_weights(engine, class_weights)
    refuse_teacher(engine, teacher, taught)
    verbs = with_keras("cli.verbs", import_)
    return verbs.prune(model, Path(out), data, way=way, also=also or (), quick=quick, seed=seed, epochs=epochs,
                       engine=engine, class_weights=class_weights, teaching=teaching)  # fmt: skip


def qat(
    model: KerasFile,
    *,
    data: Annotated[str, "data to calibrate and retrain on", inputs.data],
    out: Annotated[
        str, "where to write the quantization-aware .keras file; with --engine tfmot, the .tflite file", inputs.out_file
    ],
    quantized: Quantizing,
    target: QuantizedFor = None,
    choosing: Choosing,
    also: Also = None,
    engine: Engine = "edgewright",
    quick: Quick = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    class_weights: ClassWeights = None,
    teacher: Teacher = None,
    taught: Teaching,
    import_: Import = None,
) -> Answer:
    """Retrain a trained model with quantization in the loop."""
    choice = choice_of(choosing, engine)
    if engine == "edgewright":
        _check_other(model, out)
        KerasOut("--out", out)
    _refuse_weights(engine, class_weights)
    refuse_teacher(engine, teacher, taught)
    teaching = teaching_of(teacher, taught)
    verbs = with_keras("cli.verbs", import_)
    return verbs.qat(model, Path(out), data, config_of(quantized), target=target, **choice, also=also or (),
                     quick=quick, seed=seed, epochs=epochs, engine=engine, class_weights=class_weights,
                     teaching=teaching)  # fmt: skip


def export(
    model: KerasFile,
    *,
    out: Annotated[str, "where to write the file, its manifest beside it; with --target, a folder"],
    target: Annotated[list[str] | None, "what to write it for (see `edgewright check --help`)", inputs.target] = None,
    format: Annotated[
        Literal["tflite", "onnx"] | None, "file format; default: by the suffix of --out, or tflite"
    ] = None,
    precision: Annotated[
        str | None, "float32, float16, w8, w4, w8a8-ptq, w8a16-ptq ...; default: as the model is"
    ] = None,
    data: Annotated[str | None, "data to calibrate on, for -ptq", inputs.data] = None,
    integer_io: Annotated[
        Literal["int8", "uint8"] | None, "integers at the borders of a quantized .tflite file; default: float32"
    ] = None,
    layout: Annotated[
        Literal["nhwc", "nchw"] | None, "how an .onnx file takes images; default: nhwc, as the model does"
    ] = None,
    streaming: Annotated[bool, "one time step of a recurrent model, its states as inputs and outputs"] = False,
    shortlist: Shortlist = None,
    import_: Import = None,
) -> Answer:
    """Write a model as TFLite or ONNX, or as what a target takes: compiled, as a C array, and whether it fits."""
    if target:
        _refuse_beside("target", format=format, precision=precision, integer_io=integer_io, layout=layout)
        inputs.plain_folder("--out", out)
        verbs = with_keras("cli.verbs", import_)
        return verbs.export_for(model, target, Path(out), data=data, streaming=streaming, shortlist=shortlist)
    kind = inputs.format_of("--out", out, format)
    inputs.precision("--precision", precision, kind)
    if integer_io and kind == "onnx":
        raise BadInput(
            f"--integer-io {integer_io}: ONNX files have float borders; write a .tflite file, or leave it out"
        )
    if integer_io and precision is not None and not is_quantized(precision):
        raise BadInput(f"--integer-io {integer_io}: needs a quantized precision such as w8a8-ptq, not {precision}")
    if layout == "nchw" and kind == "tflite":
        raise BadInput(f"--layout {layout}: TFLite files take images as nhwc; write an .onnx file, or leave it out")
    verbs = with_keras("cli.verbs", import_)
    more: dict[str, Any] = {"integer_io": integer_io} if integer_io else {}
    more |= {"layout": layout} if layout and kind == "onnx" else {}
    return verbs.export(model, Path(out), format=kind, precision=precision, data=data, streaming=streaming,
                        shortlist=shortlist, **more)  # fmt: skip


def check(
    model: Annotated[str, ".tflite, .onnx or .keras file, name of the zoo, or pkg.module:function", inputs.checkable],
    *,
    target: Annotated[str, "name of a file in devices/targets; an unknown name lists them", inputs.target],
    preset: Preset = "edge",
    seed: Seed = 0,
    arena_bytes: Annotated[int | None, "memory for activations, instead of the target's", inputs.at_least(1)] = None,
    flash_bytes: Annotated[int | None, "memory for the file, instead of the target's", inputs.at_least(1)] = None,
    confirm: Annotated[bool, "ask the target's own tool too, and say where its table here is wrong"] = False,
    import_: Import = None,
) -> Answer:
    """Say before any training what a target cannot run of a model, why, what would help, and whether it fits."""
    inputs.check_preset(model, preset)
    verbs = with_keras("cli.verbs", import_)
    return verbs.check(model, target, preset=preset, seed=seed, confirm=confirm, arena_limit_bytes=arena_bytes,
                       flash_limit_bytes=flash_bytes)  # fmt: skip


def diagnose(
    model: KerasFile,
    *,
    data: Annotated[str, "data set or pkg.module:function whose test samples go through", inputs.data],
    samples: Annotated[int, "how many of them", inputs.at_least(1)] = 32,
    device: Device = "local",
    out: Annotated[str | None, "where to write a picture of the noise: .svg, .png or .pdf", inputs.picture_out] = None,
    import_: Import = None,
) -> Answer:
    """Show where quantization costs accuracy: float, fake-quantized and on the device, operator by operator.

    A model without quantizers is calibrated on training data first.
    """
    verbs = with_keras("cli.verbs", import_)
    return verbs.diagnose(model, data=data, samples=samples, device=device, out=None if out is None else Path(out))


def bench(
    files: Annotated[list[str], ".tflite and .onnx files", inputs.device_file],
    *,
    baseline: Annotated[str, "the file the others are judged against", inputs.device_file],
    data: Annotated[
        str | None, "data set, or .npz with targets as y; default: random inputs, no accuracy", inputs.data
    ] = None,
    corrupt: Annotated[
        list[str] | None,
        "make the test samples worse: noise, blur, contrast, each alone or with how far, as noise:0.1",
        inputs.one_of(*CORRUPTIONS),
    ] = None,
    views: Annotated[bool, "judge classes by the mean over ten views of an image: corners, centre, mirrored"] = False,
    device: Device = "local",
    target: Annotated[list[str] | None, "also estimate by this target's compiler", inputs.target] = None,
    out: Annotated[str | None, "folder for results, raw samples and report", inputs.out_folder] = None,
    max_drop: MaxDrop = 0.01,
    min_speedup: MinSpeedup = None,
    samples: Annotated[int | None, "test samples to run, the first; default: all", inputs.at_least(2)] = None,
    max_seconds: Annotated[float, "of timing at most", inputs.above(0)] = 60.0,
    profile: Annotated[bool, "also time the operators of each file, where the runtime tells"] = False,
    kernels: Annotated[Literal["xnnpack", "builtin", "reference"], "of .tflite files"] = "xnnpack",
    delegate: Annotated[str | None, "PATH[,key=value...] on the device: run .tflite files in this delegate"] = None,
) -> Answer:
    """Compare model files on a device, whoever made them."""
    benches = with_keras("cli.benches")
    return benches.bench(files, baseline=baseline, data=data, device=device, out=None if out is None else Path(out),
                       max_drop=max_drop, min_speedup=min_speedup, targets=target or (), corrupt=corrupt or (),
                       views=views, samples=samples, max_seconds=max_seconds, profile=profile, kernels=kernels,
                       delegate=delegate)  # fmt: skip


def compare(
    folder: Annotated[list[str], "folder of a run or of a bench; two: an earlier and a later one", inputs.folder],
    *,
    max_drop: MaxDrop = 0.01,
    min_speedup: MinSpeedup = None,
) -> Answer:
    """Judge a finished run again, with other thresholds, or say what became worse from one run to another."""
    from . import benches

    return benches.compare(folder, max_drop=max_drop, min_speedup=min_speedup)


def report(
    folder: Annotated[list[str], "folder of a run; several: one page over all of them", inputs.folder],
    *,
    out: Annotated[str | None, "where to write the page over several runs", inputs.out_file] = None,
) -> Answer:
    """Write the report of a run anew, or one page for many: models x devices x precisions, with a leaderboard."""
    from . import benches

    return benches.render(folder, None if out is None else Path(out))


def view(
    file: Annotated[str, ".tflite, .onnx or .keras file"],
    *,
    overlay: Annotated[
        list[str] | None, "results of `bench --profile`, or of `diagnose --json`: shown by operator in Model Explorer"
    ] = None,
    port: Annotated[int | None, "port to serve on; default: the viewer's own"] = None,
) -> Answer:
    """Open a model file in Netron, or with --overlay in Model Explorer, where that is installed."""
    from . import view as viewer

    written = viewer.overlay(Path(file), [Path(each) for each in overlay or ()])
    remedy = viewer.elsewhere(Path(file), port, written)
    code = 0 if remedy else viewer.view(Path(file), port, written)
    document = {"file": file, "exit_code": code, "overlays": [str(path) for path in written]}
    return Answer(document=document, text="\n".join([*document["overlays"], *filter(None, [remedy])]), ok=code == 0)


def doctor() -> Answer:
    """Say what this machine has and what is missing."""
    from ..devices.report.report import table
    from . import doctor as examination

    rows = examination.examine()
    text = table(("subject", "status", "found", "remedy"), [tuple(row.values()) for row in rows])
    return Answer(document=rows, text=text, ok=all(row["status"] != "fail" for row in rows))


def devices(
    action: Annotated[Literal["list", "add", "probe", "setup", "remove"], "what to do"] = "list",
    name: Annotated[str | None, "of the device, as `--device` takes it"] = None,
    url: Annotated[str | None, "how `add` reaches it, such as ssh://pi@board?python=/home/pi/env/bin/python"] = None,
) -> Answer:
    """List the devices that `--device` takes; add, probe, set up or remove one."""
    from . import devices as fleet

    return fleet.act(action, name, url)


VERBS = (models, run, train, prune, qat, check, export, diagnose, inspect, bench, compare, report, matrix, sweep, tune,
         view, doctor, devices)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        call = parse("edgewright", DESCRIPTION, VERBS, argv)
        if call.verb is not doctor:  # which says the same and more
            inputs.check_environment()
        with results_only():
            answer = call.verb(**call.arguments)
        print(json.dumps(answer.document, indent=1, default=str) if call.json else answer.text, flush=True)
    except EdgewrightError as error:
        return failed(str(error), error.exit_code, argv)
    except BrokenPipeError:  # the reader of our output went away, as `head` does: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        return failed(f"{error.filename or 'the system'}: {error.strerror or error}", 1, argv)
    except KeyboardInterrupt:
        return failed("interrupted; the same command resumes where it stopped", 130, argv)
    except Exception as error:  # not foreseen: of the user's own functions, or a fault of ours
        where = place(error)
        message = f"{where}{type(error).__name__}: {error} (--debug shows the traceback)"
        return failed(message, BadInput.exit_code if where else 1, argv)
    return 0 if answer.ok else 1


def _check_other(model: str, out: str) -> None:
    if Path(out).absolute() == Path(model).absolute():
        raise BadInput(f"--out {out}: is the model itself, which is kept; give another name")


def _refuse_beside(flag: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise BadInput(f"--{name.replace('_', '-')} {value}: the {flag} decides; leave one of the two out")


def _refuse_weights(engine: str, class_weights: str | None) -> None:
    if class_weights and engine == "tfmot":
        raise BadInput(
            f"--class-weights {class_weights}: engine tfmot counts every sample alike; leave one of the two out"
        )


def _none_failed(verdicts: Sequence[Any]) -> bool:
    return all(verdict["verdict"] != "fail" for verdict in verdicts)
