"""What importing costs, which way imports go, and which names are public."""

import ast
import subprocess
import sys
from pathlib import Path

import edgewright
import pytest

ROOT = Path(edgewright.__file__).parent
MAY_IMPORT = {
    "models": set(),
    "devices": set(),
    "training": {"models"},
    "prune": {"models"},
    "quantize": {"models"},
    "export": {"quantize", "devices"},
}
SHARED = {
    "archives",
    "backends",
    "copies",
    "ends",
    "errors",
    "files",
    "keras_internals",
    "metrics",
    "precision",
    "progress",
    "runners",
    "workers",
}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == depth:
                names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                allowed = MAY_IMPORT[package] | SHARED | {package, "__version__"}
                assert set(names) <= allowed, f"{path}:{node.lineno} imports {names}"
            assert not (isinstance(node, ast.ImportFrom) and node.level == 0 and node.module.startswith("edgewright"))


@pytest.mark.parametrize("statement", ["import edgewright", "from edgewright.cli import main; main(['--help'])"])
def test_heavy_packages_stay_unloaded(statement):
    loaded = "sorted({'tensorflow', 'keras', 'jax'} & set(sys.modules))"
    script = f"import sys\ntry:\n {statement}\nexcept SystemExit: pass\nprint({loaded}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_public_names():
    assert [name for name in dir(edgewright) if not name.startswith("_")] == [
        "Artifact", "BenchConfig", "Dataset", "PruneConfig", "QatConfig", "Split", "Thresholds", "TrainConfig", "bench",
        "build", "compare", "evaluate", "export_onnx", "export_tflite", "fix_shapes", "load_data", "load_model",
        "prepare_prune",
        "prepare_qat", "prune", "register", "save_model", "streaming", "strip_prune",
        "train",
    ]  # fmt: skip
    assert all(callable(getattr(edgewright, name)) for name in dir(edgewright) if not name.startswith("_"))
