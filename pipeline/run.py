"""The whole way in one call: the steps of recipes, export, bench, compare, report, in a folder that can be resumed."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml

from ..devices.asking import described
from ..devices.measure import BenchConfig, Run
from ..devices.report import report
from ..devices.verdict import document
from ..devices.verdict.compare import Thresholds
from ..errors import BadInput
from ..files import replacing, sha256, write, write_json
from ..progress import say
from ..training import learners
from ..training.config import TrainConfig
from ..training.runner import KerasRunner
from ..training.tasks import Evaluation, Networks
from . import exporting, measuring, pictures, pruning, quantizing, recipe, sanity, shortlisting, teachers, training
from .alone import least_kernel
from .budget import train_config
from .chain import Stage, end_of, holding, needed, stages_of
from .check import refused_by, suited_to, tell_refused
from .find import digest_of, find
from .plan import FLOAT, File, planned
from .recipe import KINDS, Recipe
from .run_config import FILES, JUDGES, RunConfig, RunPlan, files_for, plan_for
from .saved import check_savable, load_model, note, refuse_other, save_model
from .stages import compare
from .steps import Steps, Work, occupying
from .workload import Workload

QUICK_TEST_SAMPLES = 2000
SAME_ON = 32  # samples on which a file that was written must answer as the model did
# The modules that do a kind of work: a change in one of them, or in what it imports, makes the step's result stale.
CODE = {
    "train": ("pipeline.training",),
    "prune": ("pipeline.pruning",),
    "qat": ("pipeline.quantizing",),
    "export": ("pipeline.exporting",),
    "answers": ("pipeline.measuring",),
    "bench": ("pipeline.measuring",),
    "kernels": ("pipeline.alone",),
    "target": ("devices.preflight.check",),
    "pictures": ("pipeline.pictures",),
}


def execute(config: RunConfig, out: Path | None = None, plan: RunPlan | None = None) -> tuple[dict[str, Any], Path]:
    """Do what is left of the run and return the document of results.json (empty before timing) and its folder."""
    asks, plan = plan is None and config.recipe is None, plan or plan_for(config)
    work = find(config.model, config.data, preset=config.preset, weights=config.weights, freeze=config.freeze,
                seed=config.seed, quick=config.quick, also=config.also)  # fmt: skip
    work = suited_to(work, config.target)
    shortlist = shortlisting.of_work(config.shortlist, work)  # refuses what it cannot be, before any folder is made
    if plan.files and not work.deploy:
        raise BadInput(f"{config.model}: no network of it goes to a device; train it by `edgewright train`")
    for stage in stages_of(plan.recipes or ()):
        refuse(stage, work)
    folder = out or Path("runs") / f"{work.name}-{work.dataset.name}"
    with occupying(folder) as steps:
        write(folder / "config.yaml", yaml.safe_dump(asdict(config), sort_keys=False))
        plan = replace(plan, files=files_for(_lacking(config.device, steps))) if asks else plan
        ways = recipe.usual(config.sparsity, config.quantization)
        usual = tuple(each for each in ways if end_of(each) in plan.roles) or (Recipe(),)
        plan = replace(plan, recipes=plan.recipes or usual)
        write(folder / "recipe.yaml", recipe.text(plan.recipes or ()))
        return Pipeline(config, work, folder, steps, plan, shortlist).go(), folder


def _lacking(device: str, steps: Steps) -> list[str]:
    """Ask the device, once a folder: before anything is trained for it, and not again where all is done."""

    def ask(scratch: Path) -> Mapping[str, Any]:
        return {"lacks": described(device).get("lacks", [])}

    return steps.do("device", ask, config={"device": device}, inputs={}, code=("devices.asking",))["lacks"]


def refuse(stage: Stage, work: Workload) -> None:
    """Refuse a step that the model does not allow.  Raises: BadInput."""
    if KINDS[stage.step.kind].stage == "prune":
        pruning.refuse(stage.step.options, work)
    if (teaching := stage.step.teacher) is not None and teachers.speaks(teaching, work):
        learners.get(work.learner).check_teachable()
        teachers.check_teacher(teaching.teacher, begun=stage.source is not None)


_ANSWERS = "-outputs"  # how files with answers end, before the number of the output
_ASKED = "-asked.npz"  # and those with what was asked, where it is not the test data
Paths = dict[str, str]  # network -> its .keras file in the folder of the run


class Pipeline:
    """One run: each method does a kind of step, and hands the next one the files that it wrote."""

    def __init__(
        self, config: RunConfig, work: Workload, folder: Path, steps: Steps, plan: RunPlan,
        shortlist: Sequence[int] | None,
    ):  # fmt: skip
        self.config, self.work, self.folder, self.steps, self.plan = config, work, folder, steps, plan
        self.shortlist = shortlist
        self.data = {part: digest_of(split) for part, split in work.dataset.splits.items()}
        stages = stages_of(plan.recipes or ())
        self.stages = [holding(stage, work, self.settings(stage)) for stage in needed(stages, plan.roles)]
        self.files = {
            file.name: file for file in planned(work, plan.files, {stage.role: stage.tag for stage in stages})
        }
        self.curves: dict[str, Any] = {}
        self.trained: dict[str, Any] = {}  # stage -> the settings of its training
        self.models: dict[str, Paths] = {}  # role -> its networks
        self.exported: list[str] = []
        self.made: dict[str, list[str]] = {}  # role -> the files of its step
        self.read_back: dict[str, keras.Model] = {}  # file -> what was read of it and nobody has used yet

    def go(self) -> dict[str, Any]:
        """Do what is left and return the document of results.json; empty where timing is left undone."""
        for stage in self.stages if self.files else self.stages[:1]:
            do = {"train": self.train, "prune": self.prune, "qat": self.quantize}[KINDS[stage.step.kind].stage]
            self.models[stage.role] = do(stage)
        if not self.files:
            return {**self.described(), "seconds": self.steps.seconds()}
        files = self.export()
        if not self.plan.apart:
            return self.report(self.bench(files))
        answered = self.bench(files, "answers", latency=False)
        return self.report(self.time(files, answered)) if self.plan.timing else {}

    def train(self, stage: Stage) -> Paths:
        """Train the networks; those that come trained are judged, or go on where the step says how."""
        settings = self.settings(stage)
        asked = stage.step.training or stage.step.teaching

        def work(scratch: Path) -> Mapping[str, Any]:
            networks = self.work.make()
            for model in networks.values():
                check_savable(model, self.config.model)
            if self.work.trained and not asked:
                value = training.evaluated(networks, self.work).value
                return self.kept(self.work.complete(networks), stage.role, value, [])
            if self.config.check:
                say(str(sanity.check(self.work, settings)))
            result = training.train(networks, self.work, settings, scratch, **self.taught(stage))
            return self.kept(self.work.complete(networks), stage.role, result.metric, result.history)

        return self.do(stage, work, settings, {"model": self.work.identity, **self.data})

    def prune(self, stage: Stage) -> Paths:
        """Prune what goes to a device, by the way that the step names."""
        settings = self.settings(stage)

        def work(scratch: Path) -> Mapping[str, Any]:
            pruned = pruning.prune(self.source(stage), self.work, stage.step.options, settings, scratch,
                                   **self.taught(stage))  # fmt: skip
            value = training.evaluated(pruned.networks, self.work).value
            return {**self.kept(pruned.networks, stage.role, value, pruned.history), "rows": pruned.rows()}

        return self.do(stage, work, settings, self.inputs(stage))

    def quantize(self, stage: Stage) -> Paths:
        """Retrain with quantizers in the loop, from calibrated ranges."""
        settings = self.settings(stage)

        def work(scratch: Path) -> Mapping[str, Any]:
            networks, how = self.source(stage), KINDS[stage.step.kind].quantizing
            assert how is not None
            config = how(networks, self.work, stage.step.options)
            quantized = quantizing.quantize(networks, self.work, settings, scratch, config, **self.taught(stage))
            kept = self.kept(quantized.networks, stage.role, quantized.result.metric, quantized.result.history)
            told = self.told(stage.role, quantized.networks, quantized.result.judged)
            return {**kept, "files": [*kept["files"], *told], "rows": quantized.rows()}

        return self.do(stage, work, settings, self.inputs(stage))

    def source(self, stage: Stage) -> dict[str, keras.Model]:
        """Return the networks that a stage goes on from."""
        assert stage.source is not None
        return self.loaded(self.models[stage.source])

    def export(self) -> list[str]:
        """Write the files of the plan; return where each lies, in its order."""
        files = list(self.files.values())
        models = {role: paths for role, paths in self.models.items() if role in self.plan.roles | {FLOAT}}

        def work(scratch: Path) -> Mapping[str, Any]:
            networks = {role: self.loaded(paths) for role, paths in models.items()}
            written, how = [], self.config.quantization
            for file, artifact in exporting.export(networks, self.work, files, how, self.shortlist):
                path = artifact.save(self.folder / "artifacts" / file.name).relative_to(self.folder)
                written += [str(path), f"{path}.json"]
            return {"files": written}

        digests = {path: sha256(self.folder / path) for paths in models.values() for path in paths.values()}
        inputs = {**digests, "data": self.data["train"]}
        plan = {"plan": [asdict(file) for file in files], **({"shortlist": self.shortlist} if self.shortlist else {})}
        plan |= {"target": self.config.target} if self.config.target else {}
        result = self.steps.do("export", work, config=plan, inputs=inputs, code=self.code("export"))
        self.exported = [path for path in result["files"] if not path.endswith(".json")]
        return self.exported

    def bench(self, files: list[str], name: str = "bench", *, latency: bool = True) -> dict[str, Any]:
        """Run the samples through all files, and time them if `latency`."""
        config = replace(self.bench_config(), latency=latency)

        def work(scratch: Path) -> Mapping[str, Any]:
            run = self.measure(files, config)
            return {**self.measured(run, name), "parity": self.parity(run, files)}

        return self.on_device(name, work, config, files)

    def time(self, files: list[str], answered: Mapping[str, Any]) -> dict[str, Any]:
        """Time the files whose answers are known, and put both together."""
        config = replace(self.bench_config(), answers=False)
        chosen = [path for path in files if Path(path).suffix[1:] in self.plan.timed]

        def work(scratch: Path) -> Mapping[str, Any]:
            run, timed = Run.load(self.folder / "answers"), self.measure(chosen, config)
            run.raw.latency, run.raw.control, run.raw.seconds = timed.raw.latency, timed.raw.control, timed.raw.seconds
            run.environment, run.notes, run.config = timed.environment, run.notes + timed.notes, timed.config
            return {**self.measured(run, "bench"), "parity": answered["parity"]}

        return self.on_device("bench", work, config, [*chosen, *answered["files"]])

    def bench_config(self) -> BenchConfig:
        """Return how to measure."""
        if not self.config.quick:
            return BenchConfig()
        samples = QUICK_TEST_SAMPLES if len(self.judging.dataset.test) > QUICK_TEST_SAMPLES else None
        if self.plan.brief:
            return BenchConfig(precision=0.03, max_seconds=3, min_rounds=10, window_ms=30, attempts=1, samples=samples)
        return BenchConfig(max_seconds=10, min_rounds=20, attempts=2, samples=samples)

    def measure(self, paths: list[str], config: BenchConfig) -> Run:
        """Measure files of the run."""
        files = [(self.files[Path(path).name], self.folder / path) for path in paths]
        return measuring.bench(files, self.judging, config, self.config.device)

    @property
    def judging(self) -> Workload:
        """The workload with the part of the data that files are judged on in the place of the test data."""
        dataset = self.work.dataset
        return replace(self.work, dataset=replace(dataset, test=dataset.splits[self.config.judge]))

    def measured(self, run: Run, name: str) -> dict[str, Any]:
        """Keep what was measured."""
        document.save(run, self.folder / name)
        created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return {"files": [f"{name}/results.json", f"{name}/raw.npz"], "created": created}

    def parity(self, run: Run, paths: list[str]) -> dict[str, Any]:
        """Compare what each quantization-aware network answered with what its file does, where that has a scale.

        Nothing is compared on other samples than the test data, to which alone it is known what networks answered.
        """
        compared: dict[str, dict[str, float]] = {}
        if self.work.sampled and self.config.judge != "test":
            return compared
        for path in paths:
            file = self.files[Path(path).name]
            if (expected := self.kept_answers(file)) and run.measured[file.name]["status"] == "ok":
                given = run.answers.get(file.name) if self.work.sampled else self.answered(file, self.folder / path)
                outputs = json.loads((self.folder / f"{path}.json").read_text())["outputs"]
                told = [output for output in outputs if output["name"] not in self.work.states(file.network)]
                if given and (found := measuring.least_parity(expected, given, told)):
                    compared[file.name] = found
        return compared

    def answered(self, file: File, path: Path) -> list[np.ndarray]:
        """Return what a file answers to the samples that its network was asked, its states left out."""
        states = self.work.states(file.network)
        answers = measuring.answered(
            file.network, path, self.asked(file), steps=bool(states), device=self.config.device
        )
        return [values for name, values in answers.items() if name not in states]

    def asked(self, file: File) -> dict[str, np.ndarray]:
        """Return the samples that the network of a file was asked."""
        with np.load(self.folder / self.place(file.role, file.network, _ASKED), allow_pickle=False) as asked:
            return dict(asked)

    def on_device(self, name: str, work: Work, config: BenchConfig, files: list[str]) -> dict[str, Any]:
        """Do a step that measures."""
        inputs = {**{path: sha256(self.folder / path) for path in files}, "test": self.data[self.config.judge]}
        facts = {**asdict(config), "device": self.config.device}
        return self.steps.do(name, work, config=facts, inputs=inputs, code=self.code(name))

    def described(self) -> dict[str, Any]:
        """Return what the run is about."""
        return {"model": self.work.name, "data": self.work.dataset.name, "metric": self.work.task.metric.name}

    def report(self, measured: Mapping[str, Any]) -> dict[str, Any]:
        """Judge and write the report; always done anew, since thresholds may have changed."""
        run = Run.load(self.folder / "bench")
        if self.config.target:
            self.for_target(self.config.target, run)
        run.notes += shortlisting.told(self.shortlist, self.work)
        thresholds = Thresholds(max_drop=self.config.max_drop, min_speedup=self.config.min_speedup)
        results = document.compose(run, compare(run, thresholds), thresholds)
        results |= {
            "metric": self.work.task.metric.name,
            "command": _command(),
            "created": measured["created"],
            "curves": self.curves,
            "training": self.trained,
            "parity": self.with_kernels(measured["parity"]),
            "seconds": self.steps.seconds(),
            "preprocessing": self.work.dataset.preprocessing,
            "source": str(self.work.dataset.source),
            **self.pictures(),
        }
        write_json(self.folder / "results.json", results)
        if not self.plan.brief:
            samples = {name: values.tolist() for name, values in run.samples().items()}
            write(self.folder / "report.html", report.html(results, samples))
        write(self.folder / "summary.md", report.markdown(results))
        return results

    def for_target(self, name: str, run: Run) -> None:
        """Say in a run, which was judged on another device perhaps, what its target would refuse."""

        def work(scratch: Path) -> Mapping[str, Any]:
            return {"refused": refused_by(name, [self.folder / path for path in self.exported])}

        inputs = {path: sha256(self.folder / path) for path in self.exported}
        found = self.steps.do("target", work, config={"target": name}, inputs=inputs, code=self.code("target"))
        tell_refused(run, name, found["refused"])

    def with_kernels(self, parity: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return how far files answer as their networks, and where they are not close how well each kernel does."""
        far = [path for path in self.exported
               if parity.get(Path(path).name, {}).get("within_one_step", 1.0) < measuring.CLOSE]  # fmt: skip

        def work(scratch: Path) -> Mapping[str, Any]:
            return {"least": {Path(path).name: self.alone(Path(path)) for path in far}}

        least = self.on_device("kernels", work, self.bench_config(), far)["least"] if far else {}
        return {**parity, **{name: {**parity[name], "least_kernel": share} for name, share in least.items()}}

    def alone(self, path: Path) -> float:
        """Return how well the worst kernel of a file does with the inputs that it had."""
        file = self.files[path.name]
        model, states = self.loaded(self.models[file.role])[file.network], self.work.states(file.network)
        given = self.work.arrays(file.network, SAME_ON) if self.work.sampled else self.asked(file)
        return least_kernel(model, given, states, file.format, self.config.device)

    def pictures(self) -> dict[str, Any]:
        """Return what the files draw, {} where the task shows nothing or nobody reads the page."""
        paths = [] if self.plan.brief or not hasattr(self.work.task, "pictures") else self.exported
        files = [(self.files[Path(path).name], self.folder / path) for path in paths]

        def work(scratch: Path) -> Mapping[str, Any]:
            return {"pictures": pictures.shown(files, self.work, self.config.device)}

        found = self.on_device("pictures", work, self.bench_config(), paths)["pictures"] if paths else []
        return {"pictures": found} if found else {}

    def do(self, stage: Stage, work: Work, settings: TrainConfig, inputs: Mapping[str, str]) -> Paths:
        """Do a step that ends in networks; return where they lie."""
        held = teachers.held(stage.step.teacher, self.work)
        self.trained[stage.name] = {**asdict(settings), **({"held": held} if held else {})}
        config = {**asdict(settings), "step": stage.step.to_dict()}
        config |= {"teacher": teachers.identity(stage.step.teacher, self.work)} if stage.step.teaching else {}
        kind = KINDS[stage.step.kind]
        config |= {"target": self.config.target} if self.config.target and kind.stage == "qat" else {}
        code = (*self.code(kind.stage), *kind.code)

        def seeded(scratch: Path) -> Mapping[str, Any]:
            keras.utils.set_random_seed(self.config.seed)  # a layer that is copied draws anew what it drops out
            return work(scratch)

        result = self.steps.do(stage.name, seeded, config=config, inputs=inputs, code=code)
        self.curves[stage.name], self.made[stage.role] = result["history"], result["files"]
        return {network: str(self.place(stage.role, network, ".keras")) for network in self.work.networks}

    def code(self, kind: str) -> tuple[str, ...]:
        """Return the modules that do a kind of work; a step network is made by one more."""
        return (*CODE[kind], *(("quantize.streaming",) if self.work.derived else ()))

    def settings(self, stage: Stage) -> TrainConfig:
        """Return how a stage trains: by the budget of its kind, and as its step says."""
        told = {
            "epochs": self.config.epochs,
            "class_weights": self.config.class_weights,
            **self.config.training,
            **stage.step.training,
        }
        return train_config(
            KINDS[stage.step.kind].stage,
            self.work.dataset,
            quick=self.config.quick,
            brief=self.plan.brief,
            recovery=self.plan.recovery,
            seed=self.config.seed,
            **self.work.pace,
            **told,
        )

    def taught(self, stage: Stage) -> dict[str, Any]:
        """Return what teaches a stage, for the function that does its work."""
        teaching = stage.step.teacher
        if teaching is not None and self.by_first(stage):
            path = next(iter(self.models[FLOAT].values()))
            teaching = replace(teaching, teacher=str(self.folder / path), untold=teaching.of_untold)
        return {} if teaching is None else {"teaching": teaching}

    def by_first(self, stage: Stage) -> bool:
        """Tell if a stage's teacher, "float", is another than what it goes on from: the run's first networks."""
        teaching = stage.step.teacher
        return teaching is not None and teaching.teacher == FLOAT and stage.source not in (FLOAT, None)

    def place(self, role: str, network: str, ending: str) -> Path:
        """Return where something of a network lies in the folder: several have a folder for each role."""
        return Path("models") / (f"{role}/{network}{ending}" if self.work.several else f"{role}{ending}")

    def loaded(self, paths: Paths) -> dict[str, keras.Model]:
        """Read networks; one that was read back once it was written is handed out, to the first who asks."""
        return {network: self.read_back.pop(path, None) or load_model(self.folder / path)
                for network, path in paths.items()}  # fmt: skip

    def told(self, role: str, networks: Networks, judged: Evaluation | None) -> list[str]:
        """Write what networks that go to a device answer, with which their files are compared; return where it lies.

        They are asked the test data where they are judged sample by sample, else some samples, which are written too.
        """
        if self.work.sampled and judged is not None:
            (network,) = networks
            return self.written(role, network, list(judged.all_outputs.values()) or [judged.outputs])
        run, paths = KerasRunner(networks, self.work.deploy), []
        for each in self.work.deploy:
            asked = self.work.arrays(each.network, SAME_ON, networks)
            answers = (run.unroll if each.states else run)(each.network, asked)
            kept = self.place(role, each.network, _ASKED)
            with replacing(self.folder / kept) as temporary, open(temporary, "wb") as file:
                np.savez(file, allow_pickle=False, **asked)
            said = [values for name, values in answers.items() if name not in each.states]
            paths += [str(kept), *self.written(role, each.network, said)]
        return paths

    def written(self, role: str, network: str, answers: Sequence[np.ndarray]) -> list[str]:
        """Write a network's answers; return where they lie."""
        paths = []
        for place, values in enumerate(answers):
            path = self.place(role, network, f"{_ANSWERS}{f'-{place}' if place else ''}.npy")
            with replacing(self.folder / path) as temporary, open(temporary, "wb") as file:
                np.save(file, values)
            paths.append(str(path))
        return paths

    def kept_answers(self, file: File) -> list[np.ndarray]:
        """Return what `written` wrote of the network that a file was made of; nothing of a float one."""
        begins = str(self.place(file.role, file.network, _ANSWERS))
        paths = [path for path in self.made.get(file.role, ()) if path.startswith(begins) and path.endswith(".npy")]
        return [np.load(self.folder / path, allow_pickle=False) for path in paths]

    def inputs(self, stage: Stage) -> dict[str, str]:
        """Return the digests of what a stage that trains goes on from."""
        assert stage.source is not None
        digests = {name: sha256(self.folder / path) for name, path in self.models[stage.source].items()}
        taught = {f"teacher {name}": sha256(self.folder / path) for name, path in self.models[FLOAT].items()}
        return {
            **(digests if self.work.several else {"model": next(iter(digests.values()))}),
            **(taught if self.by_first(stage) else {}),
            **self.data,
        }

    def kept(self, networks: Networks, role: str, metric: float, history: Any) -> dict[str, Any]:
        """Write networks, each proven to read back as what it was."""
        paths = {network: self.place(role, network, ".keras") for network in networks}
        for network, path in paths.items():
            save_model(networks[network], self.folder / path)
            others = {"networks": {name: other.name for name, other in paths.items()}} if self.work.several else {}
            note(self.folder / path, {**self.work.facts(network), **others})
            if (few := self.few(network)) is not None:
                self.read_back[str(path)] = refuse_other(networks[network], self.folder / path, few)
        return {"files": [str(path) for path in paths.values()], "metric": metric, "history": list(history)}

    def few(self, network: str) -> Any:
        """Return a few samples for a network, None for one that none are known of."""
        if self.work.sampled:
            test = self.work.dataset.test
            return test.take(np.arange(min(SAME_ON, len(test)))).x
        return self.work.samples(network, SAME_ON) if network in self.work.compressed else None


def _command() -> str:
    return shlex.join(["edgewright", *sys.argv[1:]])


__all__ = ["CODE", "FILES", "JUDGES", "Pipeline", "RunConfig", "RunPlan", "execute", "files_for", "plan_for"]
