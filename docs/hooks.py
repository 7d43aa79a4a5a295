"""What MkDocs does before it renders a page: public names become their modules, the verbs of the command line a page.

`::: ew.NAME` on a page stands for the docstring of a public name, wherever its module lies; the line `<!-- verbs -->`
for the description of every verb. Both are read off the package, so that neither can fall behind it.
"""

import inspect
import re
import types
import typing
from typing import Any

import edgewright
from edgewright.cli import arguments, commands

NAME = re.compile(r"^::: ew\.(\w+)$", re.MULTILINE)
HEADER = ("argument", "what", "values", "default")
ALIASES = {  # where the docstring stands of what is public under another name, or wrapped
    "cluster": "edgewright.prune.cluster",
    "factorize": "edgewright.prune.factorize",
    "load_data": "edgewright.training.data.load",
    "prepare_cluster": "edgewright.prune.prepare_cluster",
    "prepare_prune": "edgewright.prune.prepare_prune",
    "prepare_qat": "edgewright.quantize.qat.prepare_qat",
    "strip_cluster": "edgewright.prune.strip_cluster",
    "strip_prune": "edgewright.prune.strip_prune",
}
CONFIGS = ("Config", "Thresholds")  # whose methods are of no use to a reader
VERBS_HERE = "<!-- verbs -->"
WIDE = {"zoo.md", "foreign_models.md", "benchmarks.md", "applications.md", "data.md", "reference/command-line.md"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page with its placeholders replaced; pages of wide tables get the whole width."""
    if page.file.src_uri in WIDE:
        page.meta["hide"] = ["toc"]
    return NAME.sub(_docstring, markdown).replace(VERBS_HERE, "\n".join(map(described, commands.VERBS)))


def public_names() -> dict[str, str]:
    """Return the full path of each public name."""
    return {name: f"edgewright{module}.{name}" for name, module in edgewright._HOME.items()} | ALIASES


def _docstring(match: re.Match[str]) -> str:
    path = public_names()[match[1]]
    options = f"::: {path}\n    options:\n      heading: ew.{match[1]}\n      toc_label: {match[1]}"
    return options + ("\n      members: false" if match[1].endswith(CONFIGS) else "")


def described(verb: Any) -> str:
    """Return the section on one verb: what it does, its arguments, its options."""
    name = verb.__name__.rstrip("_")
    places, options = [], []
    for parameter, hint in arguments.each(verb):
        kind, text = typing.get_args(hint)[:2]
        row = (f"`{_shown(parameter)}`", _cell(text), _values(kind), _default(parameter))
        (options if parameter.kind is parameter.KEYWORD_ONLY else places).append(row)
    section = f"## {name}\n\n{inspect.cleandoc(verb.__doc__ or '')}\n"
    lines = [f"| {' | '.join(row)} |" for row in (HEADER, ("---",) * len(HEADER), *places, *options)]
    return section + ("\n" + "\n".join(lines) + "\n" if places or options else "")


def _shown(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.KEYWORD_ONLY:
        return "--" + parameter.name.rstrip("_").replace("_", "-")
    return parameter.name.upper()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _values(kind: Any) -> str:
    """Return the words that an argument takes, or its type."""
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return ", ".join(_values(each) for each in typing.get_args(kind) if each is not type(None))
    if kind == list[str]:
        return "text, several"
    return {bool: "", int: "whole number", float: "number", str: "text"}.get(kind, str(kind))


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "needed"
    return "" if parameter.default is None or parameter.default is False else f"`{parameter.default}`"
