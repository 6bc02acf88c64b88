"""Errors whose message is written for the user: the command line prints it in one line, without a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """Bad usage or bad input: names the argument or file, what was expected and what came. Exit code 2."""


class ArgumentError(InputError, TypeError):
    """An argument that there is not: Python's TypeError as well."""


class RunError(RuntimeError):
    """The job could not be finished: a missing dependency, a full disk, a backend that does not work. Exit code 1."""
