"""Which code a step's key covers: what its work imports, found, and nothing else."""

import shutil
import time

import pytest
from edgewright.pipeline.code import ROOT, digest_of_code, modules_of
from edgewright.pipeline.run import CODE


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of our modules, whose files may be edited."""
    folder = tmp_path_factory.mktemp("code") / "edgewright"
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parts
        if parts[0] in ("tests", "benchmarks", "docs") or any(part.startswith(".") for part in parts):
            continue
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    return folder


def keys(tree):
    return {step: digest_of_code(modules, tree) for step, modules in CODE.items()}


EVERY = set(CODE)
TRAINING = {"train", "prune", "qat"}
QUANTIZING = {"qat", "export", "kernels"}
MEASURING = {"answers", "bench", "kernels", "pictures"}
ASKING = MEASURING | {"prune", "target"}  # what a runtime is asked for


@pytest.mark.parametrize(
    ("edited", "steps"),
    [
        ("metrics/__init__.py", EVERY),
        ("precision.py", QUANTIZING | {"prune"}),  # channels are cut on the graph that is quantized
        ("pipeline/stages.py", set()),  # the library's door: a run goes past it
        ("pipeline/training.py", TRAINING),
        ("pipeline/workload.py", TRAINING),
        ("pipeline/quantizing.py", {"qat"}),
        ("pipeline/exporting.py", {"export"}),
        ("pipeline/measuring.py", MEASURING - {"kernels"}),
        ("prune/selection.py", {"prune"}),
        ("models/blocks.py", TRAINING | {"kernels"}),  # found by looking the package up
        ("training/learners/fitting.py", TRAINING | {"kernels"}),  # the register of learners imports its package
        ("export/worker.py", {"export", "kernels", "prune"}),  # run by name, in a process; channels are cut by size
        (
            "devices/agent/latency.py",
            MEASURING | {"prune", "target"},
        ),  # packed for the device, where channels are cut by time
        ("devices/transports/ssh.py", ASKING),  # named in a table
        ("cli/commands.py", set()),
        ("pipeline/sweep.py", set()),
    ],
)
def test_an_edited_module_changes_the_keys_of_the_steps_that_use_it(tree, edited, steps):
    before, text = keys(tree), (tree / edited).read_text()
    (tree / edited).write_text(f"{text}\n# edited\n")
    try:
        after = keys(tree)
    finally:
        (tree / edited).write_text(text)
    assert {step for step in before if before[step] != after[step]} == steps


def test_keys_are_cheap_once_the_files_were_read():
    digest_of_code(CODE["export"])
    start = time.monotonic()
    digest_of_code(CODE["export"])
    assert time.monotonic() - start < 1.5  # reading and parsing anew takes longer


def test_imports_for_type_checkers_do_not_count(tmp_path):
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "__init__.py").write_text("")
    (tmp_path / "stage" / "work.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .types import Kind\n"
        "def work():\n    from . import lazy\n    return '.named', 'program.py'\n"
    )
    for name in ("types", "lazy", "named", "program", "strange"):
        (tmp_path / "stage" / f"{name}.py").write_text("")
    names = [path.name for path in modules_of(["stage.work"], tmp_path)]
    assert names == ["__init__.py", "lazy.py", "named.py", "program.py", "work.py"]
    with pytest.raises(KeyError, match=r"no module 'stage\.other'"):
        modules_of(["stage.other"], tmp_path)
