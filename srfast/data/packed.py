"""HR and LR pixels of many patches in one memory-mapped file, which is made once, whole or not at all.

A training that draws patches in random order reads a patch by one copy here, where a decoder reads the whole image.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srfast.data.atomic import atomic_path
from srfast.data.limits import of_environment
from srfast.errors import InputError
from srfast.runtime.locks import Lock
from srfast.settings import number

log = logging.getLogger(__name__)
SUFFIX = ".pairs"
LIMIT = 16 << 30
"""Bytes that the stores of the cache folder may take together; the environment variable SRFAST_CACHE_GB (GiB) sets
another number. Where one more would exceed it, those that were not used for longest are removed."""
_HEADER = 128
_DIGITS = 24
_HELD = threading.Lock()


@dataclass(frozen=True)
class StoreLayout:
    """Where the pixels of each patch lie: LR [C, size / scale, size / scale], then HR [C, size, size].

    ``sizes`` are the sides of the patches in HR pixels [n], multiples of the scale; LR is uint8, uint16 or float32, and
    HR uint8 or uint16.
    """

    sizes: np.ndarray
    scale: int
    channels: int
    lr: np.dtype[Any]
    hr: np.dtype[Any]

    @property
    def starts(self) -> np.ndarray:
        """The byte at which each patch begins, a multiple of 8, and the end of the last [n + 1], int64."""
        size = self.sizes.astype(np.int64)
        each = self.channels * (size**2 * self.hr.itemsize + (size // self.scale) ** 2 * self.lr.itemsize)
        return np.concatenate([[_HEADER], _HEADER + np.cumsum(-(-each // 8) * 8)])

    def views(self, pixels: Any, start: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """LR and HR of the patch of a side that begins at a byte of a buffer."""
        c, small = self.channels, size // self.scale
        lr: np.ndarray = np.ndarray((c, small, small), self.lr, pixels, start)
        return lr, np.ndarray((c, size, size), self.hr, pixels, start + lr.nbytes)


class Packed:
    """The patches of a store: ``store[i]`` is (lr, hr), read-only views of the file."""

    def __init__(self, path: Path, layout: StoreLayout) -> None:
        self.path = path
        self._bytes = np.asarray(np.memmap(path, np.uint8, "r"))  # views of a memmap cost several times those of this
        self._layout = layout
        self._starts: list[int] = layout.starts.tolist()
        self._sizes: list[int] = layout.sizes.tolist()

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self._layout.views(self._bytes, self._starts[row], self._sizes[row])


Write = Callable[[int, np.ndarray, np.ndarray], None]
"""Stores the LR and the HR pixels of a row."""


def cache_folder() -> Path:
    """The folder of stores if the user gives none: SRFAST_CACHE, or ``srfast`` in the user's cache folder."""
    if own := os.environ.get("SRFAST_CACHE"):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "srfast"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srfast"


def packed(
    folder: Path | None, name: str, digest: str, layout: StoreLayout, fill: Callable[[Write], None]
) -> Packed | None:
    """Opens the store of these patches, and makes it first where there is none; others that ask for it meanwhile wait
    for it.

    It lies in ``folder``, which is made if it is missing, or else in the cache folder, which is kept below ``LIMIT``;
    ``name`` begins its own, and ``digest`` is of all that the pixels depend on. ``fill`` calls its argument with each
    row, once, from any thread. Returns None if ``LIMIT`` is 0, or if there is no room for the store in the cache folder
    or on its disk, or no permission to write: a warning says which. Raises what ``fill`` raises, InputError if
    ``folder`` was given and cannot be written to, and RunError if it was given and its disk is full.
    """
    if folder is None and _limit() == 0:
        return None
    place = cache_folder() if folder is None else folder
    path = place / f"{name}-{digest[:_DIGITS]}{SUFFIX}"
    total = int(layout.starts[-1])
    header = f"srfast pairs 2 {digest}\n".encode().ljust(_HEADER, b"\0")
    if _is_complete(path, header, total):
        with suppress(OSError):
            os.utime(path)
        return Packed(path, layout)
    if problem := _problem(place, total, bounded=folder is None):
        if folder is not None:
            raise InputError(f"cache: expected a folder with room for {total >> 20:,} MiB, got {place}: {problem}")
        log.warning("%s: %s; pairs are not packed, but read from the images", place, problem)
        return None
    with _HELD, Lock.wait(path.with_suffix(".lock"), path):
        if not _is_complete(path, header, total):
            if folder is not None and any(place.glob(f"{name}-{'?' * _DIGITS}{SUFFIX}")):
                log.warning("%s: holds the pairs of another state of %s; they are packed anew", place, name)
            _write(path, header, layout, fill)
    return Packed(path, layout)


def _is_complete(path: Path, header: bytes, total: int) -> bool:
    """Whether the store exists; a file is renamed to its name when it is complete."""
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == total and file.read(_HEADER) == header
    except OSError:
        return False


def _problem(place: Path, total: int, *, bounded: bool) -> str:
    """Why a store of so many bytes cannot be made in a folder; "" if it can. Makes the folder, and room in it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return str(error.strerror)
    if not os.access(place, os.W_OK | os.X_OK):
        return "no permission to write there"
    if bounded:
        if total > (limit := _limit()):
            return f"the pairs take {total >> 20:,} MiB, above the limit of {limit >> 20:,} MiB (SRFAST_CACHE_GB)"
        stores = sorted(place.glob(f"*{SUFFIX}"), key=lambda store: store.stat().st_mtime_ns)
        while stores and sum(store.stat().st_size for store in stores) + total > limit:
            with suppress(OSError):
                stores.pop(0).unlink()  # a process that reads it keeps its pixels
    free = shutil.disk_usage(place).free
    return f"the pairs take {total >> 20:,} MiB, and the disk has {free >> 20:,} MiB" if total > free else ""


def _limit() -> int:
    return of_environment("SRFAST_CACHE_GB", number("a number of GiB", lambda n: 0 <= n < 1 << 30), LIMIT, 1 << 30)


def _write(path: Path, header: bytes, layout: StoreLayout, fill: Callable[[Write], None]) -> None:
    starts, left = layout.starts.tolist(), np.ones(len(layout.sizes), bool)
    with atomic_path(path) as temporary:
        with open(temporary, "r+b") as file:
            file.truncate(starts[-1])
        pixels = np.memmap(temporary, np.uint8, "r+")
        pixels[:_HEADER] = np.frombuffer(header, np.uint8)

        def write(row: int, lr: np.ndarray, hr: np.ndarray) -> None:
            for place, image in zip(layout.views(pixels, starts[row], int(layout.sizes[row])), (lr, hr), strict=True):
                place[...] = image
            left[row] = False

        fill(write)
        if left.any():
            raise RuntimeError(f"{path}: {int(left.sum())} patches were not written")
        pixels.flush()
