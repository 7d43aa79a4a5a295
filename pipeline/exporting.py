"""The stage that exports: every network that goes to a device, of every model trained, as the files that are asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from ..export import EXPORTERS
from ..export.artifact import Artifact
from ..quantize import QatConfig, find_quantized, prepare_qat
from ..training.tasks import Networks
from ..training.tasks.translation import STEP
from .facts import facts, tables
from .plan import File
from .suited import suited

if TYPE_CHECKING:
    from .workload import Workload


def export(
    models: Mapping[str, Networks], work: Workload, files: Sequence[File], how: QatConfig | None = None,
    shortlist: Sequence[int] | None = None,
) -> Iterator[tuple[File, Artifact]]:  # fmt: skip
    """Yield each file. models: role -> networks. how: to quantize what is calibrated alone. shortlist: tokens that
    steps say in all files but the baselines.
    """
    for file in files:
        network, calibration = to_export(models[file.role], work, file.network, file.precision, how)
        config = None if calibration is None else suited(work, how, network)
        kept = shortlist if file.network == STEP and not file.is_baseline else None
        artifact = EXPORTERS[file.format](
            network, precision=file.precision, calibration=calibration, config=config, name=file.label, shortlist=kept
        )
        told = {
            **manifest_facts(work, file.network),
            **tables(work.deploy, models[file.role], file.network),
            **({"bundle": file.bundle} if work.several else {}),
        }
        yield file, replace(artifact, manifest={**artifact.manifest, **told})


def manifest_facts(work: Workload, network: str) -> dict[str, Any]:
    """Return what a manifest says besides: the data, the network, and what of its outputs goes in again."""
    states = work.states(network)
    known = {name: value for name, value in work.origin.facts().items() if name in ("model", "preset")}
    return {**facts(work.dataset), **known, "network": network, **({"states": states} if states else {})}


def to_export(
    networks: Networks, work: Workload, network: str, precision: str, how: QatConfig | None = None
) -> tuple[keras.Model, Any]:
    """Return a network as it is exported, and what it is calibrated on; None where it needs none.

    A step network has the ranges of the network that it is derived from.  how: to quantize that.
    """
    model, source = networks[network], work.derived.get(network)
    if not precision.endswith("-ptq") or find_quantized(model) is not None:
        return model, None
    if source is None:
        return model, work.samples(network, networks=networks)
    bits = precision.partition("-")[0]
    samples = work.samples(source, networks=networks)
    config = suited(work, replace(how or QatConfig(), default=bits), networks[source])
    aware, _ = prepare_qat(networks[source], config, calibration=samples)
    return work.step(network, {**networks, source: aware}), None
