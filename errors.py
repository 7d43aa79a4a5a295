"""The errors a user meets, each with the exit code the command line gives it."""


class EdgewrightError(Exception):
    """A stage failed for a reason that we can name."""

    exit_code = 1


class BadInput(EdgewrightError, ValueError):
    """What the user gave cannot be used: the message names the argument, its value, what is allowed and the remedy."""

    exit_code = 2


class WrongOrder(EdgewrightError, RuntimeError):
    """A transformation was called before the one it stands on: the message holds the right call."""

    exit_code = 2
