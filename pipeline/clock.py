"""Precision by the clock: the operators whose 8-bit kernels cost time on a device stay in float, conversions counted.

Runtimes time operators in whole microseconds, which tells nothing of small nets. So whole files are timed, in turns on
the device: one in float, one in 8 bits, and for each kind of operator the two in which it alone is in the other
precision. What a kind gains and what a conversion costs is their least-squares fit, the choice a minimum cut over the
graph. The file so chosen is then timed beside both pure ones, and taken only if it is the fastest of the three.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from scipy.optimize import lsq_linear

from ..devices import measure
from ..devices.measure import BenchConfig, Run
from ..devices.report.report import table
from ..devices.transports.transport import Transport, connect
from ..devices.verdict import words
from ..devices.verdict.compare import Thresholds, doubts, speed_estimate, speed_word
from ..devices.verdict.intervals import Estimate
from ..errors import BadInput, EdgewrightError
from ..export import export_tflite
from ..export.lower import lower
from ..export.reference import input_names
from ..export.tflite_writer import write_tflite
from ..progress import tracked
from ..quantize import QatConfig, find_quantized, prepare_qat
from ..quantize.placement import FusedOp, Plan
from ..training.tasks import Networks
from .cost import multiply_adds_of
from .regions import Border, cheapest, converted
from .workload import Workload

MOST_KINDS = 8  # of operators that are told apart: two files each
FED = 32  # samples that calibrate and feed what is timed
LOOK = BenchConfig(answers=False, precision=0.004, max_seconds=40, attempts=2)  # at the files of single kinds
JUDGE = BenchConfig(answers=False, precision=0.004, max_seconds=40)  # of the three that one is taken of
FLOAT, INTEGER, MIXED = "float32", "8 bits", "mixed"
_CALL = re.compile(r"#\d+(?=/|$)")  # of a layer that is called again, whose weights have one precision


@dataclass(frozen=True, kw_only=True)
class Clocked:
    """What the clock said. chosen: "mixed", "8 bits" or "float32", the fastest that was timed.

    rows: kinds of operators, {kind, count, gain_us, kept}: how much longer they take in 8 bits, and how many were left
    in float. border_us: what one conversion takes, of a tensor of middle size. speedups: 8 bits and mixed over float.
    doubts: why the times of these are not to be trusted; then nothing was changed.
    """

    device: str
    chosen: str
    rows: tuple[dict[str, Any], ...]
    border_us: float
    float_us: float
    speedups: Mapping[str, Estimate]
    doubts: tuple[str, ...] = ()

    def __str__(self) -> str:
        kept = sum(row["kept"] for row in self.rows)
        told = [f"{name} {words.speed(found)}" for name, found in self.speedups.items()]
        cells = [(row["kind"], row["count"], f"{row['gain_us']:+.2f}", row["kept"]) for row in self.rows]
        return "\n".join([
            f"by the clock of {self.device}: {self.chosen}; over float32 ({self.float_us:,.1f} µs): {', '.join(told)}",
            *(f"in doubt, so nothing is left in float: {doubt}" for doubt in self.doubts),
            f"{kept} of {sum(row['count'] for row in self.rows)} operators are left in float; a conversion takes "
            f"{self.border_us:.2f} µs",
            table(("kind of operator", "how many", "8 bits - float, µs", "kept in float"), cells),
        ])  # fmt: skip


def clocked_for(
    networks: Networks, work: Workload, device: str | Transport, config: QatConfig | None = None
) -> tuple[QatConfig, Clocked]:
    """Return `by_the_clock` of the one network of a model that is quantized.  Raises: BadInput where several are."""
    if len(work.compressed) > 1:
        raise BadInput(
            f"--by-clock {device}: is for models of which one network is quantized, not {', '.join(work.compressed)}; "
            "leave it out"
        )
    (name,) = work.compressed
    return by_the_clock(networks[name], work.samples(name, FED), device, config)


def by_the_clock(
    model: keras.Model, samples: Any, device: str | Transport = "local", config: QatConfig | None = None
) -> tuple[QatConfig, Clocked]:
    """Return `config` with what is slower in 8 bits on `device` left in float, by name, and what was measured.

    samples: as the model takes them; they calibrate and are fed. What `config` names keeps its precision. Where the
    mixed file is not shown to be faster than both pure ones, the result is the faster of those: `config` itself, or
    float throughout (`default=None`).
    Raises: BadInput for a device without a clock of its own; EdgewrightError where a file does not run there.
    """
    config, transport = config or QatConfig(), connect(device)
    if transport.emulated or transport.simulated:
        raise BadInput(f"device={transport.name!r} has no clock of its own; name the device that the file is for")
    bench = _Bench(model, keras.tree.map_structure(lambda array: array[:FED], samples), transport, config)
    sites = Sites.of(bench.plan)
    probes = {FLOAT: sites.all, INTEGER: frozenset(), **sites.probes()}
    found = bench.time(probes, LOOK)
    gains, a_conversion, a_value = fit(sites, probes, found)
    gains_us = [gains[kind] * size for kind, size in zip(sites.kinds, sites.work, strict=True)]
    borders = sites.borders(a_conversion, a_value)
    floats = frozenset(cheapest(gains_us, borders, fixed=sites.fixed, tied=sites.tied))
    candidates = {FLOAT: sites.all, INTEGER: frozenset(), MIXED: floats}
    mixed = floats - sites.fixed and floats != sites.all
    judged = bench.time(candidates if mixed else {FLOAT: sites.all, INTEGER: frozenset()}, JUDGE)
    chosen = judged.best()
    report = Clocked(
        device=transport.name,
        chosen=chosen,
        rows=tuple(_rows(sites, gains_us, floats if chosen == MIXED else ())),
        border_us=float(np.median([border.us for border in borders] or [0.0])),
        float_us=judged.us[FLOAT],
        speedups={name: judged.over(name, FLOAT) for name in judged.us if name != FLOAT},
        doubts=tuple(judged.doubts),
    )
    return bench.config_of(candidates[chosen], whole=chosen == FLOAT), report


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The operators of a plan as the clock sees them, by number.

    kinds: what each is, work: how large, in millions of multiply-adds, or of values where it has none; fixed: those
    that are float anyway; tied: pairs that a name cannot tell apart. scopes: the names of each one's operations.
    """

    kinds: tuple[str, ...]
    work: tuple[float, ...]
    scopes: tuple[frozenset[str], ...]
    fixed: frozenset[int]
    tied: tuple[tuple[int, int], ...]
    tensors: tuple[tuple[int | None, tuple[int | None, ...], int], ...]  # maker, readers, values

    @classmethod
    def of(cls, plan: Plan) -> Sites:
        """Read the operators of a plan whose default is 8 bits."""
        scopes = tuple(frozenset(_CALL.sub("", node.scope) for node in fused.nodes) for fused in plan.operators)
        first: dict[str, int] = {}
        tied = [(first.setdefault(scope, number), number) for number, those in enumerate(scopes) for scope in those]
        return cls(
            kinds=_kinds(plan.operators),
            work=tuple(map(_work, plan.operators)),
            scopes=scopes,
            fixed=frozenset(number for number, fused in enumerate(plan.operators) if not fused.is_quantized),
            tied=tuple(pair for pair in tied if pair[0] != pair[1]),
            tensors=tuple(_tensors(plan)),
        )

    @property
    def all(self) -> frozenset[int]:
        """Every operator."""
        return frozenset(range(len(self.kinds)))

    @property
    def timed(self) -> list[str]:
        """The kinds that a precision is chosen for, the most work first."""
        sums = dict.fromkeys(self.kinds, 0.0)
        for number in self.all - self.fixed:
            sums[self.kinds[number]] += self.work[number]
        return sorted(filter(None, sums), key=lambda kind: -sums[kind])[:MOST_KINDS]

    def probes(self) -> dict[str, frozenset[int]]:
        """Return what is timed besides both pure files: name -> the operators in float."""
        found = {}
        for kind in self.timed:
            those = frozenset(number for number in self.all if self.kinds[number] == kind) - self.fixed
            found |= {f"{kind} in float": self.fixed | those, f"{kind} in 8 bits": self.all - those}
        return {name: floats for name, floats in found.items() if floats not in (self.fixed, self.all)}

    def borders(self, a_conversion: float = 1.0, a_value: float = 0.0) -> list[Border]:
        """Return the tensors between operators. a_conversion: microseconds of each, a_value: more of each value."""
        return [
            Border(maker=maker, readers=readers, us=a_conversion + a_value * values)
            for maker, readers, values in self.tensors
        ]


def fit(sites: Sites, probes: Mapping[str, frozenset[int]], found: Timed) -> tuple[dict[str, float], float, float]:
    """Return kind -> microseconds that a unit of its work takes longer in 8 bits, those of a conversion, of a value.

    Least squares over the probes: a file takes what float takes, and the gains of what is not in float, and what is
    converted; a conversion takes time, and no value gives any back.
    """
    kinds = sites.timed
    counting, values = sites.borders(1.0, 0.0), sites.borders(0.0, 1.0)
    rows, times = [], []
    for name, floats in probes.items():
        inside = list(sites.all - floats - sites.fixed)
        work = [sum(sites.work[number] for number in inside if sites.kinds[number] == kind) for kind in kinds]
        floating = floats | sites.fixed if inside else sites.all
        rows.append([*work, *(sum(one.us for one in converted(each, floating)) for each in (counting, values))])
        times.append(found.us[name] - found.us[FLOAT])
    columns = np.array(rows, float)
    sizes = np.maximum(np.abs(columns).max(0), 1e-12)  # work is of all magnitudes
    low = [-np.inf] * len(kinds) + [0.0, 0.0]
    solved = lsq_linear(columns / sizes, np.array(times), bounds=(low, np.inf)).x / sizes
    known = dict(zip(kinds, map(float, solved), strict=False))
    return {kind: known.get(kind, 0.0) for kind in sites.kinds}, float(solved[-2]), float(solved[-1])


@dataclass(frozen=True)
class Timed:
    """Files that were timed in turns. us: name -> microseconds, those of float by the clock and the others over it."""

    run: Run
    us: dict[str, float]
    files: dict[str, str]

    @classmethod
    def of(cls, run: Run, files: dict[str, str]) -> Timed:
        """Read a run of `files`, the float one its baseline.  Raises: EdgewrightError if one does not run."""
        for name, file in files.items():
            if file not in run.raw.latency:
                told = run.measured[file]
                raise EdgewrightError(f"by the clock: {name} was not timed on {run.device}: {told['reason']}")
        base = float(np.median([np.median(block) for block in run.raw.latency[files[FLOAT]]]))
        found = cls(run, {}, files)
        found.us.update({name: base / found.over(name, FLOAT).value for name in files})
        return found

    def over(self, name: str, base: str) -> Estimate:
        """Estimate how many times faster one file is than another."""
        found = speed_estimate(self.run, self.files[name], self.files[base])
        assert found is not None  # `of` has seen that all were timed
        return found

    @property
    def doubts(self) -> list[str]:
        """Why these times are not to be trusted."""
        return doubts(self.run, self.files[FLOAT], Thresholds().margin)

    def best(self) -> str:
        """Return the faster pure file, or the mixed one where it is shown to be faster than both.

        By times in doubt nothing is changed: that is what was asked for, in 8 bits.
        """
        if self.doubts:
            return INTEGER
        pure = INTEGER if self.us[INTEGER] <= self.us[FLOAT] else FLOAT
        margin = Thresholds().margin
        beaten = MIXED in self.us and all(speed_word(self.over(MIXED, each), margin) == "faster"
                                          for each in (FLOAT, INTEGER))  # fmt: skip
        return MIXED if beaten else pure


class _Bench:
    """Makes files with some operators in float, and times them."""

    def __init__(self, model: keras.Model, samples: Any, device: Transport, config: QatConfig):
        self.model, self.samples, self.device, self.config = model, samples, device, config
        layer = find_quantized(prepare_qat(model, config, calibration=samples)[0])
        assert layer is not None
        self.plan: Plan = layer.plan

    def config_of(self, floats: Collection[int], *, whole: bool = False) -> QatConfig:
        """Return the configuration with `floats` in float; what the caller named comes first."""
        if whole:
            return replace(self.config, default=None, by_name={}, by_type={}, least_db=None)
        operators = [self.plan.operators[number] for number in sorted(floats)]
        scopes = [_CALL.sub("", node.scope) for fused in operators if fused.is_quantized for node in fused.nodes]
        return replace(self.config, by_name={**self.config.by_name, **{
            scope: None for scope in scopes if scope not in self.config.by_name
        }})  # fmt: skip

    def time(self, wanted: Mapping[str, frozenset[int]], config: BenchConfig) -> Timed:
        """Time the files in which those operators are in float."""
        with TemporaryDirectory(prefix="edgewright-") as folder:
            files = {}
            for name, floats in tracked("files by the clock", wanted.items()):
                files[name] = self._written(floats, Path(folder) / f"{len(files)}.tflite", name == FLOAT)
            run = measure.bench([*files.values()], baseline=files[FLOAT], inputs=self.samples, device=self.device,
                                config=config)  # fmt: skip
        return Timed.of(run, {name: path.name for name, path in files.items()})

    def _written(self, floats: frozenset[int], path: Path, pure: bool) -> Path:
        if pure:
            return export_tflite(self.model, precision="float32").save(path)
        aware, _ = prepare_qat(self.model, self.config_of(floats), calibration=self.samples)
        layer = find_quantized(aware)
        assert layer is not None
        # Not verified: most are half a model, of which only the time counts; what is chosen is exported as all is.
        path.write_bytes(write_tflite(lower(layer, aware.name, inputs=input_names(aware))))
        return path


def _kinds(operators: Sequence[FusedOp]) -> tuple[str, ...]:
    """Return what each operator is: told apart by its shapes, by its window, or by its name, as `MOST_KINDS` allows."""
    found: list[tuple[str, ...]] = [tuple(_names(fused)) for fused in operators]
    levels = [[names[level] for names in found] for level in range(3)]
    few = [level for level in levels if len(set(level) - {""}) <= MOST_KINDS]
    return tuple(few[0] if few else levels[-1])


def _names(fused: FusedOp) -> tuple[str, str, str]:
    """Return the names of an operator, the finest first; "" for what costs nothing or has no choice."""
    if fused.rule is None or not fused.rule.builtin_op:
        return "", "", ""
    name, kernel = fused.rule.builtin_op, fused.kernel
    shape = "x".join(str(size) for size in fused.outputs[0].shape[1:])
    if kernel is None:
        return f"{name} {shape}", name, name
    window = "x".join(map(str, kernel.shape[:-2])) + (", 1 channel" if _single(fused) else "")
    wide = f"{name} {window}".rstrip()
    return f"{wide} {'x'.join(map(str, kernel.shape[-2:]))} to {shape}", wide, name


def _single(fused: FusedOp) -> bool:
    """Tell if a convolution reads one channel."""
    return fused.inputs[0].shape[-1] == 1 and len(fused.inputs[0].shape) > 2


def _work(fused: FusedOp) -> float:
    counted = sum(map(multiply_adds_of, fused.nodes)) or _values(fused.outputs[0].shape)
    return counted / 1e6


def _values(shape: Sequence[int | None]) -> int:
    return int(np.prod([size or 1 for size in shape]))


def _tensors(plan: Plan) -> Any:
    """Yield (maker, readers, values) of each tensor of numbers that passes between operators, or to the caller."""
    made = {id(out): number for number, fused in enumerate(plan.operators) for out in fused.outputs}
    readers: dict[int, list[int | None]] = {}
    tensors = {}
    for number, fused in enumerate(plan.operators):
        for tensor in fused.inputs:
            readers.setdefault(id(tensor), []).append(number)
            tensors[id(tensor)] = tensor
    for tensor in plan.graph.outputs:
        readers.setdefault(id(tensor), []).append(None)
        tensors[id(tensor)] = tensor
    for key, tensor in tensors.items():
        if not tensor.is_constant and tensor.dtype.startswith("float"):
            yield made.get(key), tuple(dict.fromkeys(readers[key])), _values(tensor.shape)


def _rows(sites: Sites, gains_us: Sequence[float], floats: Collection[int]) -> Any:
    for kind in sites.timed:
        those = [number for number in sorted(sites.all - sites.fixed) if sites.kinds[number] == kind]
        yield {"kind": kind, "count": len(those), "gain_us": float(sum(gains_us[number] for number in those)),
               "kept": sum(number in floats for number in those)}  # fmt: skip


__all__ = ["Clocked", "by_the_clock", "clocked_for", "fit"]
