"""Errors whose message is written for the user. The command line prints it as one line, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class _ForUsers(Exception):
    """An error in one line, and in ``hint`` what the user can do about it, which ``str()`` appends to the line."""

    hint: str | None

    def __init__(self, message: object = "", *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint or None

    @property
    def message(self) -> str:
        """The line without the hint."""
        return str(self.args[0]) if self.args else ""

    def within(self, place: str) -> _ForUsers:
        """The same error with a place before its message, such as "photo.png: "; the hint stays."""
        return type(self)(f"{place}{self.message}", hint=self.hint)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(_ForUsers, ValueError):
    """Wrong usage or input. The message names the argument or file, what was expected and what came. Exit code 2."""


@contextmanager
def inside(place: str) -> Iterator[None]:
    """Puts a place, such as "photo.png: ", before the message of an InputError that the body raises."""
    try:
        yield
    except InputError as error:
        raise error.within(place) from None


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns an error of the body, which reads a file, into an InputError that begins with ``what`` and ends with the
    first line of the error: a damaged file makes its reader raise almost anything, and the file is at fault."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise InputError(f"{what} ({reason})") from None


def refuse(*rules: tuple[object, str]) -> None:
    """Raises InputError with the message of the first rule whose condition holds."""
    for wrong, message in rules:
        if wrong:
            raise InputError(message)


class ArgumentError(InputError, TypeError):
    """An unknown argument; it is a TypeError of Python as well."""


class RunError(_ForUsers, RuntimeError):
    """A job that could not be finished: a missing dependency, a full disk, an unusable backend. Exit code 1."""
