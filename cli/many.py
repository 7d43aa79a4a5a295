"""Verbs that do many runs: the zoo through every stage, sweeps, searches."""

from pathlib import Path
from typing import Annotated, Literal

from ..progress import say
from . import inputs
from .arguments import Answer
from .loading import with_keras
from .options import Data, Device, Epochs, Import, MaxDrop, MinSpeedup, Model, Preset, Quick, Seed, Weights


def matrix(
    *,
    out: Annotated[str, "folder for matrix.json, matrix.md and the runs", inputs.out_folder],
    model: Annotated[list[str] | None, "only this model", inputs.zoo_model] = None,
    family: Annotated[list[str] | None, "only this family"] = None,
    device: Device = "local",
    jobs: Annotated[int | None, "models trained at once; default: one a core, 8 at most", inputs.at_least(1)] = None,
    quick: Quick = False,
    seed: Seed = 0,
) -> Answer:
    """Take the zoo through every stage: models x stages."""
    zoo = with_keras("pipeline.matrix")
    document = zoo.matrix(model or [], family or [], Path(out), quick=quick, seed=seed, jobs=jobs,
                          device=device)  # fmt: skip
    return Answer(document=document, text=zoo.markdown(document), ok=zoo.failed(document) == 0)


def sweep(
    model: Annotated[list[str], "models to run, named as for `edgewright run`", inputs.model],
    *,
    out: Annotated[str, "folder for results.json, timings.json and finished jobs", inputs.out_folder],
    recipe: Annotated[
        list[str] | None, "options of `edgewright run`, as sparsity=0.8,epochs=5, or a YAML file of steps"
    ] = None,
    device: Annotated[list[str] | None, "device to run on; default: local", inputs.device] = None,
    data: Annotated[str | None, "data set; default: each model's own", inputs.data] = None,
    quick: Quick = False,
    executor: Annotated[Literal["local", "ray"], "this machine, or a Ray cluster (pip install ray)"] = "local",
    jobs: Annotated[int, "how many at once", inputs.at_least(1)] = 1,
) -> Answer:
    """Run models x recipes x devices as jobs. Finished ones are kept: the same command again runs the rest."""
    sweeps = with_keras("pipeline.sweep")
    config = sweeps.SweepConfig(models=tuple(model), recipes=tuple(recipe or [""]), devices=tuple(device or ["local"]),
                                data=data, quick=quick, executor=executor, at_once=jobs)  # fmt: skip
    document = sweeps.sweep(config, Path(out))
    ok = all(one["status"] == "ok" for one in document["jobs"])
    return Answer(document=document, text=sweeps.text(document), ok=ok)


def tune(
    model: Model,
    *,
    out: Annotated[str, "folder for tune.json, the picture, finished trials and what is chosen", inputs.out_folder],
    data: Data = None,
    device: Device = "local",
    max_drop: MaxDrop = 0.01,
    min_speedup: MinSpeedup = None,
    max_bytes: Annotated[int | None, "largest file; it may then be slower than float", inputs.at_least(1)] = None,
    max_arena: Annotated[
        int | None,
        "most memory for activations, as the runtime of --target plans it; the file may then be slower",
        inputs.at_least(1),
    ] = None,
    target: Annotated[str | None, "whose memory --max-arena is (see `edgewright check`)", inputs.target] = None,
    trials: Annotated[int, "recipes to try beside the float network", inputs.at_least(1)] = 12,
    preset: Preset = "edge",
    weights: Weights = None,
    quick: Quick = False,
    seed: Seed = 0,
    epochs: Epochs = None,
    executor: Annotated[Literal["local", "ray"], "this machine, or a Ray cluster (pip install ray)"] = "local",
    jobs: Annotated[int, "trials at once", inputs.at_least(1)] = 1,
    import_: Import = None,
) -> Answer:
    """Search for the file to ship: precision, channels, clusters and zeros, measured on the device.

    Every trial is kept: the same command again goes on where it stopped. Exit code 1 where no file holds what is
    wanted.
    """
    inputs.check_own(model, data, preset)
    search = with_keras("pipeline.tune", import_)
    wanted = search.Wanted(max_drop=max_drop, min_speedup=min_speedup, max_bytes=max_bytes, max_arena=max_arena)
    config = search.TuneConfig(model=model, data=data, preset=preset, weights=weights, device=device, target=target,
                               wanted=wanted, trials=trials, epochs=epochs, quick=quick, seed=seed,
                               executor=executor, at_once=jobs,
                               imports=(*(import_ or ()), *inputs.modules_of(model)))  # fmt: skip
    document = search.tune(config, Path(out))
    say(f"picture: {Path(out) / 'front.png'}")
    return Answer(document=document, text=search.text(document), ok=document["chosen"] is not None)
