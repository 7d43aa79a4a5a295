"""The whole way in one call: train, prune, QAT, export, bench, compare, report, in a folder that can be resumed."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml

from ..devices import measure
from ..devices.measure import BenchConfig, ModelFile, Run
from ..devices.report import report
from ..devices.verdict import document
from ..devices.verdict.compare import Thresholds
from ..errors import BadInput, EdgewrightError
from ..export import EXPORTERS
from ..files import replacing, sha256, write, write_json
from ..prune import PruneConfig
from ..quantize import prepare_qat
from ..training.data import calibration
from ..training.train import TrainConfig, evaluate, predict_all
from .judged import facts, to_measure
from .saved import check_savable, load_model, save_model
from .stages import compare, prune, train, train_config
from .steps import Steps, occupying
from .workload import Workload, digest_of, find

QUICK_TEST_SAMPLES = 2000
SAME_ON = 32  # samples on which a file that was written must answer as the model did
# The folders whose code decides what a step yields: a change there makes the step's result stale.
CODE = {
    "train": ("models", "training"),
    "prune": ("models", "training", "prune"),
    "qat": ("models", "training", "quantize"),
    "qat-pruned": ("models", "training", "quantize"),
    "export": ("quantize", "export"),
    "answers": ("devices",),
    "bench": ("devices",),
}
ROLES = {"qat": "", "qat-pruned": "-pruned", "float": ""}  # trained model: what it adds to a file's name
FILES = (  # role, format, precision
    ("float", "tflite", "float32"),
    ("float", "tflite", "float16"),
    ("float", "tflite", "w8"),
    ("float", "tflite", "w8a8-ptq"),
    ("qat", "tflite", "w8a8-qat"),
    ("qat-pruned", "tflite", "w8a8-qat"),
    ("float", "onnx", "float32"),
    ("qat", "onnx", "w8a8-qat"),
)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `edgewright run` is told; see its help."""

    model: str
    data: str | None = None
    preset: str = "edge"
    weights: str | None = None
    quick: bool = False
    sparsity: float = 0.5
    seed: int = 0
    epochs: int | None = None
    max_drop: float = 0.01
    min_speedup: float | None = None
    device: str = "local"
    class_weights: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise BadInput(f"--sparsity {self.sparsity}: must lie between 0 and 1 (0.5 zeroes half of the weights)")
        if self.epochs is not None and self.epochs < 1:
            raise BadInput(f"--epochs {self.epochs}: must be at least 1")
        if self.class_weights not in (None, "balanced"):
            raise BadInput(f"--class-weights {self.class_weights}: must be balanced, or be left out")
        Thresholds(max_drop=self.max_drop, min_speedup=self.min_speedup)


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """How far a run goes.

    files: what is exported, as (role of the model, format, precision); a model that no file is made of is not trained.
    brief: the least training that tells a right implementation from a wrong one, short timings, no page. timed: formats
    whose files are timed. apart: answers of the files are a step of their own, so that timing can wait for a quiet
    machine; with `timing` false it is left undone.
    """

    files: tuple[tuple[str, str, str], ...] = FILES
    brief: bool = False
    timed: tuple[str, ...] = ("tflite", "onnx")
    apart: bool = False
    timing: bool = True

    @property
    def roles(self) -> set[str]:
        return {role for role, _, _ in self.files}


def execute(config: RunConfig, out: Path | None = None, scope: RunPlan = RunPlan()) -> tuple[dict[str, Any], Path]:
    """Do what is left of the run and return the document of results.json (empty before timing) and its folder."""
    subject = find(config.model, config.data, preset=config.preset, weights=config.weights, seed=config.seed,
                   quick=config.quick)  # fmt: skip
    folder = out or Path("runs") / f"{subject.name}-{subject.dataset.name}"
    with occupying(folder) as steps:
        write(folder / "config.yaml", yaml.safe_dump(asdict(config), sort_keys=False))
        return Pipeline(config, subject, folder, steps, scope).go(), folder


class Pipeline:
    """One run: each method is a step, and hands the next one digests of what it wrote."""

    def __init__(self, config: RunConfig, subject: Workload, folder: Path, steps: Steps, scope: RunPlan):
        self.config, self.subject, self.folder, self.steps, self.scope = config, subject, folder, steps, scope
        self.dataset = subject.dataset
        self.data = {part: digest_of(split) for part, split in self.dataset.splits.items()}
        self.curves: dict[str, Any] = {}

    def go(self) -> dict[str, Any]:
        trained = self.train()
        pruned = self.prune(trained)
        models = {"float": trained}
        for role, source in (("qat", trained), ("qat-pruned", pruned)):
            if role in self.scope.roles:
                models[role] = self.quantize(role, source)
        files = self.export(models)
        if not self.scope.apart:
            return self.report(self.bench(files))
        answered = self.bench(files, "answers", latency=False)
        return self.report(self.time(files, answered)) if self.scope.timing else {}

    def train(self) -> str:
        settings = self.settings("train")

        def work(scratch: Path) -> Mapping[str, Any]:
            model = self.subject.make()
            check_savable(model, self.config.model)
            if self.subject.trained:
                found = evaluate(model, self.dataset.test, self.subject.task)
                return self.kept(model, "float", found.value, [])
            result = train(model, self.dataset, settings, learner=self.subject.learner, out=scratch)
            return self.kept(model, "float", result.metric, result.history)

        return self.do("train", work, asdict(settings), {"model": self.subject.identity, **self.data})

    def prune(self, source: str) -> str:
        settings = self.settings("prune")

        def work(scratch: Path) -> Mapping[str, Any]:
            model, what = prune(
                load_model(self.folder / source),
                PruneConfig(sparsity=self.config.sparsity),
                data=self.dataset,
                training=settings,
                learner=self.subject.learner,
                out=scratch,
            )
            found = evaluate(model, self.dataset.test, self.subject.task)
            rows = [{**row, "shape": list(row["shape"])} for row in what.rows]
            return {**self.kept(model, "pruned", found.value, _history(scratch)), "rows": rows}

        facts = {**asdict(settings), "sparsity": self.config.sparsity}
        return self.do("prune", work, facts, self.inputs(source))

    def quantize(self, name: str, source: str) -> str:
        """Retrain with quantizers in the loop, from calibrated ranges."""
        settings = self.settings("qat")

        def work(scratch: Path) -> Mapping[str, Any]:
            model, what = prepare_qat(load_model(self.folder / source), calibration=calibration(self.dataset))
            result = train(model, self.dataset, settings, learner=self.subject.learner, out=scratch)
            kept = self.kept(model, name, result.metric, result.history)
            answers = result.judged.all_outputs.values() if result.judged else [result.outputs]
            written = [self.written_outputs(name, place, one) for place, one in enumerate(answers)]
            return {**kept, "files": [*kept["files"], *written], "rows": list(what.rows)}

        return self.do(name, work, asdict(settings), self.inputs(source))

    def export(self, models: Mapping[str, str]) -> dict[str, str]:
        """Return the path of each file and the role of the model that it was made of."""
        plan = [
            (role, kind, precision, f"{self.subject.name}{ROLES[role]}-{precision}")
            for role, kind, precision in self.scope.files
        ]

        def work(scratch: Path) -> Mapping[str, Any]:
            loaded = {role: load_model(self.folder / path) for role, path in models.items()}
            samples = calibration(self.dataset)
            files = []
            for role, kind, precision, label in plan:
                artifact = EXPORTERS[kind](
                    loaded[role],
                    precision=precision,
                    calibration=samples if precision == "w8a8-ptq" else None,
                    name=label,
                )
                artifact = replace(artifact, manifest={**artifact.manifest, **facts(self.dataset)})
                path = artifact.save(self.folder / "artifacts" / f"{label}.{kind}").relative_to(self.folder)
                files += [str(path), f"{path}.json"]
            return {"files": files}

        digests = {path: sha256(self.folder / path) for path in models.values()}
        inputs = {**digests, "data": self.data["train"]}
        result = self.steps.do("export", work, config={"plan": plan}, inputs=inputs, code=CODE["export"])
        paths = [path for path in result["files"] if not path.endswith(".json")]
        return dict(zip(paths, [role for role, *_ in plan], strict=True))

    def bench(self, files: Mapping[str, str], name: str = "bench", *, latency: bool = True) -> dict[str, Any]:
        """Run the samples through all files, and time them if `latency`."""
        config = replace(self.bench_config(), latency=latency)

        def work(scratch: Path) -> Mapping[str, Any]:
            run = self.measure(list(files), config)
            return {**self.measured(run, name), "parity": self.parity(run, files)}

        return self.on_device(name, work, config, files)

    def time(self, files: Mapping[str, str], answered: Mapping[str, Any]) -> dict[str, Any]:
        """Time the files whose answers are known, and put both together."""
        config = replace(self.bench_config(), answers=False)
        chosen = {path: role for path, role in files.items() if Path(path).suffix[1:] in self.scope.timed}

        def work(scratch: Path) -> Mapping[str, Any]:
            run, timed = Run.load(self.folder / "answers"), self.measure(list(chosen), config)
            run.raw.latency, run.raw.control, run.raw.seconds = timed.raw.latency, timed.raw.control, timed.raw.seconds
            run.environment, run.notes, run.config = timed.environment, run.notes + timed.notes, timed.config
            return {**self.measured(run, "bench"), "parity": answered["parity"]}

        return self.on_device("bench", work, config, {**chosen, **dict.fromkeys(answered["files"])})

    def bench_config(self) -> BenchConfig:
        if not self.config.quick:
            return BenchConfig()
        samples = QUICK_TEST_SAMPLES if len(self.dataset.test) > QUICK_TEST_SAMPLES else None
        if self.scope.brief:
            return BenchConfig(precision=0.03, max_seconds=3, min_rounds=10, attempts=1, samples=samples)
        return BenchConfig(max_seconds=10, min_rounds=20, attempts=2, samples=samples)

    def measure(self, files: list[str], config: BenchConfig) -> Run:
        described = [ModelFile.read(self.folder / path) for path in files]
        floats = {file.format: file.name for file in described if file.precision == "float32"}
        return measure.bench(
            described,
            baseline={file.name: floats[file.format] for file in described},
            **to_measure(self.dataset),
            device=self.config.device,
            config=config,
            model=self.subject.name,
            data=self.dataset.name,
        )

    def measured(self, run: Run, name: str) -> dict[str, Any]:
        document.save(run, self.folder / name)
        created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return {"files": [f"{name}/results.json", f"{name}/raw.npz"], "created": created}

    def parity(self, run: Run, files: Mapping[str, str]) -> dict[str, Any]:
        """Compare what each quantization-aware model answered with what its file did."""
        found = {}
        for path, role in files.items():
            name = Path(path).name
            if role == "float" or name not in run.answers:
                continue
            manifest = json.loads((self.folder / f"{path}.json").read_text())
            steps = [one["scale"] for one in manifest["outputs"]]
            each = [
                parity(np.load(self.outputs(role, place), allow_pickle=False), given, step)
                for place, (given, step) in enumerate(zip(run.answers[name], steps, strict=True))
                if step
            ]
            if each:
                found[name] = min(each, key=lambda one: one["within_one_step"])  # none makes up for another
        return found

    def on_device(self, name: str, work: Any, config: BenchConfig, files: Mapping[str, Any]) -> dict[str, Any]:
        inputs = {**{path: sha256(self.folder / path) for path in files}, "test": self.data["test"]}
        facts = {**asdict(config), "device": self.config.device}
        return self.steps.do(name, work, config=facts, inputs=inputs, code=CODE[name])

    def report(self, measured: Mapping[str, Any]) -> dict[str, Any]:
        """Judge and write the report; always done anew, since thresholds may have changed."""
        run = Run.load(self.folder / "bench")
        thresholds = Thresholds(max_drop=self.config.max_drop, min_speedup=self.config.min_speedup)
        results = document.compose(run, compare(run, thresholds), thresholds)
        results |= {
            "command": _command(),
            "created": measured["created"],
            "curves": self.curves,
            "parity": measured["parity"],
            "seconds": self.steps.seconds(),
            "preprocessing": self.dataset.preprocessing,
            "source": str(self.dataset.source),
        }
        write_json(self.folder / "results.json", results)
        if not self.scope.brief:
            samples = {name: values.tolist() for name, values in run.samples().items()}
            write(self.folder / "report.html", report.html(results, samples))
        write(self.folder / "summary.md", report.markdown(results))
        return results

    def do(self, name: str, work: Any, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
        result = self.steps.do(name, work, config=config, inputs=inputs, code=CODE[name])
        self.curves[name] = result["history"]
        return result["files"][0]

    def settings(self, stage: str) -> TrainConfig:
        return train_config(
            stage,
            self.dataset,
            quick=self.config.quick,
            brief=self.scope.brief,
            epochs=self.config.epochs,
            seed=self.config.seed,
            peak=self.subject.learning_rate,
            class_weights=self.config.class_weights,
        )

    def outputs(self, name: str, place: int) -> Path:
        """Return where a model's answers lie, with which the files' are compared."""
        return self.folder / "models" / f"{name}-outputs{f'-{place}' if place else ''}.npy"

    def written_outputs(self, name: str, place: int, values: np.ndarray) -> str:
        path = self.outputs(name, place)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, values)
        return str(path.relative_to(self.folder))

    def inputs(self, source: str) -> dict[str, str]:
        return {"model": sha256(self.folder / source), **self.data}

    def kept(self, model: keras.Model, name: str, metric: float, history: Any) -> dict[str, Any]:
        path = save_model(model, self.folder / "models" / f"{name}.keras")
        refuse_other(model, path, self.dataset.test.take(np.arange(min(SAME_ON, len(self.dataset.test)))).x)
        return {"files": [str(path.relative_to(self.folder))], "metric": metric, "history": list(history)}


def refuse_other(model: keras.Model, path: Path, samples: Any) -> None:
    """Refuse to go on with a file that does not answer as the model it was written from.

    Raises: EdgewrightError naming the output and how far it is off.
    """
    before, after = predict_all(model, samples), predict_all(load_model(path), samples)
    for place, (kept, read) in enumerate(zip(before, after, strict=True)):
        if not np.allclose(kept, read, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(kept).max()))):
            off = float(np.abs(kept.astype(np.float64) - read).max())
            path.unlink()
            raise EdgewrightError(
                f"{path.name}: read back, output {place} differs from the model's by up to {off:.3g}: something of it "
                f"is not "
                "saved. A layer of yours that keeps state outside its weights must write it in get_config or "
                "save_own_variables"
            )


def _history(scratch: Path) -> list[dict[str, float]]:
    """Return the epochs that a training logged in its folder."""
    return [json.loads(line) for line in (scratch / "history.jsonl").read_text().splitlines()]


def parity(expected: np.ndarray, given: np.ndarray, step: float) -> dict[str, float]:
    """Compare the outputs of a fake-quantized model with those its file gave on the device, in steps of the output."""
    expected = expected[: len(given)]
    steps = np.abs(expected - given.reshape(expected.shape)) / step
    flat = expected.reshape(len(expected), -1)
    return {
        "argmax_agreement": float((flat.argmax(-1) == given.reshape(flat.shape).argmax(-1)).mean()),
        "within_one_step": float((steps < 1.5).mean()),
        "exact": float((steps < 0.5).mean()),
        "n": len(given),
    }


def _command() -> str:
    return shlex.join(["edgewright", *sys.argv[1:]])
