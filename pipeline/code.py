"""Which of our modules a piece of work runs: found by walking the imports from where the work is written.

The digest of their text goes into a step's key, so that a result is never older than the code that it came from.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from ..files import sha256

ROOT = Path(__file__).parent.parent


def digest_of_code(modules: Sequence[str], root: Path = ROOT) -> str:
    """Return the SHA-256 over the text of `modules` and of all that they import.  Raises: KeyError if one is unknown.

    modules: dotted names below the package whose folder is `root`, as "pipeline.training".
    """
    lines = [f"{path.relative_to(root).as_posix()} {_read(path)[0]}" for path in modules_of(modules, root)]
    return sha256("\n".join(lines).encode())


def modules_of(modules: Sequence[str], root: Path = ROOT) -> list[Path]:
    """Return the files of `modules` and of every module of the package that importing and running them may import.

    Imports inside functions count, those for a type checker alone do not. A module that looks its package's modules up
    (`pkgutil`, or a glob of "*.py") imports them all, those of a package that it then names too (what is packed for a
    device). A file or module that is named in a text (a program for a process of its own, a table of classes) counts as
    imported.
    """
    waiting = [path for name in modules for path in _required(root, name)]
    files_of = cache(partial(_files_of, root))  # for this walk alone: files come and go
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += (each for name in _named_in(path, root) for each in files_of(name))
    return sorted(found)


def _named_in(path: Path, root: Path) -> Iterator[str]:
    """Yield what a module imports, as dotted names below `root`; names of things that are no module among them."""
    package = path.parent.relative_to(root).parts
    for level, name in _read(path)[1]:
        if level == 0:  # a file or package by its bare name, which is looked for here first
            places = [path.with_name(name)] if path.with_name(name).is_file() else _called(root).get(name, [])
            if len(places) == 1:  # of several so called nobody can tell which
                parts = places[0].relative_to(root).with_suffix("").parts
                yield ".".join(parts if places[0].is_file() else (*parts, "*"))
        elif level <= len(package) + 1:
            base = package[: len(package) - (level - 1)]
            yield ".".join([*base, *filter(None, name.split("."))])


def _required(root: Path, name: str) -> list[Path]:
    paths, place = _files_of(root, name), root.joinpath(*name.split("."))
    if not {place.with_suffix(".py"), place / "__init__.py"} & set(paths):
        raise KeyError(f"no module {name!r} in {root}")
    return paths


def _files_of(root: Path, name: str) -> list[Path]:
    """Return the files that importing `name` runs: of its packages, then its own; a last part may be no module.

    Without the package's own `__init__`, which only hands out names, to others than our modules.
    """
    folder: Path = root
    paths: list[Path] = []
    for part in filter(None, name.split(".")):
        if part == "*":
            return [*paths, *sorted(folder.glob("*.py"))]
        if (module := folder / f"{part}.py").is_file():
            return [*paths, module]
        folder /= part
        if not (folder / "__init__.py").is_file():
            break
        paths.append(folder / "__init__.py")
    return paths


@cache
def _called(root: Path) -> Mapping[str, list[Path]]:
    """Return our files and packages by their bare name; those of the tests are not ours."""
    places = defaultdict(list)
    packages = [init.parent for init in root.glob("*/**/__init__.py")]
    for package in packages:
        places[package.name].append(package)
    for folder in (root, *packages):
        for path in folder.glob("*.py"):
            places[path.name].append(path)
    return dict(places)


@cache
def _read_as_of(path: Path, changed_ns: int, size: int) -> tuple[str, tuple[tuple[int, str], ...]]:
    text = path.read_bytes()
    return sha256(text), tuple(dict.fromkeys(_imports(ast.parse(text))))


def _read(path: Path) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return a file's digest and what it names, as (dots before it, name); read again only where it changed."""
    state = path.stat()
    return _read_as_of(path, state.st_mtime_ns, state.st_size)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    waiting, texts, looks_up = [tree], [], False
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from ((node.level, f"{node.module or ''}.{alias.name}".strip(".")) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        looks_up |= isinstance(node, ast.Attribute) and node.attr == "iter_modules"
        waiting += _run_by(node)
    yield from (named for text in texts for named in _in_text(text))
    if looks_up or "*.py" in texts:
        yield 1, "*"
    if "*.py" in texts:
        yield from ((0, text) for text in texts if text.isidentifier())


def _run_by(node: ast.AST) -> list[ast.AST]:
    """Return what of a node is run: not what stands there for a type checker alone."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in (getattr(node.test, "id", ""), getattr(node.test, "attr", "")):
        return list(node.orelse)
    return list(ast.iter_child_nodes(node))


def _in_text(text: str) -> Iterator[tuple[int, str]]:
    """Yield the module or file that a text names: ".worker", "..runtimes.qemu:Qemu", "agent.py"."""
    name = text.lstrip(".")
    dots = len(text) - len(name)
    module = name.partition(":")[0]
    if dots and all(part.isidentifier() for part in module.split(".")):
        yield dots, module
    elif not dots and name.endswith(".py") and name.removesuffix(".py").isidentifier():
        yield 0, name
