"""Ask the tools of microcontrollers and accelerators which operators they take in which types, and write the tables of
`devices/targets/kernels`: every probe of operator_probes.py goes through TensorFlow Lite Micro's interpreter and vela.

python benchmarks/target_tables.py --tflite-micro PYTHON --vela PYTHON   (interpreters of environments that have them)
"""

import argparse
import json
import select
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import operator_probes
from edgewright.devices.preflight.reading import read
from edgewright.devices.targets import target as targets
from edgewright.devices.targets.kernels import FOLDER
from edgewright.devices.targets.memory import BY_CHANNEL, MULTIPLIER_BYTES

ROOT = Path(__file__).parent.parent
ARENA_BYTES = 500_000
LIMIT_S = 30.0
# Tools that were run by hand on whole files: what those hold is what they are known to take
SEEN: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "helia-aot": ("heliaAOT 1.1.0", "2026-11-28", {
        "w8a8-int": ("resnet8", "ds_cnn", "anomaly_detector", "lstm", "mobilenet_v2", "lenet5", "mobilenet_v3_small"),
        "w8a16-int": ("resnet8", "ds_cnn", "anomaly_detector", "lstm", "mobilenet_v2", "lenet5", "mobilenet_v3_small"),
        "w8a8": ("resnet8", "ds_cnn", "anomaly_detector", "lstm", "mobilenet_v2", "lenet5", "mobilenet_v3_small"),
        "w8a8-fused-int": ("lstm",),
    }),
    "xcore-opt": ("xmos-ai-tools 1.4.2", "2026-11-28", {
        "w8a8-int": ("resnet8", "ds_cnn", "anomaly_detector", "lstm", "mobilenet_v2", "lenet5"),
    }),
}  # fmt: skip
VELA = {"vela-u55": "ethos-u55-128", "vela-u65": "ethos-u65-256", "vela-u85": "ethos-u85-256"}


class Row(NamedTuple):
    """What a tool answered to a probe."""

    operator: str
    signature: str
    status: str
    reason: str
    kept_bytes: int


class Child:
    """A process of another environment that answers orders, started again when it dies."""

    def __init__(self, python: str, script: Path):
        self.command, self.process = [python, str(script)], None

    def ask(self, **order: Any) -> dict[str, Any]:
        """Return the answer to an order, {status, reason, ...}; status "died" where there is none."""
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answered = select.select([self.process.stdout], [], [], LIMIT_S)[0]
        line = self.process.stdout.readline() if answered else ""
        if not answered:
            self.process.kill()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.process = None
        return {"status": "died", "reason": f"signal {-code}" if code < 0 else f"code {code}"}


def asked(child: Child, probes: Iterable[operator_probes.Probe], **order: Any) -> Iterator[Row]:
    """Yield operator, signature, status, reason and bytes that the kernel keeps, of every probe."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.tflite"
        for probe in probes:
            path.write_bytes(operator_probes.file_of(probe))
            answer = child.ask(path=str(path), operator=probe.operator, **order)
            yield Row(probe.operator, probe.signature, answer["status"], answer["reason"], _kept(probe, answer))


def seen(folder: Path, files: dict[str, tuple[str, ...]]) -> Iterator[Row]:
    """Yield what is in files that a tool took as a whole."""
    variadic = {template.operator: template.variadic for template in operator_probes.TEMPLATES if template.variadic}
    for kind, nets in files.items():
        for net in nets:
            graph = read(folder / f"{net}-{kind}.tflite")
            for operation in graph.operators:
                ends = dict(zip(("inputs", "outputs"), graph.words(operation), strict=True))
                if operation.op in variadic:
                    end = variadic[operation.op]
                    ends[end] = sorted({f"{word.rstrip('!')}..." for word in ends[end]})
                signature = " > ".join(" ".join(words) for words in ends.values())
                yield Row(operation.op, signature, "ok", "", 0)


def _kept(probe: operator_probes.Probe, answer: dict[str, Any]) -> int:
    """Return what a kernel keeps beside a multiplier and a shift for each channel."""
    by_channel = probe.operator in BY_CHANNEL and probe.inputs[0].dtype != "float32"
    channels = probe.outputs[0].shape[-1] if by_channel else 0
    return answer.get("kept_bytes", 0) - MULTIPLIER_BYTES * channels


def merged(signatures: Sequence[str]) -> list[str]:
    """Join signatures that differ in one operand into one with alternatives, as long as there are such."""
    rows = {tuple(frozenset((word,)) for word in signature.split()) for signature in signatures}
    while pair := next(_alike(sorted(rows, key=_order)), None):
        first, second = pair
        rows -= {first, second}
        rows.add(tuple(a | b for a, b in zip(first, second, strict=True)))
    return [" ".join("|".join(_alternatives(words)) for words in row) for row in sorted(rows, key=_order)]


def _order(row: tuple[frozenset[str], ...]) -> str:
    return " ".join("|".join(sorted(words)) for words in row)


def _alike(rows: list[Any]) -> Iterator[tuple[Any, Any]]:
    for i, first in enumerate(rows):
        for second in rows[i + 1 :]:
            if len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1:
                yield first, second


def _alternatives(words: frozenset[str]) -> list[str]:
    """Leave out what another alternative takes too: a computed tensor a constant, a scale a channel a single one."""
    kept = [word for word in words if not (word.endswith("!") and word[:-1] in words)]
    return sorted(word for word in kept if not ("*" not in word and _starred(word) in kept))


def _starred(word: str) -> str:
    return word.replace("!", "*!") if word.endswith("!") else f"{word}*"


def write(name: str, tool: str, rows: Sequence[Row], classes: dict[str, str], date: str = "") -> None:
    """Write a table: what the tool takes, what makes it give up a file, what kernels keep. date: when it was asked."""
    date = date or f"{datetime.now(UTC):%Y-%m-%d}"
    found: dict[str, dict[str, list[str]]] = {"kernels": defaultdict(list), "stops": defaultdict(list)}
    for row in rows:
        kind = classes.get(row.status, "")
        if kind == "stops" and "Non-passthrough operation" in row.reason:
            continue  # a border of booleans, which only a file of one operator has
        if kind:
            found[kind][row.operator].append(row.signature)
    lines = [
        "# Written by benchmarks/target_tables.py; the notation is in docs/targets.md",
        f'tool = "{tool}"',
        f'date = "{date}"',
    ]
    for kind, table in found.items():
        lines += ["", f"[{kind}]"]
        for operator in sorted(table):
            entries = merged(sorted(set(table[operator])))
            inline = f"{operator} = [{', '.join(map(json.dumps, entries))}]"
            lines += [inline] if len(inline) < 118 else [f"{operator} = [", *(f'  "{one}",' for one in entries), "]"]
    kept: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row.status == "ok":
            dtype = row.signature.split("> ")[1].split()[0].removesuffix("...")
            kept[row.operator][dtype] = max(kept[row.operator].get(dtype, 0), row.kept_bytes)
    if any(any(known.values()) for known in kept.values()):
        told = {
            operator: ", ".join(f"{key} = {kept[operator][key]}" for key in sorted(kept[operator])) for operator in kept
        }
        lines += ["", "[bytes]", *(f"{operator} = {{ {told[operator]} }}" for operator in sorted(told))]
    (FOLDER / f"{name}.toml").write_text("\n".join(lines) + "\n")


def version(python: str, package: str) -> str:
    """Return what an environment has of a package."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return f"{package} {done.stdout.strip()}"


def main() -> int:
    """Ask the tools that are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tflite-micro", metavar="PYTHON", help="interpreter of an environment with tflite-micro")
    parser.add_argument("--vela", metavar="PYTHON", help="interpreter of an environment with ethos-u-vela")
    parser.add_argument("--only", choices=[*VELA], action="append", help="ask vela for this table alone")
    parser.add_argument("--seen", type=Path, help="folder of the files of benchmarks/targets.py, for tools run by hand")
    parser.add_argument("--raw", type=Path, help="folder for every single answer")
    given = parser.parse_args()
    probes = list(operator_probes.probes())
    if given.tflite_micro:
        child = Child(given.tflite_micro, ROOT / "benchmarks/tflm_child.py")
        rows = list(asked(child, probes, arena_bytes=ARENA_BYTES))
        _keep(given.raw, "tflite-micro", rows)
        write("tflite-micro", version(given.tflite_micro, "tflite-micro"), rows, {"ok": "kernels"})
    for name, (tool, date, files) in SEEN.items() if given.seen else ():
        write(name, tool, list(seen(given.seen, files)), {"ok": "kernels"}, date)
    if given.vela:
        child = Child(given.vela, ROOT / "benchmarks/vela_child.py")
        for name in given.only or VELA:
            step = targets.load(VELA[name]).compile
            assert step is not None
            arguments = [part for part in step.arguments if "{" not in part and part != "--output-dir"]
            rows = list(asked(child, probes, arguments=arguments))
            _keep(given.raw, name, rows)
            stops = {"npu": "kernels", "rejected": "stops", "died": "stops"}
            write(name, version(given.vela, "ethos-u-vela"), rows, stops)
    return 0


def _keep(folder: Path | None, name: str, rows: Sequence[Row]) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    sys.exit(main())
