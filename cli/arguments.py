"""Turn typed functions into the verbs of a command line.

A verb is a function whose parameters are `Annotated[type, "help", check...]`: positional parameters become positional
arguments, keyword-only ones options; one of a TypedDict of such is as many options, handed over as a dict of those that
were given. jsonargparse checks types, reads `--config` files and prints them back; then every
`check(argument, value)` may refuse a value.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonargparse

from ..errors import BadInput, nearest, one_line


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
    """A parser that raises instead of printing its usage. Options are written in full."""

    asked = ""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise BadInput: the argument, its value, what is allowed, and where to read more."""
        raise BadInput(f"{_plain(message, self)} (see `{self.help_command} --help`)") from ex

    @property
    def help_command(self) -> str:
        """What to type for help: of the verb that was asked for, where this is the parser of all verbs."""
        return " ".join([self.prog.replace(" [options]", ""), *([self.asked] if self.asked else [])])


def parse(program: str, description: str, verbs: Sequence[Callable[..., Answer]], argv: Sequence[str]) -> Call:
    """Parse a command line.

    Raises: BadInput for anything that does not fit; SystemExit(0) after `--help`, `--version` and `--print_config`.
    """
    from .. import __version__

    parser = Parser(prog=program, description=description, version=__version__)
    subcommands = parser.add_subcommands(required=True, dest="verb", title="verbs", metavar="VERB")
    table = {verb.__name__.rstrip("_"): verb for verb in verbs}
    for name, verb in table.items():
        subcommands.add_subcommand(name, _parser_of(verb), help=_summary(verb))
    parser.asked = _check_verb(program, argv, list(table))
    found = parser.parse_args(list(argv))
    chosen = table[found["verb"]]
    options = found[found["verb"]]
    arguments = {parameter.name: _given(parameter, hint, options) for parameter, hint in _annotated(chosen)}
    return Call(verb=chosen, arguments=arguments, json=options["json"], debug=options["debug"])


def _annotated(verb: Callable[..., Answer]) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield the parameters of a verb with their annotations."""
    hints = typing.get_type_hints(verb, include_extras=True)
    for parameter in inspect.signature(verb).parameters.values():
        yield parameter, hints[parameter.name]


def each(verb: Callable[..., Answer]) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield all arguments of a verb with their annotations, those of a group one by one."""
    for parameter, hint in _annotated(verb):
        yield from _options_of(hint) if typing.is_typeddict(hint) else [(parameter, hint)]


def _options_of(group: Any) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield what a TypedDict of options holds as keyword-only parameters."""
    for name, hint in typing.get_type_hints(group, include_extras=True).items():
        default = False if typing.get_args(hint)[0] is bool else None
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default), hint


def _given(parameter: inspect.Parameter, hint: Any, options: Mapping[str, Any]) -> Any:
    """Return the value of an argument, checked before anything is imported for the verb."""
    if typing.is_typeddict(hint):
        values = {own.name: _given(own, of, options) for own, of in _options_of(hint)}
        return {name: value for name, value in values.items() if value is not None and value is not False}
    value = options[parameter.name.rstrip("_")]
    _check(_shown(parameter), value, typing.get_args(hint)[2:])
    return value


def _check(shown: str, value: Any, checks: Sequence[Callable[[str, Any], None]]) -> None:
    for check in checks:
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            check(shown, one)


def _shown(parameter: inspect.Parameter) -> str:
    """Return the argument as a user types or reads it."""
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"--{parameter.name.rstrip('_').replace('_', '-')}"
    return parameter.name.upper()


def _parser_of(verb: Callable[..., Answer]) -> Parser:
    parser = Parser(description=inspect.getdoc(verb))
    for parameter, hint in each(verb):
        _add(parser, parameter, hint)
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


def _check_verb(program: str, argv: Sequence[str], names: list[str]) -> str:
    """Return the verb, or nothing where an option of the program itself stands in its place."""
    if not argv:
        raise BadInput(f"no verb given; allowed: {', '.join(names)} (see `{program} --help`)")
    given = argv[0]
    if given in ("--help", "-h", "--version"):
        return ""
    if given.startswith("-"):
        if verb := next((word for word in argv if word in names), None):
            raise BadInput(f"{given} stands before the verb; write `{program} {verb} ... {given}`")
        return ""
    if given not in names:
        raise BadInput(f"unknown verb {given!r}; {nearest(given, names)} (see `{program} --help`)")
    return given


def _plain(message: str, parser: jsonargparse.ArgumentParser) -> str:
    """Say jsonargparse's message in one line: arguments as the user types them, close matches for unknown ones."""
    text = one_line(message)
    text = re.sub(r'Parser key "([\w.]+)":', lambda found: f"argument {_typed(found[1], parser)}:", text)
    text = re.sub(r"Does not validate against any of the Union subtypes.*?Errors:((?: - .*?)+) Given value type.*?"
                  r"Given value: (.*)", _union, text)  # fmt: skip
    text = re.sub(r"Expected a <class '(\w+)'>", r"expected \1", text)
    text = re.sub(r"Expected a typing\.Literal\[(.*?)\]", r"expected one of \1", text)
    text = re.sub(r"\.? Got value: ", ", got ", text)
    if missing := re.search(r"arguments are required: (.*)", text):
        names = (_typed(name, parser) for name in missing[1].split(", "))
        return f"missing: {', '.join(names)}"
    if unknown := re.search(r"[Uu]nrecognized arguments: (.*)", text):
        first = next((word for word in unknown[1].split() if word.startswith("-")), "")
        if first:
            return f"unknown option {first}; {nearest(first, _options(parser))}"
        return f"one argument too many: {unknown[1]}"
    if unknown := re.search(r"Subcommand '(\w+)' does not accept option '(\w+)'", text):
        own = parser if not _verbs(parser) else _verbs(parser)[unknown[1]]
        known = [action.dest for action in own._actions if action.dest not in ("help", "config")]
        return f"--config: unknown key {unknown[2]!r}; {nearest(unknown[2], known)}"
    return text


def _union(found: re.Match[str]) -> str:
    """Say what one of several types was wanted: `None` is what leaving an option out means."""
    wanted = [part.strip(" -") for part in found[1].split(" - ") if part.strip(" -")]
    wanted = [re.sub(r"^[Ee]xpected (?:a )?(?:<class ')?(\w+)(?:'>)?$", r"\1", part) for part in wanted]
    wanted = [re.sub(r"^[Ee]xpected a typing\.Literal\[(.*?)\].*", r"one of \1", part) for part in wanted]
    return f"expected {' or '.join(part for part in wanted if part != 'NoneType')}, got {found[2]}"


def _typed(key: str, parser: jsonargparse.ArgumentParser) -> str:
    """Return the argument behind a parser's key as the user types it: an option, or a place in capitals."""
    *verb, name = key.split(".")
    within = _verbs(parser)[verb[0]] if verb and _verbs(parser) else parser
    places = [one for own in (within, *_verbs(parser).values()) for one in own._actions if not one.option_strings]
    if name in (place.dest for place in places):
        return name.upper()
    return f"--{name.replace('_', '-')}"


def _verbs(parser: jsonargparse.ArgumentParser) -> Mapping[str, jsonargparse.ArgumentParser]:
    return next((action.choices for action in parser._actions if isinstance(action.choices, Mapping)), {})


def _options(parser: jsonargparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
