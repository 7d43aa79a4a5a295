"""How the house is kept: lengths of files and functions, and what public functions say of themselves."""

import ast
import math
from pathlib import Path

import edgewright
import pytest

ROOT = Path(edgewright.__file__).parent
PACKAGES = ("models", "training", "prune", "quantize", "export", "devices", "pipeline", "cli")
LONGEST_FILE, LONG_FUNCTION, SHARE_DOCUMENTED = 500, 20, 0.95


def _modules():
    yield from sorted(ROOT.glob("*.py"))
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _public(scope):
    """Yield functions and methods that a user may call: nothing inside a function or a private class."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node
        elif not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield from _public(node)


def test_no_file_is_longer_than_a_subject():
    folders = [ROOT / name for name in ("tests", "benchmarks", "docs", "examples") if (ROOT / name).is_dir()]
    files = [*_modules(), *(path for folder in folders for path in folder.rglob("*.py"))]
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_nine_functions_of_ten_fit_in_twenty_lines():
    lengths = sorted(
        node.end_lineno - node.lineno + 1 for path in _modules() for node in _functions(ast.parse(path.read_text()))
    )
    assert lengths[math.ceil(0.9 * len(lengths)) - 1] <= LONG_FUNCTION


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_say_what_they_do(package):
    told, silent = 0, []
    for path in (ROOT / package).rglob("*.py"):
        for node in _public(ast.parse(path.read_text())):
            if ast.get_docstring(node):
                told += 1
            else:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert told / (told + len(silent)) >= SHARE_DOCUMENTED, "\n".join(silent)
