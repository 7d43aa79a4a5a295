"""How the docstrings of this project are shown: what is said of each parameter becomes a list.

Our docstrings say `name: what it is` at the start of a line, after two spaces or after a semicolon, and `Shapes:`,
`Raises:`, `Units:` and `Source:` likewise.
"""

import re
from typing import Any

import griffe

WORDS = ("Shapes", "Raises", "Returns", "Units", "Source")


class House(griffe.Extension):
    """Rewrite docstrings as they are loaded."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Turn what is said of parameters into a list."""
        _rewrite(func, [parameter.name.lstrip("*") for parameter in func.parameters])

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Turn what is said of fields into a list."""
        _rewrite(cls, [name for name, member in cls.members.items() if member.is_attribute])


def _rewrite(thing: griffe.Object, names: list[str]) -> None:
    if thing.docstring:
        thing.docstring.value = as_list(thing.docstring.value, names)


def as_list(text: str, names: list[str]) -> str:
    """Return a docstring with a list item for each parameter and each of `WORDS`.

    A word counts where a statement may begin, outside of code; several names with one explanation stay together.
    """
    known = "|".join(map(re.escape, [*names, *WORDS]))
    begins = re.compile(rf"(?:^|(?<=\n)|(?<=[.;:])\s+|\s{{2,}})((?:{known})(?:, (?:{known}))*):\s+")
    if not names and not any(word in text for word in WORDS):
        return text
    head, *rest = text.split("\n\n")
    blocks = [head, *(begins.sub(lambda found: f"\n- **{found[1]}**: ", block) for block in rest)]
    if len(blocks) == 1:
        blocks = [begins.sub(lambda found: f"\n\n- **{found[1]}**: ", head)]
    lists = [re.sub(r";(?=\n- \*\*)", "", block) for block in blocks]
    return "\n\n".join(_apart(block) for block in lists)


def _apart(block: str) -> str:
    """Return the block with an empty line before its list, and the lines of an item indented."""
    lines, inside = [], False
    for line in block.strip("\n").split("\n"):
        if line.startswith("- **"):
            if lines and not inside and lines[-1]:
                lines.append("")
            inside = True
            lines.append(line)
        else:
            lines.append(f"  {line.strip()}" if inside and line.strip() else line)
    return "\n".join(lines)
