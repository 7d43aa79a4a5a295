"""A sweep: models x recipes x devices as pure jobs, each found again by the digest of what it depends on.

A job is `edgewright run` with its arguments. `results.json` holds what every machine must agree on (files and their
hashes, metrics, operators), `timings.json` what belongs to the machine (latencies, verdicts on speed, seconds).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ..devices.report.report import table
from ..devices.report.rows import KINDS
from ..errors import BadInput
from ..files import sha256
from ..models import registry
from .code import digest_of_code
from .executors import EXECUTORS
from .jobs import Job, run_jobs
from .run import RunConfig, plan_for
from .steps import occupying, versions

KEPT = ("results.json", "bench/results.json", "bench/raw.npz", "summary.md", "report.html")
_CODE = ("pipeline.run", "cli.commands")  # what a job runs, by way of the command line
_NOT_IN_RECIPES = ("model", "device", "quick")


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What to sweep. recipes: see `parse_recipe`; at_once: jobs in parallel."""

    models: tuple[str, ...]
    recipes: tuple[str, ...] = ("",)
    devices: tuple[str, ...] = ("local",)
    data: str | None = None
    quick: bool = False
    executor: str = "local"
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise BadInput(f"--executor {self.executor!r}: allowed: {', '.join(EXECUTORS)}")
        if self.at_once < 1:
            raise BadInput(f"--jobs {self.at_once}: must be at least 1")
        for model in self.models:
            if not model.endswith(".keras") and ":" not in model:
                registry.get(model)
        for recipe in self.recipes:
            parse_recipe(recipe)


def parse_recipe(text: str) -> dict[str, Any]:
    """Return the options that a recipe names: of `edgewright run`, as "sparsity=0.8,epochs=5", or a YAML file of steps.

    Raises: BadInput for what `edgewright run` does not know.
    """
    if text.endswith((".yaml", ".yml")) and "=" not in text:
        text = f"recipe={text}"
    allowed = [each.name for each in fields(RunConfig) if each.name not in _NOT_IN_RECIPES]
    options = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or name.strip() not in allowed:
            raise BadInput(f"--recipe {text!r}: {part!r} is no NAME=VALUE of {', '.join(allowed)}")
        options[name.strip()] = yaml.safe_load(value)
    try:
        plan_for(RunConfig(model="any", **options))
    except TypeError as error:
        raise BadInput(f"--recipe {text!r}: {error}") from error
    return options


def plan(config: SweepConfig) -> list[Job]:
    """Return the jobs in the order of models, recipes, devices; the same one twice is one."""
    facts = {"code": digest_of_code(_CODE), "tools": versions()}
    jobs = {}
    for model in config.models:
        made_from = sha256(Path(model)) if model.endswith(".keras") else model
        for recipe in config.recipes:
            for device in config.devices:
                options = parse_recipe(recipe)
                command = _command(model, device, config, options)
                steps = sha256(Path(options["recipe"])) if options.get("recipe") else ""
                key = sha256(json.dumps([command, made_from, steps, facts], sort_keys=True).encode())[:32]
                name = " ".join(filter(None, (model, recipe, device)))
                jobs[key] = Job(key=key, name=name, command=command, keeps=KEPT, device=device, ok_codes=(0, 1))
    return list(jobs.values())


def sweep(config: SweepConfig, folder: Path) -> dict[str, Any]:
    """Run what is not finished yet in `folder`; write and return results.json. Failed jobs run again next time."""
    with occupying(folder):
        return run_jobs(plan(config), folder, EXECUTORS[config.executor], config.at_once)


def text(document: Mapping[str, Any]) -> str:
    """Return the sweep as a table: a job a row, its files in words."""
    rows = []
    verdicts = {one["key"]: one["verdicts"] for one in document["timings"]}
    for job in document["jobs"]:
        found = list(verdicts.get(job["key"], {}).values())
        counts = ", ".join(f"{found.count(kind)} {kind}" for kind in KINDS if kind in found)
        rows.append((job["job"], job["status"], counts or job["reason"] or "–", job["key"][:12]))
    return table(("job", "status", "verdicts", "key"), rows)


def _command(model: str, device: str, config: SweepConfig, recipe: Mapping[str, Any]) -> tuple[str, ...]:
    command = ["{python}", "-m", "edgewright", "run", model, "--out", "{out}", "--device", device]
    command += ["--data", config.data] if config.data and "data" not in recipe else []
    command += ["--quick"] if config.quick else []
    for name, value in sorted(recipe.items()):
        flag = f"--{name.replace('_', '-')}"
        command += [] if value is False or value is None else [flag] if value is True else [flag, str(value)]
    return tuple(command)
