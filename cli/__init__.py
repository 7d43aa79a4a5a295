"""The command line: every stage a verb, thin over the library."""

from .commands import main

__all__ = ["main"]
