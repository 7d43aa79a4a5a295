"""What a lexical shortlist gains and costs: the time of a decoder's step, and BLEU.

    edgewright run luong_dot --data multi30k --out run
    python benchmarks/shortlist.py run/models/float/sequence.keras [--tokens 4000] [--seconds 20]

The step of a trained net is written whole and with a half, a quarter and an eighth of its tokens, those that the
training targets have most, as float32 and as w8a8-ptq; each is timed in turns with the whole one of its precision, and
judged with the encoder on the test pairs. The same net, fresh, with as many tokens as `multi30k` has by default (or
`--tokens`) is timed alone. A ratio is the time of the whole step over that of the cut one. No bar: figures to report.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import edgewright as ew
from edgewright.devices import measure
from edgewright.devices.measure import BenchConfig, ModelFile
from edgewright.devices.verdict.compare import compare
from edgewright.pipeline import exporting, find, shortlisting
from edgewright.pipeline.plan import planned
from edgewright.pipeline.saved import with_siblings
from edgewright.pipeline.workload import Workload
from edgewright.training.data.translation import VOCABULARY
from edgewright.training.tasks import Networks
from edgewright.training.tasks.translation import STEP

PARTS = (1, 2, 4, 8)
PRECISIONS = ("float32", "w8a8-ptq")
Files = dict[str, ModelFile]  # by network


def written(networks: Networks, work: Workload, precision: str, folder: Path) -> dict[str, Files]:
    """Return the files of each model, the whole one first."""
    made: dict[str, Files] = {}
    for file in planned(work, [("float", "tflite", precision)], {"float": ""}):
        model, samples = exporting.to_export(networks, work, file.network, precision)
        for part in PARTS if file.network == STEP else PARTS[:1]:
            count = len(work.dataset.labels) // part
            artifact = ew.export_tflite(
                model, precision=precision, calibration=samples, name=f"{file.label}-{count}",
                shortlist=None if part == 1 else shortlisting.likely(work.dataset, count),
            )  # fmt: skip
            artifact = replace(artifact, manifest={**artifact.manifest, **exporting.manifest_facts(work, file.network)})
            found = ModelFile.read(artifact.save(folder / f"{artifact.name}.tflite"))
            made.setdefault(f"{work.name} {precision} {count}", {})[file.network] = found
    (encoder,) = (files["encoder"] for files in made.values() if "encoder" in files)
    return {name: {"encoder": encoder, STEP: files[STEP]} for name, files in made.items()}


def told(networks: Networks, work: Workload, seconds: float, *, judged: bool) -> None:
    """Print a line for each model: BLEU if it is `judged`, and how it compares with the whole one."""
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            models = written(networks, work, precision, Path(folder))
            _told(work, models, BenchConfig(max_seconds=seconds, answers=judged))


def _told(work: Workload, models: dict[str, Files], config: BenchConfig) -> None:
    whole = next(iter(models.values()))
    files = {file.name: file for parts in models.values() for file in parts.values()}
    run = measure.bench(
        list(files.values()), baseline={name: whole[file.network].name for name, file in files.items()},
        judge=work.task.judge(work.dataset),
        bundles={name: {network: file.name for network, file in parts.items()} for name, parts in models.items()},
        feeds={name: work.samples(file.network) for name, file in files.items()}, config=config,
    )  # fmt: skip
    verdicts = {verdict.artifact: verdict for verdict in compare(run)}
    for name, parts in models.items():
        step = parts[STEP]
        line = {
            "name": name,
            "bytes": step.path.stat().st_size,
            "bleu": run.bundles[name].value,
            "n": run.bundles[name].n,
        }
        if parts is not whole and step.name in verdicts:
            line |= {"ratio": verdicts[step.name].speedup, "ci95": verdicts[step.name].speedup_ci95}
        if parts is not whole and name in verdicts:
            line |= {"points": verdicts[name].metric_delta, "points_ci95": verdicts[name].metric_delta_ci95}
        print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", help=".keras file of a net trained on multi30k, its other networks beside it")
    parser.add_argument("--tokens", type=int, default=VOCABULARY, help="of the fresh net")
    parser.add_argument("--seconds", type=float, default=20.0, help="of timing, each precision")
    given = parser.parse_args()
    networks, work = find.of(with_siblings(Path(given.net)), "multi30k")
    told(networks, work, given.seconds, judged=True)
    fresh, more = find.of(ew.build(work.name, "edge", classes=given.tokens), "multi30k")
    told(more.complete(fresh), more, given.seconds, judged=False)


if __name__ == "__main__":
    main()
