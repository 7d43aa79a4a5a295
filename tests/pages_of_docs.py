"""The pages of docs/ and README.md taken apart: links, headings, blocks of commands and of Python."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block. title: the file it is to be saved as, or nothing; line: where it begins on its page."""

    page: Path
    language: str
    title: str
    text: str
    line: int

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page, *languages):
    """Return the fenced blocks of a page in these languages."""
    text = page.read_text()
    return [
        Block(page, match[1], (re.findall(r'title="(.*?)"', match[2]) or [""])[0], match[3],
              text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
        if match[1] in languages
    ]  # fmt: skip


def commands(block):
    """Return the command lines of a block, as words, without comments."""
    joined = block.text.replace("\\\n", " ")
    return [words for words in (shlex.split(line, comments=True) for line in joined.splitlines()) if words]


def links(page):
    """Return the addresses that a page links to, outside of code."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text())))


def anchors(page):
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}
