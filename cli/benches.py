"""The verbs that take files for devices or finished runs. Comparing and reporting runs needs no Keras."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..devices.measure import BenchConfig, ModelFile, Run
from ..devices.preflight import compile as compiling
from ..devices.report import overview, report
from ..devices.targets import target
from ..devices.verdict import document
from ..devices.verdict.compare import Thresholds
from ..devices.verdict.compare import compare as compare_run
from ..devices.verdict.regress import regressions
from ..errors import BadInput
from ..files import write
from .arguments import Answer


def bench(files: Sequence[str], *, baseline: str, data: str | None, device: str, out: Path | None, max_drop: float,
          min_speedup: float | None, targets: Sequence[str] = (), corrupt: Sequence[str] = (), views: bool = False,
          **measuring: Any) -> Answer:  # fmt: skip
    """measuring: of BenchConfig."""
    from ..pipeline import foreign, stages  # which know the tasks, whose losses are Keras'

    found = [target.load(name) for name in targets]  # unknown names before any work
    config = BenchConfig(**measuring)
    paths = [Path(file) for file in dict.fromkeys([*files, baseline])]
    described = [ModelFile.read(path) for path in paths]
    known = {"baseline": Path(baseline).name, "device": device, "config": config}
    if corrupt and (data is None or data.endswith(".npz")):
        raise BadInput(f"--corrupt {corrupt[0]}: needs a data set whose samples can be changed; give --data")
    if views and (data is None or data.endswith(".npz")):
        raise BadInput("--views: needs a data set of images; give --data")
    if data is None:
        run = foreign.bench_random(described, **known)
    elif data.endswith(".npz"):
        run = foreign.bench_npz(described, npz=Path(data), **known)
    else:
        run = stages.bench(paths, baseline=Path(baseline), data=data, device=device, config=config,
                           corrupt=corrupt, views=views)  # fmt: skip
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
    answer = {"schema": 1, "models": [run.model for run in runs], "changes": found.to_json()}
    return Answer(document=answer, text="\n\n".join(filter(None, [other, str(found)])), ok=not found.regressed)


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
    board = [
        {"model": model, "device": device, **{key: entry[key] for key in kept}}
        for (model, device), entries in boards.items()
        for entry in entries
    ]
    return Answer(document={"report": str(page), "leaderboard": board}, text=str(page))


def _results_in(folder: Path) -> tuple[dict[str, Any], Run]:
    path = next((one for one in (folder / "results.json", folder / "bench" / "results.json") if one.is_file()), None)
    if path is None:
        raise BadInput(f"{folder}: holds no results.json; give the folder of a run")
    return json.loads(path.read_text()), _run_in(folder)


def judged(run: Run, thresholds: Thresholds, out: Path | None) -> Answer:
    """Return the verdicts on `run` as an answer, and write run and report to `out` if given."""
    verdicts = compare_run(run, thresholds)
    results = {"model": "", "data": "", **document.compose(run, verdicts, thresholds)}
    if out is not None:
        document.save(run, out, verdicts, thresholds)
        write(out / "report.html", report.html(results, {name: each.tolist() for name, each in run.samples().items()}))
    return Answer(document=results, text=report.markdown(results), ok=all(one.verdict != "fail" for one in verdicts))


def _run_in(folder: Path) -> Run:
    return Run.load(folder / "bench" if (folder / "bench").is_dir() else folder)


__all__ = ["bench", "compare", "judged", "render"]
