"""Faults on purpose: malformed model files, hostile Keras files, kills while writing. Counts are the caller's.

The tests run a few of each; `make torture` runs them in full (benchmarks/torture.py).
"""

import importlib
import io
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from edgewright import files
from edgewright.devices.agent import agent
from edgewright.devices.transports.transport import GRACE_S, Exit, Outcome, run_job

CLASSES = ("ok", "rejected", "crashed", "timeout")
LIMIT_S = 8.0
MEMORY_BYTES = 8 << 30  # of address space: a runtime reserves much that it never touches


# ---- Mutants


def mutant(data: bytes, seed: int, other: bytes) -> bytes:
    """Return `data` with one seeded fault: bytes flipped, words overwritten, a piece cut, doubled or from `other`."""
    chance = random.Random(seed)
    changed = bytearray(data)
    kind = chance.choice(("flip", "word", "truncate", "cut", "double", "splice"))
    place = chance.randrange(len(changed))
    span = chance.randint(1, max(1, len(changed) // 8))
    if kind == "flip":
        for _ in range(chance.randint(1, 16)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    elif kind == "word":
        for _ in range(chance.randint(1, 8)):
            start = chance.randrange(max(1, len(changed) // 4)) * 4
            word = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.getrandbits(32)))
            changed[start : start + 4] = word.to_bytes(4, "little")
    elif kind == "truncate":
        del changed[place:]
    elif kind == "cut":
        del changed[place : place + span]
    elif kind == "double":
        changed[place:place] = changed[place : place + span]
    else:
        start = chance.randrange(len(other))
        changed[place : place + span] = other[start : start + span]
    return bytes(changed)


class ForkedSession:
    """A session whose agent is a fork of this process: the same code and limits without importing the runtime anew."""

    def __init__(self, folder: Path):
        self._folder = folder

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def run(self, job: dict, on_line: Callable[[str], None]) -> Exit:
        order = self._folder / "job.json"
        if job.get("memory_bytes"):  # a limit on the address space, of which a fork begins with ours
            job = {**job, "memory_bytes": job["memory_bytes"] + _address_space()}
        order.write_text(json.dumps({**job, "parent": os.getpid()}))
        out, out_child = os.pipe()
        err, err_child = os.pipe()
        child = os.fork()
        if child == 0:
            _be_the_agent(order, out_child, err_child, (out, err))
        os.close(out_child)
        os.close(err_child)
        text, expired = _collect(child, (out, err), job["time_limit_s"] + GRACE_S)
        _, status = os.waitpid(child, 0)
        for line in text[0].decode(errors="replace").splitlines(keepends=True):
            if line.endswith("\n"):
                on_line(line)
        return Exit(code=os.waitstatus_to_exitcode(status), timed_out=expired, stderr=text[1].decode(errors="replace"))


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _be_the_agent(order: Path, out: int, err: int, others: tuple[int, ...]) -> None:
    code = 1
    try:
        os.setsid()
        for end in others:
            os.close(end)
        os.dup2(out, 1)
        os.dup2(err, 2)
        agent.main(str(order))
        code = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _collect(child: int, ends: tuple[int, int], limit_s: float) -> tuple[list[bytes], bool]:
    texts, deadline, expired = dict.fromkeys(ends, b""), time.monotonic() + limit_s, False
    open_ends = set(ends)
    while open_ends:
        ready, _, _ = select.select(list(open_ends), [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            expired = True
            os.kill(child, signal.SIGKILL)
            deadline = time.monotonic() + 5
        for end in ready:
            piece = os.read(end, 1 << 16)
            texts[end] += piece
            if not piece:
                open_ends.discard(end)
                os.close(end)
    return [texts[end] for end in ends], expired


def open_mutant(session, data: bytes, runtime: str, inputs: Path, folder: Path) -> Outcome:
    """Run a model file of these bytes on a few samples, as a benchmark would."""
    suffix = {"litert": "tflite", "onnxruntime": "onnx"}[runtime]
    path = folder / f"mutant.{suffix}"
    path.write_bytes(data)
    spec = {"path": str(path), "sha256": files.sha256(data), "runtime": runtime, "threads": 1}
    job = {"mode": "accuracy", "models": [spec], "inputs": {"": str(inputs)}, "outputs": session.path("out.npy"),
           "time_limit_s": LIMIT_S, "memory_bytes": MEMORY_BYTES}  # fmt: skip
    return run_job(session, job)


def storm(
    model: bytes, other: bytes, samples: np.ndarray, runtime: str, seeds: range, folder: Path
) -> tuple[Counter, list[str]]:  # fmt: skip
    """Open a mutant for every seed, in forks of this process.

    Returns (how many of each class, what no mutant may do: reasons with the seed).
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = folder / "x.npy"
    np.save(inputs, samples)
    session = ForkedSession(folder)
    counts, wrong = Counter(), []
    for seed in seeds:
        started = time.monotonic()
        outcome = open_mutant(session, mutant(model, seed, other), runtime, inputs, folder)
        counts[outcome.status] += 1
        if outcome.status not in CLASSES or "the agent ended" in outcome.reason or "Traceback" in outcome.reason:
            wrong.append(f"{runtime} seed {seed}: {outcome.status}: {outcome.reason}")
        if time.monotonic() - started > 10 + GRACE_S:
            wrong.append(f"{runtime} seed {seed}: took {time.monotonic() - started:.0f} s")
    return counts, wrong


# ---- Keras files that try to run or write something


class _Maker:
    """Writes variations of one honest .keras file."""

    def __init__(self, folder: Path):
        import keras

        self.folder, self.honest = folder, folder / "honest.keras"
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")]).save(self.honest)
        with zipfile.ZipFile(self.honest) as archive:
            self._parts = {name: archive.read(name) for name in archive.namelist()}

    def pack(self, name: str, changed: dict[str, bytes]) -> tuple[str, Path]:
        path = self.folder / f"{name}.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in {**self._parts, **changed}.items():
                archive.writestr(member, content)
        return name, path

    def layer(self, name: str, **replaced) -> tuple[str, Path]:
        """Put another layer in the place of the last."""
        document = json.loads(self._parts["config.json"])
        document["config"]["layers"][-1] = {"registered_name": None, **replaced}
        return self.pack(name, {"config.json": json.dumps(document).encode()})

    def weights(self, name: str, write: Callable) -> tuple[str, Path]:
        """Let `write(file, key)` change the first dataset of the weights."""
        import h5py

        buffer = io.BytesIO(self._parts["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            keys = []
            file.visititems(lambda key, item: keys.append(key) if isinstance(item, h5py.Dataset) else None)
            write(file, keys[0])
        return self.pack(name, {"model.weights.h5": buffer.getvalue()})

    def member(self, name: str, member: str) -> tuple[str, Path]:
        """Add a member that would lie outside. NUL in its name becomes the character, which zipfile would drop."""
        path = self.folder / f"{name}.keras"
        shutil.copy(self.honest, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member, "x")
        path.write_bytes(path.read_bytes().replace(b"NUL", b"\x00.."))
        return name, path


_GADGETS = (  # module, name, config: what a reader that imports by name would call
    ("os", "system", {"command": "touch pwned"}),
    ("subprocess", "Popen", {"args": ["touch", "pwned"]}),
    ("builtins", "exec", {"source": "open('pwned', 'w')"}),
    ("shutil", "copyfile", {"src": "/etc/hostname", "dst": "pwned"}),
    ("pickle", "loads", {"data": "x"}),
    ("keras.utils", "get_file", {"fname": "pwned", "origin": "file:///etc/hostname", "cache_dir": "."}),
    ("keras.src.utils.file_utils", "get_file", {"fname": "pwned", "origin": "file:///etc/hostname"}),
    ("keras.src.utils.torch_utils", "TorchModuleWrapper", {"module": "x"}),
    ("numpy", "save", {"file": "pwned.npy", "arr": [1]}),
    ("pathlib", "Path", {"name": "pwned"}),
    ("edgewright.files", "write", {"path": "pwned", "data": "x"}),
    ("hostile_package", "Evil", {}),
)


def keras_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write hostile .keras files into `folder`; each would leave a file called `pwned` behind if it had its way."""
    make = _Maker(folder)
    code = {"code": "open('pwned', 'w')", "defaults": None, "closure": None}
    function = {"class_name": "__lambda__", "config": code}
    yield make.layer("lambda", module="keras.layers", class_name="Lambda", config={"name": "l", "function": function})
    for module, name, config in _GADGETS:
        yield make.layer(f"{module}_{name}", module=module, class_name=name, config=config)
    yield make.layer("vocabulary", module="keras.layers", class_name="StringLookup",
                     config={"name": "s", "vocabulary": "/etc/hostname"})  # fmt: skip
    yield make.pack("nested", {"config.json": b'{"a":' * 100_000 + b"1" + b"}" * 100_000})
    yield make.pack("no_json", {"config.json": b"\xff\xfe not json"})
    yield make.pack("zip_bomb", {"model.weights.h5": bytes(400 << 20)})
    yield make.pack("no_hdf5", {"model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(range(250))})
    for write in (_hdf5_bomb, _hdf5_link, _hdf5_external):
        yield make.weights(write.__name__.strip("_"), write)
    yield make.member("zip_parent", "../pwned")
    yield make.member("zip_absolute", str(folder / "pwned"))
    yield make.member("zip_nul", "aNUL/../../pwned")
    truncated = folder / "truncated.keras"
    truncated.write_bytes(make.honest.read_bytes()[:-200])
    yield "truncated", truncated


def _hdf5_bomb(file, key):
    del file[key]
    file.create_dataset(key, shape=(1 << 33,), dtype="f4", chunks=(1 << 20,), compression="gzip", fillvalue=0)


def _hdf5_link(file, key):
    import h5py

    del file[key]
    file[key] = h5py.ExternalLink("/etc/hostname", "/x")


def _hdf5_external(file, key):
    shape = file[key].shape
    del file[key]
    file.create_dataset(key, shape=shape, dtype="f4", external=[("/etc/passwd", 0, 4 * int(np.prod(shape)))])


# ---- Writers that are killed


@contextmanager
def forked(work: Callable[[], None]) -> Iterator[int]:
    """Run `work` over and over in a fork; yield its process id, and see that it is gone."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                work()
        finally:
            os._exit(1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def kill_while(work: Callable[[], None], times: int, seed: int, check: Callable[[], None], longest_s: float) -> None:
    """Start `work` in a loop and kill -9 it at a random moment, `times` times; `check` what is there after each."""
    chance = random.Random(seed)
    for _ in range(times):
        with forked(work):
            time.sleep(chance.uniform(0, longest_s))
        check()


if __name__ == "__main__":  # MODEL OTHER RUNTIME SHAPE FIRST COUNT: a storm in a process without threads
    model, other, runtime, shape, first, count = sys.argv[1:]
    importlib.import_module(agent.RUNTIMES[runtime][0])
    samples = np.random.default_rng(0).normal(size=[int(size) for size in shape.split(",")]).astype(np.float32)
    seeds = range(int(first), int(first) + int(count))
    with tempfile.TemporaryDirectory() as name:
        found, faults = storm(Path(model).read_bytes(), Path(other).read_bytes(), samples, runtime, seeds, Path(name))
    print(json.dumps({"counts": found, "wrong": faults}))
