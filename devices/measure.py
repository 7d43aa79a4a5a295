"""Measure model files on a device: what they are, what they answer, how long they take, with raw samples kept.

Every file is opened by the agent alone, in a process of its own for operators, outputs and memory. Latency comes from
one process in which all files take turns in blocks of random order, each baseline a second time under another name:
that control must come out as fast as itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import metrics
from ..errors import BadInput
from ..runners import Judge
from .asking import answers, inspect, profile
from .config import KERNELS, USUAL, BenchConfig
from .jobs import Inputs, scratch, send
from .judging import ends_in_sigmoid, judge_answers, judge_bundles
from .model_file import FORMATS, ModelFile
from .roles import bundles_of, check_data, check_kernels, out_of_range, roles_of
from .timing import profiles, time_files
from .transports.transport import DeviceLost, Transport, connect
from .verdict.results import Run
from .workbench import Sent, Workbench

Targets = np.ndarray | Mapping[str, np.ndarray]
LOOKED_AT = 16  # samples by which load time and memory of a judged file are told


def bench(
    files: Sequence[ModelFile | str | Path],
    *,
    baseline: ModelFile | str | Path | Mapping[str, str],
    inputs: Inputs | None = None,
    targets: Targets | None = None,
    metric: str | None = None,
    judge: Judge | None = None,
    bundles: Mapping[str, Mapping[str, str]] | None = None,
    feeds: Mapping[str, Inputs] | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    groups: np.ndarray | None = None,
    device: str | Transport = "local",
    config: BenchConfig = USUAL,
    model: str = "",
    data: str = "",
) -> Run:
    """Measure `files` and their baselines on `device`.

    baseline: one file for all, the name of one of `files`, or file name -> baseline's name among `files`.
    inputs: (N, ...) samples, or input name -> samples; of a file with states sequences (N, T, ...).
    targets: (N, ...) as `metric` (a name in `metrics`) wants them, or of several outputs a dict by name, in the order
    of the file's, with the metrics joined by "+". An output without targets is compared with the baseline's. Of a file
    with states the last step is judged, or every step where the targets are as many. labels: output ("" for one) ->
    names of its classes. groups: (N,) whom each sample is of, by which the metric is told too.
    judge: a task that runs the networks itself, in place of inputs, targets and metric. bundles: name -> {network: file
    name}, which it judges together; by default each file alone, the network as its manifest says. feeds: file name ->
    the samples that it is timed on, in place of `inputs`.
    A file that the runtime rejects, or that crashes or hangs it, is part of the result, not an error.
    Where the way to the device breaks, what was not finished is "incomplete" in the result.
    Raises: BadInput for arguments that do not fit together; DeviceLost if the device cannot be reached to begin with.
    """
    measured_files, baselines = roles_of(files, baseline)
    heads = targets if isinstance(targets, Mapping) else {} if targets is None else {"": targets}
    fed = {file.name: (feeds or {}).get(file.name, inputs) for file in measured_files}
    if judge is None:
        check_data(inputs, heads, metric, bundles)
    else:
        _check_judged(judge, heads, metric, fed, config)
        metric = judge.metric.name
    transport = connect(device)
    check_kernels(config, transport, measured_files)
    run = Run(
        model=model, data=data, device=transport.name, emulated=transport.emulated, simulated=transport.simulated,
        metric=metric, baselines=baselines, artifacts=[], measured={}, config=asdict(config),
        labels={head: list((labels or {}).get(head, ())) for head in heads},
        bundles={} if judge is None else bundles_of(measured_files, baselines, bundles),
    )  # fmt: skip
    with transport.session() as session, scratch() as folder:
        at_work = Workbench(run=run, transport=transport, session=session, scratch=folder, config=config,
                            files=measured_files)  # fmt: skip
        try:
            _measure(at_work, fed, heads, judge, groups)
        except DeviceLost as error:
            at_work.give_up(str(error))
        at_work.note_failures()
    return run


def _measure(
    bench: Workbench, fed: Mapping[str, Inputs | None], heads: Mapping[str, np.ndarray], judge: Judge | None,
    groups: np.ndarray | None,
) -> None:  # fmt: skip
    """Take the steps of a benchmark."""
    config, limit = bench.config, bench.config.samples
    sent = _send(bench, fed, limit)
    bench.send_files()
    for file in bench.files:
        if config.answers and file.name in sent:
            bench.look(file, sent[file.name] if judge is None else _send_few(bench, file.name, fed))
        else:
            bench.inspect(file)
    bench.refuse_without_runtime()
    if judge is None:
        bench.run.notes += [note for file in bench.files for note in out_of_range(file, fed[file.name])]
        if bench.run.metric:
            few = None if groups is None else groups[:limit]
            judge_answers(bench, {head: targets[:limit] for head, targets in heads.items()}, few)
    elif config.answers:
        bench.run.outputs, bench.run.answers = {}, {}  # of few samples, whose answers mean nothing
        judge_bundles(bench, judge)
    if config.latency and not bench.run.simulated:
        time_files(bench, sent)
    if config.profile:
        bench.run.profiles = list(profiles(bench, sent))


def _send(bench: Workbench, fed: Mapping[str, Inputs | None], limit: int | None) -> dict[str, Sent]:
    """Send each file's samples, those that files share once; return file -> how a job refers to them."""
    by_samples: dict[int, Sent] = {}
    sent = {}
    for name, samples in fed.items():
        if samples is None:
            continue
        if id(samples) not in by_samples:
            by_samples[id(samples)] = send(
                bench.session, bench.scratch, samples, limit, f"{len(by_samples)}-" if by_samples else ""
            )
        sent[name] = by_samples[id(samples)]
    return sent


def _send_few(bench: Workbench, name: str, fed: Mapping[str, Inputs | None]) -> Sent:
    """Send a few samples of a file's, by which memory and load time are told."""
    samples = fed[name]
    assert samples is not None
    return send(bench.session, bench.scratch, samples, LOOKED_AT, f"few-{list(fed).index(name)}-")


def _check_judged(
    judge: Judge, heads: Mapping[str, np.ndarray], metric: str | None, fed: Mapping[str, Inputs | None],
    config: BenchConfig,
) -> None:  # fmt: skip
    """Refuse what a task's own judge leaves no place for.  Raises: BadInput."""
    if heads or metric is not None:
        raise BadInput("judge= brings data and metric of its own; leave targets and metric out")
    if not metrics.known(judge.metric.name):
        raise BadInput(f"judge.metric={judge.metric.name!r} is not known; allowed: {', '.join(metrics.METRICS)}")
    missing = [name for name, samples in fed.items() if samples is None]
    if missing and (config.latency or config.profile):
        raise BadInput(f"feeds hold no samples for {', '.join(missing)}: give some to time it with, or latency=False")


__all__ = [
    "FORMATS", "KERNELS", "BenchConfig", "Inputs", "ModelFile", "Run", "Targets", "answers", "bench", "ends_in_sigmoid",
    "inspect", "out_of_range", "profile",
]  # fmt: skip
