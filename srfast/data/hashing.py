"""Hashes by which images and patches are known again, whatever their names are.

Both are SHA-256, as 64 lower-case hexadecimal digits:

* that of a file: of its bytes,
* that of pixels: of the ASCII text ``RGB8 <width> <height>``, a line feed (0x0A), and then one byte each for R, G and B
  of every pixel, rows from the top, pixels from the left. Width and height are decimal, without leading zeros.

The pixels of an image are those that ``srfast.data.images.read_rgb`` returns. Their hash survives a lossless
re-packing, such as from BMP to PNG, and other metadata. It does not survive another JPEG decoder.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from contextlib import closing
from functools import lru_cache

import numpy as np

from srfast.data.atomic import checksum
from srfast.data.workers import ordered_map
from srfast.errors import InputError

_REMEMBERED = 1 << 16
_FORM = re.compile(r"[0-9a-f]{64}")


def is_hash(value: object) -> bool:
    """Whether a value has the form of a hash."""
    return isinstance(value, str) and bool(_FORM.fullmatch(value))


def of_bytes(data: bytes) -> str:
    """The hash of a file with this content."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: str | os.PathLike[str]) -> str:
    """The hash of a file.

    A process reads a file once while its inode, size and times stay the same, that of the last change of its state
    among them, which no program sets.

    Raises:
        InputError: the file cannot be read, or is none.
    """
    try:
        now = os.stat(path)
        if not stat.S_ISREG(now.st_mode):
            raise InputError(f"{path}: not a regular file")
        return _of_state(os.path.abspath(path), now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


@lru_cache(_REMEMBERED)
def _of_state(path: str, *_state: int) -> str:
    return checksum(path)


def of_files(paths: Iterable[str | os.PathLike[str]], threads: int) -> list[str]:
    """The hashes of files, read on ``threads`` threads. Raises InputError if a file cannot be read."""
    with closing(ordered_map(of_file, paths, threads)) as results:
        return [digest for _, digest in results]


def of_pixels(pixels: np.ndarray) -> str:
    """The hash of pixels, uint8 [H, W, 3] RGB, or uint8 [H, W], whose gray counts as R, G and B. Raises TypeError if
    the array has another dtype or shape."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise TypeError(f"pixels: expected uint8 [H, W, 3] or [H, W], got {pixels.dtype} {list(pixels.shape)}")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(b"RGB8 %d %d\n" % (width, height))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
