"""Errors whose message is written for the user. The command line prints it as one line, without a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """Wrong usage or input. The message names the argument or file, what was expected and what came. Exit code 2."""


class ArgumentError(InputError, TypeError):
    """An unknown argument; it is a TypeError of Python as well."""


class RunError(RuntimeError):
    """A job that could not be finished: a missing dependency, a full disk, an unusable backend. Exit code 1."""
