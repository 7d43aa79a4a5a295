"""Tune: search for the file to ship on a device, by its own clock, among recipes that optuna proposes.

The float network comes first, in every precision that costs no training: what is too slow there is not trained for.
Then trials, with successive halving over epochs, each judged on validation data. The best is judged once more on test
data, and the next best where that refutes it.

The search is a pure function of its seed and of the results of its jobs, which are kept by the digest of what they
depend on. So a search that was killed is simply searched again: what is finished answers at once.
"""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ..devices.preflight.reading import read as read_tflite
from ..devices.report.front import Dot, picture
from ..devices.report.report import table
from ..devices.targets import target as targets
from ..devices.targets.memory import arena_bytes
from ..errors import BadInput, EdgewrightError
from ..files import write, write_json
from ..progress import say
from ..training import learners
from . import choice
from .budget import train_config
from .choice import Candidate, Wanted
from .executors import EXECUTORS
from .find import find
from .jobs import Job, run_missing
from .recipe import KINDS, Recipe
from .run import RunConfig, execute
from .steps import occupying
from .trials import FREE, TRAINED, Bench, Space, rungs
from .workload import Workload

FACTOR = 3  # of successive halving: one of so many trials goes on, with so many times the epochs
RUNGS = {True: 2, False: 3}  # quick or not
FAILED = -100.0  # what a trial that failed came to: the search is told to look elsewhere
ASKED_AT_MOST = 20  # times the number of trials: the search may propose what it had
Run = Callable[[Sequence[Job], Path], Mapping[str, str]]  # runs jobs into a store; key -> why it failed


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """What `edgewright tune` is told; see its help."""

    model: str
    data: str | None = None
    preset: str = "edge"
    weights: str | None = None
    device: str = "local"
    target: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    trials: int = 12
    epochs: int | None = None
    quick: bool = False
    seed: int = 0
    executor: str = "local"
    at_once: int = 1
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise BadInput(f"--trials {self.trials}: must be at least 1")
        if self.executor not in EXECUTORS:
            raise BadInput(f"--executor {self.executor!r}: allowed: {', '.join(EXECUTORS)}")
        if self.at_once < 1:
            raise BadInput(f"--jobs {self.at_once}: must be at least 1")
        if (self.target is None) != (self.wanted.max_arena is None):
            missing, given = ("target", "max-arena") if self.target is None else ("max-arena", "target")
            raise BadInput(
                f"--{missing} is missing: --{given} is given, and memory is planned as the runtime of one target does; "
                "give both, or leave both out"
            )


@dataclass(kw_only=True)
class Trial:
    """A recipe that was tried. state: complete, pruned or failed. rungs: (epochs, job's key) in their order.

    first: digests of the files that its first rung came to.
    """

    number: int
    recipe: Recipe
    state: str = "complete"
    reason: str = ""
    rungs: list[tuple[int | None, str]] = field(default_factory=list)
    files: list[Candidate] = field(default_factory=list)
    first: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """The job of its last rung."""
        return self.rungs[-1][1]

    def to_json(self, on_front: set[str], wanted: Wanted, folder: Path) -> dict[str, Any]:
        """Return its row of tune.json."""
        files = [
            {**one.to_json(folder), "on_front": one.key in on_front, "lacks": choice.lacks(one, wanted)}
            for one in self.files
        ]
        return {
            "number": self.number, "recipe": self.recipe.to_dict(), "state": self.state, "reason": self.reason,
            "rungs": [{"epochs": epochs, "key": key} for epochs, key in self.rungs], "files": files,
        }  # fmt: skip


def tune(config: TuneConfig, folder: Path, run: Run | None = None) -> dict[str, Any]:
    """Search in `folder`, write tune.json, tune.md, front.svg, front.png and `chosen/` there; return the document.

    run: what does jobs, by default the executor that `config` names.
    Raises: EdgewrightError without optuna; BadInput for a model of several networks.
    """
    optuna = _optuna()
    work = find(config.model, config.data, preset=config.preset, weights=config.weights, seed=config.seed,
                quick=config.quick)  # fmt: skip
    _check(work, config)
    executor = EXECUTORS[config.executor]
    with occupying(folder):
        search = Search(config, work, folder, run or (
            lambda jobs, store: run_missing(jobs, store, executor, config.at_once)
        ))  # fmt: skip
        search.begin()
        search.go_on(optuna)
        return search.end()


class Search:
    """One search: `begin` with what needs no training, `go_on` with trials, `end` with the choice."""

    def __init__(self, config: TuneConfig, work: Workload, folder: Path, run: Run):
        self.config, self.work, self.folder, self.run = config, work, folder, run
        self.trials: list[Trial] = []
        self.started = time.monotonic()
        self.bench = Bench(
            folder=folder, model=config.model, data=config.data or work.dataset.name, device=config.device,
            quick=config.quick, seed=config.seed, max_drop=config.wanted.max_drop, preset=config.preset,
            weights=config.weights, imports=config.imports,
        )  # fmt: skip
        self.space = Space(max_drop=config.wanted.max_drop, taught=learners.get(work.learner).teachable,
                           device=config.device)  # fmt: skip

    def begin(self) -> None:
        """Train the float network and measure its files; leave out of the search what its device is too slow for.

        Raises: EdgewrightError if that fails: then nothing else can be told.
        """
        recipe = Recipe(files=tuple(("tflite", precision) for precision in FREE))
        first = Trial(number=0, recipe=recipe)
        self.trials.append(first)
        self._do([(first, self.config.epochs)])
        if first.state == "failed":
            raise EdgewrightError(f"the float network: {first.reason}")
        self.bench = replace(self.bench, model=str(self._kept_model(first)), preset="edge", weights=None)
        self.space = self._worth(first)
        self._say(first)

    def go_on(self, optuna: Any) -> None:
        """Try what optuna proposes, as many recipes as asked for, each once."""
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=self.config.seed, n_startup_trials=4),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR),
        )
        for chosen in self.space.beginning[: self.config.trials]:
            study.enqueue_trial(chosen)
        asked, known = 0, {}
        while len(known) < self.config.trials and asked < ASKED_AT_MOST * self.config.trials:
            batch = []
            while len(batch) < min(self.config.at_once, self.config.trials - len(known)):
                asked += 1
                proposed = study.ask()
                recipe = self.space.recipe(
                    {name: proposed.suggest_categorical(name, values) for name, values in self.space.choices.items()}
                )
                if (words := recipe.words) in known:
                    study.tell(proposed, known[words])  # what it came to before
                elif recipe.steps and words not in (other.recipe.words for _, other in batch):
                    batch.append((proposed, Trial(number=len(self.trials) + len(batch), recipe=recipe)))
                else:
                    study.tell(proposed, state=optuna.trial.TrialState.FAIL)
                if asked >= ASKED_AT_MOST * self.config.trials:
                    break
            self.trials += [trial for _, trial in batch]
            known |= self._halved(study, batch)

    def _halved(self, study: Any, batch: Sequence[tuple[Any, Trial]]) -> dict[str, float]:
        """Train trials in rungs of growing length, of which the best go on; return what each came to, by recipe."""
        reached: dict[str, float] = {}
        left = list(batch)
        ladder = self._ladder()
        for place, (resource, epochs) in enumerate(ladder):
            self._do([(trial, epochs) for _, trial in left])
            going = []
            for proposed, trial in left:
                if trial.state == "failed":
                    reached[trial.recipe.words] = FAILED
                    study.tell(proposed, FAILED)
                    self._say(trial)
                    continue
                value = max(choice.score(one, self.config.wanted) for one in trial.files if not one.baseline)
                reached[trial.recipe.words] = value
                proposed.report(value, resource)
                trial.reason = self._known(trial, place) or self._hopeless(trial)
                if place < len(ladder) - 1 and not trial.reason and not proposed.should_prune():
                    going.append((proposed, trial))
                    continue
                if place < len(ladder) - 1:
                    trial.state = "pruned"
                    trial.reason = trial.reason or f"others were better after as few epochs ({epochs})"
                study.tell(proposed, value)
                self._say(trial)
            left = going
        return reached

    def _known(self, trial: Trial, place: int) -> str:
        """Say which trial's first rung came to the same files: of few channels several shares are the same number."""
        if place > 0:
            return ""
        trial.first = {one.sha256 for one in trial.files if not one.baseline}
        twins = (other for other in self.trials[: trial.number] if other.first and other.first == trial.first)
        return next((f"comes to the files of trial {twin.number}" for twin in twins), "")

    def _hopeless(self, trial: Trial) -> str:
        """Say why no training helps: its speed will stay, and what holds already is faster."""
        held = choice.ranked([one for other in self.trials if other is not trial for one in other.files],
                             self.config.wanted)  # fmt: skip
        if self.config.wanted.sized or not held:
            return ""
        fastest = max(one.speedup or 0.0 for one in trial.files if not one.baseline)
        best = max(one.speedup or 0.0 for one in held)
        return f"{fastest:.2f}x at most, and {best:.2f}x holds already" if fastest < (1 - choice.ALIKE) * best else ""

    def end(self) -> dict[str, Any]:
        """Choose, judge the choice on test data, and write what was found."""
        chosen, refuted, sentence = None, [], ""
        files = self._files()
        for one in choice.ranked(files, self.config.wanted):
            judged, document = self._judged(one)
            reason = choice.lacks(judged, self.config.wanted) or (
                f"its times are not to be trusted: {judged.doubt}" if judged.doubt else ""
            )
            if not reason:
                chosen, sentence = judged, self._sentence(judged, document)
                break
            say(f"{one.file} of trial {one.trial}: on test data: {reason}")
            refuted.append({"trial": one.trial, "file": one.file, "reason": reason})
        if chosen is None:
            shutil.rmtree(self.folder / "chosen", ignore_errors=True)
            sentence = self._none(files, refuted)
        return self._write(files, chosen, refuted, sentence)

    def _judged(self, one: Candidate) -> tuple[Candidate, Mapping[str, Any]]:
        """Judge a file on test data, in the folder `chosen`, where the finished steps of its trial are taken over."""
        folder, trial = self.folder / "chosen", self.trials[one.trial]
        kept = self.bench.store / trial.key
        path = self.folder / "recipes" / f"{trial.key}.yaml"
        config = RunConfig(
            model=self.config.model if trial.number == 0 else self.bench.model, data=self.bench.data,
            preset=self.config.preset if trial.number == 0 else "edge",
            weights=self.config.weights if trial.number == 0 else None, quick=self.config.quick,
            seed=self.config.seed, epochs=trial.rungs[-1][0], max_drop=self.config.wanted.max_drop,
            min_speedup=self.config.wanted.min_speedup, device=self.config.device, recipe=str(path), judge="test",
        )  # fmt: skip
        if _told_in(folder) != yaml.safe_load(yaml.safe_dump(asdict(config))):  # where a tuple is a list
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(kept, folder, ignore=shutil.ignore_patterns("job.json", "results.json", "bench"))
            (folder / "steps" / "bench.json").unlink()
        document, _ = execute(config, folder)
        found = choice.candidates(document, one.trial, folder, self._arena)
        return next(each for each in found if each.file == one.file), document

    def _sentence(self, one: Candidate, document: Mapping[str, Any]) -> str:
        base = next(each for each in choice.candidates(document, one.trial, self.folder / "chosen") if each.baseline)
        slower = "slower than float, but within the size: " if one.is_slower(self.config.wanted.margin) else ""
        sure = "" if one.verdict != "inconclusive" else (
            f"; {document['measurements'][0]['n']:,} test samples cannot say that the drop is within "
            f"{100 * self.config.wanted.max_drop:g} for sure"
        )  # fmt: skip
        return f"ship {one.file}: {slower}{choice.told(one, base)}{sure}"

    def _none(self, files: Sequence[Candidate], refuted: Sequence[Mapping[str, Any]]) -> str:
        wanted = self.config.wanted
        bounds = [f"within {100 * wanted.max_drop:g} points of its metric"]
        bounds += ["not slower than float"] if not wanted.sized else []
        bounds += [f"{wanted.min_speedup:g} times as fast"] if wanted.min_speedup else []
        bounds += [f"at most {wanted.max_bytes:,} bytes"] if wanted.max_bytes else []
        bounds += [f"in an arena of {wanted.max_arena:,} bytes"] if wanted.max_arena else []
        others = [one for one in files if not one.baseline]
        why = "".join(
            f"; {each['file']} of trial {each['trial']}, on test data: {each['reason']}" for each in refuted[:1]
        )
        if others and not refuted:
            nearest = max(others, key=lambda one: choice.score(one, wanted))
            why = f"; the nearest, {nearest.file} of trial {nearest.trial}: {choice.lacks(nearest, wanted)}"
        return f"ship the float file: none of {len(others)} files is {' and '.join(bounds)}{why}"

    def _write(
        self, files: Sequence[Candidate], chosen: Candidate | None, refuted: Sequence[Mapping[str, Any]], sentence: str
    ) -> dict[str, Any]:
        on_front = choice.front([one for one in files if not one.baseline or one.trial == 0])
        wanted = self.config.wanted
        document = {
            "schema": 1, "model": self.work.name, "data": self.work.dataset.name, "device": self.config.device,
            "metric": self.work.task.metric.name, "judge": "validation", "wanted": asdict(wanted),
            "seed": self.config.seed, "quick": self.config.quick, "command": shlex.join(["edgewright", *sys.argv[1:]]),
            "seconds": round(time.monotonic() - self.started, 1),
            "trials": [trial.to_json(on_front, wanted, self.folder) for trial in self.trials],
            "refuted": list(refuted), "chosen": chosen and chosen.to_json(self.folder), "advice": sentence,
        }  # fmt: skip
        dots = self._dots(files, on_front, chosen)
        for ending in ("svg", "png"):
            write(self.folder / f"front.{ending}", picture(dots, document["metric"], self._limit(), ending))
        write_json(self.folder / "tune.json", document)
        write(self.folder / "tune.md", f"{text(document)}\n")
        return document

    def _dots(self, files: Sequence[Candidate], on_front: set[str], chosen: Candidate | None) -> list[Dot]:
        """Return what is drawn: every file once, float's too, at the latency that its speed-up means for one float."""
        base = self._baselines()[0]
        return [
            Dot(
                name=self._called(one), kind=one.precision, latency_us=base.latency_us / one.speedup, value=one.value,
                bytes=one.bytes, on_front=one.key in on_front, baseline=one.baseline,
                chosen=chosen is not None and (one.trial, one.file) == (chosen.trial, chosen.file),
            )
            for one in files
            if (one.trial == 0 or not one.baseline) and one.speedup and one.value is not None and base.latency_us
        ]  # fmt: skip

    def _limit(self) -> float | None:
        """Return what the metric may come to, at worst; None where float's is not known."""
        metric, value = self.work.task.metric, self._baselines()[0].value
        worse = metric.allowance(self.config.wanted.max_drop, value or 0.0) * (-1 if metric.higher_is_better else 1)
        return None if value is None else value + worse

    def _called(self, one: Candidate) -> str:
        """Return what a file is in the fewest words: "w8a8-ptq, channels 0.5"."""
        words = [one.precision]
        for step in self.trials[one.trial].recipe.steps:
            if (kind := KINDS[step.kind]).quantizing is None:
                words.append(f"{step.kind} {next(iter(step.to_dict()[step.kind].values()), '')}".strip())
            elif kind.word and one.precision.endswith("-qat"):
                words.append(kind.word)
        return ", ".join(words)

    def _files(self) -> list[Candidate]:
        return [one for trial in self.trials for one in trial.files]

    def _baselines(self) -> list[Candidate]:
        return [one for one in self._files() if one.baseline]

    def _do(self, what: Sequence[tuple[Trial, int | None]]) -> None:
        """Do the next rung of trials."""
        jobs = [self.bench.job(f"trial {trial.number}", trial.recipe, epochs) for trial, epochs in what]
        failed = self.run(jobs, self.bench.store)
        for (trial, epochs), job in zip(what, jobs, strict=True):
            trial.rungs.append((epochs, job.key))
            if job.key in failed:
                trial.state, trial.reason = "failed", failed[job.key]
                continue
            document = json.loads((self.bench.store / job.key / "results.json").read_text())
            trial.files = choice.candidates(document, trial.number, self.bench.store / job.key, self._arena)

    def _arena(self, path: Path) -> int | None:
        """Return the memory for activations that a file needs, where that is asked for."""
        if self.config.target is None or not path.is_file():
            return None
        return arena_bytes(read_tflite(path), targets.load(self.config.target).memory)

    def _kept_model(self, first: Trial) -> Path:
        """Put the float network where all trials find it, under the model's own name."""
        path = self.folder / "models" / f"{self.work.name}.keras"
        kept = self.bench.store / first.key / "models" / "float.keras"
        for ending in ("", ".json"):
            write(path.with_name(path.name + ending), kept.with_name(kept.name + ending).read_bytes())
        return path

    def _worth(self, first: Trial) -> Space:
        """Return the space without the precisions that are slower than float on this device, if speed is wanted."""
        there = {one.precision for one in first.files}
        timed = [] if self.config.wanted.sized else [one for one in first.files if one.speedup_ci95]
        slow = {one.precision for one in timed if one.speedup_ci95 and one.speedup_ci95[1] < 1 - choice.ALIKE}
        free = tuple(precision for precision in FREE if precision in there - slow or precision == "float32")
        trained = tuple(name for name, one in TRAINED.items() if one.is_worth(free))
        if slow:
            say(f"slower than float here, so not searched: {', '.join(sorted(slow))}")
        return replace(self.space, free=free, trained=trained)

    def _ladder(self) -> Sequence[tuple[int, int]]:
        epochs = train_config("prune", self.work.dataset, quick=self.config.quick, epochs=self.config.epochs,
                              **self.work.pace).epochs  # fmt: skip
        return rungs(epochs or 1, RUNGS[self.config.quick], FACTOR)

    def _say(self, trial: Trial) -> None:
        made = [one for one in trial.files if not one.baseline]
        wanted = self.config.wanted
        best = next(
            iter(choice.ranked(made, wanted)), max(made, key=lambda one: choice.score(one, wanted), default=None)
        )
        what = trial.recipe.words if trial.recipe.steps else "the float network"
        came = trial.reason if best is None else f"{best.precision}: {choice.told(best)}"
        state = f" ({trial.state}: {trial.reason})" if best is not None and trial.state != "complete" else ""
        say(f"trial {trial.number}: {what}: {came}{state}")


def text(document: Mapping[str, Any]) -> str:
    """Return tune.json for people: the files on the front, then what to ship."""
    rows = []
    for trial in document["trials"]:
        recipe = Recipe.from_dict(trial["recipe"]).words
        for one in trial["files"]:
            if one["on_front"] or (document["chosen"] and _same(one, document["chosen"])):
                rows.append((one, trial["number"], recipe))
    rows.sort(key=lambda row: -(row[0]["speedup"] or 0.0))
    cells = [
        (str(number), recipe, one["precision"], _times(one), _points(one), f"{one['bytes'] / 1000:,.1f}",
         "float" if one["baseline"] else one["lacks"] or "holds")
        for one, number, recipe in rows
    ]  # fmt: skip
    head = ("trial", "recipe", "precision", "speed-up [95%]", "points", "kB", "")
    counted = [trial["state"] for trial in document["trials"]]
    told = ", ".join(f"{counted.count(state)} {state}" for state in dict.fromkeys(counted))
    return "\n\n".join([
        f"# {document['model']} on {document['data']}, {document['device']}: {len(counted)} trials, {told}",
        f"Files that no other beats in both speed and {document['metric'].replace('_', ' ')}, on validation data:",
        table(head, cells), document["advice"],
    ])  # fmt: skip


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one["trial"], one["file"]) == (other["trial"], other["file"])


def _times(one: Mapping[str, Any]) -> str:
    if one["baseline"] or one["speedup_ci95"] is None:
        return "1" if one["baseline"] else "–"
    low, high = one["speedup_ci95"]
    return f"{one['speedup']:.2f}x [{low:.2f}, {high:.2f}]{'?' if one['doubt'] else ''}"


def _points(one: Mapping[str, Any]) -> str:
    return "–" if one["gain"] is None else f"{100 * one['gain']:+.2f}"


def _told_in(folder: Path) -> dict[str, Any] | None:
    """Return what a run in `folder` was told, if there was one."""
    path = folder / "config.yaml"
    return yaml.safe_load(path.read_text()) if path.is_file() else None


def _check(work: Workload, config: TuneConfig) -> None:
    """Refuse what cannot be searched.  Raises: BadInput."""
    if work.several:
        raise BadInput(f"{config.model}: has {len(work.networks)} networks, tune takes one: use `edgewright sweep`")
    if not work.deploy:
        raise BadInput(f"{config.model}: no network of it goes to a device")
    if work.dataset.task == "anomaly_detection":
        raise BadInput(
            f"{config.model}: validation data, by which tune chooses, hold no anomalies: use `edgewright sweep`"
        )


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise EdgewrightError(
            "tune: optuna is not installed; pip install optuna (the extra edgewright[tune] is that alone)"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


__all__ = ["Search", "Trial", "TuneConfig", "text", "tune"]
