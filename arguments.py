"""Turn typed functions into the verbs of a command line.

A verb is a function whose parameters are `Annotated[type, "help", check...]`: positional parameters become positional
arguments, keyword-only ones options. jsonargparse checks types, reads `--config` files and prints them back; then every
`check(argument, value)` may refuse a value.
"""

import difflib
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonargparse

from .errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a verb hands back: a JSON document, the same for people, and whether what it judged is in order."""

    document: Any
    text: str
    ok: bool = True


@dataclass(frozen=True, kw_only=True)
class Call:
    """A parsed command line: the verb, its arguments, and how to print."""

    verb: Callable[..., Answer]
    arguments: Mapping[str, Any]
    json: bool
    debug: bool


class Parser(jsonargparse.ArgumentParser):
    """A parser that raises instead of printing its usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise BadInput: the argument, its value, what is allowed, and where to read more."""
        raise BadInput(f"{_plain(message, _options(self))} (see `{_named(self)} --help`)") from ex


def parse(program: str, description: str, verbs: Sequence[Callable[..., Answer]], argv: Sequence[str]) -> Call:
    """Parse a command line.

    Raises: BadInput for anything that does not fit; SystemExit(0) after `--help`, `--version` and `--print_config`.
    """
    from . import __version__

    parser = Parser(prog=program, description=description, version=__version__)
    subcommands = parser.add_subcommands(required=True, dest="verb", title="verbs", metavar="VERB")
    table = {verb.__name__.rstrip("_"): verb for verb in verbs}
    for name, verb in table.items():
        subcommands.add_subcommand(name, _parser_of(verb), help=_summary(verb))
    _check_verb(program, argv, list(table))
    found = parser.parse_args(list(argv))
    chosen = table[found["verb"]]
    arguments = {name: found[found["verb"]][name] for name in inspect.signature(chosen).parameters}
    _check(chosen, arguments)
    options = found[found["verb"]]
    return Call(verb=chosen, arguments=arguments, json=options["json"], debug=options["debug"])


def _check(verb: Callable[..., Answer], arguments: Mapping[str, Any]) -> None:
    """Let each argument be checked by what its annotation names for it, before anything is imported for the verb."""
    hints = typing.get_type_hints(verb, include_extras=True)
    for name, parameter in inspect.signature(verb).parameters.items():
        value, shown = arguments[name], _shown(parameter)
        for check in typing.get_args(hints[name])[2:]:
            for one in value if isinstance(value, list) else [] if value is None else [value]:
                check(shown, one)


def _shown(parameter: inspect.Parameter) -> str:
    """Return the argument as a user types or reads it."""
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"--{parameter.name.replace('_', '-')}"
    return parameter.name.upper()


def _parser_of(verb: Callable[..., Answer]) -> Parser:
    parser = Parser(description=inspect.getdoc(verb))
    hints = typing.get_type_hints(verb, include_extras=True)
    for parameter in inspect.signature(verb).parameters.values():
        _add(parser, parameter, hints[parameter.name])
    parser.add_argument("--config", action="config", help="read arguments from a YAML file; the command line wins")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document on stdout")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add(parser: Parser, parameter: inspect.Parameter, hint: Any) -> None:
    kind, text = typing.get_args(hint)[:2]
    required = parameter.default is parameter.empty
    if parameter.kind is not parameter.KEYWORD_ONLY:
        several = {"nargs": "+", "type": str} if kind == list[str] else {"type": kind}
        optional = {} if required else {"nargs": "?", "default": parameter.default}
        parser.add_argument(parameter.name, help=text, **several, **optional)
        return
    flag = _shown(parameter)
    if kind is bool:
        parser.add_argument(flag, action="store_true", help=text)
    elif list[str] in (kind, *typing.get_args(kind)):
        parser.add_argument(flag, action="append", type=str, default=parameter.default, help=f"{text}; may be repeated")
    elif required:
        parser.add_argument(flag, type=kind, required=True, help=text)
    else:
        parser.add_argument(flag, type=kind, default=parameter.default, help=text)


def _summary(verb: Callable[..., Answer]) -> str:
    return (inspect.getdoc(verb) or "").split("\n")[0].rstrip(".")


def _check_verb(program: str, argv: Sequence[str], names: list[str]) -> None:
    if not argv:
        raise BadInput(f"no verb given; allowed: {', '.join(names)} (see `{program} --help`)")
    given = argv[0]
    if not given.startswith("-") and given not in names:
        near = difflib.get_close_matches(given, names)
        hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(names)}"
        raise BadInput(f"unknown verb {given!r}; {hint} (see `{program} --help`)")


def _options(parser: jsonargparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _named(parser: jsonargparse.ArgumentParser) -> str:
    return parser.prog.replace(" [options]", "")


def _plain(message: str, options: Sequence[str]) -> str:
    """Say jsonargparse's message in one line, options as the user types them and close matches for unknown ones."""
    text = " ".join(message.split())
    text = re.sub(r'Parser key "(\w+)":', lambda found: f"argument --{found[1].replace('_', '-')}:", text)
    text = re.sub(r"Expected a <class '(\w+)'>", r"expected \1", text)
    text = re.sub(r"Expected a typing\.Literal\[(.*?)\]", r"expected one of \1", text)
    text = re.sub(r"Got value: ", "got ", text)
    text = re.sub(r"arguments are required: \w+\.", "arguments are required: ", text)
    if unknown := re.search(r"[Uu]nrecognized arguments: (--[\w-]+)", text):
        near = difflib.get_close_matches(unknown[1], options)
        text += f"; did you mean {' or '.join(near)}?" if near else f"; allowed: {', '.join(options)}"
    return text
