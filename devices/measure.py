"""Measure model files on a device: what they are, what they answer, how long they take, with raw samples kept.

Every file is opened by the agent alone, in a process of its own for operators, outputs and memory. Latency comes from
one process in which all files take turns in blocks of random order, each baseline a second time under another name:
that control must come out as fast as itself.
"""

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import files as whole
from .. import metrics
from ..errors import BadInput, EdgewrightError
from ..progress import say
from .transports.transport import DeviceLost, Event, Outcome, Session, Transport, connect, run_job
from .verdict.compare import Thresholds, doubts
from .verdict.results import MEASURED, Run

KERNELS = ("xnnpack", "builtin", "reference")
FORMATS = {".tflite": "tflite", ".onnx": "onnx"}
OUTSIDE = 0.01  # share of values beyond the calibrated range that is said
HARDLY = 1 / 16  # share of the calibrated range below which samples are of another scale
SIGMOIDS = ("LOGISTIC", "SIGMOID")
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "QUANTIZELINEAR", "DEQUANTIZELINEAR")
_PASSED = ("IDENTITY", "RESHAPE", "CAST", "SQUEEZE", "FLATTEN")  # operators that change no value
Inputs = np.ndarray | Mapping[str, np.ndarray]
Targets = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file and what is known of it. name: unique in a run; manifest: empty for a file of unknown make."""

    name: str
    path: Path
    format: str
    precision: str | None = None
    sparsity: float | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> "ModelFile":
        """Describe the file at `path` by the manifest beside it (path + ".json"), or by its suffix alone.

        Raises: BadInput if the file is absent, of unknown suffix, or not the one its manifest describes.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise BadInput(f"path={str(path)!r} has the suffix {path.suffix!r}; allowed: {', '.join(FORMATS)}")
        if not path.is_file():
            raise BadInput(f"path={str(path)!r} is not a file")
        beside = path.with_name(path.name + ".json")
        try:
            manifest = json.loads(beside.read_text()) if beside.is_file() else {}
        except ValueError as error:
            raise BadInput(f"{beside} is not JSON ({error}); export the model again, or remove the manifest") from error
        if manifest and manifest.get("sha256") != whole.sha256(path):
            raise BadInput(f"{path} is not the file that {beside.name} describes (sha256 differs); export it again")
        return cls(
            name=path.name,
            path=path,
            format=FORMATS[path.suffix],
            precision=manifest.get("precision"),
            sparsity=manifest.get("sparsity"),
            manifest=manifest,
        )


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """How to measure. Timing ends once every speed-up is known to `precision` (relative half width of its interval).

    threads: of the runtime, and cores held; answers: run the samples for outputs, metric and memory; samples: how many
    of them, None for all; latency: time the files; block_ms: length of a block; max_seconds: of timing; attempts: at
    timing, while the device is not steady; time_limit_s, memory_bytes: of one job on the device; profile: time the
    operators of each file too. Of .tflite files: kernels, where builtin is without XNNPACK; delegate, the path of a
    library on the device, with options as PATH,key=value,key=value.
    """

    threads: int = 1
    answers: bool = True
    samples: int | None = None
    latency: bool = True
    precision: float | None = 0.01
    block_ms: float = 10.0
    min_rounds: int = 30
    max_rounds: int = 300
    max_seconds: float = 60.0
    attempts: int = 3
    seed: int = 0
    time_limit_s: float = 600.0
    memory_bytes: int | None = None
    tflite_runtime: str = "litert"
    kernels: str = "xnnpack"
    delegate: str | None = None
    profile: bool = False

    def __post_init__(self) -> None:
        for name in ("threads", "block_ms", "max_rounds", "max_seconds", "attempts", "time_limit_s"):
            if getattr(self, name) <= 0:
                raise BadInput(f"{name}={getattr(self, name)!r} must be positive")
        if not 2 <= self.min_rounds <= self.max_rounds:
            raise BadInput(f"min_rounds={self.min_rounds!r} must lie between 2 and max_rounds={self.max_rounds!r}")
        if self.precision is not None and not 0 < self.precision < 1:
            raise BadInput(f"precision={self.precision!r} must lie between 0 and 1, or be None to run all rounds")
        if self.samples is not None and self.samples < 2:
            raise BadInput(f"samples={self.samples!r} must be at least 2, or None for all")
        if self.tflite_runtime not in ("litert", "tflite-runtime"):
            raise BadInput(f"tflite_runtime={self.tflite_runtime!r}; allowed: litert, tflite-runtime")
        if self.kernels not in KERNELS:
            raise BadInput(f"kernels={self.kernels!r}; allowed: {', '.join(KERNELS)}")
        _ = self.library  # refuses what cannot be read

    @property
    def library(self) -> dict[str, Any] | None:
        """Return the delegate as a job names it, {path, options}.  Raises: BadInput for an option that is none."""
        if self.delegate is None:
            return None
        path, *options = self.delegate.split(",")
        wrong = [option for option in options if not re.fullmatch(r"[^=]+=.*", option)]
        if not path or wrong:
            raise BadInput(f"delegate={self.delegate!r}: write PATH or PATH,key=value,key=value")
        return {"path": path, "options": dict(option.split("=", 1) for option in options)}

    def runtime(self, format: str) -> str:
        return {"tflite": self.tflite_runtime, "onnx": "onnxruntime"}[format]


def bench(
    files: Sequence[ModelFile | str | Path],
    *,
    baseline: ModelFile | str | Path | Mapping[str, str],
    inputs: Inputs,
    targets: Targets | None = None,
    metric: str | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    device: str | Transport = "local",
    config: BenchConfig = BenchConfig(),
    model: str = "",
    data: str = "",
) -> Run:
    """Measure `files` and their baselines on `device`.

    baseline: one file for all, the name of one of `files`, or file name -> baseline's name among `files`.
    inputs: (N, ...) samples, or input name -> samples; targets: (N, ...) as `metric` (a name in `metrics`) wants them,
    or of several outputs a dict by name, in the order of the file's, with the metrics joined by "+". An output without
    targets is compared with the baseline's. labels: output ("" for one) -> names of its classes.
    A file that the runtime rejects, or that crashes or hangs it, is part of the result, not an error.
    Where the way to the device breaks, what was not finished is "incomplete" in the result.
    Raises: BadInput for arguments that do not fit together; DeviceLost if the device cannot be reached to begin with.
    """
    measured_files, baselines = _roles(files, baseline)
    heads = targets if isinstance(targets, Mapping) else {} if targets is None else {"": targets}
    _check(inputs, heads, metric)
    transport = connect(device)
    _check_kernels(config, transport, measured_files)
    run = Run(
        model=model, data=data, device=transport.name, emulated=transport.emulated, metric=metric, baselines=baselines,
        artifacts=[], measured={}, config=asdict(config),
        labels={head: list((labels or {}).get(head, ())) for head in heads},
    )  # fmt: skip
    with transport.session() as session, tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        steps = _Bench(run, transport, session, Path(scratch), config)
        try:
            steps.measure(measured_files, inputs, heads)
        except DeviceLost as error:
            steps.give_up(measured_files, str(error))
        steps.note_failures()
    return run


def inspect(path: ModelFile | str | Path, *, device: str | Transport = "local", **config: Any) -> Outcome:
    """Let the device say what a file is: its outcome, with operators, formats, inputs and outputs in event `model`."""
    with _opened(path, device, config) as (file, session, orders):
        return run_job(session, orders.job("inspect", [orders.model(file, 0)]))


def answers(
    path: ModelFile | str | Path, inputs: Inputs, *, device: str | Transport = "local", **config: Any
) -> np.ndarray:
    """Run every sample of `inputs` through one file and return its first output as float32, (N, ...); nothing is timed.

    Raises: EdgewrightError with the runtime's words if the file does not run.
    """
    with _opened(path, device, config) as (file, session, orders), _scratch() as scratch:
        sent, model = _send(session, scratch, inputs), orders.model(file, 0)
        if "stateful" not in file.manifest:  # a file that we did not make
            looked = run_job(session, orders.job("inspect", [model]))
            model["stateful"] = looked.ok and bool(looked.one("model").get("stateful"))
        job = orders.job("accuracy", [model], inputs=sent, outputs=session.path("answers.npy"))
        outcome = run_job(session, job, _progress(f"running {file.name}"))
        if not outcome.ok:
            raise EdgewrightError(f"{file.path}: {outcome.status} on {device}: {outcome.reason}")
        session.get("answers.npy", scratch / "answers.npy")
        return np.load(scratch / "answers.npy", allow_pickle=False)


def profile(
    path: ModelFile | str | Path, inputs: Inputs, *, device: str | Transport = "local", **config: Any
) -> dict[str, Any]:
    """Return the time of each operator of a file: {artifact, device, runtime, rows, reason, inferences, inference_us}.

    rows: [{operator, name, us, share, calls}] of one inference in the order of execution, or None where the runtime
    does not tell, for that reason. Runtimes count in whole microseconds, which XNNPACK rounds down: what the shares
    are of may be less than inference_us, the median of inferences that were not looked into.
    Raises: EdgewrightError with the runtime's words if it does not run.
    """
    with _opened(path, device, config) as (file, session, orders), _scratch() as scratch:
        sent = _send(session, scratch, inputs)
        entry, outcome = _profile(orders, session, file.name, orders.model(file, 0), sent)
    if not outcome.ok:
        raise EdgewrightError(f"{file.path}: {outcome.status} on {device}: {outcome.reason}")
    return entry


@contextmanager
def _opened(
    path: ModelFile | str | Path, device: str | Transport, config: Mapping[str, Any]
) -> Iterator[tuple[ModelFile, Session, "_Orders"]]:
    """Open a session on `device` for one file."""
    file = path if isinstance(path, ModelFile) else ModelFile.read(path)
    transport = connect(device)
    with transport.session() as session:
        yield file, session, _Orders(transport, session, BenchConfig(**config))


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        yield Path(folder)


def _profile(
    orders: "_Orders", session: Session, name: str, model: dict[str, Any], sent: dict[str, str]
) -> tuple[dict[str, Any], Outcome]:
    """Return what results say of a file's operators, and how the job ended."""
    transport = orders.transport
    entry: dict[str, Any] = {
        "artifact": name, "device": transport.name, "runtime": model["runtime"], "rows": None, "reason": "",
        "inferences": None, "inference_us": None,
    }  # fmt: skip
    if transport.emulated:
        return {**entry, "reason": "times of an emulated processor mean nothing"}, Outcome(status="ok")
    with transport.exclusive(model["threads"]) as cores:
        outcome = run_job(session, orders.job("profile", [model], inputs=sent, cores=cores))
    if not outcome.ok:
        return {**entry, "reason": f"{outcome.status}: {outcome.reason}"}, outcome
    told = {key: value for key, value in outcome.one("profile").items() if key != "event"}
    return {**entry, **told}, outcome


def _send(session: Session, scratch: Path, inputs: Inputs, limit: int | None = None) -> dict[str, str]:
    """Send the samples, the first `limit` of them, and return how a job refers to each input's."""
    sent = {}
    arrays = inputs if isinstance(inputs, Mapping) else {"": inputs}
    for index, (name, array) in enumerate(arrays.items()):
        path = scratch / f"input-{index}.npy"
        with whole.naming(path):
            np.save(path, np.asarray(array[:limit], np.float32 if array.dtype.kind == "f" else array.dtype))
        sent[name] = session.put(path, path.name)
    return sent


class _Orders:
    """Writes the jobs of one session."""

    def __init__(self, transport: Transport, session: Session, config: BenchConfig):
        self.transport, self._session, self._config = transport, session, config

    def model(self, file: ModelFile, index: int) -> dict[str, Any]:
        """Send a file under a name of our own, and return how a job refers to it."""
        return {
            "path": self._session.put(file.path, f"model-{index}.{file.format}"),
            "sha256": whole.sha256(file.path),
            "threads": self._config.threads,
            "kernels": self._config.kernels,
            "delegate": self._config.library,
            "stateful": bool(file.manifest.get("stateful")),
            **self.runtime(file),
        }

    def runtime(self, file: ModelFile) -> dict[str, Any]:
        """Say what opens a file on this device."""
        return {"runtime": self.transport.runtimes.get(file.format) or self._config.runtime(file.format)}

    def job(self, mode: str, models: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        config = self._config
        limits = {"time_limit_s": config.time_limit_s, "memory_bytes": config.memory_bytes, "seed": config.seed}
        return {"mode": mode, "models": list(models), **limits, **more}


class _Bench:
    """The steps of one benchmark; each fills a part of `run`."""

    def __init__(self, run: Run, transport: Transport, session: Session, scratch: Path, config: BenchConfig):
        self._run, self._transport, self._session, self._scratch = run, transport, session, scratch
        self._config, self._orders = config, _Orders(transport, session, config)
        self._models: dict[str, dict[str, Any]] = {}  # file -> how a job refers to it
        self._outputs: dict[str, list[dict[str, Any]]] = {}  # file -> its output tensors, as the runtime tells

    def measure(self, files: Sequence[ModelFile], inputs: Inputs, heads: Mapping[str, np.ndarray]) -> None:
        limit = self._config.samples
        sent = _send(self._session, self._scratch, inputs, limit)
        self._models = {file.name: self._orders.model(file, i) for i, file in enumerate(files)}
        for file in files:
            if self._inspect(file) and self._config.answers:
                self._answer(file.name, sent)
        self._refuse_without_runtime()
        self._run.notes += [note for file in files for note in out_of_range(file, inputs)]
        if self._run.metric:
            self._judge({head: targets[:limit] for head, targets in heads.items()})
        if self._config.latency:
            self._time(sent)
        if self._config.profile:
            self._run.profiles = list(self._profiles(sent))

    def give_up(self, files: Sequence[ModelFile], reason: str) -> None:
        """Call incomplete what the lost device left undone; times taken so far are dropped."""
        outcome = Outcome(status="incomplete", reason=reason)
        for file in files:
            found = self._run.measured.get(file.name)
            if found is None:
                self._record(file, {"sha256": whole.sha256(file.path), **self._orders.runtime(file)}, outcome)
            elif found["status"] == "ok" and self._config.answers and file.name not in self._run.outputs:
                found.update(status=outcome.status, reason=reason)
        self._blame(outcome, [])

    def _refuse_without_runtime(self) -> None:
        """Where the device can open none of the files, there is nothing to judge: that is no result."""
        found = self._run.measured.values()
        if found and all(one["status"] == "incomplete" and " has no " in one["reason"] for one in found):
            raise EdgewrightError(
                f"{self._run.device}: {next(iter(found))['reason']}; install it there (`edgewright devices setup "
                f"NAME`), or "
                "choose another device"
            )

    def note_failures(self) -> None:
        for name, found in self._run.measured.items():
            if found["status"] != "ok":
                self._run.notes.append(f"{name}: {found['status']}: {found['reason']}")

    def _inspect(self, file: ModelFile) -> bool:
        model = self._models[file.name]
        outcome = run_job(self._session, self._orders.job("inspect", [model]))
        if outcome.status == "incomplete" and outcome.reason.startswith("delegate "):
            raise BadInput(f"{outcome.reason}; give --delegate a library that the device can load, or leave it out")
        self._record(file, model, outcome)
        return outcome.ok

    def _record(self, file: ModelFile, model: dict[str, Any], outcome: Outcome) -> None:
        """Enter a file into the run with what the device said of it."""
        found = outcome.one("model") if outcome.ok else {"layers": [], "quantized_ops": None, "float_ops": None}
        model["stateful"] = bool(file.manifest.get("stateful", found.get("stateful")))
        run = self._run
        _note_environment(run, outcome)
        run.layers[file.name] = found["layers"]
        self._outputs[file.name] = list(found.get("outputs") or [])
        run.artifacts.append(
            {
                "name": file.name,
                "format": file.format,
                "precision": file.precision or _precision(found["layers"]),
                "sparsity": file.sparsity,
                "bytes": file.path.stat().st_size,
                "sha256": model["sha256"],
                "path": str(file.path),
                "quantized_ops": found["quantized_ops"],
                "float_ops": found["float_ops"],
                "partitions": found.get("partitions"),
                "delegated": found.get("delegated"),
                "stateful": model["stateful"],
            }
        )
        if found.get("delegated") == 0:
            run.notes.append(f"{file.name}: the delegate took none of its operators; they ran without it")
        run.measured[file.name] = {
            **dict.fromkeys(MEASURED), "status": outcome.status, "reason": outcome.reason, "metric": run.metric,
            "runtime": model["runtime"],
        }  # fmt: skip

    def _answer(self, name: str, sent: dict[str, str]) -> None:
        """Run all samples through one file, for every output, memory and load time."""
        found = self._run.measured[name]
        answers = []
        for place in range(max(1, len(self._outputs[name]))):
            outcome, outputs = self._answer_of(name, sent, place)
            found.update(status=outcome.status, reason=outcome.reason)
            if outputs is None:
                return
            broken = int(np.sum(~np.isfinite(outputs.reshape(len(outputs), -1)).all(1)))
            if broken:
                which = f" of output {self._names(name)[place]!r}" if place else ""
                found.update(
                    status="rejected", reason=f"{broken} of {len(outputs)} outputs{which} hold NaN or infinity"
                )
                return
            if place == 0:
                reported = outcome.one("accuracy")
                found.update({key: reported[key] for key in ("load_us", "first_us", "peak_ram_bytes", "n")})
            answers.append(outputs)
        self._run.outputs[name], self._run.answers[name] = answers[0], answers

    def _answer_of(self, name: str, sent: dict[str, str], place: int) -> tuple[Outcome, np.ndarray | None]:
        """Run all samples through one file for its output number `place`."""
        answers = f"outputs-{list(self._models).index(name)}-{place}.npy"
        job = self._orders.job(
            "accuracy", [self._models[name]], inputs=sent, output=place, outputs=self._session.path(answers)
        )
        outcome = run_job(self._session, job, _progress(f"running {name}"))
        if not outcome.ok:
            return outcome, None
        self._session.get(answers, self._scratch / answers)
        return outcome, np.load(self._scratch / answers, allow_pickle=False)

    def _names(self, name: str) -> list[str]:
        """Return what the outputs of a file are called, without what converters add."""
        return [re.sub(r"^serving_default_|:\d+$", "", each["name"]) for each in self._outputs[name]] or [""]

    def _judge(self, heads: Mapping[str, np.ndarray]) -> None:
        """Score what every file answers, and say how far it answers as its baseline does."""
        run = self._run
        run.metric = _fitting(str(run.metric), heads, run.answers)
        metric = metrics.get(run.metric)
        places = {name: self._places(name, heads) for name in run.answers}
        given: dict[str, list[np.ndarray]] = {}
        for name in run.answers:
            base = run.baselines[name] if run.baselines[name] in run.answers else name
            given[name] = [
                metrics.centred(own, run.answers[name][place], self._ends_in_probabilities(name, base, head, places))
                for own, (head, place) in zip(metric.each, places[name].items(), strict=True)
            ]
            run.measured[name]["metric"] = run.metric
            if heads:
                self._score(name, metric, given[name], heads)
        for name in given:
            if run.baselines[name] in given:
                self._agree(name, metric, given, places)

    def _places(self, name: str, heads: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Return which output of a file answers each head: by name, or where those were lost, in the same order."""
        names = self._names(name)
        if len(heads) > 1 and len(heads) > len(names):
            raise BadInput(
                f"targets for {', '.join(heads)}, but {name} has {len(names)} outputs: {', '.join(names)}; give one "
                f"each"
            )
        if len(set(names)) == len(names) and all(head in names for head in heads):
            return {head: names.index(head) for head in heads}
        return {head: place for place, head in enumerate(heads or [""])}

    def _ends_in_probabilities(self, name: str, base: str, head: str, places: Mapping[str, Mapping[str, int]]) -> bool:
        """Tell by the file's last operation, or else by what the baseline answers: one value alone does not tell."""
        for file in (name, base):
            told = ends_in_sigmoid(self._run.layers[file], self._outputs[file], places[file].get(head, 0))
            if told is not None:
                return told
        return metrics.are_probabilities(self._run.answers[base][places[base].get(head, 0)])

    def _score(
        self, name: str, metric: metrics.Metric, given: list[np.ndarray], heads: Mapping[str, np.ndarray]
    ) -> None:
        run, truths = self._run, list(heads.values())
        scores = _scores(metric, given, truths)
        run.raw.scores[name] = scores
        found = run.measured[name]
        found["value"] = metric.reduce(scores)
        run.raw.truth = [metrics.truth_of(own, truth) for own, truth in zip(metric.each, truths, strict=True)]
        run.raw.said[name] = [
            own.parts.said(outputs) if own.parts and truth is not None else None
            for own, outputs, truth in zip(metric.each, given, run.raw.truth, strict=True)
        ]
        figures = {
            head: metrics.figures(own, outputs, truth)
            for own, outputs, (head, truth) in zip(metric.each, given, heads.items(), strict=True)
        }
        if any(figures.values()):
            found["figures"] = figures
        if metric.heads:
            found["heads"] = [
                {"head": head, "metric": own.name, "value": own.reduce(scores[:, columns])}
                for head, own, columns in zip(heads, metric.each, metric.columns, strict=True)
            ]

    def _agree(
        self, name: str, metric: metrics.Metric, given: Mapping[str, list[np.ndarray]],
        places: Mapping[str, Mapping[str, int]],
    ) -> None:  # fmt: skip
        run, base = self._run, self._run.baselines[name]
        each = [own.agreement(a, b) for own, a, b in zip(metric.each, given[base], given[name], strict=True)]
        for row, agreement in zip(run.measured[name].get("heads", ()), each, strict=False):
            row["agreement"] = agreement
        ours, theirs = ([p for p in range(len(run.answers[f])) if p not in places[f].values()] for f in (name, base))
        untold = {}
        for place, other in zip(ours, theirs, strict=False):
            a, b = run.answers[base][other], run.answers[name][place]
            untold[self._names(name)[place]] = metrics.fidelity(a, b) if a.shape == b.shape else 0.0
        if untold:
            run.measured[name]["untold"] = untold
        run.measured[name]["agreement"] = min([*each, *untold.values()])

    def _time(self, sent: dict[str, str]) -> None:
        """Time all files that run; once more where the control or a slower device makes the times doubtful."""
        names = [name for name, found in self._run.measured.items() if found["status"] == "ok"]
        controls = sorted({base for base in self._run.baselines.values() if base in names})
        for attempt in range(1, self._config.attempts + 1):
            if not names or not self._time_once(sent, names, controls):
                return
            found = {doubt for base in controls for doubt in doubts(self._run, base, Thresholds().margin)}
            if self._run.emulated or not found or attempt == self._config.attempts:
                return
            self._run.notes.append(f"timing {attempt} was set aside and repeated: {'; '.join(sorted(found))}")
            say(self._run.notes[-1])

    def _profiles(self, sent: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Time the operators of each file that runs."""
        for name, found in self._run.measured.items():
            if found["status"] == "ok":
                say(f"timing the operators of {name}")
                yield _profile(self._orders, self._session, name, self._models[name], sent)[0]

    def _time_once(self, sent: dict[str, str], names: list[str], controls: list[str]) -> bool:
        config, entries, raw = self._config, names + controls, self._run.raw
        with self._transport.exclusive(config.threads) as cores:
            job = self._orders.job(
                "latency", [self._models[name] for name in entries], inputs=sent, cores=cores,
                pairs=_pairs(names, controls, self._run.baselines),
                precision=config.precision, block_us=1000 * config.block_ms, min_rounds=config.min_rounds,
                max_rounds=config.max_rounds, max_seconds=config.max_seconds,
            )  # fmt: skip
            say(f"timing {len(names)} files on {self._transport.name}, cores {cores}")
            outcome = run_job(self._session, job)
        if not outcome.ok:
            self._blame(outcome, entries)
            return False
        blocks = _blocks(outcome, len(entries))
        raw.latency = dict(zip(names, blocks, strict=False))
        raw.control = dict(zip(controls, blocks[len(names) :], strict=True))
        raw.seconds = np.array(_round_ends(outcome))
        self._run.environment["telemetry"] = _telemetry(outcome)
        return True

    def _blame(self, outcome: Outcome, entries: list[str]) -> None:
        """A broken timing job gives no numbers at all; the file it was loading, if any, is named."""
        loading = [event["model"] for event in outcome.all("load")]
        while_loading = f" while loading {entries[loading[-1]]}" if 0 < len(loading) < len(entries) else ""
        self._run.raw.latency, self._run.raw.control, self._run.raw.seconds = {}, {}, np.zeros(0)
        self._run.notes.append(f"timing is incomplete: {outcome.status}{while_loading}: {outcome.reason}")


def _roles(
    files: Sequence[ModelFile | str | Path], baseline: ModelFile | str | Path | Mapping[str, str]
) -> tuple[list[ModelFile], dict[str, str]]:
    """Return all files to measure, and file name -> baseline's name (its own for a baseline)."""
    found = [file if isinstance(file, ModelFile) else ModelFile.read(file) for file in files]
    names = [file.name for file in found]
    if isinstance(baseline, Mapping):
        wrong = sorted({*baseline, *baseline.values()} - set(names))
        if wrong:
            raise BadInput(f"baseline names {wrong}, not among the files {names}")
        baselines = {name: baseline.get(name, name) for name in names}
    else:
        if not isinstance(baseline, ModelFile) and str(baseline) not in names:
            baseline = ModelFile.read(baseline)
        if isinstance(baseline, ModelFile):
            if baseline.name not in names:
                found.insert(0, baseline)
            baseline = baseline.name
        baselines = {file.name: str(baseline) for file in found}
    _check_names([file.name for file in found])
    return found, baselines


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"files: the names {twice} appear twice; give each file a name of its own")


def _check(inputs: Inputs, heads: Mapping[str, np.ndarray], metric: str | None) -> None:
    if metric is not None and not metrics.known(metric):
        raise BadInput(f"metric={metric!r} is not known; allowed: {', '.join(metrics.METRICS)}")
    if metric is not None and len(metric.split("+")) != max(1, len(heads)):
        raise BadInput(f"metric={metric!r} for {len(heads)} outputs; give one metric an output, joined by +")
    lengths = {len(array) for array in (inputs.values() if isinstance(inputs, Mapping) else [inputs])}
    if len(lengths) != 1 or min(lengths) < 2:
        raise BadInput(f"inputs hold {sorted(lengths)} samples; give each input the same number, at least 2")
    for targets in heads.values():
        if len(targets) not in lengths:
            raise BadInput(f"targets holds {len(targets)} samples, inputs {lengths.pop()}; they must be as many")


def _check_kernels(config: BenchConfig, transport: Transport, files: Sequence[ModelFile]) -> None:
    """Refuse a choice of kernels or of a delegate that no file would follow."""
    for name, usual in (("kernels", "xnnpack"), ("delegate", None)):
        chosen = getattr(config, name)
        if chosen == usual:
            continue
        if "tflite" not in {file.format for file in files}:
            raise BadInput(f"{name}={chosen!r} is for .tflite files, and there is none; leave it out")
        if transport.runtimes.get("tflite", config.tflite_runtime) not in ("litert", "tflite-runtime"):
            raise BadInput(f"{name}={chosen!r}: {transport.name} offers no choice; leave it out")


def _fitting(metric: str, heads: Mapping[str, np.ndarray], answers: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Return the metric for these outputs: whether one value says yes is no matter of the largest of several."""
    if metric != "accuracy" or len(heads) != 1:
        return metric
    (targets,) = heads.values()
    ones = [outputs[0].size == len(outputs[0]) for outputs in answers.values()]
    if ones and all(ones) and targets.size == len(targets) and np.isin(targets, (0, 1)).all():
        return "binary_accuracy"
    return metric


def out_of_range(file: ModelFile, inputs: Inputs) -> Iterator[str]:
    """Yield a warning for each input whose samples leave the range of its calibration, or hardly use it."""
    entries = file.manifest.get("inputs") or []
    arrays = dict(inputs) if isinstance(inputs, Mapping) else {"": inputs}
    for entry in entries:
        values = next(iter(arrays.values())) if len(entries) == len(arrays) == 1 else arrays.get(entry["name"])
        if values is None or "range" not in entry or values.dtype.kind not in "fiu":
            continue
        low, high = entry["range"]
        step = (high - low) / 255
        outside = float(((values < low - step) | (values > high + step)).mean())
        least, most = float(values.min()), float(values.max())
        what = f"{file.name}: input {entry['name']!r} was calibrated on {low:.4g} to {high:.4g}"
        if outside > OUTSIDE:
            yield f"{what}; {outside:.1%} of the values, {least:.4g} to {most:.4g}, lie outside and are cut off"
        elif most - least < HARDLY * (high - low):
            yield f"{what}; the values are {least:.4g} to {most:.4g}, a small part of it: is their scale another?"


def ends_in_sigmoid(
    layers: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], place: int, *, alone: bool | None = None
) -> bool | None:
    """Tell if an output comes from a sigmoid, None where the layers do not tell. alone: it is the file's only one."""
    plain = [each for each in layers if each["op"].upper() not in (*_CONVERSIONS, *_PASSED)]
    named = [each for each in plain if place < len(outputs) and each.get("name") == outputs[place]["name"]]
    last = named[:1] or (plain[-1:] if (len(outputs) == 1 if alone is None else alone) else [])
    return last[0]["op"].upper() in SIGMOIDS if last else None


def _scores(metric: metrics.Metric, outputs: list[np.ndarray], targets: list[np.ndarray]) -> np.ndarray:
    try:
        return metric.scores(outputs, targets) if metric.heads else metric.scores(outputs[0], targets[0])
    except ValueError as error:
        shapes = [", ".join(str(each.shape) for each in some) for some in (outputs, targets)]
        raise BadInput(
            f"metric={metric.name!r} cannot judge outputs of shape {shapes[0]} by targets of shape {shapes[1]}"
        ) from error


def _progress(what: str) -> Callable[[Event], None]:
    """Return a listener that says how far a job is, at most every five seconds."""
    said = time.monotonic()

    def listen(event: Event) -> None:
        nonlocal said
        if event["event"] == "progress" and time.monotonic() - said >= 5:
            said = time.monotonic()
            say(f"{what}: {event['done']}/{event['total']}")

    return listen


def _note_environment(run: Run, outcome: Outcome) -> None:
    """Record what the device says of itself; each job adds the runtime that it used."""
    start = next(outcome.all("start"), {"packages": {}})
    packages = {**run.environment.get("packages", {}), **start["packages"]}
    run.environment.update({**start, "packages": packages})
    run.environment.pop("event", None)


def _precision(layers: Sequence[Mapping[str, Any]]) -> str | None:
    """Name the precision of a file without a manifest after the formats its operators compute in."""
    formats = {layer["dtype"] for layer in layers if layer["op"].upper() not in _CONVERSIONS}
    formats -= {"int32", "int64", "bool", "none"}
    if not formats:
        return None
    if formats <= {"int8", "uint8"}:
        return "w8a8"
    if formats <= {"int16"}:
        return "w8a16"
    if any("weights" in each for each in formats):
        return "w8"
    return "float32" if formats == {"float32"} else "mixed"


def _pairs(names: Sequence[str], controls: Sequence[str], baselines: Mapping[str, str]) -> list[tuple[int, int]]:
    """Return (candidate, baseline) as places in names + controls, for each speed-up that is wanted."""
    place = {name: i for i, name in enumerate(names)}
    pairs = [(place[name], place.get(baselines[name], place[name])) for name in names]
    pairs += [(len(names) + i, place[base]) for i, base in enumerate(controls)]
    return [pair for pair in pairs if pair[0] != pair[1]]


def _blocks(outcome: Outcome, models: int) -> list[list[np.ndarray]]:
    blocks: list[list[np.ndarray]] = [[] for _ in range(models)]
    for event in outcome.all("block"):
        if event["round"] != len(blocks[event["model"]]):
            raise EdgewrightError(f"the agent's blocks are out of order: {event['model']}, round {event['round']}")
        blocks[event["model"]].append(np.array(event["us"]))
    return blocks


def _round_ends(outcome: Outcome) -> list[float]:
    ends: dict[int, float] = {}
    for event in outcome.all("block"):
        ends[event["round"]] = event["t"]
    return list(ends.values())


def _switches(outcome: Outcome) -> dict[str, int]:
    """Sum the times that others took the core; empty where the device cannot count them."""
    counts = [event["switches"] for event in outcome.all("block") if "switches" in event]
    return {"involuntary_switches": sum(counts)} if counts else {}


def _telemetry(outcome: Outcome) -> dict[str, Any]:
    """Sum up what the device told of itself while timing: first and last reading, and interruptions by others."""
    readings = [{k: v for k, v in event.items() if k not in ("event", "t")} for event in outcome.all("telemetry")]
    return {
        "rounds": len({event["round"] for event in outcome.all("block")}),
        "pinned": next((event["pinned"] for event in outcome.all("rounds")), None),
        "stable_after_warm_up": all(event["stable"] for event in outcome.all("warm")),
        **_switches(outcome),
        "first": readings[0],
        "last": readings[-1],
    }
