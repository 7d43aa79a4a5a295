"""Every stage on a full disk, in a process of its own.  python full_disk.py FOLDER [limit]

The disk is a tmpfs of this process alone, filled by a file until as many bytes are left as shall be; where the system
lets nobody mount one, or if told so, files are limited to that size instead. Prints one JSON line a trial: {stage,
left, code, said, kept}, and {stage, again} for the same command with room; `kept`: what was whole before still is.
"""

import ctypes
import io
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

SIZE = 64 << 20
PAGE = 4096
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000


def build():
    """Return a classifier small enough for a stage a second: 8 features, 3 classes."""
    import keras

    inputs = keras.Input((8,), name="features")
    hidden = keras.layers.Dense(128, activation="relu", name="first")(inputs)
    hidden = keras.layers.Dense(128, activation="relu", name="second")(hidden)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden), name="tiny")


def data():
    import numpy as np

    random = np.random.default_rng(0)
    x = random.normal(size=(96, 8)).astype("float32")
    y = x[:, :3].argmax(1)
    return (x[:64], y[:64]), (x[64:], y[64:])


class Tmpfs:
    """A small file system that only this process sees. Raises: OSError where the system forbids it."""

    kind = "tmpfs"

    def __init__(self, folder: Path):
        self._folder = folder
        system = ctypes.CDLL(None, use_errno=True)
        user, group = os.getuid(), os.getgid()
        if system.unshare(CLONE_NEWNS | CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "unshare")
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path(f"/proc/self/{name}").write_text(content)
        if system.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={SIZE}".encode()):
            raise OSError(ctypes.get_errno(), "mount")

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        filler = self._folder / "filler"
        free = os.statvfs(self._folder).f_bavail * os.statvfs(self._folder).f_frsize
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(PAGE, free - left // PAGE * PAGE))
        yield
        filler.unlink()


class Limit:
    """No file may grow beyond a size: not a full disk, but the same refusal in the middle of a write."""

    kind = "limit"

    def __init__(self, folder: Path):
        pass

    @contextmanager
    def full(self, left: int) -> Iterator[None]:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, most))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def a_disk(folder: Path, kind: str) -> Tmpfs | Limit:
    try:
        return Limit(folder) if kind == Limit.kind else Tmpfs(folder)
    except OSError:
        return Limit(folder)


def stages(folder: Path) -> dict[str, list[str]]:
    """Return the command of each stage; each needs what the ones before it wrote."""
    with_data = ["--data", "full_disk:data"]
    quick = [*with_data, "--epochs", "1"]
    float_model, model = str(folder / "float.keras"), str(folder / "qat.keras")
    tflite, bench = str(folder / "int8.tflite"), str(folder / "bench")
    return {
        "train": ["train", "full_disk:build", "--out", float_model, *quick],
        "prune": ["prune", float_model, "--out", str(folder / "sparse.keras")],
        "qat": ["qat", float_model, "--out", model, *quick],
        "export tflite": ["export", model, "--out", tflite, "--format", "tflite"],
        "export onnx": ["export", model, "--out", str(folder / "int8.onnx"), "--format", "onnx"],
        "bench": ["bench", tflite, "--baseline", tflite, "--max-seconds", "0.1", "--out", bench],
        "report": ["report", bench, "--out", str(folder / "page.html")],
    }


def command(argv: list[str]) -> tuple[int, str]:
    """Run a command line here; return its exit code and what it said in the end."""
    from edgewright.cli import commands as cli

    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = cli.main(argv)
    return code, said.getvalue()


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*")
            if path.suffix in (".keras", ".tflite", ".onnx", ".html", ".json") and path.name != "filler"}  # fmt: skip


def trials(disk: Tmpfs | Limit, folder: Path) -> Iterator[dict]:
    """Try each stage with no room at all, then with room, then with room for half of what it wrote."""

    def on_full_disk(left: int) -> dict:
        before = outputs(folder)
        with disk.full(left):
            code, said = command(argv)
            kept = all(outputs(folder).get(path) == content for path, content in before.items())
        return {"stage": stage, "left": left, "code": code, "said": said, "kept": kept}

    for stage, argv in stages(folder).items():
        at_first = outputs(folder)
        yield on_full_disk(0)
        yield {"stage": stage, "again": command(argv)[0]}
        written = outputs(folder)
        yield on_full_disk(max(len(written[path]) for path in written.keys() - at_first.keys()) // 2)


def main() -> None:
    folder = Path(sys.argv[1])
    tempfile.gettempdir()  # chosen while files can be written
    disk = a_disk(folder, sys.argv[2] if len(sys.argv) > 2 else Tmpfs.kind)
    print(json.dumps({"disk": disk.kind}), flush=True)
    for trial in trials(disk, folder):
        print(json.dumps(trial), flush=True)


if __name__ == "__main__":
    main()
