"""The wheel: installed apart from the checkout, it has all its files and runs."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a folder with the unpacked wheel, built from a copy of the files that git knows."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "site"
    known = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if len(known) < 2:
        pytest.skip("not a git checkout: there is no list of files to build from")
    for name in filter(None, known):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=installed.parent, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def test_holds_every_module_and_data_file_and_no_test(installed):
    package = installed / "edgewright"
    kept = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    stages = ("models", "training", "prune", "quantize", "export", "devices", "pipeline")
    wanted = {
        path.relative_to(ROOT)
        for stage in stages
        for path in (ROOT / stage).rglob("*")
        if path.suffix in (".py", ".html", ".toml") and "__pycache__" not in path.parts
    }
    assert wanted <= kept, wanted - kept
    assert not [path for path in kept if path.parts[0] in ("tests", "benchmarks", "docs")]


def test_runs_outside_the_checkout(installed):
    where = run(installed, "-c", "import edgewright; print(edgewright.__file__)")
    assert where.stdout.startswith(str(installed)), where
    listed = run(installed, "-m", "edgewright", "models", "--json")
    assert "lenet5" in {row["name"] for row in json.loads(listed.stdout)}
    verbs = [
        "train softmax_regression --data digits --epochs 2 --out net.keras",
        "export net.keras --precision float32 --out net.tflite",
        "bench net.tflite --baseline net.tflite --data digits --out report --max-seconds 2",
    ]
    # One process for all of them: each alone would import TensorFlow.
    every = "import sys; from edgewright.cli import main; sys.exit(any(main(verb.split()) for verb in sys.argv[1:]))"
    done = run(installed, "-c", every, *verbs)
    assert done.returncode == 0 and (installed.parent / "report" / "report.html").exists(), done.stderr
