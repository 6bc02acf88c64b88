"""The largest image and the largest file that are read, and how a user allows larger images."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from PIL import Image

from srfast.errors import InputError
from srfast.settings import Kind, whole

PIXELS = 178_956_970
"""Default for the pixels of the largest image that is read, as in Pillow."""
LARGEST_FILE = 2 << 30
"""Largest file in bytes; 179 million pixels of 8 bytes each take less."""
VARIABLE = "SRFAST_MAX_PIXELS"
"""The environment variable that sets another limit."""
_asked: list[int] = []


def most_pixels() -> int:
    """Pixels of the largest image that is read. Raises InputError if the environment variable is no whole number of at
    least 1."""
    return _asked[-1] if _asked else of_environment(VARIABLE, whole(1), PIXELS)


def of_environment(name: str, kind: Kind, default: int, unit: int = 1) -> int:
    """A limit that an environment variable sets, in units of ``unit``; otherwise the default. Raises InputError if its
    value is not of the ``kind``."""
    value: Any = os.environ.get(name, "")
    if not value:
        return default
    with suppress(ValueError):
        value = json.loads(value)
    return int(kind.check(name, value) * unit)


@contextmanager
def allowing(pixels: int | None) -> Iterator[None]:
    """Within the body, images of up to so many pixels are read, in every thread; None leaves the limit as it is."""
    if pixels is not None:
        _asked.append(pixels)
    try:
        yield
    finally:
        if pixels is not None:
            _asked.pop()


def prepare() -> None:
    """Raises Pillow's own limit, where it is lower than a limit that the user has raised."""
    most = most_pixels()
    if most > PIXELS and Image.MAX_IMAGE_PIXELS is not None and 2 * Image.MAX_IMAGE_PIXELS < most:
        Image.MAX_IMAGE_PIXELS = (most + 1) // 2


def refusal(size: str, most: int) -> InputError:
    """The error of an image with too many pixels."""
    return InputError(
        f"refused, the header claims too many pixels: expected at most {most:,}, got {size}",
        hint=f"allow more by `max_pixels` N or {VARIABLE}=N",
    )


def regular_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file of a reasonable size; a named pipe is not waited for."""
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    except IsADirectoryError:
        raise InputError("not a regular file") from None
    try:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise InputError("not a regular file")
        if not state.st_size:
            raise InputError("the file is empty (0 bytes)")
        if state.st_size > LARGEST_FILE:
            raise InputError(f"refused, expected a file of at most {LARGEST_FILE >> 30} GiB, got {state.st_size} bytes")
        return file
    except BaseException:
        file.close()
        raise
