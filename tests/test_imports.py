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
    "inspection": {"quantize"},
}
MAY_IMPORT_PART = {"prune": {"quantize.graph"}}  # a leaf of a folder that it may not import as a whole
LEAVES = ("models", "devices/targets", "quantize/graph")
COMPOSING = {"pipeline", "cli"}
OF_THE_DOOR = {"__init__", "__main__", "backend", "registered"}  # what importing the package itself needs
SHARED = {"metrics", *(path.stem for path in ROOT.glob("*.py"))} - OF_THE_DOOR


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == depth:
                names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                if node.module and ".".join(node.module.split(".")[:2]) in MAY_IMPORT_PART.get(package, ()):
                    continue
                allowed = MAY_IMPORT[package] | SHARED | {package, "__version__"}
                assert set(names) <= allowed, f"{path}:{node.lineno} imports {names}"
            assert not (isinstance(node, ast.ImportFrom) and node.level == 0 and node.module.startswith("edgewright"))


def imported(path):
    """Yield the files of ours that a module imports, inside functions too, not for type checkers alone.

    Of a package and a name in it the module that the name is, else the package's own.
    """
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                places = (base / f"{alias.name}.py", base / alias.name / "__init__.py", base / "__init__.py",
                          base.with_suffix(".py"))  # fmt: skip
                yield next(place for place in places if place.is_file())
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        waiting += node.orelse if for_types else ast.iter_child_nodes(node)


@pytest.fixture(scope="module")
def graph():
    """Our modules and what each imports; the package's own, which names load from when first asked, is left out."""
    folders = [folder for folder in ROOT.iterdir() if (folder / "__init__.py").is_file() and folder.name != "tests"]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    paths += [path for path in ROOT.glob("*.py") if path.name != "__init__.py"]
    return {path: {other for other in imported(path) if other != ROOT / "__init__.py"}
            for path in paths}  # fmt: skip


def test_no_import_goes_in_a_circle(graph):
    done: set = set()

    def visit(path, way):
        assert path not in way, "a circle: " + " -> ".join(
            str(each.relative_to(ROOT)) for each in [*way[way.index(path) :], path]
        )
        if path not in done:
            for other in sorted(graph[path]):
                visit(other, [*way, path])
            done.add(path)

    for path in graph:
        visit(path, [])


def test_only_pipeline_and_the_command_line_compose(graph):
    """What composes is whoever imports two stages neither of which may import the other."""
    for path, others in graph.items():
        top = path.relative_to(ROOT).parts[0]
        tops = {other.relative_to(ROOT).parts[0] for other in others}
        if top not in COMPOSING | {"__main__.py"}:
            assert not tops & COMPOSING, f"{path} imports {tops & COMPOSING}"
        if top == "pipeline":
            assert "cli" not in tops, f"{path} imports the command line"


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_nothing_but_what_all_share(leaf, graph):
    for path, others in graph.items():
        if path.is_relative_to(ROOT / leaf):
            strange = [other for other in others if not other.is_relative_to(ROOT / leaf) and other.parent != ROOT]
            assert not strange, f"{path} imports {strange}"


WRITTEN = "from edgewright.pipeline.kernel_check import kernel_file; assert len(kernel_file().data) > 10_000"
HELP = "from edgewright.cli import main; main(['--help'])"


@pytest.mark.parametrize("statement", ["import edgewright", HELP, WRITTEN])  # of a device's check, by our own writer
def test_heavy_packages_stay_unloaded(statement):
    loaded = "sorted({'tensorflow', 'keras', 'jax'} & set(sys.modules))"
    script = f"import sys\ntry:\n {statement}\nexcept SystemExit: pass\nprint({loaded}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_public_names():
    assert [name for name in dir(edgewright) if not name.startswith("_")] == [
        "Artifact", "BenchConfig", "BlockConfig", "ChannelConfig", "ClusterConfig", "Dataset", "Distillation",
        "LowRankConfig", "PruneConfig", "QatConfig", "Split", "Thresholds", "TrainConfig", "bench", "build", "cluster",
        "compare", "evaluate", "export_onnx", "export_tflite", "factorize", "fix_shapes", "load_data", "load_model",
        "prepare_cluster", "prepare_prune", "prepare_qat", "prune", "prune_blocks", "prune_channels", "register",
        "save_model", "streaming", "strip_cluster", "strip_prune",
        "train",
    ]  # fmt: skip
    assert all(callable(getattr(edgewright, name)) for name in dir(edgewright) if not name.startswith("_"))
