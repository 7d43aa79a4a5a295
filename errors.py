"""The errors a user meets, each with the exit code the command line gives it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_WRAPPED = re.compile(r"Exception encountered when calling (?:layer )?(.*?)\.?\s*\n+")
_WITH_ARGUMENTS = re.compile(r"\n+Arguments received by .*", re.DOTALL)
_MOST_NAMES = 30
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class EdgewrightError(Exception):
    """A stage failed for a reason that we can name."""

    exit_code = 1


class BadInput(EdgewrightError, ValueError):
    """What the user gave cannot be used: the message names the argument, its value, what is allowed and the remedy."""

    exit_code = 2


class WrongOrder(EdgewrightError, RuntimeError):
    """A transformation was called before the one it stands on: the message holds the right call."""

    exit_code = 2


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what to say behind an unknown name: its neighbours among `known`, or what there is."""
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    alike = [difflib.SequenceMatcher(a=name, b=one).ratio() for one in near]
    near = [one for one, ratio in zip(near, alike, strict=True) if ratio > alike[0] - 0.15]  # best first
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return (
        f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(known[:_MOST_NAMES]) or 'none'}{more}"
    )


def refuse_unknown(
    where: str, given: Iterable[str], known: Iterable[str], remedies: Mapping[str, str] | None = None
) -> None:
    """Raise BadInput for the first of `given` that is not among `known`, with its remedy or its neighbours.

    where: what was called, as the message begins. remedies: of a function's arguments, what to say of names that other
    tools know.
    """
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"allowed: {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else "")
            if remedies is None:
                raise BadInput(f"{where}: unknown key {name!r}; {hint}")
            raise BadInput(f"{where}: {name!r} is no argument; {remedies.get(name, hint)}")


def one_line(text: Any) -> str:
    """Return a message as one line: without escape sequences of terminals, and without what Keras puts around the
    errors of layers (that there was one, and the arguments), of which the layer is kept.
    """
    plain = _WITH_ARGUMENTS.sub("", _ESCAPES.sub("", str(text)))
    return " ".join(_WRAPPED.sub(r"\1: ", plain).split())
